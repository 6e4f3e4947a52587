"""Benchmarks ask what they say, take the right answer, and no other."""

import json
import sys

import pytest
from test_formats import HUMANEVAL, LCB, LCB_FUNCTION, LEETCODE, PICK

from config import Config, UserError
from eval import Scope, make_tasks
from eval import grade as grade_answer
from problems.assertions import read_assertion
from problems.benchmarks import code_item, prompt_ids, whole_answer
from problems.formats import to_problem
from problems.problem import Problem
from sandbox import Pool

CRUX = {
    "code": "def f(text, n):\n    return [c * n for c in text][::-1]",
    "input": "'ab', 2",
    "output": "['bb', 'aa']",
    "id": "sample_0",
}
EXECUTION = {
    "question_id": "2777",
    "contest_id": "weekly-contest-1",
    "contest_date": "2023-08-05T00:00:00",
    "difficulty": "easy",
    "function_name": "pick",
    "code": "def pick(nums: List[int]) -> int:\n    return nums[0]".replace(": List[int]", ""),
    "input": "pick(nums = [3, 1])",
    "output": "3",
    "numsteps": 3,
    "id": "sample_7",
    "problem_id": "2777",
}
TEST_OUTPUT = {
    "question_title": "pick",
    "question_content": "Return the first.",
    "question_id": "3000",
    "contest_id": "weekly",
    "test_id": 2,
    "contest_date": "2024-02-01T00:00:00",
    "starter_code": "class Solution:\n    def pick(self, nums: List[int]) -> bool:\n        ",
    "function_name": "pick",
    "difficulty": "hard",
    "test": json.dumps([{"input": "[3, 1]\n2", "output": "true", "testtype": "functional"}]),
}


@pytest.fixture(scope="module")
def pool():
    with Pool(1) as pool:
        yield pool


def items(tmp_path, pool, task, *rows, **keys):
    name = "cruxeval" if task.startswith("cruxeval") else task
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / f"{name}.jsonl").write_text(text)
    cfg = Config(eval_tasks=(task,), data_dir=str(tmp_path), **keys)
    return make_tasks(cfg, pool, [])[task]


def grade(pool, item, text):
    return pool.submit(grade_answer, item.asked, text).result()


VALUE = "['bb', 'aa']"
OUTPUTS = [
    (f"[ANSWER]\nassert f('ab', 2) == {VALUE}\n[/ANSWER]", "right"),
    (f"Thinking: f(1) == 3?\n[ANSWER] assert f('ab', 2) == {VALUE} [/ANSWER] done", "right"),
    (f"[ANSWER]{VALUE}[/ANSWER]", "right"),
    (f"[ANSWER]`{VALUE}`[/ANSWER]", "right"),
    (f"[ANSWER]\nf('ab', 2) == {VALUE}\n[/ANSWER]", "right"),
    (f"f('ab', 2) == {VALUE}", "right"),
    (f"assert {VALUE} == f('ab', 2)", "right"),
    (f"The call gives:\n\n`f('ab', 2) == {VALUE}`", "right"),
    (f"It doubles each.\n\nAnswer: {VALUE}", "right"),
    (f"So it is `{VALUE}`.", "right"),
    (f"```python\nassert f('ab', 2) == {VALUE}\n```", "right"),
    (f"```python\nassert f('ab', 2) == {VALUE}  # reversed\n```\nas said.", "right"),
    ("assert f('ab', 2) == [\n    'bb',\n    'aa',\n]", "right"),
    (f"assert f('ab', 2) == ['aa']\nNo:\nassert f('ab', 2) == {VALUE}", "right"),
    (f"<think>assert f('ab', 2) == []</think>assert f('ab', 2) == {VALUE}", "right"),
    (f"<think>assert f('ab', 2) == {VALUE}", "unparsed"),
    ("assert f('ab', 2) == ['aa', 'bb']", "wrong"),
    ("f('ab', 2) == ['aa', 'bb']", "wrong"),
    ("assert f('ab', 2) == ('bb', 'aa')", "wrong"),  # Python says that these differ
    # only literals are values, and nothing is run to find one
    ("```python\nassert f('ab', 2) == [c * 2 for c in 'ba']\n```", "unparsed"),
    ("assert f('ab', 2) == f('ab', 2)", "unparsed"),
    ("f('ab', 2)", "unparsed"),
    ("assert f('ab', 2) == 'bb aa'.split()", "unparsed"),
    (f"assert f('ab', 2) == {VALUE} + []", "unparsed"),
    (f"assert {VALUE} == {VALUE}", "unparsed"),
    ("assert f('ab', 2) != 3", "unparsed"),
    ("I do not know.", "unparsed"),
    ("", "unparsed"),
    ("assert f('ab', 2) == type('X', (), {'__eq__': lambda *a: True})()", "unparsed"),
    ("assert f('ab', 2) == __import__('os').system('true')", "unparsed"),
]


