"""The tables of the README and of docs/evidence.md say what the runs in results/ say."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

import results.run
from config import FIELDS, Config, load_config
from results import table
from results.run import ARMS, SETTINGS, curve, evaluation, keys
from reward import Verdict
from rollout import Response
from run import step_metrics

ROOT = Path(__file__).parent.parent


def run(arm: str, seed: int, values: list[float], machine: str = "2 x CPU") -> dict:
    steps = {"step": [1, 2], "time/step": [30.0, 60.0], "reward/code": [0.0, 0.5]}
    values = values * (160 // len(values))  # as many as basics has problems
    tasks = dict.fromkeys(("basics", "basics-trace", "basics-output"), {"values": values})
    return {
        "setting": "smollm", "arm": arm, "seed": seed, "samples_per_step": 64, "machine": machine,
        "curve": steps | {"reward/align": [None, 0.25]}, "evaluations": {"sampled": tasks},
    }  # fmt: skip


def runs(*rows: dict) -> dict:
    found: dict = {}
    for row in rows:
        found.setdefault(row["arm"], []).append(row)
    return found


def test_the_tables_and_the_plot_are_what_the_runs_say():
    command = [sys.executable, str(ROOT / "results/table.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_number_in_a_page_that_no_run_gave_is_found(tmp_path, monkeypatch):
    for name in ("README.md", "docs/evidence.md", "results/curves.svg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text().replace("20.0 (", "20.1 ("))
    for path in (ROOT / "results").glob("*.json"):
        (tmp_path / "results" / path.name).symlink_to(path)
    monkeypatch.setattr(table, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["table.py", "--check"])
    with pytest.raises(SystemExit, match="not what the runs say: README.md;"):
        table.main()


def test_every_run_has_a_command_that_makes_it():
    for path in (ROOT / "results").glob("*.json"):
        row = json.loads(path.read_text())
        assert path.stem == f"{row['setting']}-{row['arm']}-{row['seed']}"
        known = {key: value for key, value in row["keys"].items() if key in FIELDS}
        assert known == keys([*SETTINGS[row["setting"]], *(ARMS[row["arm"]] or [])])
        assert row["commit"] and row["machine"]


def test_every_arm_is_a_valid_configuration():
    assert set(SETTINGS) == set(table.SETTINGS)
    assert {arm for pair in table.PAIRS for arm in pair} | set(table.SUMMARY) <= set(ARMS)
    for setting in SETTINGS.values():
        plain = load_config(setting)
        for arm, flags in ARMS.items():
            cfg = load_config([*setting, *(flags or [])])
            assert cfg.samples_per_prompt == plain.samples_per_prompt
            assert cfg.prompts_per_step == plain.prompts_per_step
            assert cfg.steps == (60 if arm.endswith("-60") else plain.steps)


def test_a_number_is_the_mean_over_seeds_of_means_over_problems():
    rows = [run("grpo", seed, values) for seed, values in enumerate(([1.0, 0.0], [1.0, 1.0]))]
    text = table.summary(runs(run("base", 0, [0.0]), *rows, run("coderl", 0, [1.0])))
    _, _, base, grpo, coderl = text.splitlines()
    assert base.startswith("| before training | 0.0 (0.0 to ") and coderl.count("100.0 (") == 3
    assert grpo.startswith("| GRPO | 75.0 (") and grpo.endswith("smollm grpo 0` (to 1) |")


def test_a_pair_is_of_the_seeds_that_both_arms_have_on_like_cores():
    rows = [run("grpo", seed, [0.0, 0.5]) for seed in (0, 1, 2)]
    rows += [run("coderl", 0, [0.5, 1.0]), run("coderl", 1, [0.0], "2 x Other CPU")]
    rows += [run("coderl", 7, [0.0]), run("grpo-60", 3, [0.0])]
    _, _, *lines = table.pairs({"smollm": runs(*rows)}).splitlines()
    (cells,) = (line.strip("| ").split(" | ") for line in lines)
    # the same on every problem, however much problems differ
    assert cells[:4] == ["SmolLM2", "GRPO", "+50.0 (+50.0 to +50.0)", "+50.0 (+50.0 to +50.0)"]
    assert cells[-1] == "`smollm grpo 0`, `smollm coderl 0`"


def test_a_line_of_the_plot_is_a_run_a_colour_an_arm():
    rows = runs(run("grpo", 0, [0.0]), run("coderl", 0, [0.0]), run("coderl", 1, [0.0]))
    assert table.points(rows["grpo"][0], "reward/code", "minutes") == [(0.5, 0.0), (1.5, 0.25)]
    assert table.points(rows["grpo"][0], "reward/code", "samples")[1] == (128.0, 0.25)
    elements = list(ElementTree.fromstring(table.plot(rows)).iter())
    colours = [e.get("stroke") for e in elements if e.tag.endswith("polyline")]
    assert colours.count(table.COLOURS["grpo"]) == 3  # panels
    assert colours.count(table.COLOURS["coderl"]) == 6


def test_an_interrupted_run_goes_on_and_a_finished_one_is_not_repeated(tmp_path, monkeypatch):
    commands: list[tuple] = []
    monkeypatch.setattr(results.run, "ROOT", tmp_path)
    monkeypatch.setattr(results.run, "python", lambda *command: commands.append(command))
    cfg = Config(name="x", steps=20)
    for made in ("none", "latest", "step_20"):
        (tmp_path / "out/x/ckpt" / made).mkdir(parents=True)
        results.run.train(cfg, ["--name=x"])
    assert commands == [("train.py", "--name=x"), ("train.py", "--name=x", "--resume")]


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
