"""A program without what it says and does not do: comments, docstrings, idle statements.

A question shows it so, for a model could say there what a question asks (jail/remarks.py).
"""

import ast
import contextlib
import io
import re
import tokenize
from collections.abc import Callable, Iterator

from jail.forms import is_main_guard

ACTS = (ast.Call, ast.Subscript, ast.Attribute, ast.NamedExpr, ast.comprehension, ast.Starred)
ACTS += (ast.Await, ast.Yield, ast.YieldFrom, ast.In, ast.NotIn)  # may do more than have a value
Cut = tuple[tuple[int, int], tuple[int, int], str]  # from and to (line, column), what comes instead


def without_remarks(program: str, called: bool = False) -> str:
    """The program without comments, docstrings and statements that do nothing; if it is `called`,
    without what it does as a main module, too.

    What does not parse stays as it is. Of what cannot be written anew without them, nothing stays.
    """
    text = program.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = io.StringIO(text).readlines()
    acting = Acting((is_inert, is_main_guard) if called else (is_inert,))
    try:
        tree = ast.parse(text)
        cuts = [cut for node in ast.walk(tree) for cut in inert_parts(node, lines, acting.is_idle)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return program
    try:
        wanted = acting.visit(tree)
        with contextlib.suppress(tokenize.TokenError, SyntaxError):  # it knows less than the parser
            shorter = cut_out(text, lines, cuts)
            if not comments(shorter) and is_same(wanted, acting.visit(ast.parse(shorter))):
                return shorter
        return ast.unparse(wanted)
    except (ValueError, RecursionError):  # digits, or levels, that Python does not write
        return ""


def cut_out(text: str, lines: list[str], cuts: list[Cut]) -> str:
    """The text without its comments and the outermost of the cuts, whose other lines stay."""
    kept: list[Cut] = []
    for cut in sorted([*cuts, *comments(text)]):
        if not kept or cut[0] >= kept[-1][1]:
            kept.append(cut)
    for (top, left), (bottom, right), instead in reversed(kept):
        line = (lines[top - 1][:left] + instead).rstrip(" \t") + lines[bottom - 1][right:]
        blank = ["\n"] if top > 1 and lines[top - 2].endswith("\\\n") else []
        lines[top - 1 : bottom] = [line] if line.strip() else blank
    return "".join(lines)


def comments(text: str) -> list[Cut]:
    found = tokenize.generate_tokens(io.StringIO(text).readline)
    return [(token.start, token.end, "") for token in found if token.type == tokenize.COMMENT]


class Acting(ast.NodeTransformer):
    """Takes out of all blocks what is idle, or `pass`; one stays where a block would be empty."""

    def __init__(self, idle: tuple[Callable[[ast.AST], bool], ...]) -> None:
        self.idle = idle

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            if isinstance(block := getattr(node, name, None), list):
                acts = [x for x in block if not isinstance(x, ast.Pass) and not self.is_idle(x)]
                empty = block and not acts and name != "orelse" and not isinstance(node, ast.Module)
                setattr(node, name, [ast.Pass()] if empty else acts)
        return node

    def is_idle(self, node: ast.AST) -> bool:
        return any(idle(node) for idle in self.idle)


def is_same(one: object, other: object) -> bool:
    """Whether two trees, or parts of them, are equal but for the places of their nodes."""
    if type(one) is not type(other):
        return False
    if isinstance(one, ast.AST):
        one, other = ([getattr(x, field, None) for field in x._fields] for x in (one, other))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return one == other


def inert_parts(node: ast.AST, lines: list[str], idle: Callable) -> Iterator[Cut]:
    """The statements in the blocks of one node that do nothing; `pass` where one has to stand."""
    for name in ("body", "orelse", "finalbody"):
        block = getattr(node, name, None)
        inert = [x for x in block if idle(x)] if isinstance(block, list) else []
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
    """Whether it is a statement that does nothing: a docstring, `["y", 5]`, `y == 5`, `y, 5`.

    It may still raise, but a program that does is not asked about.
    """
    return isinstance(node, ast.Expr) and not any(isinstance(n, ACTS) for n in ast.walk(node.value))
