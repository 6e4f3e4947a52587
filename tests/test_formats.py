"""Each data set's own row format becomes a problem that its own reference solves.

Rows are written here by hand, with the fields, the nesting and the encodings of their sources.
"""

import base64
import gzip
import json
import pickle
import zlib

import pytest
import rl_rows

from config import Config, UserError
from problems.answers import ORACLES, agrees
from problems.formats import Unusable, listed_tests, to_problem
from problems.load import load_problems, read_rows, source_files
from problems.pickles import private_tests
from reward import ask, judge, make_question
from sandbox import Pool, Sandbox

TWICE = "def twice(n):\n    return 2 * n"
DOUBLE = "n = int(input())\nprint(2 * n)"
IO = {"inputs": ["1\n", "4\n"], "outputs": ["2\n", "8\n"]}


@pytest.fixture(scope="module")
def pool():
    with Pool(1) as pool:
        yield pool


def status(pool, problem, program):
    return pool.submit(judge, problem, program).result().status


def packed_tests(cases):
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


def case(given, wanted, kind="stdin"):
    return {"input": given, "output": wanted, "testtype": kind}


LCB = {
    "question_title": "Double",
    "question_content": "Double a number.",
    "platform": "atcoder",
    "question_id": "abc301_a",
    "contest_id": "abc301",
    "contest_date": "2023-05-13T00:00:00",
    "starter_code": "",
    "difficulty": "easy",
    "public_test_cases": json.dumps([case("1\n", "2\n")]),
    "private_test_cases": packed_tests([case("4\n", "8\n"), case("5", "10")]),
    "metadata": "{}",
}
LCB_FUNCTION = LCB | {
    "starter_code": "class Solution:\n    def pick(self, nums: List[int], k: int) -> int:\n",
    "public_test_cases": json.dumps([case("[3, 1]\n1", "1", "functional")]),
    "private_test_cases": json.dumps([case("[5]\n0", "5", "functional")]),
    "metadata": '{"func_name": "pick"}',
}
PICK = "class Solution:\n    def pick(self, nums: List[int], k):\n        return nums[k]"
PRIME = {
    "data_source": "codecontests",
    "prompt": [
        {"role": "system", "content": "Think."},
        {"role": "user", "content": "Double a number.\n\nWrite Python code to solve the problem."},
    ],
    "ability": "code",
    "reward_model": {"ground_truth": json.dumps(IO), "style": "rule"},
    "extra_info": {"index": 7, "split": "dummy"},
}
APPS = {
    "problem_id": 12,
    "question": "Double a number.",
    "solutions": json.dumps([DOUBLE]),
    "input_output": json.dumps(IO),
    "difficulty": "introductory",
    "url": "https://example.org/12",
    "starter_code": "",
}
APPS_FUNCTION = APPS | {
    "solutions": json.dumps([TWICE]),
    "starter_code": "\ndef twice(n):\n\t",
    "input_output": json.dumps({"fn_name": "twice", "inputs": [[1], [4]], "outputs": [[2], [8]]}),
}
TACO = {key: APPS[key] for key in ("question", "solutions", "input_output", "starter_code")} | {
    "difficulty": "EASY",
    "raw_tags": "[]",
    "name": "double",
    "source": "codeforces",
    "tags": "[]",
    "skill_types": "[]",
    "url": None,
    "Expected Auxiliary Space": None,
    "time_limit": "1.0 seconds",
    "date": None,
    "picture_num": "0",
    "memory_limit": None,
    "Expected Time Complexity": None,
}
CONTESTS = {
    "name": "1_A. Double",
    "description": "Double a number.",
    "public_tests": {"input": ["1\n"], "output": ["2\n"]},
    "private_tests": {"input": [], "output": []},
    "generated_tests": {"input": ["4\n"], "output": ["8\n"]},
    "source": 2,
    "difficulty": 7,
    "solutions": {"language": [2, 3], "solution": ["int main() {}", DOUBLE]},
    "incorrect_solutions": {"language": [], "solution": []},
    "cf_rating": 800,
    "time_limit": {"seconds": 2, "nanos": 0},
    "input_file": "",
    "output_file": "",
}


def r1_case(given, wanted, kind="stdin_stdout", name=None):
    return {"input": given, "output": wanted, "type": kind, "fn_name": name}


