"""Rows for RL that give no fair problem are left out by name; two of one name are told apart."""

import json
import textwrap

import pytest
from rl_rows import (
    CALLED,
    CALLS,
    CASES,
    CHAT,
    CHECK,
    IO,
    TEXT,
    TWICE,
    codeforces,
    deepcoder,
    kodcode,
    nemotron,
    rstar,
    verifiable,
    verl,
)  # fmt: skip

from config import UserError
from problems.formats import Unusable, to_problem
from problems.load import load_problems, read_samples
from reward import judge
from sandbox import Sandbox

OURS = {"task_id": "a", "prompt": "Write f.", "tests": {"inputs": [[1]], "outputs": [1]}}
OURS["tests"]["fn_name"] = "f"
PYTEST = "import pytest\nfrom solution import twice\n"
MARK = "@pytest.mark.parametrize('n', [1, 2], ids=str)\n"


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


def write(tmp_path, *rows, name="rows.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def ours(task_id="a", **tests):
    return OURS | {"task_id": task_id, "tests": OURS["tests"] | tests}


# --------------------------------------------------------------------------- other tasks
def test_tasks_that_are_no_programs_are_left_out_counted_by_kind(tmp_path, capsys):
    maths = verifiable({"ground_truth": "42"}, task_type="verifiable_math")
    words = verifiable({"answer": "abc"}, task_type="unscramble_sentence")
    rust = verifiable({"language": "rust", "test_cases": CASES})
    code = verifiable({"test_cases": json.dumps(IO), "fn_name": None})
    path = write(tmp_path, words, maths, code, maths, maths, rust)
    (problem,) = load_problems(path)
    assert problem.task_id == "code_9" and problem.tests["inputs"] == IO["inputs"]
    said = capsys.readouterr().out
    assert (
        f"left out 5 rows: {path}:2: its task_type is verifiable_math, and 2 more like it" in said
    )
    assert f"{path}:1: its task_type is unscramble_sentence;" in said and "rust" in said


@pytest.mark.parametrize(
    "truth, reason",
    [
        ([1, 2], "list of something else"),
        ([{"input": "1"}], "list of something else"),
        ("[[1, 2], [3, 4]]", "list of something else"),
        ("42", "its tests are int"),
        ('"x"', "no JSON"),
        ("\\frac{1}{2}", "no JSON"),
        ("", "no test"),
        ("[]", "no test"),
        ({"inputs": "1", "outputs": ["1"]}, "no JSON|no list"),
        ({"inputs": 5, "outputs": [1]}, "no list"),
        (["assert f(1) == 1", "assert g(1) == 1"], r"several functions \(f, g\)"),
        (
            {"functional": "def check(candidate):\n    assert same(candidate(1), 1)\ncheck(f)"},
            "same",
        ),
        ("[" * 3000 + "]" * 3000, "too deep"),
    ],
)
def test_a_ground_truth_of_another_kind_leaves_its_row_out_by_name(truth, reason, tmp_path, capsys):
    with pytest.raises(Unusable, match=reason):
        to_problem(verl(truth), "here")
    path = write(tmp_path, verl(truth), verl(IO))
    assert len(load_problems(path)) == 1
    assert f"left out 1 rows: {path}:1: " in capsys.readouterr().out


@pytest.mark.parametrize("prompt", [[], [{"role": "system", "content": "x"}], [CHAT[0]]])
def test_a_chat_in_which_no_user_speaks_gives_no_problem(prompt):
    with pytest.raises(Unusable, match="no text of a user"):
        to_problem(verl(IO, prompt=prompt), "here")
    parts = [{"role": "user", "content": [{"type": "input_text", "text": "Double it."}]}]
    for given in ("Double it.", parts):
        assert to_problem(verl(IO, prompt=given), "here").prompt == "Double it."


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"generated_checker": "print(1)"}, "program to check"),
        ({"interaction_format": "ask and answer"}, "program to check"),
        ({"input_mode": "file"}, "a file"),
        ({"language": "cpp"}, "cpp"),
        ({"official_tests": []}, "no test"),
        ({"official_tests_complete": False}, "incomplete"),
        ({"executable": False}, "no program can be judged"),
    ],
)
def test_rows_of_codeforces_that_we_cannot_judge_say_why(change, reason):
    with pytest.raises(Unusable, match=reason):
        to_problem(codeforces(**change), "here")


