"""Answers of the form `assert f(x) == value`, and when they are right.

CRUXEval and LiveCodeBench ask for one side of such an assertion. An answer is read wherever it
stands, and only its two sides count, so that a forged `==` earns nothing.
"""

import ast
from typing import NamedTuple

from problems.answers import read_assertion
from sandbox import Sandbox


class Assertion(NamedTuple):
    """What an answer `assert name(...) == value` is compared with."""

    name: str  # of the function
    expected: str  # source of the value
    code: str | None = None  # of the function, where arguments are asked for and not the value


def grade_assertion(sandbox: Sandbox, text: str, asked: Assertion) -> dict:
    """{"passed", "status", "score", ...} of an answer.

    A value is asked for, or, where `asked` has code, arguments: then the call in the answer is run.
    Values are compared on our side.
    """
    name, expected, code = asked
    found = read_assertion(text)
    result = {"passed": False, "status": "unparsed", "score": 0.0, "target": expected}
    side = found and found[0 if code else 1]
    if side is None or code and not (isinstance(side, ast.Call) and ast.unparse(side.func) == name):
        return result
    try:
        shown = ast.unparse(side)
    except RecursionError:  # 400 terms of 1 + 1 + ... are enough
        return result
    got, wanted = (
        sandbox.run(f"{code or ''}\n\ndef answer_():\n    return {source}", [[]], "answer_")[0]
        for source in (shown, expected)
    )
    passed = got.status == wanted.status == "ok" and got.value == wanted.value
    status = "right" if passed else "wrong" if got.status == "ok" else got.status
    return result | {"passed": passed, "status": status, "score": float(passed), "predicted": shown}
