"""Answers of the form `assert f(x) == value`, and when they are right.

CRUXEval and LiveCodeBench ask for one side of such an assertion. An answer is read wherever it
stands, and only its two sides count, so that a forged `==` earns nothing.
"""

import ast
import re
from typing import NamedTuple

from jail.forms import literal
from problems.problem import final_answer, show
from problems.programs import Reader
from sandbox import Sandbox


class Assertion(NamedTuple):
    """What an answer `assert name(...) == value` is compared with."""

    name: str  # of the function
    expected: str  # source of the value
    code: str | None = None  # of the function, where arguments are asked for and not the value


def grade_assertion(sandbox: Sandbox, text: str, asked: Assertion) -> dict:
    """{"passed", "status", "score", ...} of an answer, of which literals count and nothing else.

    Where a value is asked for, nothing is run. Where arguments are, the program is run on them, and
    the value that the answer may state besides does not count. Values are compared on our side.
    """
    found = read_assertion(text)
    result = {"passed": False, "status": "unparsed", "score": 0.0, "target": asked.expected}
    wanted = literal(ast.parse(asked.expected, mode="eval").body)
    if wanted is None:  # the data's own source, and no literal
        run = sandbox.run(f"def answer_():\n    return {asked.expected}", [[]], "answer_")[0]
        wanted = (run.value,)
    if asked.code is None:
        value = found and stated_value(*found)
        if not value:
            return result
        status = "right" if value == wanted else "wrong"
        shown = show(value[0])
    else:
        shown = found and stated_call(*found, asked.name)
        if not shown:
            return result
        source = f"{asked.code}\n\ndef answer_():\n    return {shown}"
        run = sandbox.run(source, [[]], "answer_")[0]
        status = run.status if run.status != "ok" else "wrong"
        status = "right" if run.status == "ok" and (run.value,) == wanted else status
    passed = status == "right"
    return result | {"passed": passed, "status": status, "score": float(passed), "predicted": shown}


ASSERT = re.compile(r"[\s`*>-]*(assert\b)")
SPAN = re.compile(r"`([^`\n]+)`")
Sides = tuple[ast.expr | None, ast.expr]


def read_assertion(text: str) -> Sides | None:
    """(left, right) of the last `left == right` of an answer; (None, value) of a bare value.

    The last [ANSWER] counts, else the last fenced block, else the last assert, else the last line.
    """
    text = final_answer(text)[-20_000:]
    if "[ANSWER]" in text:
        text = text.rpartition("[ANSWER]")[2].partition("[/ANSWER]")[0]
    if blocks := Reader(text).blocks(None):
        text = blocks[-1].source
    lines = [line for line in text.split("\n") if line.strip("`*$> \t\r")]
    asserts = [i for i, line in enumerate(lines) if ASSERT.match(line)]
    last = asserts[-1] if asserts else len(lines) - 1
    sources = [text] if not asserts else []
    if lines:
        sources += ["\n".join(lines[last:]), lines[last], *SPAN.findall(lines[last])[-1:]]
    for source in sources:
        if sides := sides_of(source.strip("`*$>; \t\r\n")):
            return sides
    return None


def sides_of(source: str) -> Sides | None:
    try:
        statement = ast.parse(source.removesuffix(".")).body[-1:]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    match statement:
        case [ast.Assert(test=ast.Compare(ops=[ast.Eq() | ast.Is()]) as test)]:
            return test.left, test.comparators[0]
        case [ast.Expr(value=ast.Compare(ops=[ast.Eq() | ast.Is()]) as test)]:
            return test.left, test.comparators[0]
        case [ast.AnnAssign(value=None, annotation=ast.Compare(ops=[ast.Eq() | ast.Is()]) as test)]:
            return test.left, test.comparators[0]  # `Answer: f(1) == 2`
        case [ast.Expr(value=side) | ast.Assign(value=side)]:
            return None, side
        case [ast.AnnAssign(value=None, annotation=side)]:
            return None, side
    return None


def stated_value(left: ast.expr | None, right: ast.expr) -> tuple[object] | None:
    """Of a bare value, or of the side that stands beside a call."""
    sides = [literal(left) if left is not None else None, literal(right)]
    if left is None:
        return sides[1]
    if isinstance(left, ast.Call) and sides[0] is None:
        return sides[1]
    return sides[0] if isinstance(right, ast.Call) and sides[1] is None else None


def stated_call(left: ast.expr | None, right: ast.expr, name: str) -> str | None:
    """The source of the call name(...) on either side, if its arguments are literals."""
    for side in (left, right):
        if not (isinstance(side, ast.Call) and isinstance(side.func, ast.Name)):
            continue
        values = [*side.args, *(keyword.value for keyword in side.keywords if keyword.arg)]
        is_plain = len(values) == len(side.args) + len(side.keywords)
        if side.func.id == name and is_plain and all(map(literal, values)):
            try:
                return ast.unparse(side)
            except (RecursionError, ValueError):  # ValueError: an integer of 4,300 digits
                return None
    return None
