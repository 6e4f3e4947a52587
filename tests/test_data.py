"""Bad problem files get one sentence with file and line; the data order repeats nothing."""

import gzip
import json
import re
from pathlib import Path

import pyarrow.parquet
import pytest

from config import Config, UserError
from eval import output_item
from problems.load import load_problems
from problems.problem import Problem, code_text, served
from tools import overlap
from tools.overlap import overlaps

GOOD = {
    "task_id": "a",
    "prompt": "Write f.",
    "tests": {"inputs": [[1]], "outputs": [1], "fn_name": "f"},
}


FIFTY = [Problem(str(k), "", {}) for k in range(50)]


def write(tmp_path, *lines):
    path = tmp_path / "p.jsonl"
    path.write_text("".join(x if isinstance(x, str) else json.dumps(x) + "\n" for x in lines))
    return str(path)


def refusal(source):
    with pytest.raises(UserError) as caught:
        load_problems(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_good_files_load_plain_and_compressed(tmp_path):
    path = write(tmp_path, GOOD, "\n", GOOD)
    assert len(load_problems(path)) == 2
    packed = tmp_path / "p.jsonl.gz"
    packed.write_bytes(gzip.compress(Path(path).read_bytes()))
    assert load_problems(str(packed))[0].tests["fn_name"] == "f"


def test_line_that_is_not_json_is_named_by_number(tmp_path):
    assert "p.jsonl:2: not JSON" in refusal(write(tmp_path, GOOD, "{oops\n"))


def test_line_that_is_no_object_is_named_by_number(tmp_path):
    assert "p.jsonl:1: a JSON object" in refusal(write(tmp_path, "[1]\n"))


@pytest.mark.parametrize("key", ["task_id", "prompt", "tests"])
def test_missing_key_is_named(tmp_path, key):
    row = {k: v for k, v in GOOD.items() if k != key}
    said = refusal(write(tmp_path, row))
    assert (
        f"p.jsonl:1: no known format has the fields {', '.join(row)} (ours lacks '{key}')" in said
    )


@pytest.mark.parametrize("key, value", [("prompt", 7), ("starter", ["x"]), ("solution", ["x"])])
def test_text_that_is_none_is_named(tmp_path, key, value):
    assert f"p.jsonl:1: {key} must be text" in refusal(write(tmp_path, GOOD | {key: value}))


@pytest.mark.parametrize("name", ["f(x)", " f", "def f", "Solution.f(x)", "3"])
def test_a_name_that_is_none_is_left_out_by_name(tmp_path, name):
    check = {"check": "def check(f):\n    assert f(1) == 1", "entry_point": name}
    for tests in (GOOD["tests"] | {"fn_name": name}, check):
        said = refusal(write(tmp_path, GOOD | {"tests": tests}))
        assert f"{name!r} is no name of a function" in said


def test_a_null_is_what_is_not_there_and_tests_may_be_json_text(tmp_path):
    """A table has one schema for all of its rows, and of several dicts it makes one."""
    nulls = dict.fromkeys(("check", "entry_point", "calls", "preamble", "prefix"))
    io = {"inputs": ["1\r\n"], "outputs": ["1"], "fn_name": None}
    check = {"check": "def check(f):\n    assert f(1) == 1", "entry_point": "f"}
    counts = {"inputs": [["aab"], ["x"]], "outputs": [{"a": 2, "b": 1}, {"x": 1}], "fn_name": "f"}
    rows = [
        GOOD | {"starter": None, "tests": json.dumps(io | nulls)},
        GOOD | {"tests": json.dumps(check | dict.fromkeys(("inputs", "outputs", "fn_name")))},
        GOOD | {"tests": json.dumps(counts)},
    ]
    path = tmp_path / "p.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    first, second, third = load_problems(str(path))
    assert first.tests == {"inputs": ["1\n"], "outputs": ["1"]} and first.fn_name is None
    assert second.tests == check | {"calls": [[1]]} and third.tests == counts


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path):
    assert len(load_problems(write(tmp_path, "\ufeff" + json.dumps(GOOD) + "\n", GOOD))) == 2


@pytest.mark.parametrize("name", ["p.json", "p.csv", "p.jsonl.zst", "none/p.json"])
def test_other_files_are_not_looked_for_on_the_hub(tmp_path, name, monkeypatch):
    def snapshot_download(*_, **__):
        raise AssertionError("asked the hub for a file of ours")

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Path("data/p.csv").write_text("x")
    assert "a .jsonl, .jsonl.gz or .parquet file is needed" in refusal(f"data/{name}")


def test_a_starter_is_shown_where_a_program_is_asked_for(tmp_path):
    plain, framed = load_problems(write(tmp_path, GOOD, GOOD | {"starter": "def f(x): ..."}))
    cfg = Config()
    assert "```" not in code_text(plain, cfg) and "Write f." in code_text(plain, cfg)
    assert "Write f.\n\nStart like this:\n```python\ndef f(x): ...\n```" in code_text(framed, cfg)
    assert "def f(x)" not in output_item(framed).messages[-1]["content"]