OPEN_R1 = {
    "source": "apps",
    "task_type": "verifiable_code",
    "in_source_id": "3064",
    "prompt": "Solve in Python:\nDouble a number.",
    "gold_standard_solution": DOUBLE,
    "verification_info": {
        "language": "python",
        "test_cases": [r1_case("1\n", "2\n"), r1_case("4\n", "8\n")],
    },
    "metadata": {"difficulty": "introductory"},
    "problem_id": "vfc_0",
}
R1_FUNCTION = OPEN_R1 | {
    "gold_standard_solution": TWICE,
    "verification_info": json.dumps(
        {
            "language": "python",
            "test_cases": [r1_case("[1]", "[2]", "function_call", "twice")],
        }
    ),
}
LEETCODE = {
    "task_id": "pick",
    "prompt": "from typing import *\n",
    "completion": PICK,
    "entry_point": "Solution().pick",
    "test": "def check(candidate):\n    assert candidate(nums = [3, 1], k = 1) == 1\n"
    "    assert candidate(nums = [5], k = 0) == 5\n",
    "query": "Pick one.",
    "response": "...",
    "input_output": [{"input": "nums = [3, 1], k = 1", "output": "1"}],
    "meta": {"question_id": 1, "difficulty": "Easy", "lang_code": PICK},
}
LEETCODE_NEW = {key: LEETCODE[key] for key in ("task_id", "prompt", "entry_point", "test")} | {
    "completion": LEETCODE["completion"],
    "problem_description": "Pick one.",
    "difficulty": "Easy",
    "estimated_date": "2024-08-10",
    "tags": [],
}
HUMANEVAL = {
    "task_id": "test/0",
    "prompt": 'def twice(n):\n    """Two times n."""\n',
    "canonical_solution": "    return 2 * n",
    "test": "def check(candidate):\n    assert candidate(2) == 4",
    "entry_point": "twice",
}
HUMANEVAL_PLUS = HUMANEVAL | {
    "test": "import numpy as np\ndef is_floats(x):\n    return False\n\n"
    "def assertion(out, exp, atol):\n    assert out == exp\n\ndef check(candidate):\n"
    "    inputs = [[1], [4], [inf]]\n    results = [2, 8, inf]\n"
    "    for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
    "        assertion(candidate(*inp), exp, 0)\n"
}
EVALPLUS = {
    "task_id": "HumanEval/900",
    "prompt": HUMANEVAL["prompt"],
    "entry_point": "twice",
    "canonical_solution": HUMANEVAL["canonical_solution"],
    "base_input": [[1]],
    "plus_input": [[4], [10]],
    "atol": 0,
    "contract": "",
}
OURS = {
    "task_id": "a",
    "prompt": "Write twice(n).",
    "tests": {"check": "def check(f):\n    assert f(2) == 4", "entry_point": "twice"},
}
MBPP = {
    "task_id": 601,
    "text": "Write a function to double.",
    "code": TWICE,
    "test_list": ["assert twice(2) == 4", "assert twice(n=3) == 6"],
    "test_setup_code": "",
    "challenge_test_list": [],
}
MBPP_SANITIZED = {
    "source_file": "x.ipynb",
    "task_id": 601,
    "prompt": "Write a function to double.",
    "code": TWICE,
    "test_imports": ["import math"],
    "test_list": ["assert math.isclose(twice(2), 4)"],
}
MBPP_PLUS = MBPP_SANITIZED | {
    "test_list": ["assert twice(2) == 4"],
    "test": "import numpy as np\ninputs = [[2], [(5)]]\nresults = [4, 10]\n"
    "for i, (inp, exp) in enumerate(zip(inputs, results)):\n"
    "    assertion(twice(*inp), exp, 0)\n",
}

CLASS = (
    "class Solution:\n    def pick(self, nums: List[int], k):\n        x = 3 + 4\n        return x"
)

