"""Text to reward: extraction, comparison, and the score of an answer about variables."""

import ast
import contextlib
import json
import math

import pytest

from config import ALIGN_TEMPLATE, Config, UserError
from jail.values import encode
from problems.answers import (
    is_literal,
    literal_end,
    parse_answer,
    same_answer,
    same_stdout,
    same_value,
)
from problems.problem import Problem, Question, answer_text, question_messages, question_text
from reward import (
    REWARDS,
    Verdict,
    ask,
    complexity,
    judge,
    make_question,
    score_answer,
)
from sandbox import Sandbox
from startup.start import worked_examples

SUM = "def f(nums):\n    total = 0\n    for n in nums:\n        total += n\n    return total"
CFG = Config()


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


def problem(inputs, outputs, fn_name="f"):
    return Problem("p", "", {"inputs": inputs, "outputs": outputs, "fn_name": fn_name})


# ------------------------------------------------------------------ programs
def test_no_limit_is_too_short_for_the_own_solution_of_a_problem():
    work = "import time\ndef f(x):\n  while time.process_time() < {}: pass\n  return x"
    with contextlib.closing(Sandbox(timeout_s=0.1)) as box:

        def status(program, solution):
            tests = {"inputs": [[1]], "outputs": [1], "fn_name": "f"}
            return judge(box, Problem("p", "", tests, solution), program).status

        slow = work.format(0.3)
        assert status(slow, slow) == "passed"
        assert status(work.format(9), slow) == status(slow, "") == "timeout"
        assert status(slow, "def f(x): return x") == "timeout"  # it need not take so long
        assert box.timeout_s == 0.1


def test_right_program_passes_and_a_wrong_one_shows_its_first_failing_test(sandbox):
    tests = problem([[[1, 2]], [[5]]], [3, 5])
    assert judge(sandbox, tests, SUM) == Verdict("passed", 2, 2)
    verdict = judge(sandbox, tests, SUM.replace("total = 0", "total = 1"))
    assert (verdict.status, verdict.passed) == ("failed", 0)
    assert verdict.test == {"input": "f([1, 2])", "expected": "3", "got": "4"}


def test_no_code_error_and_timeout_are_verdicts(sandbox):
    tests = problem([[1]], [1])
    assert judge(sandbox, tests, None).status == "no_code"
    verdict = judge(sandbox, tests, "def f(x): return x / 0")
    assert (verdict.status, verdict.error) == ("error", "ZeroDivisionError: division by zero")
    assert judge(sandbox, tests, "def f(x):\n  while 1: pass").status == "timeout"


@pytest.mark.parametrize(
    "cheat",
    [
        "import sys\ndef f(x): sys.exit(0)",
        "import os\ndef f(x): os._exit(0)",
        "class A(int):\n  def __eq__(self, o): return True\ndef f(x): return A(0)",
        "class A:\n  def __eq__(self, o): return True\ndef f(x): return A()",
        "def f(x): return 10 ** 5000",
        "def f(x): print(7)",
    ],
)
def test_cheats_earn_nothing(sandbox, cheat):
    verdict = judge(sandbox, problem([[1]], [7]), cheat)
    assert verdict.reward == REWARDS["fraction"](verdict) == 0


def test_the_names_and_the_memory_of_one_test_are_gone_at_the_next(sandbox):
    program = "seen = []\nkept = bytearray(200 << 20)\ndef f(x):\n    seen.append(len(kept))\n"
    program += "    return x + len(seen)"
    verdict = judge(sandbox, problem([[1]] * 5, [2] * 5), program)
    assert verdict.status == "passed", verdict


def test_a_program_runs_once_whatever_comes_of_it(sandbox, monkeypatch):
    """A run that only a failure gives would tell the program that it failed."""
    counts, run = [], sandbox.run
    monkeypatch.setattr(
        sandbox, "run", lambda p, x, *a, **k: counts.append(len(x)) or run(p, x, *a, **k)
    )
    tests = problem([[1], [2], [3]], [1, 2, 3])
    for program in ("def f(x): return x", "def f(x): return -x", "def f(x): return x % 2"):
        judge(sandbox, tests, program)
    assert counts == [3, 3, 3]


def test_a_program_of_two_faces_is_judged_by_one(sandbox):
    program = "import builtins\nn = builtins.n = getattr(builtins, 'n', -1) + 1\n"
    program += "def f(x): return x + x if n else x * x"
    results = [[x * x for x in (2, 3, 4)], [x + x for x in (2, 3, 4)]]
    passed = [judge(sandbox, problem([[2], [3], [4]], wanted), program) for wanted in results]
    assert [verdict.status for verdict in passed] == ["failed", "passed"]


