"""Which names a program spells, binds and imports, read from its syntax tree."""

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator

from jail.allowlist import MODULES


def words(node: ast.AST) -> Iterator[str]:
    """The identifiers of one node, or its text; not those that have a rule of their own."""
    if not isinstance(node, ast.Name | ast.Attribute | ast.FunctionDef | ast.ImportFrom):
        for _, value in ast.iter_fields(node):
            items = value if isinstance(value, list) else [value]
            yield from (item for item in items if isinstance(item, str))


def identifiers(node: ast.AST) -> Iterator[str]:
    """All identifiers of one node."""
    if not isinstance(node, ast.Constant):
        for _, value in ast.iter_fields(node):
            items = value if isinstance(value, list) else [value]
            yield from (item for item in items if isinstance(item, str))


def binds(node: ast.AST) -> list[str]:
    """The names that one node binds."""
    match node:
        case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
            return [name]
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.ExceptHandler(name=name):
            return [name] if name else []
        case ast.MatchAs(name=name) | ast.MatchStar(name=name) | ast.MatchMapping(rest=name):
            return [name] if name else []
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return [a.asname or a.name.partition(".")[0] for a in aliases if a.name != "*"]
    return []


def origins(nodes: list[ast.AST]) -> dict[str, set[str]]:
    """{name: what an import lets it be, such as "copy.deepcopy"}, whatever else binds it."""
    found = defaultdict(set)
    for node in (node for node in nodes if isinstance(node, ast.ImportFrom)):
        for alias in node.names:
            for name in sorted(MODULES.get(node.module, ())) if alias.name == "*" else [alias.name]:
                found[alias.asname or name].add(f"{node.module}.{name}")
    return found


def stars(nodes: list[ast.AST], trusted: list[ast.AST]) -> tuple[set[str], set[str]]:
    """The names that `from m import ...` brings and MODULES lists, if by a star; the unlisted ones.

    Only a prefix, whose nodes are `trusted`, can bring an unlisted one.
    """
    listed, others = set(), set()
    for node in (node for node in nodes if isinstance(node, ast.ImportFrom)):
        module = node.module or ""
        allowed = MODULES.get(module, set())
        others |= {a.asname or a.name for a in node.names if a.name not in allowed | {"*"}}
        if node.names[0].name == "*":
            if module not in MODULES and node not in trusted:
                continue  # which is refused; it may do anything when it is imported
            try:
                found = vars(importlib.import_module(module))
            except (ImportError, ValueError):
                continue  # the program will fail likewise
            public = {name for name in found if not name.startswith("_")}
            public &= set(found.get("__all__", public))
            listed |= public & allowed
            others |= public - allowed
    return listed, others


def since(tree: ast.Module) -> dict[str, int]:
    """{name: the line of the first top-level statement that binds it}, if nothing deletes it.

    What stands below such a line can find neither a builtin nor a star import under the name.
    """
    lines: dict[str, int] = {}
    if any(isinstance(n, ast.ImportFrom) and n.names[0].name == "*" for n in ast.walk(tree)):
        return lines
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]):
                lines.setdefault(name, node.end_lineno)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                lines.setdefault(name, node.end_lineno)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Del):
            lines.pop(node.id, None)
        elif isinstance(node, ast.ExceptHandler):
            lines.pop(node.name, None)  # it is deleted at the handler's end
    return lines