ROWS = {
    "prime": (PRIME, DOUBLE),
    "apps": (APPS, DOUBLE),
    "apps function": (APPS_FUNCTION, TWICE),
    "taco": (TACO, DOUBLE),
    "taco, verified": (TACO | {"solutions": [DOUBLE]}, DOUBLE),
    "code_contests": (CONTESTS, DOUBLE),
    "open-r1": (OPEN_R1, DOUBLE),
    "open-r1 function": (R1_FUNCTION, TWICE),
    "leetcode": (LEETCODE, PICK),
    "leetcode, newer": (LEETCODE_NEW, PICK),
    "livecodebench": (LCB, DOUBLE),
    "livecodebench function": (LCB_FUNCTION, PICK),
    "human-eval": (HUMANEVAL, TWICE),
    "humaneval+": (HUMANEVAL_PLUS, TWICE),
    "evalplus": (EVALPLUS, TWICE),
    "mbpp": (MBPP, TWICE),
    "mbpp, sanitized": (MBPP_SANITIZED, TWICE),
    "mbpp+": (MBPP_PLUS, TWICE),
} | rl_rows.ROWS
WRONG = "class Solution:\n    def pick(self, nums, k):\n        return None\n"
WRONG += "def twice(n):\n    return 3 * n + 1\nif __name__ == '__main__':\n    print(input(), 7)"


@pytest.mark.parametrize("name", ROWS)
def test_the_reference_passes_and_a_wrong_program_fails(name, pool):
    row, right = ROWS[name]
    problem = to_problem(row, "here:1")
    assert status(pool, problem, right) == "passed"
    assert status(pool, problem, WRONG) != "passed"
    assert problem.prompt and problem.task_id
    if problem.solution:
        assert status(pool, problem, problem.solution) == "passed"


@pytest.mark.parametrize("name", ROWS)
def test_a_row_reads_the_same_from_jsonl_and_parquet(name, tmp_path):
    import pyarrow
    import pyarrow.parquet

    row, _ = ROWS[name]
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress((json.dumps(row) + "\n").encode()))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "rows.parquet")
    (from_json,) = load_problems(str(tmp_path / "rows.jsonl.gz"))
    (from_parquet,) = load_problems(str(tmp_path / "rows.parquet"))
    assert from_json.tests == from_parquet.tests
    assert from_json.prompt == from_parquet.prompt


@pytest.mark.parametrize("name", ROWS)
def test_a_broken_row_is_named_by_file_and_line(name, tmp_path):
    """Each field taken away in turn: read without it, left out, or refused by name."""
    row, _ = ROWS[name]
    refused = 0
    for key in row:
        path = tmp_path / "rows.jsonl"
        rows = [row, {k: v for k, v in row.items() if k != key}]
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
        try:
            load_problems(str(path))
        except UserError as error:
            assert f"{path}:2" in str(error) and "\n" not in str(error)
            refused += 1
    assert refused


@pytest.mark.parametrize("name", ROWS)
def test_the_task_id_of_a_row_is_its_own_in_every_format(name):
    assert to_problem(ROWS[name][0] | {"task_id": "mine/7"}, "here:1").task_id == "mine/7"


def test_metadata_that_a_row_has_is_kept():
    assert to_problem(LCB, "").date == "2023-05-13"
    assert to_problem(LCB, "").difficulty == "easy"
    assert to_problem(LEETCODE, "").difficulty == "easy"
    assert to_problem(LEETCODE_NEW, "").date == "2024-08-10"
    assert to_problem(LCB_FUNCTION, "").tests["inputs"] == [[[3, 1], 1], [[5], 0]]


def test_asserts_give_inputs_to_trace():
    assert to_problem(MBPP, "").tests["calls"] == [[2], [3]]
    assert to_problem(LEETCODE, "").tests["calls"] == [[[3, 1], 1], [[5], 0]]
    assert to_problem(HUMANEVAL, "").tests["calls"] == [[2]]


@pytest.mark.parametrize(
    "body, calls",
    [
        ("assert f(2) == 4", [[2]]),
        ("for x in range(3): assert f(x) < 9\n    assert f(f(-1), n=3) == 4", [[-1]]),
        ("g = f\n    got = g([2], k=1)\n    assert got == 4", [[[2], 1]]),
        ("with ignored:\n        assert f({[]: 1}) == twice(5) == f(...)", []),
        ("with ignored: f(-1)\n    assert f(2) == 4", [[2], [-1]]),  # which may be there to fail
    ],
)
def test_a_check_of_our_own_gives_inputs_to_trace(body, calls):
    tests = {"check": f"def check(f):\n    {body}", "entry_point": "twice"}
    tests["preamble"] = "import contextlib\nignored = contextlib.suppress(TypeError)"
    row = {"task_id": "a", "prompt": "", "tests": tests}
    assert to_problem(row, "").tests["calls"] == calls
    row["tests"] = tests | {"calls": [[7]]}  # what a row says counts
    assert to_problem(row, "").tests["calls"] == [[7]]