def test_fraction_counts_passed_tests(sandbox):
    verdict = judge(sandbox, problem([[1], [2], [3]], [1, 2, 4]), "def f(x): return x")
    assert REWARDS["fraction"](verdict) == pytest.approx(2 / 3) and verdict.reward == 0


def test_stdin_programs_are_compared_by_tokens(sandbox):
    tests = problem(["2 3\n"], ["5"], None)
    assert judge(sandbox, tests, "print(sum(map(int, input().split())))").status == "passed"


@pytest.mark.parametrize(
    "expected, got",
    [
        ("1", 1),
        ([1], [1, 1]),
        ([1], 1),
        (1, [1]),
        ({"a": 1}, {"b": 1}),
        (None, 0),
        ({1}, [1]),
    ],
)
def test_values_of_other_types_differ(expected, got):
    assert not same_value(expected, got)


@pytest.mark.parametrize(
    "expected, got",
    [([1, 2], (1, 2)), (0.3, 0.1 + 0.2), (2.0, 2), ({1, 2}, {2, 1}), ({"a": [1.0]}, {"a": (1,)})],
)
def test_equal_values_of_builtin_types_are_equal(expected, got):
    assert same_value(expected, got) and same_answer(expected, got)


@pytest.mark.parametrize(
    "expected, got",
    [
        (1, True),
        (False, 0),
        (True, 1.0),
        (1.0, True),
        ([1, 0], [True, False]),
        ((1, [0]), [True, (False,)]),
        ({1: "a"}, {True: "a"}),
        ({"a": 1}, {"a": True}),
        ({1, 2}, {True, 2}),
        (2, 2 + 0j),
    ],
)
def test_a_graded_test_takes_what_python_calls_equal_and_an_answer_does_not(expected, got):
    assert same_value(expected, got) and same_value(got, expected)
    assert not same_answer(expected, got)


@pytest.mark.parametrize("returned", ["n % 10 == 0", "int(n % 10 == 0)", "[n % 10 == 0]"])
def test_yes_or_no_may_be_a_bool_where_the_data_says_one_or_zero(sandbox, returned):
    tests = {"inputs": [[10], [12]], "outputs": [[1], [0]], "fn_name": "f", "wrapped": True}
    program = f"def f(n):\n    return {returned}"
    assert judge(sandbox, Problem("p", "", tests), program).status == "passed"
    program = program.replace("==", "!=")
    assert judge(sandbox, Problem("p", "", tests), program).status == "failed"


@pytest.mark.parametrize(
    "expected, got, equal",
    [
        ("1 2\n\n", "1  2 \n", True),
        ("0.3", "0.30000000000000004", True),
        ("Case #1: 0.5", "Case #1: 0.5000001", True),
        ("YES", "Yes", False),
        ("1\n2", "2\n1", False),
        ("1 2\n3", "1 2 3", True),
        ("1000000", "1000001", False),
        ("1000", "1_000", False),
        ("0.5", "nan", False),
        ("1", "1.0", True),
        ("2", "2.0", True),
        ("-3", "-3.", True),
        ("100", "1e2", True),
        ("2", "2.4", False),
        ("2", "2.0000001", False),
        ("9007199254740993", "9007199254740992.0", False),
        ("0", "-0", True),
        ("-0", "0", True),
        ("5", "+5", True),
        ("5", "-5", False),
        ("007", "7", False),
        ("007", "7.0", False),
        ("1", "True", False),
        ("(0.30000000000000004, 2.0)", "(0.3, 2.0)", True),
        ("[1,2]", "[1, 2]", True),
        ("[[0.1], [0.5]]", "[[0.1],[0.50000000001]]", True),
        ("[1, 2]", "[1.0, 2.0]", True),
        ("[0.5, 1]", "[0.5, 1, 2]", False),
        ("[0.5]", "(0.5)", False),
        ("[12]", "[1, 2]", False),
        ("1,000", "1000", False),
        ("a,b", "a b", False),
    ],
)
def test_stdout_is_equal_token_by_token(expected, got, equal):
    assert same_stdout(expected, got) == equal


