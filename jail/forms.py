"""Single forms of syntax, each by itself."""

import ast
import re
import string


def without_lazy_annotations(tree: ast.Module) -> ast.Module:
    """Without the annotations, if the program imports that they are not evaluated."""
    imports = [n for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    if any(alias.name == "annotations" for node in imports for alias in node.names):
        for node in ast.walk(tree):
            for field in {"annotation", "returns"} & set(node._fields):
                setattr(node, field, None)
    return tree


def is_main_guard(node: ast.AST) -> bool:
    """Whether it runs in the main module alone, where a tested function is not."""
    match node:
        case ast.If(
            test=ast.Compare(ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]),
            orelse=[],
        ):
            return True
    return False


def is_type_call(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Name("type"), args=[arg], keywords=[]):
            return not isinstance(arg, ast.Starred)
    return False


def has_plain_fields(text: object) -> bool:
    """Whether str.format only prints its arguments; a field like {0.x} reads an attribute."""
    try:
        fields = [(name, spec) for _, name, spec, _ in string.Formatter().parse(text)]
    except (TypeError, ValueError):
        return False
    return all(re.fullmatch(r"\w*", name or "") and has_plain_fields(spec or "")
               for name, spec in fields)  # fmt: skip


def literal(node: ast.AST) -> tuple[object] | None:
    """The value of a literal, as a tuple of one; None for any other expression."""
    try:
        return (ast.literal_eval(node),)
    except (ValueError, TypeError, ArithmeticError, SyntaxError, MemoryError, RecursionError):
        return None