def test_a_statement_in_parts_becomes_one_text():
    text = to_problem(codeforces(note="It is easy."), "here").prompt
    parts = ("Doubling", TEXT, "Input\nOne number.", "Example 1", "easy.", "standard input")
    assert [text.find(part) for part in parts] == sorted(text.find(part) for part in parts)
    assert "-1" not in str([text.find(part) for part in parts])


def test_nemotron_rows_without_unit_tests_are_left_out():
    with pytest.raises(Unusable, match="no unit tests"):
        to_problem(nemotron({"expected_answer": "42"}), "here")


def test_a_case_says_whether_it_calls_a_function_or_reads_standard_input():
    with pytest.raises(Unusable, match="several kinds"):
        to_problem(deepcoder([*CALLED, *CASES]), "here")
    with pytest.raises(Unusable, match="do not name the function"):
        to_problem(deepcoder([CALLED[0] | {"fn_name": None}]), "here")
    for case, wanted in (
        (CALLED[0], ("twice", [[1]])),
        (CALLED[0] | {"type": None}, ("twice", [[1]])),
        (CASES[0] | {"type": "stdin_stdout", "fn_name": "twice"}, (None, ["1\n"])),
        (CASES[0], (None, ["1\n"])),
    ):
        tests = to_problem(deepcoder([case]), "here").tests
        assert (tests["fn_name"], tests["inputs"]) == wanted
    named = rstar([[1]], [2], func_name="twice", class_name="Numbers")
    assert to_problem(named, "here").tests["fn_name"] == "Numbers().twice"


# --------------------------------------------------------------------------- tests as source
SUITE = "import unittest\nclass TestAll(unittest.TestCase):\n"
ONE_TEST = "class TestOne:\n    def test_a(self):\n        assert twice(1) == 2"


@pytest.mark.parametrize(
    "test, reason",
    [
        ("def test_a(tmp_path):\n    assert twice(1) == 2", "needs fixtures"),
        (PYTEST + "@pytest.fixture\ndef n():\n    return 1\nassert twice(1) == 2", "fixture"),
        (PYTEST + "def test_a():\n    with pytest.warns(UserWarning):\n        twice(1)", "warns"),
        ("from pytest import raises\nassert twice(1) == 2", "names from pytest"),
        (PYTEST + "def test_a():\n    pytest.raises(TypeError, twice, None)", "a function to call"),
        (f"{SUITE}    def runTest(self):\n        self.assertEqual(twice(1), 2)", "runTest"),
        ("def setup_module():\n    assert twice(1) == 2", "setup_module"),
        ("if 1:\n    def test_a():\n        assert twice(1) == 2", "inside of other"),
        ("class TestAll:\n" + textwrap.indent(ONE_TEST, "    "), "inside of other"),
        ("from solution import Pile\nassert isinstance(Pile(), Pile)", "class Pile"),
        ("from solution import a, b\ndef test_a():\n    assert a(1) == b(1)", r"\(a, b\)"),
        ("from solution import twice as t\ndef test_a():\n    assert t(1) == 2", "renames"),
        ("import solution\ndef test_a():\n    assert solution.twice(1) == 2", "no function"),
        ("def test_a():\n    assert twice(start) == 2", "not define start"),
        ("from solution import twice\nasync def test_a():\n    assert twice(1) == 2", "asyncio"),
        ("from solution import twice\ndef test_a():\n    twice(1)", "asserts nothing"),
        (PYTEST + MARK + "def test_a(n):\n    twice(n)", "asserts nothing"),
        ("def test_a(:\n    assert twice(1) == 2", "no Python"),
        ("", "no function"),
    ],
)  # fmt: skip
def test_a_test_that_would_fail_every_program_leaves_its_row_out(test, reason):
    with pytest.raises(Unusable, match=reason):
        to_problem(kodcode(test), "here")


