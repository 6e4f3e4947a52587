"""What fails on our side is no verdict on a program: it is named, counted, and ends no run."""

import ast
import gc
import json
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from types import SimpleNamespace

import pytest

import eval
from config import Config, UserError
from jail.odd import Odd
from problems import failures
from problems.failures import JudgeError, guarded, tried_again, with_outputs
from problems.load import load_problems
from problems.problem import Problem
from problems.stats import summarise
from reward import Verdict, make_question
from rollout import Group, Response, Sample, rollout
from run import RunDir, Stopwatch, step_metrics
from sandbox import Pool, Run, SandboxBroken, SandboxUnavailable
from startup.samples import Samples
from startup.start import worked_examples
from train import set_advantages


class Inline:
    """A pool without threads. `runs`: what its sandbox gives, one entry a call."""

    def __init__(self, *runs):
        self.runs, self.calls = list(runs), 0

    def run(self, program, inputs, fn_name, room=1):
        self.calls += 1
        statuses = self.runs.pop(0)
        return [Run(status, value=1, error="why") for status in statuses]

    def submit(self, fn, *args):
        future = Future()
        future.set_result(fn(self, *args))
        return future


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    monkeypatch.setattr(failures, "seen", set())


def with_reference(task_id="r", inputs=((1,), (2,))):
    tests = {"inputs": [list(x) for x in inputs], "fn_name": "f", "reference": "def f(x): ..."}
    return Problem(task_id, "", tests, where=f"rows.jsonl:{task_id}")


# --------------------------------------------------------------------------- references
TIMEOUT = ["ok", "timeout"]


def test_a_reference_that_runs_out_of_time_is_tried_again():
    pool, problem = Inline(TIMEOUT, TIMEOUT, ["ok", "ok"]), with_reference()
    assert with_outputs([problem], pool) == [problem]
    assert problem.tests["outputs"] == [1, 1] and pool.calls == 3


def test_a_reference_that_never_ends_leaves_its_problem_out_by_name(capsys):
    plain, late = Problem("plain", "", {"inputs": [[1]], "outputs": [1]}), with_reference("late")
    good, pool = with_reference("good"), Inline(*[TIMEOUT] * 3, ["ok", "ok"])
    assert with_outputs([plain, late, good], pool) == [plain, good]
    said = capsys.readouterr().out
    assert said == "left out late of rows.jsonl:late: its reference fails (timeout: why)\n"


@pytest.mark.parametrize("status", ["error", "memory", "killed", "syntax"])
def test_a_reference_that_fails_in_another_way_fails_at_once(status, capsys):
    pool = Inline(["ok", status])
    assert with_outputs([with_reference()], pool) == [] and pool.calls == 1
    assert f"({status}: why)" in capsys.readouterr().out


def test_a_reference_that_returns_nothing_leaves_its_problem_out(capsys, monkeypatch):
    monkeypatch.setattr(Inline, "run", lambda *_, **__: [Run("ok"), Run("ok")])
    assert with_outputs([with_reference()], Inline()) == []
    assert "left out r of rows.jsonl:r: it expects nothing" in capsys.readouterr().out


def test_all_ranks_leave_out_what_failed_on_one(monkeypatch, capsys):
    """Else their data orders would differ."""
    other = {1: "its reference fails (timeout: out of time)"}
    monkeypatch.setattr("run.gather", lambda item, task: [item, other])
    problems = [with_reference(str(k)) for k in range(3)]
    kept = with_outputs(problems, Inline(["error"], ["ok", "ok"], ["ok", "ok"]))
    assert [p.task_id for p in kept] == ["2"]
    assert "left out 1 of rows.jsonl:1: its reference fails (timeout" in capsys.readouterr().out


EVALPLUS = {
    "task_id": "HumanEval/1", "prompt": "def g(x):\n    '''One over x.'''\n", "entry_point": "g",
    "canonical_solution": "    return 1 // x\n", "base_input": [[1], [0]], "plus_input": [],
}  # fmt: skip