IO_ = "import builtins, contextlib, io, sys\n"
PATCH = "from unittest.mock import patch\n"
GREETS = "with contextlib.redirect_stdout(io.StringIO()) as b: f(2)\n    assert b.getvalue() == ''"


@pytest.mark.parametrize(
    "before, body, name",
    [
        (IO_, GREETS, "sys.stdout"),
        ("import contextlib as c, io", GREETS.replace("contextlib", "c"), "sys.stdout"),
        (IO_, GREETS.replace("out(", "err("), "sys.stderr"),
        (IO_, "old, sys.stdout = sys.stdout, b\n    f(2)\n    assert b.getvalue()", "sys.stdout"),
        (IO_, "sys.stdin = x = io.StringIO('1')", "sys.stdin"),
        (IO_, "builtins.input = lambda: '3'", "builtins.input"),
        (PATCH, "with patch('builtins.input'): f(3)", "names by a mock's patch"),
        ("from unittest import mock", "mock.patch('random.random').start()", "names by a mock's"),
        ("import unittest.mock as m", "with m.patch.object(int, 'x'): f(3)", "names by a mock's"),
        (PATCH + "from contextlib import redirect_stdout", "pass", None),
        (IO_, "with contextlib.redirect_stdout(io.StringIO()): f(3)", None),  # quiet is fine
        (IO_, "sys.stderr = io.StringIO()\n    builtins.mine = sys.stdlib = 3", None),
        ("import re", "re.patch = stdout = 3\n    stdout.getvalue", None),
    ],
)
@pytest.mark.parametrize("style", ["own", "pytest"])
def test_a_check_that_replaces_what_the_program_has_is_left_out(before, body, name, style):
    """The program is in another process, where nothing is replaced."""
    check = f"{before}\ndef check(f):\n    b = None\n    {body}\n    assert f(2) == 4"
    row = {"task_id": "a", "prompt": "", "tests": {"check": check, "entry_point": "twice"}}
    if style == "pytest":
        source = check.replace("f(", "twice(").replace("check(f)", "test_it()")
        source = (
            f"from solution import twice\n{source.replace('def check(twice)', 'def test_it()')}"
        )
        row = {"question": "", "question_id": "a", "test": source, "solution": TWICE}
    if name is None:
        assert to_problem(row, "").fn_name == "twice"
    else:
        with pytest.raises(Unusable, match=f"its check replaces {name}.*another process"):
            to_problem(row, "")


def test_a_starter_that_leetcode_would_show_needs_no_import(sandbox):
    starter = "class Solution:\n    def pick(self, nums: List[int], k: int) -> int:"
    tests = {"inputs": [[[3, 1], 1]], "outputs": [1], "fn_name": "Solution().pick"}
    row = {"task_id": "a", "prompt": "", "starter": starter, "tests": tests}
    program = f"{starter}\n        return nums[k]"
    for doc in ("", '\n        """The most important."""'):
        row["starter"] = starter + doc
        assert judge(sandbox, to_problem(row, ""), program).status == "passed"
    for other in (f"from typing import List\n{starter}", "class Solution:  # Any List"):
        row["starter"] = other  # it says what it needs, or needs nothing
        assert judge(sandbox, to_problem(row, ""), program).status == "error"


@pytest.mark.parametrize(
    "check, preamble, fits",
    [
        ("assert twice(2) == 4", "", False),
        ("def check():\n    assert twice(2) == 4", "", False),
        ("def test(f):\n    assert f(2) == 4", "", False),
        ("class check:\n    def check(self, f): assert f(2) == 4", "", False),
        ("async def check(f):\n    assert f(2) == 4", "", False),
        ("def check(f, g):\n    assert f(2) == g(2)", "", False),
        ("check = 3\ndef test(f):\n    assert f(2) == 4", "", False),
        ("def check(f, n=2):\n    assert f(n) == 4", "def check(): pass", True),
        ("if True:\n    def check(f):\n        assert f(2) == 4", "", True),
        ("from c import check\nassert 1", "", True),
        ("def test(f):\n    assert f(2) == 4\ncheck = test", "", True),
        ("assert True", "def check(*fs):\n    assert fs[0](2) == 4", True),
        ("def check(f, /):\n    assert f(2) == 4", "", True),
    ],
)
def test_a_check_must_define_check(check, preamble, fits):
    tests = {"check": check, "preamble": preamble, "entry_point": "twice"}
    row = {"task_id": "a", "prompt": "", "tests": tests}
    if fits:
        assert to_problem(row, "").fn_name == "twice"
    else:
        with pytest.raises(Unusable, match=r"defines no check\(candidate\)"):
            to_problem(row, "")