@pytest.mark.parametrize(
    "test",
    [
        "from solution import twice, LIMIT\ndef test_a():\n    assert twice(1) == 2",
        "def test_a():\n    from solution import twice\n    assert twice(4) == 8",
        "ONE = 1\ndef helper(x):\n    return twice(x)\ndef test_a():\n    assert helper(ONE) == 2",
        "import unittest\nfrom solution import twice\nclass TestTwice(unittest.TestCase):\n"
        "    def setUp(self):\n        self.n = 2\n"
        "    def test_a(self):\n        self.assertEqual(twice(self.n), 4)",
        PYTEST + "def test_a():\n"
        "    with pytest.raises((TypeError, ValueError), match='unsupported') as caught:\n"
        "        twice(None)\n    assert 'None' in str(caught.value)",
        PYTEST + MARK + "@pytest.mark.parametrize('k', [0, 3])\ndef test_a(n, k):\n"
        "    assert [twice(n + k)] == pytest.approx([2 * n + 2 * k])",
        PYTEST + "@pytest.mark.parametrize(argnames='n', argvalues=[0, 4])\ndef test_a(n):\n"
        "    nan = float('nan')\n"
        "    assert [twice(n), nan] == pytest.approx([2 * n, nan], nan_ok=True)\n"
        "    assert [twice(n), nan] != pytest.approx([2 * n, nan])",
        PYTEST + "@pytest.mark.parametrize('k', [0, 1])\n"
        "@pytest.mark.parametrize('n', iter([0, 4]))\ndef test_a(n, k):\n"
        "    assert not k or twice(n) == 2 * n",
        SUITE.replace("TestAll", "AllTests") + "    def test_a(self):\n"
        "        self.assertEqual(twice(4), 8)\nif __name__ == '__main__':\n    unittest.main()",
        "import unittest\nclass Base:\n    def test_a(self):\n        assert twice(4) == 8\n"
        "class Twice(Base, unittest.TestCase):\n    pass",
        SUITE + "    def test_a(self):\n        self.got = twice(4)\n"
        "    def tearDown(self):\n        self.assertEqual(self.got, 8)",
        "def make(n):\n    def test():\n        assert twice(n) == 2 * n\n    return test\n"
        "test_one, test_two = make(0), make(4)\ntest_n = 0\ndef test_b():\n    assert not test_n",
        "def run():\n    assert twice(4) == 8\nif __name__ == '__main__':\n    run()",
        "import sys\nclass TestData:\n    n = 4\ndef run():\n    assert twice(TestData.n) == 8\n"
        "if __name__ == '__main__':\n    sys.exit(run())",
        "from unittest import TestCase as TC\nclass Foo(TC):\n    test_data = [4]\n"
        "    def test_b(self):\n        assert twice(4) == 8\n"
        "test_n = lambda n: twice(n)\ndef test_a():\n    assert test_n(0) in (0, 1)",
        "from datetime import datetime\ndef test_a():\n"
        "    assert twice(4) == 8 and pow(3, 2, 7) == 2 and Counter([datetime(2020, 1, 1)])",
        "def test_a():\n    assert math.isclose(twice(4), 8) and Counter([twice(1)])[2] == 1",
    ],
)
def test_what_pytest_and_unittest_run_is_run_here(test, sandbox):
    problem = to_problem(kodcode(test), "here")
    assert judge(sandbox, problem, "def twice(n):\n    return n * 1 + n").status == "passed"
    for wrong in ("pass", "def twice(n):\n    return (n or 0) * 3 + 1"):
        assert judge(sandbox, problem, wrong).status != "passed"


def test_a_class_may_be_what_a_test_needs(sandbox):
    test = "from solution import Pile\ndef test_a():\n    pile = Pile()\n    pile.push(3)\n"
    row = kodcode(f"{test}    assert pile.pop() == 3 and pile.size() == 0")
    right = "class Pile:\n    def __init__(self):\n        self.xs = []\n"
    right += "    def push(self, x):\n        self.xs.append(x)\n"
    right += "    def pop(self):\n        return self.xs.pop()\n"
    right += "    def size(self):\n        return len(self.xs)\n"
    problem = to_problem(row | {"solution": right}, "here")
    assert judge(sandbox, problem, right).status == "passed"
    assert judge(sandbox, problem, right.replace(".pop()", "[0]")).status == "failed"