def test_rows_beside_a_reference_that_fails_are_graded(tmp_path, capsys):
    whole = EVALPLUS | {"task_id": "HumanEval/2", "base_input": [[1], [2]]}
    path, samples = tmp_path / "p.jsonl", tmp_path / "s.jsonl"
    path.write_text(f"{json.dumps(EVALPLUS)}\n{json.dumps(whole)}\n")
    given = [{"task_id": f"HumanEval/{n}", "solution": "def g(x): return 1 // x"} for n in (1, 2)]
    samples.write_text("".join(json.dumps(row) + "\n" for row in given))
    cfg = Config(eval_tasks=("problems",), problems=str(path))
    with Pool(1) as pool:
        row = eval.grade_samples(cfg, samples, pool)
        assert (row["n_problems"], row["pass@1"]) == (1, 1.0)
        assert f"left out HumanEval/1 of {path}:1: its reference fails" in capsys.readouterr().out
        with pytest.raises(UserError, match="no reference of .* runs"):
            path.write_text(json.dumps(EVALPLUS) + "\n")
            load_problems(str(path), pool=pool)


def test_a_reference_that_gives_no_trace_in_time_is_tried_again_and_then_left_out(
    monkeypatch, capsys
):
    tries = {}

    def slow(sandbox, program, given, name, cfg, **more):
        tries[program] = tries.get(program, 0) + 1
        first, second = list(tries)[0], list(tries)[1:2]
        if program == first or [program] == second and tries[program] == 1:
            return "timeout"
        return make_question(sandbox, program, given, name, cfg, **more)

    monkeypatch.setattr("eval.make_question", slow)
    problems = load_problems("basics", "heldout")[:3]
    monkeypatch.setattr("eval.task_problems", lambda *_: problems)
    with Pool(1) as pool:
        items = eval.make_tasks(Config(eval_tasks=("basics-trace",)), pool, [])["basics-trace"]
    assert [item.task_id for item in items] == [p.task_id for p in problems[1:]]
    assert list(tries.values()) == [3, 2, 1]
    said = f"left out {problems[0].task_id}: its reference program gives no trace: timeout"
    assert said in capsys.readouterr().out


def test_a_worked_example_that_runs_out_of_time_is_tried_again(monkeypatch):
    answers = ["timeout", "timeout", "a question"]
    monkeypatch.setattr("startup.start.make_question", lambda *_: answers.pop(0))
    with pytest.raises(UserError, match="gives no question: a question"):
        worked_examples(None, Config(align_examples=(("def f(x):\n    return x", "f(1)"),)))
    assert not answers


def test_nothing_else_is_tried_again():
    states = ["error", "ok"]
    assert tried_again(lambda: states.pop(0), str) == "error" and states == ["ok"]


# --------------------------------------------------------------------------- judge errors
def raises(error):
    def judge(*_):
        raise error

    return judge


def test_an_exception_while_judging_is_an_outcome_of_its_own_and_told_once(capsys):
    for name in ("1/0/0", "1/0/1"):
        outcome = guarded(None, name, raises(KeyError("gone")), lambda failure: failure)
        assert outcome == JudgeError("KeyError: 'gone'") and outcome.status == "judge_error"
        assert outcome.row()["error"] == "KeyError: 'gone'"
    said = capsys.readouterr().err
    assert said.count("Traceback") == 1 and "1/0/0" in said and "1/0/1" not in said
    guarded(None, "2/0/0", raises(ValueError("other")), lambda failure: failure)
    assert "ValueError: other" in capsys.readouterr().err
    assert guarded(None, "x", lambda sandbox, k: k + 1, None, 2) == 3


def test_a_sandbox_that_breaks_is_replaced_once_and_then_the_sample_is_given_up():
    broken = raises(SandboxBroken("gone"))
    with pytest.raises(SandboxBroken):
        guarded(None, "1/0/0", broken, lambda failure: failure)
    assert guarded(None, "1/0/0", broken, lambda failure: failure).status == "judge_error"
    for _ in range(2):  # no machine to judge on is no judge error
        with pytest.raises(SandboxUnavailable):
            guarded(None, "1/0/1", raises(SandboxUnavailable("no walls")), None)


def group(*outcomes):
    response = Response([5], [-1.0], "", True)
    return Group(0, "code", None, "", [1], [Sample(response, outcome) for outcome in outcomes])


RIGHT, WRONG = Verdict("passed", reward=1.0), Verdict("failed")
FAILURE = JudgeError("KeyError")


