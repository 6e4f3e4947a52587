"""What a program says of itself besides what it does, and how complex it is.

A question must not be answered by its own text. A model that is paid for answers could learn to
write programs that give their values away. Left out: values that a text says in other words, and
what a computation of a line tells a reader who understands it, which is what we ask for.
"""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

from jail.names import binds

CONDITIONS = (ast.If, ast.For, ast.While, ast.Try, ast.Match, ast.IfExp, ast.BoolOp)
Cut = tuple[tuple[int, int], tuple[int, int], str]  # from and to (line, column), what comes instead


def without_remarks(program: str) -> str:
    """The program without comments, docstrings and statements that are nothing but a constant.

    What does not parse stays as it is.
    """
    program = program.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = io.StringIO(program).readlines()
    try:
        tree = ast.parse(program)
        cuts = [cut for node in ast.walk(tree) for cut in inert_parts(node, lines)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return program
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(program).readline))
    except (tokenize.TokenError, SyntaxError):  # it does not know all that the parser takes
        return without_remarks(ast.unparse(tree))
    inside = [(start, end) for start, end, _ in cuts]
    cuts += [
        (token.start, token.end, "")
        for token in tokens
        if token.type == tokenize.COMMENT
        and not any(start <= token.start < end for start, end in inside)
    ]
    for (top, left), (bottom, right), instead in sorted(cuts, reverse=True):
        line = (lines[top - 1][:left] + instead).rstrip(" \t") + lines[bottom - 1][right:]
        lines[top - 1 : bottom] = [line] if line.strip() else []
    return "".join(lines)


def inert_parts(node: ast.AST, lines: list[str]) -> Iterator[Cut]:
    """The statements in the blocks of one node that do nothing; `pass` where one has to stand."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        inert = [part for part in block if is_inert(part)] if isinstance(block, list) else []
        for part in inert:
            top, bottom = lines[part.lineno - 1], lines[part.end_lineno - 1]
            left = len(top.encode()[: part.col_offset].decode())
            right = len(bottom.encode()[: part.end_col_offset].decode())
            after_backslash = part.lineno > 1 and lines[part.lineno - 2].endswith("\\\n")
            alone = not top[:left].strip() and re.fullmatch(r"\s*(#.*\s*)?", bottom[right:])
            empty = (
                part is block[0] and len(inert) == len(block) and not isinstance(node, ast.Module)
            )
            instead = "" if alone and not empty and not after_backslash else "pass"
            yield (part.lineno, left), (part.end_lineno, right), instead


def is_inert(node: ast.AST) -> bool:
    """Whether it is a statement of constants only: a docstring, `("y = 5")`, `["y", 5]`."""
    forms = ast.Constant | ast.Tuple | ast.List | ast.JoinedStr | ast.Load
    return isinstance(node, ast.Expr) and all(isinstance(n, forms) for n in ast.walk(node.value))


class Variable(Protocol):
    """What mark_given reads and writes of trace.Variable."""

    name: str
    value: object
    given: bool


def mark_given(program: str, variables: list[Variable]) -> None:
    """Set `given` where the program's text says the value.

    So it does if all statements that bind the name, or the last of them and on no condition, bind
    it to this very literal, or if a text in the program holds both the name and the value.
    """
    nodes = list(ast.walk(ast.parse(program)))
    texts = [str(n.value) for n in nodes if isinstance(getattr(n, "value", 0), str | bytes)]
    read = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    depends = {part for n in nodes if isinstance(n, CONDITIONS) for part in ast.walk(n)}
    literals = {name: value for node in nodes for name, value in literal_bindings(node)}
    bindings = defaultdict(list)
    for node in sorted((n for n in nodes if binds(n)), key=lambda n: (n.lineno, n.col_offset)):
        for name in binds(node):
            bindings[name].append(node)
    for v in variables:
        value = repr(v.value)
        says = [text for text in texts if re.search(rf"\b{v.name}\b", text)]
        v.given |= any((value.strip("'") or value) in text for text in says)
        if value in ("[]", "{}", "set()") and v.name in read:
            continue  # whether it has grown is the question
        if places := bindings[v.name]:
            deciding = places if places[-1] in depends else places[-1:]
            v.given |= all(literals.get(place) == value for place in deciding)


def literal_bindings(node: ast.AST) -> Iterator[tuple[ast.Name, str]]:
    """The names that one node binds to a literal: (name, repr of the value)."""
    match node:
        case ast.Assign(targets=targets, value=value):
            pairs = [(target, value) for target in targets]
        case ast.AnnAssign(target=target, value=ast.expr() as value):
            pairs = [(target, value)]
        case ast.NamedExpr(target=target, value=value):
            pairs = [(target, value)]
        case _:
            return
    for target, value in pairs:
        match target, value:
            case ast.Name(), _:
                try:
                    yield target, repr(ast.literal_eval(value))
                except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
                    continue
            case ((ast.Tuple() | ast.List()), (ast.Tuple() | ast.List())):
                pairs += zip(target.elts, value.elts, strict=False)


def complexity(program: str) -> int:
    """McCabe's cyclomatic complexity: 1 + decision points. A program that does not parse: 0."""
    branches = (ast.If, ast.For, ast.While, ast.IfExp, ast.ExceptHandler, ast.comprehension)
    try:
        nodes = ast.walk(ast.parse(program))
        return 1 + sum(
            len(n.values) - 1 if isinstance(n, ast.BoolOp) else isinstance(n, branches)
            for n in nodes
        )
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 0