@pytest.mark.parametrize(
    "program",
    [
        "import sys\na = sys.stdin.buffer.readline()\nprint(int(a) + int(sys.stdin.buffer.read()))",
        "print(sum(map(int, open(0))))",
        "import os\nprint(sum(map(int, os.read(0, 99).split())))",
        "import sys\nsys.stdout.buffer.write(b'%d\\n' % sum(map(int, sys.stdin)))",
        "print(int(input()) + int(input()))\nquit()",
        "import sys\nprint(int(input()) + int(input()))\nsys.exit()",
        "n = 0\ndef add():\n    global n\n    n += int(input())\nadd()\nadd()\nprint(n)",
        "if __name__ == '__main__':\n    print(int(input()) + int(input()))",
        "import sys\ninput = sys.stdin.readline\nprint(int(input()) + int(input()))",
        "import threading\nsum_up = lambda: print(int(input()) + int(input()))\n"
        "t = threading.Thread(target=sum_up)\nt.start()\nt.join()",
    ],
)
def test_right_programs_of_every_style_pass(sandbox, program):
    tests = problem(["1\n2\n", "3\n4\n"], ["3\n", "7\n"], None)
    assert judge(sandbox, tests, program) == Verdict("passed", 2, 2)


# ------------------------------------------------------------------ alignment
def test_question_asks_for_the_traced_values_and_the_output(sandbox):
    question = make_question(sandbox, SUM, [[4, 5]], "f", CFG)
    assert question.target == {"n": 5, "total": 9, "output": 9}
    text = question_text(question, CFG)
    assert SUM in text and "`f([4, 5])`" in text and "`n`, `total`, `output`" in text
    assert not any(word in text for word in ("= 9", "9,"))


def test_failed_program_is_asked_about_on_as_many_inputs_as_wanted(sandbox):
    tests = problem([[[1, 2]], [[5]], [[]]], [3, 5, 0])
    program = SUM.replace("total = 0", "total = 1")
    for inputs, calls in ((1, ["f([1, 2])"]), (2, ["f([1, 2])", "f([5])"])):
        cfg = Config(align_inputs=inputs)
        verdict = judge(sandbox, tests, program)
        assert verdict.status == "failed"
        assert [q.call for q in ask(sandbox, tests, verdict, cfg)] == calls
    assert ask(sandbox, tests, judge(sandbox, tests, SUM), cfg) == []


def test_a_program_without_variables_gives_no_question(sandbox):
    """Of its output alone a small model only learns a good guess."""
    tests, program = problem([[1]], [2]), "def f(x):\n    return x"
    assert isinstance(make_question(sandbox, program, [1], "f", CFG), Question)
    assert ask(sandbox, tests, judge(sandbox, tests, program), CFG) == []


def test_the_question_is_put_as_the_config_says(sandbox):
    question = make_question(sandbox, SUM, [[4, 5]], "f", CFG)
    cfg = Config(align_template='{program}\n{names}? {action} JSON: {"n": 1}')
    wanted = f'{SUM}\n`n`, `total`, `output`? The call is `f([4, 5])`. JSON: {{"n": 1}}'
    assert question_text(question, cfg) == wanted


def test_paper_form_asks_for_variables_only(sandbox):
    question = make_question(sandbox, SUM, [[4, 5]], "f", Config(align_output=False))
    assert set(question.target) == {"n", "total"}


@pytest.mark.parametrize(
    "program, reason",
    [
        ("def f(x):\n    y = 1 / 0\n    return y", "error"),
        ("import sys\ndef f(x):\n    y = sys._getframe()\n    return 1", "forgeable"),
        ("def f(x):\n    y = 1", "no output"),
        ("def f(x):\n    y = x" + "\n    if y: y = 1" * 10 + "\n    return y", "too complex"),
        ("def f(x):\n    y = 1\n    return y\n" + "#" * 5000, "too long"),
    ],
)
def test_unfit_programs_give_a_reason_instead(sandbox, program, reason):
    assert make_question(sandbox, program, [1], "f", CFG) == reason


def test_values_that_no_answer_can_say_are_not_asked_for(sandbox):
    body = "    far = float('inf')\n    kind = int\n    some = frozenset(nums)\n    n = len(nums)"
    made = make_question(sandbox, f"def f(nums):\n{body}\n    return far", [[1, 2]], "f", CFG)
    assert made.shown_target() == {"some": "frozenset({1, 2})", "n": "2"}  # the text says inf
    assert score_answer(answer_text(made), made, format_bonus=0.1).reward == 1.0
    for value in ("int", "[kind]"):
        program = f"def f(nums):\n{body}\n    return {value}"
        assert make_question(sandbox, program, [[1]], "f", CFG) == "output is no literal"