@pytest.mark.parametrize("algo", ["grpo", "rloo", "reinforce++"])
def test_a_sample_that_was_not_judged_teaches_nothing(algo):
    """Neither the sample itself, nor the others by comparison with it."""
    mixed, bare = group(RIGHT, FAILURE, WRONG), group(RIGHT, WRONG)
    flat = group(RIGHT, FAILURE, RIGHT)
    for part in (mixed, bare):
        set_advantages(Config(algo=algo), [part])
    first, second, third = (sample.advantage for sample in mixed.samples)
    assert [first, third] == [sample.advantage for sample in bare.samples] and second == 0
    assert first > 0 > third and flat.flat and group(FAILURE).flat
    for part in (flat, group(FAILURE, FAILURE), group(FAILURE, RIGHT)):
        set_advantages(Config(algo="grpo"), [part])
        assert not part.teaches


STATS = dict.fromkeys(("trained", "clipped", "kl", "mismatch", "mismatch_kl", "computed"), 1.0)
STATS |= {"mismatch": 0.01, "max_mismatch": 1.0, "grad_norm": 1.0, "lr": 1.0, "skipped": 0.0}


def test_the_metrics_count_judge_errors():
    groups = [group(RIGHT, FAILURE), group(FAILURE, WRONG)]
    assert step_metrics(groups, {}, STATS)["judge_errors"] == 2
    assert step_metrics([group(RIGHT)], {}, STATS)["judge_errors"] == 0