def test_a_check_that_never_calls_the_function_judges_no_program(sandbox):
    test = "def make():\n    def test():\n        assert twice(1) == 2\n    return test\n"
    problem = to_problem(kodcode(f"{test}test_one = make()"), "here")
    assert judge(sandbox, problem, TWICE).status == "unjudged"


CALL = {"type": "function_call", "fn_name": "digits"}


def status(sandbox, problem, program):
    return judge(sandbox, problem, program).status


@pytest.mark.parametrize("name", ["digits", "minus"])
@pytest.mark.parametrize("source", ["primeintellect", "deepcoder"])
def test_results_of_native_calls_are_values_and_not_json(name, source, sandbox):
    """A result "12" is a text. Its own harness prints results, so that 12 passes, too."""
    cases = [CALL | {"input": [[1, 2]], "output": "12"}, CALL | {"input": [[]], "output": "()"}]
    if name == "minus":
        cases = [CALL | {"input": [[1, 2]], "output": [-12]}, CALL | {"input": [[]], "output": 0}]
    rows = {
        "primeintellect": {"prompt": TEXT, "verification_info": {"test_cases": cases}},
        "deepcoder": {"problem": TEXT, "tests": json.dumps(cases)},
    }
    problem = to_problem(rows[source], "")
    text = "def digits(xs):\n    return ''.join(map(str, xs)) or '()'"
    number = "def digits(xs):\n    return -int('0' + ''.join(map(str, xs)))"
    assert status(sandbox, problem, text) == ("passed" if name == "digits" else "failed")
    assert status(sandbox, problem, number) == ("failed" if name == "digits" else "passed")
    value = "def digits(xs):\n    return 12 if xs else ()"
    assert status(sandbox, problem, value) == ("passed" if name == "digits" else "failed")


@pytest.mark.parametrize(
    "text, result",
    [
        ("[1,2]", "(1, 2)"),
        ("true", "True"),
        ("[3]", "3"),
        ("0.5", "0.5"),
        ('{"a": 1}', "{'a': 1}"),
    ],
)
def test_a_result_that_is_text_may_be_a_value(text, result, sandbox):
    cases = [CALL | {"input": [1], "output": text}, CALL | {"input": [2], "output": "None"}]
    problem = to_problem({"prompt": TEXT, "verification_info": {"test_cases": cases}}, "")
    program = "def digits(x):\n    return %s if x == 1 else 'None'"
    assert status(sandbox, problem, program % result) == "passed"
    assert status(sandbox, problem, program % repr(text)) == "passed"
    assert status(sandbox, problem, program % "4") == "failed"
    cases[0]["output"] = "None"
    problem = to_problem({"prompt": TEXT, "verification_info": {"test_cases": cases}}, "")
    assert status(sandbox, problem, "def digits(x): pass") == "failed"


@pytest.mark.parametrize("text", ["0b101", "0x5", "5.0", "5.00", "5e0", "0_5", '"5"'])
def test_a_value_is_not_the_form_that_a_task_may_ask_for(text, sandbox):
    """Else `return x` would do for "in binary", "with two decimals", "in quotation marks"."""
    cases = [CALL | {"input": [5], "output": text}]
    problem = to_problem({"prompt": TEXT, "verification_info": {"test_cases": cases}}, "")
    assert status(sandbox, problem, "def digits(x):\n    return x") == "failed"
    assert status(sandbox, problem, f"def digits(x):\n    return {text!r}") == "passed"


@pytest.mark.parametrize("column", ["prompt", "problem_statement", "problem"])
def test_a_verifiable_row_may_state_its_problem_elsewhere_and_fence_its_solution(column):
    cases = [CALL | {"input": [5], "output": 5}]
    row = {column: TEXT, "verification_info": {"language": "python", "test_cases": cases}}
    row |= {"gold_standard_solution": f"Thus:\n```python\n{TWICE}\n```", "task_type": "t"}
    problem = to_problem(row, "")
    assert problem.solution == TWICE and problem.prompt.startswith(TEXT)
    assert (problem.prompt == TEXT) == (column == "prompt")  # others say how to answer