def test_outputs_too_long_to_write_are_not_asked_for(sandbox):
    program = "def f():\n    x = 1\n    return [x] * 200"
    assert make_question(sandbox, program, [], "f", Config()) == "output too long"
    program = "x = len(str(1))\nprint('a' * 300)"
    assert make_question(sandbox, program, "", None, Config()) == "output too long"
    assert make_question(sandbox, program, "", None, Config(align_output=False)).target == {"x": 1}


def test_a_future_import_stays_first(sandbox):
    tests = {"inputs": [[1]], "outputs": [2], "fn_name": "f", "prefix": "from typing import List"}
    program = "from __future__ import annotations\ndef f(x: Undefined) -> List:\n    return x + 1"
    assert judge(sandbox, Problem("p", "", tests), program).status == "passed"
    question = make_question(sandbox, program, [1], "f", Config(), tests["prefix"])
    assert question.target == {"output": 2}


def test_complexity_counts_decision_points():
    assert complexity("x = 1") == 1
    assert complexity("for a in b:\n  if a and b or c: pass") == 5
    assert complexity("(") == 0


def asked(target, name="f"):
    return Question("", [], name, target)


@pytest.mark.parametrize("text", ["x = 1\ny = 'a'", '{"x": 1, "y": "a"}', "- `x` = 1\n- `y`: 'a',"])
def test_lines_and_json_are_read(text):
    assert parse_answer(text, ["x", "y"]) == {"x": 1, "y": "a"}


XY = {"x": 3, "y": [1, 2]}
FORMS = [
    "x = `3`\ny = `[1, 2]`",
    "`x` = `3`\n`y` = `[1, 2]`",
    "**x = 3**\n**y = [1, 2]**",
    "**x:** 3\n**y:** [1, 2]",
    "- **`x`** = 3\n- **`y`** = [1, 2]",
    "1. x = 3\n2. y = [1, 2]",
    "1) `x`: 3\n2) `y`: [1, 2]",
    "x = 3;\ny = [1, 2];",
    "x = 3.\ny = [1, 2].",
    "x = 3, y = [1, 2]",
    "y = [1, 2], x = 3",
    "x = 3; y = [1, 2]",
    "`x = 3`, `y = [1, 2]`",
    "x, y = 3, [1, 2]",
    "So x, y = 3, [1, 2]",
    "So, y = [1, 2]\nx = 3",
    "y, x = ([1, 2], 3)",
    "Final values: x = 3, y = [1, 2]",
    "**Answer:** `x = 3`\n**And:** y = [1, 2]",
    "x = 3 and y = [1, 2]",
    "x = 3, and y = [1, 2]",
    "x = 1 + 2 = 3\ny = [1] + [2] = [1, 2]",
    "y = [\n  1,\n  2\n]\nx = 3",
    "y = (1,\n  2), x = 3",
    "x =\n3\ny =\n```python\n[1, 2]\n```",
    '```json\n{"x": 3, "y": [1, 2]}\n```',
    '```\n{\n  "x": 3,\n  "y": [1, 2]\n}\n```',
    "{'x': 3, 'y': (1, 2)}",
    'answer: {"y": [1, 2], "x": 3}',
    "x: int = 3\ny: list[int] = [1, 2]",
    "The final value of `x` is 3\nThe final value of `y` is [1, 2]",
    "x -> 3\ny -> [1, 2]",
    "| x | 3 |\n| y | [1, 2] |",
    "x = 3  # after the loop\ny = [1, 2] (a list)",
    "x = 3\r\ny = [1, 2]\r\n",
    "+ x = 3\n+ y = [1, 2]",
    "• x = 3\n• y = [1, 2]",
    "# x = 3\n# y = [1, 2]",
    "<answer>x = 3\ny = [1, 2]</answer>",
    "<answer>\nx = 3\ny = [1, 2]\n</answer>",
    "<think>\nx = 9\ny = []\n</think>\nx = 3\ny = [1, 2]",
    "Answer:\nx = 3\ny = [1, 2]",
    "**Answer:**\n- x = 3\n- y = [1, 2]",
    "Output =\n```\nx = 3\ny = [1, 2]\n```",
    "x = 3 because it counts\ny = [1, 2], since two are left",
    "**x**=3\n*y*=[1, 2]",
    "y = [9]\nx = 3\nno: y = 1\ny = [1, 2]<|im_end|>",
]


@pytest.mark.parametrize("text", FORMS)
def test_values_are_read_in_the_forms_that_models_use(text):
    assert score_answer(text, asked(XY), 0.1).status == "right"
    wrong = text.replace("3", "4")
    assert score_answer(wrong, asked(XY), 0.1).status == "partial"