@pytest.mark.parametrize(
    "row, program",
    [
        (LEETCODE, CLASS),
        (LEETCODE, "def pick(nums, k):\n    x = 3 + 4\n    return x"),  # not what was asked for
        (LCB_FUNCTION, CLASS),
        (MBPP, "def twice(n):\n    x = 3 + 4\n    return x"),
        (HUMANEVAL, "def twice(n):\n    x = 3 + 4\n    return x"),
        (OURS, "def twice(n):\n    x = 3 + 4\n    return x"),
        (APPS_FUNCTION, "def twice(n):\n    x = 3 + 4\n    return x"),
        (APPS, "n = int(input())\nx = 3 + 4\nprint(n, x)"),
    ],
)  # fmt: skip
def test_failed_programs_of_every_style_become_questions(row, program, pool):
    """The variable x is 7 whatever the input; imports that a data set promises are not shown."""
    problem = to_problem(row, "")
    cfg = Config(align_ratio=0.4)
    verdict = pool.submit(judge, problem, program).result()
    assert verdict.status in ("failed", "error")
    (question,) = pool.submit(ask, problem, verdict, cfg).result()
    assert question.target["x"] == 7 and question.program == program


@pytest.mark.parametrize(
    "row, reason",
    [
        (PRIME | {"ability": "math"}, "ability"),
        (APPS | {"input_output": ""}, "no test"),
        (APPS | {"input_output": '{"inputs": [], "outputs": []}'}, "no test"),
        (APPS | {"input_output": '{"inputs": ["1"], "outputs": []}'}, "1 inputs and 0 outputs"),
        (
            APPS | {"input_output": '{"inputs": [%s], "outputs": [1]}' % ("9" * 5000)},
            "4,300 digits",
        ),
        (
            TACO | {"starter_code": "#User function\n\nclass Solution:\n    def f(self, n):"},
            "a driver that calls the starter code",
        ),
        (CONTESTS | {"input_file": "in.txt"}, "file"),
        (CONTESTS | {"public_tests": {}, "generated_tests": {}}, "no test"),
        (CONTESTS | {"public_tests": {"input": ["1"], "output": []}}, "2 inputs and 1 outputs"),
        (MBPP | {"code": "twice = lambda n: 2 * n"}, "defines no function"),
        (OPEN_R1 | {"verification_info": {"language": "rust", "test_cases": []}}, "rust"),
        (OPEN_R1 | {"verification_info": {"language": "python", "test_cases": []}}, "no test"),
        (EVALPLUS | {"task_id": "Mbpp/2"}, "tuples"),
    ],
)
def test_problems_without_a_usable_test_are_left_out_counted_and_named(
    row, reason, tmp_path, capsys
):
    with pytest.raises(Unusable, match=reason):
        to_problem(row, "here")
    good, path = ROWS["prime"][0], tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in (row, good, row, row, row)))
    assert len(load_problems(str(path))) == 1
    said = capsys.readouterr().out
    assert f"left out 4 rows: {path}:1: " in said and reason in said and "and 3 more like" in said


# --------------------------------------------------------------------------- calls and imports
@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


GCD = "def gcd(a, b):\n    return gcd(b, a % b) if b else a"


@pytest.mark.parametrize(
    "program, status",
    [
        (GCD, "passed"),
        ("class Solution:\n    def gcd(self, a, b): return gcd(a, b)", "passed"),
        ("class Solution:\n    def gcd(self, a, b): return -1", "failed"),
        ("from math import gcd", "passed"),
        ("pass", "error"),
        ("class Solution: pass", "error"),
    ],
)
def test_what_the_harness_imports_is_no_answer(program, status, sandbox):
    tests = {"fn_name": "gcd", "inputs": [[12, 18], [7, 5]], "outputs": [6, 1]}
    row = APPS_FUNCTION | {"input_output": json.dumps(tests)}
    assert judge(sandbox, to_problem(row, "here"), program).status == status