@pytest.mark.parametrize("text, status", OUTPUTS)
def test_cruxeval_output_takes_the_value_and_nothing_else(text, status, tmp_path, pool):
    (item,) = items(tmp_path, pool, "cruxeval-o", CRUX)
    assert grade(pool, item, text)["status"] == status
    assert grade(pool, item, text)["passed"] == (status == "right")
    asked = item.messages[-1]["content"]
    assert CRUX["code"] in asked and "assert f('ab', 2) == ??" in asked and "bb" not in asked


@pytest.mark.parametrize(
    "text, status",
    [
        ("[ANSWER]assert f('ab', 2) == ['bb', 'aa'][/ANSWER]", "right"),
        ("assert f(['a', 'b'], 2) == ['bb', 'aa']", "right"),  # any input that does
        ("f('ab', n=2)", "right"),
        ("`f('ab', 2)`", "right"),
        ("f('ab', 2) == ['bb', 'aa']", "right"),
        ("assert ['bb', 'aa'] == f('ab', 2)", "right"),
        ("assert f('ab', 2) == 7", "right"),  # the value was given, only the call is asked for
        ("assert f('a' + 'b', 2) == ['bb', 'aa']", "unparsed"),
        ("assert f(*['ab', 2]) == ['bb', 'aa']", "unparsed"),
        ("assert f(f.__name__, 2) == ['bb', 'aa']", "unparsed"),
        ("assert f(open('x').read(), 2) == ['bb', 'aa']", "unparsed"),
        ("assert f('ab', 3) == ['bb', 'aa']", "wrong"),
        ("assert g('ab', 2) == ['bb', 'aa']", "unparsed"),
        ("assert ['bb', 'aa'] == ['bb', 'aa']", "unparsed"),
        ("assert f('ab') == ['bb', 'aa']", "error"),
        ("assert f('ab', 2) and True == 1", "unparsed"),
        ("assert (lambda: ['bb', 'aa'])() == ['bb', 'aa']", "unparsed"),
    ],
)
def test_cruxeval_input_takes_any_call_that_gives_the_value(text, status, tmp_path, pool):
    (item,) = items(tmp_path, pool, "cruxeval-i", CRUX)
    assert grade(pool, item, text)["status"] == status
    asked = item.messages[-1]["content"]
    assert "assert f(??) == ['bb', 'aa']" in asked and "'ab'" not in asked


def test_cruxeval_may_ask_for_a_thought_before_the_answer(tmp_path, pool):
    plain, thought = (items(tmp_path, pool, f"cruxeval-o{cot}", CRUX)[0] for cot in ("", "-cot"))
    words = "First go through the run step by step between <think> and </think>; end with"
    for before, after in zip(plain.messages[::2], thought.messages[::2], strict=True):
        assert after["content"] == before["content"].replace("You may think first; end with", words)
        assert after != before
    assert thought.messages[1]["content"].startswith("<think>\ntext = 'hello'[::-1] = 'olleh'\n")
    assert thought.messages[1]["content"].endswith("</think>\n" + plain.messages[1]["content"])
    answer = f"<think>\nassert f('ab', 2) == 1\n</think>\n[ANSWER]\nassert f('ab', 2) == {VALUE}"
    assert grade(pool, thought, answer)["status"] == "right"
    assert plain.base and thought.as_chat(template=False)


def test_no_value_is_found_by_running_what_an_answer_says(tmp_path, pool):
    """Not even in the sandbox: the asked value would be found by the program, not by the model."""
    (item,) = items(tmp_path, pool, "cruxeval-o", CRUX)
    for text, status in OUTPUTS:
        assert grade_answer(None, item.asked, text)["status"] == status


def test_an_answer_too_deep_to_print_is_no_answer(tmp_path, pool):
    (item,) = items(tmp_path, pool, "cruxeval-o", CRUX)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)  # Python's own; some library raises it
    try:
        found = grade(pool, item, "assert f('ab', 2) == 1" + " + 1" * 400)
    finally:
        sys.setrecursionlimit(limit)
    assert found["status"] == "unparsed"


def test_a_call_that_python_does_not_write_is_no_answer(tmp_path, pool):
    (item,) = items(tmp_path, pool, "cruxeval-i", CRUX)
    assert grade(pool, item, f"assert f(0x{'f' * 5000}, 2) == 'x'")["status"] == "unparsed"


def test_livecodebench_execution_gives_the_whole_call(tmp_path, pool):
    (item,) = items(tmp_path, pool, "livecodebench-exec", EXECUTION)
    assert "assert pick(nums = [3, 1]) == ??" in item.messages[-1]["content"]
    assert grade(pool, item, "assert pick(nums = [3, 1]) == 3")["passed"]
    assert not grade(pool, item, "assert pick(nums = [3, 1]) == 1")["passed"]
    assert item.labels == {"date": "2023-08-05", "difficulty": "easy", "family": "2777"}