@pytest.mark.parametrize(
    "said, value",
    [
        ("frozenset({1, 2})", frozenset({1, 2})),
        ("[frozenset(), inf]", [frozenset(), math.inf]),
        ("Counter({'a': 2})", {"a": 2}),
        ("collections.Counter()", {}),
        ("defaultdict(<class 'list'>, {'a': [2]})", {"a": [2]}),
        ("OrderedDict([('a', 2)])", {"a": 2}),
        ("float('-inf')", -math.inf),
        ("-math.inf", -math.inf),
    ],
)
def test_values_are_read_as_python_prints_them(said, value):
    text = f"x is equal to {said}, y = 1"
    assert parse_answer(text, ["x", "y"]) == {"x": value, "y": 1}
    assert is_literal(value)


@pytest.mark.parametrize(
    "said",
    ["Counter('aa')", "set('ab')", "sorted([1])", "deque([1])", "range(3)", "list(x)", "1 + 2",
     "float('3')", "frozenset(open('/etc/passwd'))", "Counter([1, 1])", "1_0 * 3"],
)  # fmt: skip
def test_nothing_is_computed_to_find_a_value(said):
    assert parse_answer(f"x = {said}", ["x"]) == {}


@pytest.mark.parametrize("text", FORMS[:-1])
def test_those_forms_are_in_form_unless_something_follows(text):
    assert score_answer(text, asked(XY), 0.1).reward == 1
    assert score_answer(f"{text}\nThat is all.", asked(XY), 0.1).reward == pytest.approx(0.9)


@pytest.mark.parametrize(
    "text, value",
    [
        ("s = 'a,'", "a,"),
        ("s = 'a`'", "a`"),
        ('s = "b = 2, s = 3"', "b = 2, s = 3"),
        ("s = '('; t = 1", "("),
        ("s = 1, 2", (1, 2)),
        ("s = -1e-05", -1e-05),
        ("s = 3+4j", 3 + 4j),
        ("s = set()", set()),
        ("s = 1, t = f(2)", 1),
        ("s = 1 + 2", None),
        ("s = 1 + 2 = 4 - 1 = 3", 3),
        ("s = 1 + 2 == 3", None),
        ("s = 1 + 2 = 3 and t = 4", None),
        ("s = n where n = 3", None),
        ("s = 3 if t = 4", None),
        ("s = 0 + 1 = 1, t = 3", None),
        ("s = 'a' = 'b'", None),
        ("s = [1, 2][0]", None),
        ("s = 3 if t else 4", None),
        ("s = len('abc')", None),
        ("s = 'a' * 3", None),
        ("s = f(3)", None),
        ("s = 3\ns = t", None),
        ("s = 3\ns: the sum of all", 3),
        ("<think>\ns = 3", None),
        ("s = 3\n<think>\nOr not", None),
    ],
)
def test_a_value_is_a_whole_literal_or_none(text, value):
    assert parse_answer(text, ["s"]) == ({} if value is None else {"s": value})


@pytest.mark.parametrize(
    "text, reward",
    [
        ("output = `yes`", 1.0),
        ("**output:** yes", 1.0),
        ("**output = yes**", 1.0),
        ("x = 1, output = yes", 1.0),
        ("output:\n```\nyes\n```", 1.0),
        ("output:\n```text\ny\nes\n```", 0.0),
        ("output = yes and no", 0.0),
    ],
)
def test_printed_text_is_read_in_those_forms_too(text, reward):
    question = Question("", "", None, {"output": "yes"})
    assert score_answer(text, question, 0.0).reward == reward


@pytest.mark.parametrize("printed", ["1\n2", "a b\n\tc", "x\n* 3"])
@pytest.mark.parametrize("before, after", [("", ""), ("x = 3\n", ""), ("", "\nx = 3")])
def test_printed_text_may_have_several_lines(printed, before, after):
    target = {"output": printed} | ({"x": 3} if before or after else {})
    score = score_answer(f"{before}output = {printed}{after}", asked(target, None), 0.1)
    assert (score.status, score.reward) == ("right", 1.0)
    short = {**target, "output": printed.split("\n")[0]}
    assert score_answer(f"{before}output = {printed}{after}", asked(short, None), 0.1).reward < 1
    for prose in ("\nThis is what the loop prints.", "\n\n9", "\n```"):
        text = f"{before}{after}\noutput = {printed}{prose}"
        assert score_answer(text, asked(target, None), 0.1).status == "right"