def test_lines_that_end_as_on_windows_end_as_on_linux(sandbox):
    tests = {"inputs": ["ab\r\ncd\r\n", ["x\r", "y\r"]], "outputs": ["2 2\r\n", "1 1"]}
    contest = {"input": tests["inputs"][:1], "output": tests["outputs"][:1]}
    public = [{"input": "ab\r\ncd\r\n", "output": "2 2", "testtype": "stdin"}]
    rows = [
        TACO | {"input_output": json.dumps(tests)},
        CONTESTS | {"public_tests": contest, "generated_tests": {}},
        LCB | {"public_test_cases": json.dumps(public), "private_test_cases": "[]"},
    ]
    for row in rows:
        problem = to_problem(row, "here")
        assert judge(sandbox, problem, "print(len(input()), len(input()))").status == "passed"


def test_programs_of_stdin_have_the_imports_and_the_builtin_pow(sandbox):
    tests = {"inputs": ["2 10 1000"], "outputs": ["24"]}
    problem = to_problem(APPS | {"input_output": json.dumps(tests)}, "here")
    program = "count = Counter(map(int, stdin.readline().split()))\nprint(pow(*count))"
    assert judge(sandbox, problem, program).status == "passed"
    prefix = problem.tests["prefix"]
    question = make_question(sandbox, "a = input()\nprint(1)", "2", None, Config(), prefix)
    assert question.shown_target() == {"a": "'2'", "output": "'1'"}


def test_calls_of_prime_are_lines_of_json():
    truth = {"fn_name": "add", "inputs": ['1\n"x"', '2\n"y"'], "outputs": ["[1]", '{"1": 2}']}
    row = PRIME | {"reward_model": {"ground_truth": json.dumps(truth)}}
    tests = to_problem(row, "here").tests
    assert tests["inputs"] == [[1, "x"], [2, "y"]] and tests["outputs"] == [[1], {1: 2}]
    row["reward_model"]["ground_truth"] = json.dumps(truth | {"inputs": [[1, 2], [{"3": 4}, "5"]]})
    assert to_problem(row, "here").tests["inputs"] == [[1, 2], [{3: 4}, "5"]]
    row["reward_model"]["ground_truth"] = json.dumps(truth | {"inputs": ["1 x", "2 y"]})
    with pytest.raises(Unusable, match="no JSON"):
        to_problem(row, "here")


def test_integer_keys_that_json_made_texts_are_integers_again():
    tests = {
        "fn_name": "count",
        "inputs": [[[1, 1, 2]], [[5]]],
        "outputs": [[{"1": 2, "2": 1}], {}],
    }
    row = APPS_FUNCTION | {
        "input_output": json.dumps(tests | {"outputs": tests["outputs"][:1] * 2})
    }
    assert to_problem(row, "here").tests["outputs"][0] == [{1: 2, 2: 1}]
    row["input_output"] = json.dumps(tests | {"outputs": [{"a": 1}, {"1": 1, "b": 2}]})
    assert to_problem(row, "here").tests["outputs"] == [{"a": 1}, {"1": 1, "b": 2}]


# --------------------------------------------------------------------------- pickles
class Evil:
    def __reduce__(self):
        return (print, ("this must never be printed",))


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Evil()),
        pickle.dumps({1, 2}, protocol=2),  # names builtins.set
        b"cos\nsystem\n(S'true'\ntR.",
        b"garbage",
        b"",
    ],
)
def test_a_pickle_that_names_anything_is_refused(data, tmp_path, capsys):
    text = base64.b64encode(zlib.compress(data)).decode()
    with pytest.raises(ValueError, match="private tests"):
        private_tests(text)
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(LCB | {"private_test_cases": text}) + "\n")
    with pytest.raises(UserError, match=r"rows.jsonl:1: .*livecodebench"):
        load_problems(str(path))
    assert "never be printed" not in capsys.readouterr().out


def test_packed_tests_that_would_fill_the_memory_are_refused(monkeypatch):
    monkeypatch.setattr("problems.pickles.MAX_UNPACKED", 1000)
    bomb = base64.b64encode(zlib.compress(b"0" * 10_000)).decode()
    with pytest.raises(ValueError, match="of more than"):
        private_tests(bomb)
    with pytest.raises(ValueError):
        private_tests("no base64 at all!")


# --------------------------------------------------------------------------- EvalPlus
def test_lists_of_inputs_and_results_are_read_with_infinities():
    found = listed_tests("inputs = [[1.5, -inf], [nan]]\nresults = [inf, (1,)]\n")
    assert found["inputs"][0] == [1.5, float("-inf")] and found["outputs"] == [float("inf"), (1,)]
    assert listed_tests("inputs = [[1]]\nresults = [f(1)]") == {"inputs": [[1]]}
    assert listed_tests("assert f(1) == 2") is None