def test_a_step_in_which_nothing_could_be_judged_ends_the_run(one_process, tmp_path):
    """A fork's reward that always raises must not train for hours on nothing."""
    run = RunDir(Config(name="x", out_dir=str(tmp_path), steps=3))
    part = group(RIGHT, FAILURE)
    part.task = SimpleNamespace(task_id="a")
    run.log_step(1, [part], {}, STATS, dict.fromkeys(("sample", "judge", "train"), 1.0))
    part.samples = part.samples[1:]
    with pytest.raises(UserError, match=r"step 2: no answer could be judged \(KeyError\)"):
        run.log_step(2, [part], {}, STATS, dict.fromkeys(("sample", "judge", "train"), 1.0))
    rows = [json.loads(line) for line in (tmp_path / "x/samples.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["passed", "judge_error", "judge_error"]
    assert json.loads((tmp_path / "x/metrics.jsonl").read_text().splitlines()[0])["judge_errors"]


def test_a_rollout_goes_on_when_one_sample_cannot_be_judged(one_process):
    def sample(requests, on_finish):
        for i in range(len(requests)):
            on_finish(i, Response([5], [-1.0], str(i), True))

    def score(sandbox, group, response, source, cfg):
        if response.text == "1":
            raise ZeroDivisionError(source)
        return Sample(response, RIGHT)

    def ask(sandbox, group, sample, source, cfg):
        """Only when all are scored: what one program led to must not meet the next."""
        assert len(group.samples) == 3
        if sample.outcome.status != "judge_error":
            sample.questions.append(1 // (source != "4/0/2"))

    cfg, engine = Config(samples_per_prompt=3), SimpleNamespace(sample=sample)
    groups = [Group(0, "code", None, "", [1])]
    (made,) = rollout(cfg, 4, groups, engine, Inline(), score, ask, Stopwatch())
    assert [s.outcome.status for s in made.samples] == ["passed", "judge_error", "judge_error"]
    assert made.samples[1].outcome.error == "ZeroDivisionError: 4/0/1"
    assert made.samples[1].response.text == "1"
    assert [s.questions for s in made.samples] == [[1], [], []]


# --------------------------------------------------------------------------- evaluation
def test_results_keep_judge_errors_apart_from_wrong_answers(tmp_path, monkeypatch):
    def judge(sandbox, problem, program, reward):
        if program == "odd":
            raise TypeError("odd")
        return RIGHT if program == "good" else WRONG

    monkeypatch.setattr("eval.judge", judge)
    row = {"task_id": "a", "prompt": "", "tests": {"inputs": [[1]], "outputs": [1], "fn_name": "f"}}
    problems, samples = tmp_path / "p.jsonl", tmp_path / "s.jsonl"
    problems.write_text(json.dumps(row) + "\n")
    given = [{"task_id": "a", "solution": text} for text in ("good", "odd", "bad")]
    samples.write_text("".join(json.dumps(row) + "\n" for row in given))
    cfg = Config(eval_tasks=("problems",), problems=str(problems))
    graded = eval.grade_samples(cfg, samples, Inline())
    assert graded["statuses"] == {"failed": 1, "judge_error": 1, "passed": 1}
    assert graded["results"][1]["error"] == "TypeError: odd" and not graded["results"][1]["passed"]
    assert summarise("problems", graded["results"])["pass@1"] == pytest.approx(1 / 3)


def test_what_could_not_be_judged_is_asked_again_when_an_evaluation_goes_on(one_process, tmp_path):
    path = tmp_path / "r.samples.jsonl"
    samples = Samples(path, {})
    for sample, status in enumerate(("passed", "judge_error")):
        samples.add("t", {"task_id": "a", "item": 0, "sample": sample, "status": status})
    assert list(Samples(path, {}).found) == [("t", 0, 0)]


def test_an_evaluation_goes_on_when_one_answer_cannot_be_graded(one_process, monkeypatch):
    def grade(sandbox, asked, text):
        return {}["no"] if text == "1" else {"passed": True, "status": "right", "score": 1.0}

    def sample(requests, on_finish):
        for i in range(len(requests)):
            on_finish(i, Response([5], [-1.0], str(i), True))

    monkeypatch.setattr("eval.grade", grade)
    chat = {"chat_template": "x", "apply_chat_template": lambda *_, **__: [1]}
    chat["decode"] = lambda ids: ""
    engine, tokenizer = SimpleNamespace(sample=sample), SimpleNamespace(**chat)
    items = [eval.output_item(problem) for problem in load_problems("basics", "heldout")[:3]]
    given = (
        Config(),
        "basics-output",
        items,
        engine,
        tokenizer,
        Inline(),
        None,
        99,
        eval.Scope(max_tokens=9),
    )
    results, _ = eval.run_task(*given)
    assert [r["status"] for r in results] == ["right", "judge_error", "right"]
    assert results[1]["error"] == "KeyError: 'no'" and results[1]["task_id"] == items[1].task_id


def test_a_judge_error_has_the_columns_of_a_sample():
    assert FAILURE.row().keys() == Verdict("failed").row().keys()


def test_threads_may_parse_while_garbage_is_collected():
    """CPython 3.11 has one count of levels for all: without a lock hundreds of these fail."""

    def parse(_: int) -> None:
        ast.parse("x = [1, (2, [3, {4: f(5)}])]\n" * 20)
        ast.literal_eval("[1, [2, (3, {4: 5})]]")

    def collected(*_: object) -> None:
        sum(range(50))  # the interpreter may turn to another thread here

    before, threshold = sys.getswitchinterval(), gc.get_threshold()
    gc.callbacks.append(collected)
    try:
        sys.setswitchinterval(1e-6)
        gc.set_threshold(50)
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(parse, range(3000)))  # raises what one has raised
    finally:
        gc.callbacks.remove(collected)
        sys.setswitchinterval(before)
        gc.set_threshold(*threshold)


class Checks:
    """A sandbox whose checks end as `ends` says, by the program; it notes each limit."""

    def __init__(self, **ends):
        self.ends, self.timeout_s, self.asked = ends, 2.0, []

    def check(self, program, *_):
        self.asked.append((program.strip(), self.timeout_s))
        if self.ends[program.strip()] == "broken":
            raise SandboxBroken("gone")
        return Run(self.ends[program.strip()], value=Odd({}, None).report())


def test_a_solution_that_is_late_is_asked_once_with_more_time():
    tests = {"check": "def check(F):\n    import numpy\n    numpy.pi", "entry_point": "F"}
    box, problem = Checks(own="timeout", f="passed"), Problem("p", "", tests, "own")
    assert [failures.run_check(box, problem, "f").status for _ in range(3)] == ["passed"] * 3
    assert box.asked == [("f", 2.0), ("own", 2.0), ("own", 10.0), ("f", 2.0), ("f", 2.0)]


def test_a_sandbox_that_breaks_keeps_its_limit():
    box = Checks(f="broken")
    with pytest.raises(SandboxBroken), failures.more_time(box):
        box.check("f")
    assert box.timeout_s == 2.0 and box.asked == [("f", 10.0)]