def test_printed_text_ends_where_another_item_begins():
    question = Question("", "", None, {"output": "a, b = 2", "x": 1})
    for text in ("output = a, b = 2, x = 1", "x = 1, output = a, b = 2"):
        assert score_answer(text, question, 0.1).reward == 1


def test_stars_that_were_printed_are_no_decoration():
    question = Question("", "", None, {"output": "* **"})
    assert score_answer("output = * **", question, 0.1).reward == 1


@pytest.mark.parametrize(
    "line",
    ["x, y = y, x", "y += 1", "  y -= x", "y **= 2", "y*=5", "y**=5", "y <<= 1", "x, y = f(0)"],
)
def test_a_line_that_changes_a_value_takes_it_back(line):
    assert parse_answer(f"y = 0\n{line}", ["y"]) == {}
    assert parse_answer(f"y = 0\n{line}\ny = 3", ["y"]) == {"y": 3}
    assert parse_answer(f"y = 0\n{line.replace('y', 'z')}", ["y"]) == {"y": 0}
    assert parse_answer("y == 0\ny <= 1", ["y"]) == {"y": 0}


def test_a_remark_behind_an_answer_takes_nothing_back():
    said = "x = 1\ny = 2\n"
    for remark in ("Thus x, y = 1, 2 as expected.", "Here x, y = the two values", "x is 1 since"):
        assert parse_answer(said + remark, ["x", "y"]) == {"x": 1, "y": 2}
    assert parse_answer('output = "a" since b', ["output"], "output") == {"output": '"a" since b'}


def test_a_heading_of_one_word_hides_no_later_value():
    assert parse_answer("x = 9\nWait.\nAnswer:\nx = 3", ["x"]) == {"x": 3}


def test_names_and_numbers_may_be_written_as_markdown_and_print_write_them():
    assert parse_answer("max\\_so\\_far = \u22123", ["max_so_far"]) == {"max_so_far": -3}
    for said in ("'a\u22123'", r"'a\\_b'"):  # texts stay as they are
        assert parse_answer(f"x = {said}", ["x"]) == {"x": ast.literal_eval(said)}
    assert parse_answer("output = a\\_b \u2212 1", ["output"], "output") == {
        "output": "a\\_b \u2212 1"
    }


def test_last_answer_counts_and_strangers_do_not():
    assert parse_answer("x = 1\nz = 5\nx = 2", ["x"]) == {"x": 2}


@pytest.mark.parametrize(
    "text", ["x = __import__('os')", "x = f(1)", "x = " + "(" * 600, "x = " + "9" * 3000]
)
def test_only_small_literals_are_read(text):
    assert parse_answer(text, ["x"]) == {}


@pytest.mark.parametrize(
    "text, status, reward",
    [
        ("x = 1\ny = 2", "right", 1.0),
        ("x = 1\ny = 3", "partial", 0.55),
        ("x = 0\ny = 0", "wrong", 0.1),
        ("x = 1", "partial", 0.45),
        ("I think so", "unparsed", 0.0),
        ("Adding up:\nx = 1\ny = 3", "partial", 0.55),
        ("x = 1\ny = 3\nname = 4", "partial", 0.45),
        ("x = 1\ny = 3\n\nand so on", "partial", 0.45),
        ("x = 2\nx = 1\ny = 3", "partial", 0.45),
        ('```json\n{"x": 1, "y": 3}\n```', "partial", 0.55),
        ('{\n  "x": 1,\n  "y": 3\n}', "partial", 0.55),
        ('{"x": 1, "y": 3}\nand so on', "partial", 0.45),
    ],
)
def test_reward_is_the_share_of_items_right_plus_a_bonus_for_ending_there(text, status, reward):
    score = score_answer(text, asked({"x": 1, "y": 2}), format_bonus=0.1)
    assert score.status == status and score.reward == pytest.approx(reward)


def test_an_answer_that_was_cut_is_not_in_form():
    rewards = [score_answer("x = 2", asked({"x": 1}), 0.1, ended).reward for ended in (True, False)]
    assert rewards == [0.1, 0.0]


def test_an_answer_is_looked_through_only_so_deep():
    """Else 2,000 lines of "{" cost a second: each may begin a value."""
    deep, deeper = ("[" * n + "]" * n for n in (50, 51))
    assert literal_end(deep, 0) == 100 and literal_end(deeper, 0) is None


def test_of_a_long_answer_the_end_is_read():
    thoughts = "Let me see: it adds.\n" * 1000
    assert score_answer(f"{thoughts}x = 1", asked({"x": 1}), 0.1).reward == 1
    assert score_answer(f"x = 1\n{thoughts}", asked({"x": 1}), 0.1).reward == 0