def test_a_reference_gives_the_outputs_once(pool):
    problem = to_problem(EVALPLUS, "")
    assert "outputs" not in problem.tests
    assert status(pool, problem, "def twice(n):\n    return n + n") == "passed"
    assert problem.tests["outputs"] == [2, 8, 20]
    assert status(pool, problem, "def twice(n):\n    return 2") == "failed"


@pytest.mark.parametrize(
    "name, arguments, expected, right, wrong",
    [
        ("find_zero", [[1, 2]], 7.0, -0.5, 0.5),
        ("similar_elements", [], (4, 5), [5, 4, 4], [4]),
        ("check_str", [], True, "match", None),
        ("are_equivalent", [], True, False, None),
        ("sum_div", [8], 7, 0, 1),
        ("surface_Area", [3, 4], 33, 35, 34),
        ("digit_distance_nums", [1, 256], 6, 12, 7),
    ],
)
def test_oracles_accept_what_equality_would_not(name, arguments, expected, right, wrong):
    assert agrees(name, arguments, expected, right)
    if name != "are_equivalent":
        assert not agrees(name, arguments, expected, wrong)
        assert not agrees(name, arguments, expected, None)


def test_every_oracle_survives_any_answer():
    for name in ORACLES:
        for got in (None, "", [], {}, [[]], 10**400, float("nan"), "x"):
            assert agrees(name, [1, 2], [1], got) in (True, False)