@pytest.mark.parametrize(
    "tests",
    [
        {"inputs": [], "outputs": [], "fn_name": "f"},
        {"inputs": [[1], [2]], "outputs": [1], "fn_name": "f"},
        {"inputs": [1], "outputs": [1], "fn_name": "f"},
        {"inputs": ["3"], "outputs": [9], "fn_name": None},
        {"inputs": None},
        {"inputs": "5\n", "outputs": "6\n", "fn_name": None},
        {"inputs": [[1], [2]], "outputs": "12", "fn_name": "f"},
        {"inputs": [[1]], "outputs": {"0": 1}, "fn_name": "f"},
        {"check": "", "entry_point": "f"},
        {"check": None},
        [],
    ],
)
def test_problem_without_usable_tests_is_refused(tmp_path, tests):
    assert "p.jsonl:1" in refusal(write(tmp_path, GOOD | {"tests": tests}))


def test_the_labels_of_a_row_become_words(tmp_path):
    (problem,) = load_problems(write(tmp_path, GOOD | {"difficulty": 3, "family": None}))
    assert (problem.difficulty, problem.family) == ("3", "")


def test_several_sources_are_one_list_and_none_is_without_a_name(tmp_path, monkeypatch):
    path = write(tmp_path, GOOD)
    both = load_problems(f"{path}, humaneval")
    assert [p.task_id for p in both[:2]] == ["a", "HumanEval/0"] and len(both) == 165
    monkeypatch.chdir(tmp_path)  # whose files "" would read
    for sources in ("", "humaneval,", f"{path}, ,humaneval"):
        assert "a name is empty" in refusal(sources)


def test_a_number_that_python_will_not_read_is_named_by_line(tmp_path):
    line = json.dumps(GOOD).replace("[1]", f"[{'9' * 5000}]") + "\n"
    assert "p.jsonl:2: Exceeds the limit" in refusal(write(tmp_path, GOOD, line))


def test_empty_missing_and_unknown_files_say_so(tmp_path):
    assert "holds no problem" in refusal(write(tmp_path))
    assert "cannot read" in refusal(str(tmp_path / "none.jsonl"))
    assert "give basics" in refusal("unknown")


def test_one_file_of_a_set_with_two_splits_is_not_evaluated_on(tmp_path, monkeypatch):
    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    cfg = Config(data_dir=str(tmp_path))
    (tmp_path / "leetcode.jsonl").write_text(json.dumps(GOOD) + "\n")
    assert [p.task_id for p in load_problems("leetcode", "train", cfg)] == ["a"]
    with pytest.raises(UserError, match="with train and test in their names, into .*leetcode$"):
        load_problems("leetcode", "heldout", cfg)
    (tmp_path / "leetcode").mkdir()
    (tmp_path / "leetcode/test.jsonl").write_text(json.dumps(GOOD | {"task_id": "b"}) + "\n")
    assert [p.task_id for p in load_problems("leetcode", "heldout", cfg)] == ["b"]
    with pytest.raises(UserError, match="put mbpp.jsonl, "):
        load_problems("mbpp", "heldout", cfg)


def test_human_eval_has_164_problems():
    assert len(load_problems("humaneval")) == 164


def test_an_epoch_serves_every_problem_once_and_the_next_in_another_order():
    first, second = served(FIFTY, 0, 50, seed=0), served(FIFTY, 50, 50, seed=0)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second


def test_order_depends_on_the_seed_and_on_the_position_alone():
    assert served(FIFTY, 0, 50, seed=0) != served(FIFTY, 0, 50, seed=1)
    assert served(FIFTY, 0, 120, seed=3)[45:60] == served(FIFTY, 45, 15, seed=3)


def test_texts_overlap_where_thirteen_words_in_a_row_are_shared():
    words = [f"word{k}" for k in range(20)]
    trained = ["Other text. " + " ".join(words)]
    held = {
        "whole": " ".join(words).upper().replace(" ", ",\n"),
        "thirteen": "before " + " ".join(words[4:17]) + " after",
        "twelve": "before " + " ".join(words[4:16]) + " after",
        "other": " ".join(reversed(words)),
    }
    found = overlaps(trained, held)
    assert found.keys() == {"whole", "thirteen"}
    assert found["thirteen"] == " ".join(words[4:17])


def test_overlap_reads_problems_and_what_evaluation_asks(capsys):
    overlap.main(["basics", "basics,basics-trace:3"])
    text = capsys.readouterr().out
    assert re.search(r"^basics: \d+ of 160 share 13 words", text, re.M)
    assert re.search(r"^basics-trace: \d+ of 3 share", text, re.M)
    with pytest.raises(UserError, match="not 1 words"):
        overlap.main(["basics"])
