"""Rows of public mixtures for RL, written by hand with their fields: (row, a program that passes).

Every problem is "double a number": twice(n), Solution().pick(nums, k), or a program that prints.
"""

import json

TWICE = "def twice(n):\n    return 2 * n"
DOUBLE = "n = int(input())\nprint(2 * n)"
PICK = "class Solution:\n    def pick(self, nums, k):\n        return nums[k]"
TEXT = "Double a number."
IO = {"inputs": ["1\n", "4\n"], "outputs": ["2\n", "8\n"]}
CALLS = {"fn_name": "twice", "inputs": [[1], [4]], "outputs": [[2], [8]]}
CASES = [{"input": "1\n", "output": "2\n"}, {"input": "4\n", "output": "8\n"}]
CHAT = [{"role": "system", "content": "Think."}, {"role": "user", "content": TEXT}]


def verl(truth: object, **more: object) -> dict:
    """A row of verl's format, whose ground truth is JSON text."""
    truth = truth if isinstance(truth, str) else json.dumps(truth)
    row = {"data_source": "code", "prompt": CHAT, "ability": "code"}
    row |= {"reward_model": {"ground_truth": truth, "style": "rule"}, "extra_info": {"index": 3}}
    return row | more


def verifiable(info: dict, **more: object) -> dict:
    row = {"problem_id": "code_9", "task_type": "prime_rl_code", "prompt": TEXT}
    return row | {"verification_info": json.dumps(info), "metadata": "{}"} | more


def deepcoder(tests: object, **more: object) -> dict:
    return {"problem": TEXT, "tests": json.dumps(tests)} | more


def nemotron(about: dict) -> dict:
    row = {"responses_create_params": {"input": CHAT}, "verifier_metadata": about}
    return row | {"hash_id": "a1b2", "dataset": "apps", "source": "x"}


def kodcode(test: str, **more: object) -> dict:
    row = {"style": "instruct", "question_id": "Prefill_1_I", "question": TEXT, "solution": TWICE}
    return row | {"test": test, "test_info": [{"function_name": "twice"}]} | more


def rstar(inputs: list, outputs: list, **more: object) -> dict:
    row = {"question_id": "seed_4", "question": TEXT, "starter_code": "", "func_name": ""}
    return row | {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs)} | more


def codeforces(**more: object) -> dict:
    row = {"id": "7/B", "title": "Doubling", "description": TEXT, "input_format": "One number."}
    row |= {"official_tests": CASES, "examples": CASES[:1], "generated_checker": None}
    return row | {"input_mode": "stdio", "language": "python"} | more


def typed(kind: str, **more: object) -> list[dict]:
    return [{"type": kind, "fn_name": None} | case | more for case in CASES]


FUNCTIONAL = [
    {"input": "[3, 1]\n1", "output": "1", "testtype": "functional"},
    {"input": "[5]\n0", "output": "5", "testtype": "functional"},
]
CALLED = [
    {"type": "function_call", "fn_name": "twice", "input": [1], "output": [2]},
    {"type": "function_call", "fn_name": "twice", "input": [4], "output": [8]},
]
CHECK = "def check(candidate):\n    assert candidate(nums=[3, 1], k=1) == 1\n"
UNIT = "from solution import twice\n\ndef test_one():\n    assert twice(1) == 2\n"
MORE_UNIT = """\
import pytest
from solution import *

@pytest.mark.parametrize("n, wanted", [(1, 2), (4, 8)])
def test_each(n, wanted):
    assert twice(n) == pytest.approx(wanted)

class TestRest:
    def setup_method(self):
        self.text = "a\\nb"

    def test_error(self):
        with pytest.raises(TypeError) as caught:
            twice(None)
        assert caught.type is TypeError and caught.typename == "TypeError"
        assert caught.match("None") and not hasattr(caught.value, "missing")
        for expected in (8 + 1e-3, 8 + 1e-5j, [8]):
            assert twice(4) != pytest.approx(expected)
        assert twice(4.0) == pytest.approx(8 + 1e-6j)
        assert twice(5e8) == pytest.approx(1e9 + 2) != twice(4)
        assert twice(5e8) != pytest.approx(1e9 + 2, abs=1)
        try:
            with pytest.raises(TypeError, match="other"):
                twice(None)
        except AssertionError as error:
            assert "does not match other" in str(error)
        else:
            assert False
        assert self.text == '''a
b'''

if __name__ == "__main__":
    pytest.main()
"""
ROWS = {
    "synthetic-2": (verifiable({"test_cases": json.dumps(IO), "fn_name": None}), DOUBLE),
    "synthetic-2 function": (
        verifiable(
            {
                "test_cases": json.dumps({key: CALLS[key] for key in ("inputs", "outputs")}),
                "fn_name": "twice",
            }
        ),
        TWICE,
    ),
    "intellect-2": (
        verifiable({"language": "python", "test_cases": typed("stdin_stdout")}),
        DOUBLE,
    ),
    "deepcoder codeforces": (deepcoder(CASES), DOUBLE),
    "deepcoder primeintellect": (
        deepcoder(CALLED, solutions=[f"```python\n{TWICE}\n```"]),
        TWICE,
    ),
    "deepcoder lcbv5": (
        deepcoder(FUNCTIONAL, metadata={"func_name": "pick"}, starter_code="class Solution:"),
        PICK,
    ),
    "deepcoder taco": (deepcoder(IO, solutions=[DOUBLE]), DOUBLE),
    "nemotron": (nemotron({"problem_id": "p9", "unit_tests": IO}), DOUBLE),
    "nemotron function": (nemotron({"unit_tests": CALLS}), TWICE),
    "rstar": (rstar(**IO), DOUBLE),
    "rstar function": (
        rstar([[[3, 1], 1], [[5], 0]], [1, 5], func_name="pick", class_name="Solution"),
        PICK,
    ),
    "code-r1": (verl({"functional": f"{CHECK}\ncheck(Solution().pick)"}), PICK),
    "code-r1 pytest": (verl({"pytest": f"from solution import *\n{UNIT}"}), TWICE),
    "verl cases": (verl(CASES), DOUBLE),
    "verl cases as Python prints them": (
        verl(repr([{"type": "stdin"} | c for c in CASES])),
        DOUBLE,
    ),
    "verl asserts": (verl(["assert twice(1) == 2", "assert twice(4) == 8"]), TWICE),
    "kodcode": (kodcode(UNIT), TWICE),
    "kodcode with pytest": (kodcode(MORE_UNIT), "def twice(n):\n    return 1 * n + n"),
    "acecode": (
        {"id": "oss_3", "question": TEXT, "test_cases": ["assert twice(1) == 2"], "source": "oss"},
        TWICE,
    ),
    "codeforces": (codeforces(), DOUBLE),
}