# --------------------------------------------------------------------------- where files are found
def test_known_names_are_found_in_data_dir(tmp_path, capsys):
    cfg = Config(data_dir=str(tmp_path))
    rows = [MBPP | {"task_id": n} for n in (1, 11, 510, 511, 601, 974)]
    (tmp_path / "mbpp.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    ids = [p.task_id for p in load_problems("mbpp", "train", cfg)]
    assert ids == ["mbpp/601", "mbpp/974"] and "no training split" not in capsys.readouterr().out
    ids = [p.task_id for p in load_problems("mbpp", "heldout", cfg)]
    assert ids == ["mbpp/11", "mbpp/510"]
    texts = [MBPP | {"task_id": str(n)} for n in (510, 601)]  # as some copies have them
    (tmp_path / "mbpp.jsonl").write_text("".join(json.dumps(r) + "\n" for r in texts))
    assert [p.task_id for p in load_problems("mbpp", "train", cfg)] == ["601"]
    (tmp_path / "mbpp.jsonl").write_text(json.dumps(MBPP | {"task_id": "mine"}) + "\n")
    with pytest.raises(UserError, match=r"mbpp.jsonl:1: a row .* number .*, not 'mine'; to"):
        load_problems("mbpp", "train", cfg)
    (tmp_path / "mbpp+.jsonl").write_text(json.dumps(MBPP_PLUS) + "\n")
    assert len(load_problems("mbpp+", "heldout", cfg)) == 1
    assert capsys.readouterr().out == ""
    assert len(load_problems("mbpp+", "train", cfg)) == 1
    assert "mbpp+ has no training split: these are the" in capsys.readouterr().out


def test_the_split_of_a_folder_is_told_by_its_file_names(tmp_path):
    for name in ("data/train-0.jsonl", "data/train-1.jsonl", "data/test-0.jsonl", "README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(PRIME) + "\n")
    names = [path.name for path in source_files(str(tmp_path), "train", Config())]
    assert names == ["train-0.jsonl", "train-1.jsonl"]
    assert len(load_problems(str(tmp_path), "heldout")) == 1
    for path in (tmp_path / "data").glob("train-*"):  # what is left belongs to the other split
        path.rename(tmp_path / "data" / path.name.replace("train", "contest"))
    names = [path.name for path in source_files(str(tmp_path), "train", Config())]
    assert names == ["contest-0.jsonl", "contest-1.jsonl"]


def test_a_release_of_livecodebench_is_its_first_files(tmp_path):
    folder = tmp_path / "livecodebench"
    folder.mkdir()
    for name in ("test.jsonl", "test2.jsonl", "test3.jsonl"):
        (folder / name).write_text(json.dumps(LCB) + "\n")
    for release, count in (("-v1", 1), ("-v2", 2), ("-v6", 3), ("", 3)):
        found = load_problems(f"livecodebench{release}", "heldout", Config(data_dir=str(tmp_path)))
        assert len(found) == count


def test_the_hub_is_asked_for_the_files_of_the_split_alone(tmp_path, monkeypatch):
    asked = {}

    def snapshot_download(name, repo_type, allow_patterns):
        asked.update(name=name, repo_type=repo_type, patterns=allow_patterns)
        (tmp_path / "train.jsonl").write_text(json.dumps(PRIME) + "\n")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert len(load_problems("PRIME-RL/Eurus-2-RL-Data")) == 1
    assert asked["name"] == "PRIME-RL/Eurus-2-RL-Data" and asked["repo_type"] == "dataset"
    (tmp_path / "train.jsonl").unlink()
    with pytest.raises(UserError, match="holds no problem"):
        load_problems("mbpp", "train", Config(data_dir=str(tmp_path / "none")))
    assert asked["name"] == "google-research-datasets/mbpp"
    assert asked["patterns"] == ["full/train*"]


def test_a_folder_of_a_hub_data_set_is_asked_for_and_read_alone(tmp_path, monkeypatch):
    asked = []

    def snapshot_download(name, repo_type, allow_patterns):
        asked.append((name, allow_patterns))
        for folder in ("seed", "other"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / "train.jsonl").write_text(json.dumps(PRIME) + "\n")
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    assert len(load_problems("some-lab/set-1/seed")) == 1
    ((name, patterns),) = asked
    assert name == "some-lab/set-1" and "seed/*.parquet" in patterns
    assert all(pattern.startswith("seed/") for pattern in patterns)


def test_a_hub_that_cannot_be_reached_is_one_sentence(tmp_path, monkeypatch):
    def snapshot_download(*args, **options):
        raise OSError("401\n\nno network\nat all")  # the reason is seldom in the first line

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    with pytest.raises(
        UserError, match="cannot download .*no network.*with train and test in their names"
    ) as caught:
        load_problems("leetcode", "train", Config(data_dir=str(tmp_path)))
    assert "\n" not in str(caught.value)


def test_a_broken_parquet_file_is_one_sentence(tmp_path):
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match=r"cannot read .*rows.parquet"):
        list(read_rows(tmp_path / "rows.parquet"))


# ------------------------------------------------------------------ checks that cannot judge
NODE = "class Node:\n    def __init__(self, x): self.x = x\nclass Items(list): pass\n"
STAYS = {
    "io.StringIO": "import io\nassert candidate(io.StringIO('a')) == 1",
    "StringIO": "from io import StringIO\ns = StringIO('a')\nassert f(s) == 1",
    "Items": "assert candidate(x=Items([1])) == 1",
    "object": "assert candidate(object()) == 1",
}
TRAVELS = [
    "Node(1)", "lambda x: x", "zip([1], [2])", "str(1)", "collections.deque([1])", "max",
    "functools.partial(max, 1)", "decimal.Decimal(1)", "datetime.date(2026, 1, 2)", "[Node(1)]",
]  # fmt: skip


def checked(*lines):
    body = "".join(f"    {line}\n" for line in "\n".join(lines).split("\n"))
    tests = {"check": f"def check(candidate):\n{body}", "entry_point": "f", "preamble": NODE}
    return {"task_id": "t", "prompt": "p", "tests": tests}


@pytest.mark.parametrize("kind", STAYS)
def test_a_check_that_gives_what_cannot_travel_is_named(kind):
    with pytest.raises(Unusable, match=rf"an object of {kind}, which cannot travel"):
        to_problem(checked(STAYS[kind]), "f:1")


@pytest.mark.parametrize("given", TRAVELS)
def test_a_check_that_gives_what_travels_is_kept(given):
    imports = "import collections, datetime, decimal, functools"
    to_problem(checked(imports, f"assert candidate({given}) == 1"), "f:1")


def test_such_checks_are_counted_when_they_are_loaded(tmp_path, capsys):
    rows = [checked("assert candidate(helper(1)) == 1"), checked("assert f(1) == Node(1).x")]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row | {"task_id": str(i)}) for i, row in
                               enumerate([*rows, rows[0]])))  # fmt: skip
    assert [p.task_id for p in load_problems(str(path))] == ["1"]
    said = capsys.readouterr().out
    assert "its check does not define helper, and 1 more like it" in said
