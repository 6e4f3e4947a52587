"""The tables of the README and of docs/evidence.md say what the runs in results/ say."""

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

import results.run
import train
from config import Config, load_config
from problems.problem import Problem, Question
from results import table
from results.run import (
    ARMS,
    CONTROLS,
    GRPO,
    STUDY,
    ask_about_what_passed,
    curve,
    deal_targets,
    evaluation,
    pay_by_a_coin,
)
from reward import Verdict
from rollout import Response
from run import step_metrics
from sandbox import Sandbox

ROOT = Path(__file__).parent.parent
SIZES = {"humaneval": 164, "basics-hard": 49, "basics-hard-trace": 49}


def run(arm: str, seed: int, values: list[float]) -> dict:
    """A run of which every task has these values, over and over."""
    steps = {"step": [1, 2], "time/step": [30.0, 60.0], "reward/code": [0.0, 0.5]}
    tasks = {}
    for task in table.COLUMNS:
        n = SIZES.get(task, 500)
        all_ = (values * n)[:n]
        tasks[task] = {"values": all_, "n_problems": n, "statuses": {"unparsed": n // 2}}
    return {
        "arm": arm, "seed": seed, "samples_per_step": 64, "curve": steps,
        "evaluations": {"greedy": tasks},
    }  # fmt: skip


def runs(*rows: dict) -> dict:
    found: dict = {}
    for row in rows:
        found.setdefault(row["arm"], []).append(row)
    return found


def cells(line: str) -> list[str]:
    return line.strip("| ").split(" | ")


def test_the_tables_and_the_plot_are_what_the_runs_say():
    command = [sys.executable, str(ROOT / "results/table.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_table_of_single_runs_is_what_their_files_say():
    found, told = {}, (ROOT / "docs/path.md").read_text()
    for path in (ROOT / "results/extra").glob("*.json"):
        made = json.loads(path.read_text())
        if path.stem.startswith("passed"):
            assert f"{100 * made['evaluations']['leetcode']['pass@1']:.1f}" in told
            continue
        columns = [made["evaluations"][task] for task in ("leetcode", "cruxeval-i")]
        columns = [(c["pass@1"], *c["interval"]) for c in columns]
        columns += [(p["best"], *p["interval"]) for p in made["probe"].values()]
        for task in made["evaluations"].values():
            assert task["pass@1"] == pytest.approx(sum(task["values"]) / task["n_problems"])
        found[path.stem] = columns
    names = {"base": "before training", "grpo-0": "GRPO", "coderl-0": "CodeRL+"}
    page = (ROOT / "docs/evidence.md").read_text().splitlines()
    (head,) = (i for i, line in enumerate(page) if line.startswith("| | LeetCode |"))
    told = {line.split("|")[1].strip(): cells(line)[1:] for line in page[head + 2 : head + 5]}
    for stem, columns in found.items():
        shown = [[float(x) for x in re.findall(r"[\d.]+", cell)] for cell in told[names[stem]]]
        wanted = [[100 * x for x in column] for column in columns]
        for ours, theirs in zip(shown, wanted, strict=True):
            assert ours == pytest.approx(theirs, abs=0.0501)
    assert len(found) == len(names)


def test_a_mistyped_check_writes_nothing():
    command = [sys.executable, str(ROOT / "results/table.py"), "--chekc"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode and "written" not in done.stdout


def test_a_number_in_a_page_that_no_run_gave_is_found(tmp_path, monkeypatch):
    for name in ("README.md", "docs/evidence.md", "results/curves.svg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        page = re.sub(r"(\| GRPO \| )\d", r"\g<1>9", (ROOT / name).read_text())
        (tmp_path / name).write_text(page)
    for path in (ROOT / "results").glob("*.json"):
        (tmp_path / "results" / path.name).symlink_to(path)
    monkeypatch.setattr(table, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["table.py", "--check"])
    with pytest.raises(SystemExit, match="not what the runs say: README.md;"):
        table.main()


def test_every_run_has_a_command_that_makes_it():
    for path in (ROOT / "results").glob("*.json"):
        row = json.loads(path.read_text())
        assert path.stem == f"{row['arm']}-{row['seed']}"
        own = [f"--seed={row['seed']}", f"--name={path.stem}"]
        assert row["flags"] == [*STUDY, *(ARMS[row["arm"]] or []), *own]
        assert row["commit"] and not row["commit"].endswith("-dirty") and row["machine"]


def test_every_arm_has_the_steps_and_at_least_the_programs_of_the_others():
    assert set(ARMS) == set(table.ARMS) and set(CONTROLS) <= set(ARMS)
    plain = load_config([*STUDY, GRPO])
    for flags in ARMS.values():
        cfg = load_config([*STUDY, *(flags or [])])
        assert (cfg.steps, cfg.samples_per_prompt) == (plain.steps, plain.samples_per_prompt)
        assert cfg.prompts_per_step == plain.prompts_per_step or (
            round((1 - cfg.align_ratio) * cfg.prompts_per_step) == plain.prompts_per_step
        )


def test_a_number_is_the_mean_over_seeds_of_means_over_problems():
    found = runs(run("base", 0, [0.0]), run("grpo", 0, [1.0, 0.0]), run("grpo", 1, [1.0, 1.0]))
    _, _, base, grpo = table.scores(found).splitlines()
    assert cells(base)[0] == "before training" and cells(base)[1].startswith("0.0 (0.0 to ")
    assert cells(grpo)[1].startswith("75.0 (") and cells(grpo)[1].endswith("; 50.0, 100.0")
    assert cells(grpo)[-1] == "`grpo 0`, `grpo 1`"


def test_a_gain_is_paired_by_problem():
    found = runs(run("base", 0, [0.0, 0.5]), run("grpo", 0, [0.5, 1.0]))
    _, _, line = table.gains(found).splitlines()  # the same on each, however much problems differ
    assert cells(line) == ["GRPO over before training", *["+50.0 (+50.0 to +50.0)"] * 5]


def test_form_and_substance_are_told_apart():
    _, _, line = table.forms(runs(run("grpo", 0, [0.25]))).splitlines()
    assert cells(line)[1] == "50.0, 50.0"  # half of the answers parse, half of those are right


def test_a_line_of_the_plot_is_a_run_a_colour_an_arm():
    rows = runs(run("grpo", 0, [0.0]), run("coderl", 0, [0.0]), run("coderl", 1, [0.0]))
    assert table.points(rows["grpo"][0], "minutes") == [(0.5, 0.0), (1.5, 0.25)]
    assert table.points(rows["grpo"][0], "samples")[1] == (128, 0.25)
    elements = list(ElementTree.fromstring(table.plot(rows)).iter())
    colours = [e.get("stroke") for e in elements if "L" in e.get("d", "")]
    assert colours.count(table.ARMS["grpo"][2]) == 2  # panels
    assert colours.count(table.ARMS["coderl"][2]) == 4


def test_an_interrupted_run_goes_on_and_a_finished_one_is_not_repeated(tmp_path, monkeypatch):
    commands: list[tuple] = []
    monkeypatch.setattr(results.run, "ROOT", tmp_path)
    monkeypatch.setattr(results.run, "python", lambda *command: commands.append(command))
    for made in ("none", "latest", "step_20"):
        (tmp_path / "out/x/ckpt" / made).mkdir(parents=True)
        stopped = contextlib.nullcontext()
        if made != "step_20":
            stopped = pytest.raises(SystemExit, match="was stopped")
        with stopped:
            results.run.train(Config(name="x", steps=20), "grpo", ["--name=x"])
    first = ("results/run.py", "--train=grpo", "--name=x")
    assert commands == [first, (*first, "--resume")]


def test_a_coin_pays_whatever_a_program_does_and_the_same_in_each_run(monkeypatch):
    def judged(*_: object) -> SimpleNamespace:
        return SimpleNamespace(outcome=Verdict("failed"))

    monkeypatch.setattr(train, "score_sample", judged)
    pay_by_a_coin()
    paid = []
    for seed in (0, 0, 1):
        cfg = Config(seed=seed)
        samples = [train.score_sample(None, None, None, f"1/0/{i}", cfg) for i in range(64)]
        paid.append([sample.outcome.reward for sample in samples])
    assert {sample.outcome.status for sample in samples} == {"failed"}
    assert paid[0] == paid[1] != paid[2] and 20 < sum(paid[0]) < 44


def test_dealt_targets_have_the_names_of_a_question_and_the_values_of_others(monkeypatch):
    asked = [Question("", [], "f", {"y": 1, "output": 2}), Question("", [], "f", {"z": 3})]
    known = Question("", [], "f", {"y": 7})
    monkeypatch.setattr(
        train.Prompts, "add_questions", lambda prompts, _: prompts.buffer.extend(asked)
    )
    deal_targets()
    prompts = SimpleNamespace(buffer=[known])
    train.Prompts.add_questions(prompts, [])
    assert [q.target for q in asked] == [{"y": 3, "output": 1}, {"z": 2}]
    assert known.target == {"y": 7}
    asked.clear()
    train.Prompts.add_questions(prompts, [])  # a step without questions


def test_questions_may_be_about_the_programs_that_passed(monkeypatch):
    monkeypatch.setattr(train, "OBJECTIVES", dict(train.OBJECTIVES))
    program = "def f(n):\n    k = n * 7\n    return k - 1"
    problem = Problem("p", "", {"inputs": [[6]], "outputs": [41], "fn_name": "f"})
    ask_about_what_passed()
    with contextlib.closing(Sandbox()) as box:
        for status, target in (("failed", []), ("passed", [{"k": 42, "output": 41}])):
            verdict = Verdict(status, program=program)
            asked = train.OBJECTIVES["align"].ask(box, problem, verdict, Config())
            assert [question.target for question in asked] == target


def test_what_is_kept_of_a_run(tmp_path):
    sample = SimpleNamespace(response=Response([5], [-1.0], "", True), outcome=Verdict("passed"))
    sample.reward = 1.0
    group = SimpleNamespace(objective="code", samples=[sample], flat=True)
    stats = dict.fromkeys(
        ("trained", "clipped", "kl", "mismatch", "max_mismatch", "mismatch_kl"), 1.0
    )
    stats |= {"grad_norm": 1.0, "lr": 1e-5, "computed": 9.0, "skipped": 0.0}
    metrics = {"step": 1} | step_metrics([group], {"align": {"buffer": 0, "too_long": 0}}, stats)
    metrics |= {"time/step": 3.0, "time/sample": 1.0, "time/train": 2.0}
    (tmp_path / "metrics.jsonl").write_text(2 * f"{json.dumps(metrics)}\n")
    kept = curve(tmp_path / "metrics.jsonl")
    assert kept["step"] == [1, 1] and kept["reward/code"] == [1.0, 1.0]
    found = [
        {"task_id": "b", "passed": True, "score": 1.0},
        {"task_id": "a", "passed": False, "score": 0.5},
        {"task_id": "a", "passed": True, "score": 1.0},
    ]
    tasks = [{"task": t, "pass@1": 0.75, "results": found} for t in ("basics", "basics-trace")]
    (tmp_path / "eval.json").write_text(json.dumps(tasks))
    kept = evaluation(tmp_path / "eval.json")
    assert kept["basics"]["values"] == [0.5, 1.0]  # a, then b
    assert kept["basics-trace"]["values"] == [0.75, 1.0]