@pytest.mark.parametrize("printed", ["true", "null", "1,2", "[1,2]", "0x1F", "yes no", "3"])
def test_what_was_printed_need_not_be_quoted_but_may_be(printed):
    question = Question("", "", None, {"output": printed})
    for text in (f"output = {printed}", f"output = {printed!r}", json.dumps({"output": printed})):
        assert score_answer(text, question, 0.0).status == "right"
    assert score_answer(f"output = {printed}1", question, 0.0).status == "wrong"


@pytest.mark.parametrize("answer", ["1", "True", '"true"', "1.5"])
def test_one_true_and_the_text_true_are_three_values(answer):
    values = {"1": 1, "True": True, '"true"': "true", "1.5": 1.5}
    for text, value in values.items():
        score = score_answer(f"x = {answer}", asked({"x": value}), 0.0)
        assert (score.status == "right") == (text == answer)


def test_worked_examples_are_answered_by_a_trace_and_come_as_earlier_turns(sandbox):
    cfg = Config(align_examples=((SUM, "f([2, 3])"),))
    examples = worked_examples(sandbox, cfg)
    turns = question_messages(asked({"x": 1}), cfg, examples)
    assert [t["role"] for t in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"] == answer_text(examples[0]) == "n = 3\ntotal = 5\noutput = 5"
    assert score_answer(turns[1]["content"], examples[0], 0.1).status == "right"
    assert ALIGN_TEMPLATE.splitlines()[0] in turns[0]["content"]


def test_a_worked_example_may_think_first(sandbox):
    thought = "total = 2, then total = 5\n"
    (example,) = worked_examples(sandbox, Config(align_examples=((SUM, "f([2, 3])", thought),)))
    answer = "<think>\ntotal = 2, then total = 5\n</think>\nn = 3\ntotal = 5\noutput = 5"
    assert answer_text(example) == answer
    score = score_answer(answer, example, 0.1)
    assert (score.status, score.reward) == ("right", 1.0)  # the thought is no part of the form
    assert score_answer(answer.replace("</think>", ""), example, 0.1).status == "unparsed"


@pytest.mark.parametrize("parts", [(SUM,), (SUM, "f([2])", "so", "so"), (SUM, 3), SUM])
def test_a_worked_example_of_another_form_is_one_sentence(parts):
    with pytest.raises(UserError, match="example 1 is not of the form .program, call. or"):
        worked_examples(None, Config(align_examples=(parts,)))


def test_a_question_survives_a_checkpoint_whatever_its_input():
    for given in ([{(5, 6): 3}, (1, 2), {1: {2}}], [[*range(300_000)]], "stdin\n"):
        question = Question("", given, "f", {"x": 1}, "p", "1/2/3")
        assert question.key is question.key  # made once, for thousands may wait
        again = Question.from_row(json.loads(json.dumps(question.row())))
        assert again == question and again.key == question.key


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("x = True.", {"x": True}),
        ("The value of x is None.", {"x": None}),
        ("x = 1.5, y = 0.5.", {"x": 1.5, "y": 0.5}),
        ("Therefore, y = [1, 2]", {"y": [1, 2]}),
        ("Here, y = [7, 2]", {"y": [7, 2]}),
        ("So the final value of x is 'a.'.", {"x": "a."}),
        ("so = 3", {"so": 3}),
        ("x = 5\nHere x = a + b, so it is right.", {"x": 5}),
        ("a, x = 1, 2", {"x": 2}),
        ("x = 3\xa0", {"x": 3}),
    ],
)
def test_a_value_may_stand_in_a_sentence(text, wanted):
    assert parse_answer(text, ["x", "y", "so"]) == wanted


def test_a_match_counts_as_true_and_is_not_true(sandbox):
    for test, status in (("assert f('a')", "passed"), ("assert f('a') == True", "failed")):
        check = f"def check(f):\n    {test}\n    assert not f('b')"
        problem = Problem("p", "", {"check": check, "entry_point": "f"})
        program = "import re\ndef f(s):\n    return re.match('a', s)"
        assert judge(sandbox, problem, program).status == status


def test_an_output_that_was_not_asked_for_is_no_answer():
    question = Question("x = 1\nprint(x)", "", None, {"x": 1})
    assert score_answer("x = 1\noutput = 1", question, 0.1).correct == ["x"]
    assert score_answer("output = 1", question, 0.1).reward == 0