def test_livecodebench_test_output_shows_the_problem_and_no_program(tmp_path, pool):
    (item,) = items(tmp_path, pool, "livecodebench-testoutput", TEST_OUTPUT)
    asked = item.messages[-1]["content"]
    assert "Return the first." in asked and "assert pick([3, 1], 2) == ??" in asked
    assert grade(pool, item, "assert pick([3, 1], 2) == True")["passed"]
    assert not grade(pool, item, "assert pick([3, 1], 2) == 'true'")["passed"]


@pytest.mark.parametrize(
    "task, row, key",
    [
        ("cruxeval-o", CRUX, "code"),
        ("cruxeval-i", CRUX, "output"),
        ("livecodebench-exec", EXECUTION, "input"),
        ("livecodebench-testoutput", TEST_OUTPUT, "test"),
    ],
)
def test_a_broken_row_is_named_by_file_and_line(task, row, key, tmp_path, pool):
    broken = {k: v for k, v in row.items() if k != key}
    with pytest.raises(UserError, match=r"\.jsonl:2: .*") as caught:
        items(tmp_path, pool, task, row, broken)
    assert key in str(caught.value) and "\n" not in str(caught.value)


def test_questions_about_one_problem_of_livecodebench_are_a_family(tmp_path, pool):
    other = EXECUTION | {"id": "sample_8", "input": "pick(nums = [4])", "output": "4"}
    for task, rows, family in (
        ("livecodebench-exec", (EXECUTION, other), "2777"),
        ("livecodebench-testoutput", (TEST_OUTPUT,), "3000"),
        ("cruxeval-o", (CRUX,), ""),
    ):
        found = items(tmp_path, pool, task, *rows)
        assert [item.labels.get("family", "") for item in found] == [family] * len(rows)


def test_dates_select_the_window_and_limits_cut_it(tmp_path, pool):
    folder = tmp_path / "livecodebench"
    folder.mkdir()
    days = ["2024-07-31", "2024-08-01", "2025-02-01", "2025-02-02"]
    rows = [LCB | {"question_id": d, "contest_date": f"{d}T00:00:00"} for d in days]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def ids(task="livecodebench", **window):
        cfg = Config(data_dir=str(tmp_path), eval_tasks=(task,))
        (found,) = make_tasks(cfg, pool, [], Scope(**window)).values()
        return [item.task_id for item in found]

    assert ids() == days
    assert ids(since="2024-08-01", until="2025-02-01") == days[1:3]
    assert ids(since="2024-08-01", limit=1) == days[1:2]
    assert ids("livecodebench:3", since="2024-08-01", limit=1) == days[1:]
    with pytest.raises(UserError, match="nothing between"):
        ids(since="2026-01-01")


READS_TWICE = """import sys

def twice():
    return 2 * int(sys.stdin.readline())

if __name__ == "__main__":
    print(twice())
"""


@pytest.mark.parametrize("row", [HUMANEVAL, LCB, LCB_FUNCTION, LEETCODE])
def test_a_base_model_goes_on_with_a_file(row, pool):
    """What it adds and what it was given are one program, cut where a base model runs on."""
    problem = to_problem(row, "")
    item = code_item(problem, Config())
    assert item.base and "Answer with" not in item.base + item.prefill

    class Base:
        chat_template = None

        def encode(self, text):
            return text

    assert prompt_ids(Base(), item, Config()) == (item.base + item.prefill, "")
    rest = {
        "test/0": "    return 2 * n\n\nprint(twice(3))\n```\nand more",
        "abc301_a": READS_TWICE + '\n"""\nWrite another program.',
        "pick": PICK + "\n\ndef x(): 1",
    }
    rest["abc301_a"] = rest["abc301_a"] if row is LCB else "        return nums[k]\n\nclass X: (("
    answer = whole_answer(item, rest[problem.task_id], chat=False)
    assert grade(pool, item, answer)["passed"]
    assert whole_answer(item, "as it is", chat=True) == "as it is"


def test_a_base_model_may_import_and_define_before_the_function(pool):
    problem = Problem(
        "double",
        "Write twice(n).",
        {"check": "def check(f):\n    assert f(2) == 4", "entry_point": "twice"},
    )
    text = "import math\n\ndef half(n):\n    return n / 2\n\n"
    text += "def twice(n):\n    return math.floor(4 * half(n))\n"
    item = code_item(problem, Config())
    for more in ("", "\nprint(twice(3))\n1 / 0", "\nassert twice(3) == 7", '\n"""\nNow'):
        assert grade(pool, item, whole_answer(item, text + more, chat=False))["passed"]


def test_assertions_are_found_in_any_text():
    assert read_assertion("x" * 10**6) is not None  # a name, which then is not defined
    assert read_assertion("(" * 100_000) is None
    assert read_assertion("assert " + "-" * 100_000 + "1 == 1") is None
