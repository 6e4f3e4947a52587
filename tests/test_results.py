"""The tables of both READMEs say what the runs in results/ say."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny

import results.run
from bench.ceiling import questions, shown
from bench.form import compare
from bench.questions import print_by_steps
from config import Config, UserError, load_config
from results import table
from results.curves import plot, points
from results.run import ARMS, SETTINGS, curve, evaluation, keys
from results.table import (
    MARKS,
    NAMES,
    cell,
    cost_table,
    difference,
    main_table,
    markdown,
    pairs_table,
    probe_lines,
    probe_table,
    read_runs,
    sides,
    told,
    with_tables,
)
from sandbox import Pool
from tools.rundir import RunDir, State, step_metrics

ROOT = Path(__file__).parent.parent
COLUMNS = [("sampled", "basics", "`basics`")]


def run(arm: str, seed: int, values: list[float], reward: float = 0.5) -> dict:
    steps = {"step": [1, 2], "time/step": [30.0, 60.0], "reward/code": [0.0, reward]}
    values = values * (160 // max(1, len(values)))  # as many as basics has problems
    return {
        "setting": "smollm", "arm": arm, "seed": seed, "samples_per_step": 64, "machine": "2 x CPU",
        "curve": steps | {"reward/align": [None, None]},
        "evaluations": {"sampled": {"basics": {"values": values}}},
    }  # fmt: skip


def runs(*rows: dict) -> dict:
    found: dict = {}
    for row in rows:
        found.setdefault(row["arm"], []).append(row)
    return found


def test_the_readmes_and_the_plots_are_what_the_runs_say():
    done = subprocess.run(
        [sys.executable, "results/table.py", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_run_has_a_command_that_makes_it():
    for path in (ROOT / "results").glob("*.json"):
        row = json.loads(path.read_text())
        assert path.stem == f"{row['setting']}-{row['arm']}-{row['seed']}"
        assert row["setting"] in SETTINGS and row["arm"] in ARMS
        assert row["keys"] == keys([*SETTINGS[row["setting"]], *(ARMS[row["arm"]] or [])])
        assert row["commit"] and row["machine"]


def test_earlier_runs_are_told_by_their_name_and_flags():
    flags: dict[str, list] = {}
    for path in (ROOT / "results/earlier").glob("*.json"):
        row = json.loads(path.read_text())
        assert path.stem == f"smollm-{row['arm']}-{row['seed']}" and row["arm"] in table.EARLIER
        load_config([row["config"], *row["flags"]])
        assert flags.setdefault(row["arm"], row["flags"]) == row["flags"]


def test_every_arm_is_a_valid_configuration_and_has_a_name():
    assert set(ARMS) == set(NAMES) and list(SETTINGS) == list(table.SETTINGS) == list(table.BRIEF)
    for setting in SETTINGS.values():
        plain = load_config(setting)
        for arm, flags in ARMS.items():
            cfg = load_config([*setting, *(flags or [])])
            assert cfg.samples_per_prompt == plain.samples_per_prompt
            assert cfg.align_output or len(cfg.align_examples) == 2
            assert cfg.prompts_per_step == plain.prompts_per_step
            assert cfg.steps == (60 if arm.endswith("-60") else plain.steps)


def test_the_seconds_of_a_step_are_a_median_and_of_like_cores():
    first, second, third = (run("grpo", seed, []) for seed in range(3))
    first["machine"], second["curve"]["time/step"] = "4 x CPU", [20.0, 1000.0]
    first["curve"]["time/step"] = [1.0] * 9
    heads, _, line = (row.split(" | ") for row in cost_table(runs(first, second, third)))
    assert heads[1:3] == ["seconds a step", "cores"]
    assert line[:3] == ["| GRPO", "45.0", "2 x CPU"]


def test_a_number_is_the_mean_over_seeds_of_means_over_problems():
    text = cell([[1.0, 0.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0]], "humaneval")
    assert text.startswith("62.5 (") and text.endswith("[50.0, 75.0]")
    assert cell([], "basics") == ""


def test_a_difference_is_paired_by_problem_over_the_seeds_that_both_have():
    a = [run("grpo", seed, [0.0, 0.5, 0.0, 0.5] * 10) for seed in (0, 1, 2)]
    b = [run("coderl", seed, [0.5, 1.0, 0.5, 1.0] * 10) for seed in (0, 1)]
    b.append(run("coderl", 7, [0.0] * 40))  # GRPO has no seed 7
    first, second = sides(runs(*a, *b), ("grpo", "coderl"), "sampled", "basics")
    assert len(first) == len(second) == 2
    d = difference(first, second, "basics")
    assert (d.n, d.mean) == (160, 0.5)
    assert d.low == d.high == 0.5  # the same on every problem, however much problems differ
    said = told(runs(*a, *b), ("grpo", "coderl"), "sampled", "basics")
    assert said == "+50.0 (+50.0 to +50.0) [+50.0, +50.0], p < 0.001"
    assert told(runs(*a), ("grpo", "coderl"), "sampled", "basics") == ""
    b[1]["machine"] = "2 x Other CPU"  # rounds otherwise, which is like another seed
    assert len(sides(runs(*a, *b), ("grpo", "coderl"), "sampled", "basics")[0]) == 1
    one = run("base", 0, [0.0, 0.5, 0.0, 0.5] * 10)
    assert sides(runs(one, *b[:2]), ("base", "coderl"), "sampled", "basics") == [first, second]


def test_a_table_has_no_empty_row_and_no_empty_column():
    lines = table.table(["arm", "a", "b", "c"], [["x", "1", "", ""], ["y", "", "", ""]])
    assert lines == ["| arm | a |", "| --- | --- |", "| x | 1 |"]
    assert table.table(["arm", "a"], [["x", ""]]) == []


def test_a_row_of_the_table_has_its_command():
    rows = [run("coderl", seed, [0.0, 1.0]) for seed in (0, 1)]
    line = main_table(runs(*rows), COLUMNS)[-1]
    assert line.startswith("| CodeRL+ | 50.0 (") and line.endswith("| `smollm coderl 0 1` | CPU |")
    rows[1]["machine"] = "2 x Other(R) CPU"
    assert main_table(runs(*rows), COLUMNS)[-1].endswith("| `smollm coderl 0 1` | CPU, Other |")


def test_tables_and_plot_of_made_up_runs():
    rows = runs(run("grpo", 0, [0.0, 1.0]), run("coderl", 0, [1.0, 1.0]))
    text = markdown({"smollm": rows})
    assert "| CodeRL+ − GRPO | +50.0 (" in text
    assert points(rows["grpo"][0], "reward/code", "minutes") == [(0.5, 0.0), (1.5, 0.25)]
    assert points(rows["grpo"][0], "reward/code", "samples")[1][0] == 128.0
    elements = list(ElementTree.fromstring(plot(rows, NAMES)).iter())
    assert sum(e.tag.endswith("polyline") for e in elements) == 4  # two runs, two panels with data


def test_pairs_are_told_with_the_runs_that_made_them():
    """Only those that differ in alignment alone, and only seeds that both have on like cores."""
    rows = [run(arm, seed, [0.0, 1.0]) for arm in ("base", "grpo", "coderl") for seed in (0, 1)]
    rows[-1]["machine"] = "2 x Other CPU"
    rows += [run("align", 0, [1.0, 1.0]), run("grpo-60", 2, [0.0, 1.0])]
    rows += [run("coderl-60", 2, [1.0, 1.0]), run("coderl-0.6", 0, [1.0, 1.0])]
    _, _, *lines = pairs_table({"smollm": runs(*rows)})
    cells = [line.strip("| ").split(" | ") for line in lines]
    assert [c[1] for c in cells] == ["GRPO", "GRPO, 60 steps"]
    assert cells[0][2].startswith("+0.0 (") and cells[1][2].startswith("+50.0 (")
    assert [c[-1] for c in cells] == [
        "`smollm grpo 0`, `smollm coderl 0`",
        "`smollm grpo-60 2`, `smollm coderl-60 2`",
    ]


def test_probes_are_averaged_over_seeds():
    rows = [run("coderl", seed, [0.0, 1.0]) for seed in (0, 1)]
    for row, best in zip(rows, (0.5, 0.7), strict=True):
        target = {"accuracy": [0.4, best], "shuffled": [0.5, 0.5], "chance": 0.5, "best_layer": 1}
        target |= {"best": best, "interval": [best - 0.1, best + 0.1]}
        targets = dict.fromkeys(("passes", "value", "type"), target)
        row["evaluations"]["probe"] = {"probe": {"targets": targets}}
    lines = probe_table(runs(*rows, run("grpo", 0, [0.0, 1.0])))
    assert len(lines) == 3
    assert lines[2].startswith("| CodeRL+ | 60.0 (50.0 to 70.0) | 50.0 | ")
    drawn = probe_lines(runs(*rows))["CodeRL+"]["targets"]["value"]["accuracy"]
    assert drawn == pytest.approx([0.4, 0.6])


def test_the_table_goes_between_its_marks():
    begin, end = (mark.format("summary") for mark in MARKS)
    text = f"before\n{begin}\nold\n{end}\nafter"
    assert with_tables(text, "summary", r"new \1") == f"before\n{begin}\nnew \\1\n{end}\nafter"
    with pytest.raises(ValueError, match="needs the marks <!-- evidence"):
        with_tables(text, "evidence", "")


def test_an_interrupted_run_goes_on_and_a_finished_one_is_not_repeated(tmp_path, monkeypatch):
    commands: list[tuple] = []
    monkeypatch.setattr(results.run, "ROOT", tmp_path)
    monkeypatch.setattr(results.run, "run", lambda *command: commands.append(command))
    cfg = Config(name="x", steps=20)
    for made in ("none", "latest", "step_20"):
        (tmp_path / "out/x/ckpt" / made).mkdir(parents=True)
        results.run.train(cfg, ["--name=x"])
    assert commands == [("train.py", "--name=x"), ("train.py", "--name=x", "--resume")]


def test_what_is_kept_of_a_run(tmp_path):
    sample = {"objective": "code", "reward": 1.0, "status": "passed", "_tokens": 5, "_logp": -1.0}
    rows = [sample | {"_flat": False, "_finished": True}]
    stats = dict.fromkeys(("trained", "clipped", "kl", "gap", "max_gap", "gap_kl"), 1.0)
    stats |= {"grad_norm": 1.0, "lr": 1e-5, "computed": 9.0}
    metrics = step_metrics(State(step=1), rows, stats, {"sample": 1.0, "train": 2.0})
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(metrics)}\n" for _ in range(2)))
    kept = curve(tmp_path / "metrics.jsonl")
    assert kept["step"] == [1, 1] and len(kept["time/step"]) == 2
    results = [
        {"task_id": "b", "passed": True, "score": 1.0},
        {"task_id": "a", "passed": False, "score": 0.5},
        {"task_id": "a", "passed": True, "score": 1.0},
    ]
    path = tmp_path / "eval.json"
    tasks = [{"task": t, "pass@1": 0.75, "results": results} for t in ("basics", "basics-trace")]
    path.write_text(json.dumps(tasks))
    found = evaluation(path)
    assert found["basics"]["values"] == [0.5, 1.0]  # a, then b
    assert found["basics-trace"]["values"] == [0.75, 1.0]
    assert read_runs(tmp_path / "none") == {}


def test_the_demo_ends_with_what_its_tasks_measure():
    rows = [
        {"step": 0, "task": "basics", "pass@1": 0.2},
        {"step": 0, "task": "basics-trace", "pass@1": 0.0, "score": 0.1},
        {"step": 30, "task": "basics", "pass@1": 0.4},
        {"step": 30, "task": "basics-trace", "pass@1": 0.01, "score": 0.25},
    ]
    head, *lines = RunDir.before_and_after(SimpleNamespace(evaluations=lambda: rows)).splitlines()
    assert head.split() == ["before", "after"]
    assert lines[0].split() == ["basics,", "pass@1", "20.0%", "40.0%", "+20.0%"]
    assert lines[1].split() == ["basics-trace,", "score", "10.0%", "25.0%", "+15.0%"]
    assert RunDir.before_and_after(SimpleNamespace(evaluations=lambda: rows[:2])) == ""


def test_questions_are_told_ten_steps_at_a_time(capsys):
    def answer(step: int, source: str, target: str, predicted: str) -> dict:
        row = {"step": step, "objective": "align", "source": source, "call": "f(1)"}
        right = target == predicted
        row |= {"reward": float(right), "correct": ["x"] if right else []}
        return row | {"task_id": "a", "target": {"x": target}, "predicted": {"x": predicted}}

    twice = [answer(9, "2/0/1", "3", predicted) for predicted in ("0", "3")]
    rows = [*twice, answer(12, "2/0/1", "3", "0"), answer(13, "3/1/0", "4", "0")]
    rows[-1]["target"]["y"] = "3"
    rows.append(answer(14, "3/1/1", "5", "5"))
    entropies = {1: None, 8: 0.4, 9: 0.6, 12: 0.1}
    metrics = [{"step": step, "entropy/align": value} for step, value in entropies.items()]
    print_by_steps(rows, [(9, "asked"), (10, "error"), (11, "error")], metrics)
    first, second = capsys.readouterr().out.strip().split("\n\n")
    assert "steps 1 to 10: 1 of 2 failed programs" in first and "1 questions on 1 pro" in first
    assert (
        "written 7 steps before; 0 flat (0 all right, 0 all wrong), 1 of one value, entropy 0.50"
        in first
    )
    assert "asked for: 3 100%" in first
    assert "answered:  0 50%, 3 50%" in first
    assert "0 of 1 failed" in second and "3 questions on 3 programs of 1 problems" in second
    assert "written 10 steps before; 3 flat (1 all right, 2 all wrong), 2 of one value" in second
    assert "entropy 0.10" in second
    assert "answered:  0 67%, 5 33%" in second


def test_form_compares_only_answers_with_every_value(tmp_path):
    """And only problems of which both runs have one."""

    def write(name, *results):
        (tmp_path / name / "eval").mkdir(parents=True)
        target = {"x": "1", "output": "2"}
        found = [
            {"task_id": task, "score": score, "target": target, "predicted": predicted}
            for task, score, predicted in results
        ]
        rows = [{"task": "basics", "results": []}, {"task": "basics-trace", "results": found}]
        (tmp_path / name / "eval/sampled.json").write_text(json.dumps(rows))
        return tmp_path / name

    every, some, twice = {"x": "1", "output": "3"}, {"x": "1"}, {"x": "1", "output": "1"}
    a = write("a", ("p", 0.0, every), ("p", 0.5, some), ("q", 0.5, every), ("r", 0.5, some))
    b = write("b", ("p", 1.0, every), ("p", 0.5, every), ("q", 0.5, every), ("r", 1.0, twice))
    line = compare(a, b, "sampled")
    assert "all values 50%, 100%" in line and "the 2 problems" in line
    assert "right 25.0%, 62.5%: +37.5% " in line
    assert line.endswith("one value for several names 0%, 25% (asked for: 0%)")


def test_the_ceiling_shows_true_answers_to_the_questions_of_a_run(tmp_path):
    """About the failed programs, and only those that a question can be made of."""
    problems = tiny.write_problems(tmp_path / "tiny.jsonl")
    cfg = Config(problems=str(problems), align_inputs=2)
    rows = [
        {"id": f"2/0/{g}", "objective": "code", "task_id": "tiny/1", "response": response}
        for g, response in enumerate([tiny.PROGRAM.format(k) for k in (1, 4, 4)] + ["no program"])
    ]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = tiny.make_tokenizer()
    with Pool(1, **cfg.limits) as pool:
        asked = questions(tmp_path, cfg, [], tokenizer, pool)
        with pytest.raises(UserError, match="gives no question"):
            questions(tmp_path, replace(cfg, align_ratio=0.0), [], tokenizer, pool)
    assert [(q.call, q.source) for q in asked] == [("f(1)", "2/0/1"), ("f(5)", "2/0/1")]
    group = shown(asked[1], 7, [], tokenizer, cfg)
    assert group.index == 7 and "y = x + 4" in tokenizer.decode(group.prompt_ids)
    (response,) = group.responses
    assert tokenizer.decode(response.token_ids) == "y = 9\noutput = 9<|end|>"
    assert group.advantages == [1.0] and len(response.logprobs) == len(response.token_ids)