@pytest.mark.parametrize(
    ("expected", "got", "same"),
    [("7e12345", "8e999", False), ("1e999", "10e998", True), ("1e999", "inf", False)],
)
def test_numbers_beyond_all_floats_are_compared_exactly(expected, got, same):
    assert same_stdout(expected, got) is same


def test_numbers_of_other_scripts_are_no_numbers():
    """Although Python's float() reads them."""
    assert not same_stdout("15", "١٥.٠") and not same_stdout("7.5", "٧.٥")
    assert not same_stdout("2.5", "٢") and same_stdout("15", "15.0")


@pytest.mark.parametrize(
    ("value", "answer", "right"),
    [
        (5e-9, "0", False),
        (5e-9, "0.000000005", True),
        (0.1 + 0.2, "0.3", True),
        (0.0, "1e-7", False),
        ({True}, "{('bool', 1)}", False),
        ({True}, "{True}", True),
    ],
)
def test_an_answer_is_no_nearer_to_a_small_value_than_to_a_large_one(value, answer, right):
    question = Question("x = 1", "", None, {"x": encode(value)})
    assert bool(score_answer(f"x = {answer}", question, 0.1).correct) is right


def test_a_question_says_which_of_two_functions_is_called(sandbox):
    """A method of Solution comes before a function of its name (see zygote.find)."""
    program = "def f(x):\n    y = x + 1\n    return y\nclass Solution:\n    def f(self, x):\n"
    program += "        y = x * 100\n        return y"
    for name in ("f", "Solution().f"):
        tests = {"inputs": [[3]], "outputs": [4], "fn_name": name}
        asked_of = Problem("p", "", tests)
        (question,) = ask(sandbox, asked_of, judge(sandbox, asked_of, program), Config())
        assert (question.call, question.target["y"]) == ("Solution().f(3)", 300)


@pytest.mark.parametrize("head", ["class  Solution", "class\tSolution", "class \\\n Solution"])
def test_a_class_is_one_however_it_is_written(sandbox, head):
    program = f"{head}:\n    def f(self, x):\n        y = x * 100\n        return y\n"
    program += "def f(x):\n    y = x + 1\n    return y"
    problem = Problem("p", "", {"inputs": [[3]], "outputs": [4], "fn_name": "f"})
    (question,) = ask(sandbox, problem, judge(sandbox, problem, program), Config())
    assert (question.call, question.target["y"]) == ("Solution().f(3)", 300)


def test_a_variable_that_is_called_output_otherwise_is_not_asked_about(sandbox):
    program = "def f(x):\n    a = x + 1\n    \uff4futput = x * 259\n    return x"
    assert make_question(sandbox, program, [3], "f", Config()) == "forgeable"


@pytest.mark.parametrize(
    ("given", "shown"), [("", "no input"), (" \n", "is ' \\n'"), ("a\n", ":\na")]
)
def test_a_question_shows_its_input(given, shown):
    assert shown in question_text(Question("print", given, None, {"y": 1}), Config())


def test_a_trace_leaves_no_sign_where_programs_are_judged(sandbox, monkeypatch):
    monkeypatch.setattr(sandbox, "run", lambda *args, **options: pytest.fail("they could see it"))
    made = make_question(sandbox, "y = len('ab')\nprint(y)", "", None, Config())
    assert made.target["y"] == 2


@pytest.mark.parametrize(
    ("target", "answer", "right"),
    [
        ({"x": 5, "y": {"x": 5}}, "y = {'x': 5}", ["y"]),
        ({"n": 2, "m": {"n": 1}}, "n = 2\nm = {'n': 1}", ["n", "m"]),
        ({"x": 5, "y": 6}, 'answer = {"x": 5, "y": 6}', ["x", "y"]),
        ({"y": {"a": 2}}, 'y = Counter([("a", 2)])', []),
        ({"y": {"a": 2}}, "y = Counter({'a': 2})", ["y"]),
        ({"y": [1, 2]}, "y = list({2, 1})", []),
        ({"y": {1, 2}}, "y = set([2, 1, 1])", []),
        ({"y": {1, 2}}, "y = set([2, 1])", ["y"]),
        ({"y": {"a": 2}}, 'y = OrderedDict([("a", 1), ("a", 2)])', []),
        ({"y": {"a": 2}}, 'y = OrderedDict([("a", 2)])', ["y"]),
    ],
)
def test_an_answer_says_each_value_itself_and_computes_none(target, answer, right):
    question = Question("x = 1", "", None, {name: encode(x) for name, x in target.items()})
    assert score_answer(answer, question, 0.1).correct == right