def test_calls_that_a_table_writes_as_text_are_read():
    cases = [
        CALL | {"input": "[[1, 2]]", "output": '"12"'},
        CALL | {"input": "[[]]", "output": "3"},
    ]
    row = {"prompt": TEXT, "verification_info": json.dumps({"test_cases": cases})}
    tests = to_problem(row, "").tests
    assert (tests["inputs"], tests["outputs"]) == ([[[1, 2]], [[]]], ["12", 3])
    assert "written" not in tests


@pytest.mark.parametrize(
    "truth",
    [
        "assert twice(2) == 4\nassert twice(3) == 6",
        "def test_it():\n    assert twice(2) == 4",
        {"assert_case": ["assert twice(2) == 4", "assert twice(3) == 6"]},
        {
            "entry_point": "twice",
            "import_prefix": "import math\n",
            "test_code": "def check(candidate):\n    assert candidate(2) == math.floor(4.5)",
        },
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_ground_truths_of_verl_may_be_source(truth, as_text, sandbox):
    chat = [{"role": "system", "content": "Hi."}, {"role": "user", "content": TEXT}]
    if isinstance(truth, dict):  # a table has all keys in all rows
        truth = dict.fromkeys(("inputs", "test_code", "assert_case")) | truth
    if as_text and isinstance(truth, dict):
        truth, chat = json.dumps(truth), json.dumps(chat)
    row = {"data_source": "code", "prompt": chat, "reward_model": {"ground_truth": truth}}
    problem = to_problem(row | {"ability": "code"}, "")
    assert problem.prompt.startswith(TEXT) and problem.tests["calls"][0] == [2]
    assert status(sandbox, problem, TWICE) == "passed"
    assert status(sandbox, problem, "def twice(n): return n") == "failed"


@pytest.mark.parametrize(
    "prompt", ['[{"role": "user"}] is a chat.', "[1, 2] is a list.", "[]", "[x"]
)
def test_a_prompt_may_begin_like_a_chat(prompt):
    io = IO | dict.fromkeys(("test_code", "entry_point", "assert_case"))
    row = {"data_source": "code", "prompt": prompt, "reward_model": {"ground_truth": io}}
    assert to_problem(row, "").prompt == prompt


def test_broken_json_that_speaks_of_an_assert_is_no_source():
    truth = '{"inputs": ["assert x"], "outputs": ["1"'
    row = {"data_source": "code", "prompt": TEXT, "reward_model": {"ground_truth": truth}}
    with pytest.raises(Unusable, match="its tests are no JSON"):
        to_problem(row, "")


def test_asserts_of_other_functions_leave_an_mbpp_row_out():
    code = "def half(n):\n    return n / 2\ndef twice(n):\n    return 2 * n"
    row = {"task_id": 1, "text": TEXT, "code": code}
    with pytest.raises(Unusable, match="something else than twice"):
        to_problem(row | {"test_list": ["assert twice(1) == 2", "assert half(2) == 1"]}, "here")


def test_a_check_that_has_a_list_of_inputs_keeps_its_asserts(sandbox):
    row = {
        "task_id": "x/1",
        "prompt": "def twice(n):\n",
        "canonical_solution": "    return 2 * n\n",
    }
    check = "def check(candidate):\n    inputs = [{}]\n    assert candidate(7) == 14"
    for inputs in ("(0,), (0,)", "0, 0"):
        more = {"entry_point": "twice", "test": check.format(inputs)}
        problem = to_problem(row | more, "here")
        assert judge(sandbox, problem, "def twice(n):\n    return n").status == "failed"


def test_a_function_with_the_name_of_an_import_is_what_bare_asserts_call(sandbox):
    row = {"id": 1, "question": "gcd", "test_cases": ["assert gcd(12, 8) == 4"]}
    problem = to_problem(row, "here")
    assert problem.tests["entry_point"] == "gcd" and problem.tests["calls"] == [[12, 8]]
    assert "`gcd`" in problem.prompt
    assert judge(sandbox, problem, "def gcd(a, b):\n    return 4").status == "passed"
    assert judge(sandbox, problem, "def gcd(a, b):\n    return b").status == "failed"


def test_only_the_last_call_of_check_is_what_code_r1_tests(sandbox):
    problem = to_problem(verl({"functional": f"{CHECK}\ncheck(Solution().pick)"}), "here")
    assert problem.tests["entry_point"] == "Solution().pick"
    assert problem.tests["calls"] == [[[3, 1], 1]]
    wrong = "class Solution:\n    def pick(self, nums, k):\n        return nums[0]"
    assert judge(sandbox, problem, wrong).status == "failed"


def test_what_livecodebench_calls_functional_is_not_unwrapped(sandbox):
    """APPS puts results into lists of one; LiveCodeBench means a list where it says one."""
    case = {"input": "1", "output": "[2]", "testtype": "functional"}
    problem = to_problem(deepcoder([case], metadata={"func_name": "twice"}), "here")
    assert judge(sandbox, problem, TWICE).status == "failed"
    assert judge(sandbox, problem, "def twice(n):\n    return [2 * n]").status == "passed"
    assert judge(sandbox, to_problem(verl(CALLS), "here"), TWICE).status == "passed"


# --------------------------------------------------------------------------- nothing expected
@pytest.mark.parametrize(
    "row",
    [
        verl({"inputs": ["1", "2"], "outputs": ["", "\n"]}),
        verl({"fn_name": "f", "inputs": [[1], [2]], "outputs": [[None], [None]]}),
        ours(inputs=[[1], [2]], outputs=[None, None]),
        ours(inputs=[[1]], outputs=[""]),
        ours(inputs=["1"], outputs=[" "], fn_name=None),
        rstar(["1"], [""]),
        OURS | {"tests": {"check": "def check(candidate):\n    candidate(1)", "entry_point": "f"}},
        OURS | {"tests": {"check": "def check(candidate):\n    pass", "entry_point": "f"}},
    ],
)
def test_a_row_that_would_pay_for_a_pass_is_left_out_by_name(row, tmp_path, capsys):
    good = ours("good")
    path = write(tmp_path, row, good)
    assert [p.task_id for p in load_problems(path)] == ["good"]
    assert f"left out 1 rows: {path}:1: it" in capsys.readouterr().out
    with pytest.raises(UserError, match="holds no problem: left out 1 rows"):
        load_problems(write(tmp_path, row, name="alone.jsonl"))


@pytest.mark.parametrize("outputs", [[None, 5], ["", None, 0], [[], []], [False], [0]])
def test_a_row_that_expects_something_stays(outputs, tmp_path, sandbox):
    row = ours(inputs=[[k] for k in range(len(outputs))], outputs=outputs)
    (problem,) = load_problems(write(tmp_path, row))
    assert judge(sandbox, problem, f"def f(x):\n    return {outputs!r}[x]").status == "passed"
    raises = "def f(x):\n    raise ValueError('failed call')"
    for wrong in (raises, "def f(x):\n    pass", "def f(x):\n    return 'other'"):
        assert judge(sandbox, problem, wrong).status in ("error", "failed")


# --------------------------------------------------------------------------- names of rows
def test_a_preamble_may_hold_what_asserts(tmp_path):
    tests = {"check": "def check(candidate):\n    same(candidate(1), 1)", "entry_point": "f"}
    preamble = "def same(got, wanted):\n    assert got == wanted"
    row = OURS | {"tests": tests | {"preamble": preamble}}
    assert len(load_problems(write(tmp_path, row))) == 1


def test_a_row_of_no_known_format_says_so_with_its_fields(tmp_path):
    path = write(tmp_path, {"text": "x", "label": 1})
    with pytest.raises(UserError, match=f"{path}:1: no known format has the fields text, label; "):
        load_problems(path)
    with pytest.raises(UserError, match="fields question, answer;") as caught:
        load_problems(write(tmp_path, {"question": "x", "answer": "y"}))
    assert "task_id" not in str(caught.value)


def test_rows_without_a_name_are_told_apart_by_their_text(tmp_path):
    taco = {"question": "One.", "input_output": json.dumps(IO), "name": "", "difficulty": "EASY"}
    path = write(tmp_path, taco, taco | {"question": "Two."}, taco | {"name": "Three", "id": None})
    one, two, three = [p.task_id for p in load_problems(path)]
    assert one and two and one != two and three == "Three"


def test_rows_of_one_name_are_told_apart_in_the_order_of_the_file(tmp_path, capsys):
    again = ours("a", outputs=[10])
    path = write(tmp_path, ours("a"), again, ours("a#2", outputs=[5]), ours("a", outputs=[7]))
    problems = load_problems(path)
    assert [p.task_id for p in problems] == ["a", "a#3", "a#2", "a#4"]
    assert [p.tests["outputs"] for p in problems] == [[1], [10], [5], [7]]
    said = capsys.readouterr().out
    assert f"{path}:2 has the task_id 'a' of {path}:1: now 'a#3'" in said and said[-1] == "\n"
    both = load_problems(f"{path},{write(tmp_path, ours('a'), name='other.jsonl')}")
    assert (
        both[-1].task_id == "a#5" and "other.jsonl:1 has the task_id 'a'" in capsys.readouterr().out
    )


def samples(tmp_path, problems, *rows):
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [(p.task_id, program) for p, program, _ in read_samples(path, problems, "problems")]


def test_a_sample_for_two_rows_of_one_name_is_refused_and_names_both(tmp_path):
    path = write(tmp_path, ours("a"), ours("a", outputs=[10]), ours("b"))
    problems, b = load_problems(path), {"task_id": "b", "solution": "pass"}
    with pytest.raises(UserError, match=f"{path}:1 and {path}:2 both have the task_id 'a'"):
        samples(tmp_path, problems, b, {"task_id": "a", "solution": "pass"})
    second = {"task_id": "a#2", "solution": "pass"}  # as it is called here
    assert samples(tmp_path, problems, b, second) == [("b", "pass"), ("a#2", "pass")]


@pytest.mark.parametrize("problem_id, sample_id", [(7, 7), (7, "7"), ("7", 7), (0, 0)])
def test_integers_and_their_texts_are_one_name(problem_id, sample_id, tmp_path):
    problems = load_problems(write(tmp_path, ours(problem_id)))
    found = samples(tmp_path, problems, {"task_id": sample_id, "completion": "f = abs"})
    assert found == [(str(problem_id), "f = abs")]


def test_a_sample_may_give_the_number_of_a_problem_where_one_has_it(tmp_path):
    mbpp = {"task_id": 601, "text": TEXT, "code": TWICE, "test_list": ["assert twice(2) == 4"]}
    problems = load_problems(write(tmp_path, mbpp, mbpp | {"task_id": 602}))
    given = [{"task_id": x, "solution": "x"} for x in (601, "602", "mbpp/601")]
    names = [name for name, _ in samples(tmp_path, problems, *given)]
    assert names == ["mbpp/601", "mbpp/602", "mbpp/601"]
    twins = load_problems(write(tmp_path, ours("x/1"), ours("y/1")))
    with pytest.raises(UserError, match="task_id '1' is no problem"):
        samples(tmp_path, twins, {"task_id": 1, "solution": "x"})


def test_a_sample_of_a_row_that_was_left_out_is_not_graded_and_the_others_are(tmp_path, capsys):
    problems = load_problems(write(tmp_path, ours("gone", outputs=[None]), ours("kept")))
    given = [{"task_id": x, "solution": "x"} for x in ("gone", "kept", "gone")]
    assert [name for name, _ in samples(tmp_path, problems, *given)] == ["kept"]
    said = capsys.readouterr().out
    assert "samples.jsonl:1: task_id 'gone' is no problem that was kept, and 1 more" in said
    whole = load_problems(write(tmp_path, ours("kept")))
    with pytest.raises(UserError, match="samples.jsonl:1: task_id 'gone' is no problem of"):
        samples(tmp_path, whole, *given)
