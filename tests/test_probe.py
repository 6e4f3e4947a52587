"""The probe finds what is there, finds nothing where nothing is, and its labels are true."""

import dataclasses
import json
import random
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch
from forked import Python

import tools.probe
from config import Config, UserError
from problems import basics
from problems.problem import Problem
from sandbox import Pool
from tools.probe import (
    SHUFFLES,
    Example,
    balanced,
    bucket,
    edited,
    fit,
    judged_programs,
    last_states,
    make_examples,
    probe,
    program_ids,
    spread,
)
from tools.probe_plot import main, plot

ROOT = Path(__file__).parent.parent
CFG, LIMIT = Config(dtype="float32"), 6


@pytest.fixture(scope="module")
def pool():
    with Pool(2) as pool:
        yield pool


def planted(strength: float, n: int = 300, layers: int = 3, width: int = 20):
    """Random states; in layer 1 the label stands along one direction, `strength` times."""
    noise = torch.Generator().manual_seed(0)
    states = torch.randn(2 * n, layers, width, generator=noise)
    labels = torch.randint(0, 3, (2 * n,), generator=noise)
    states[:, 1, :3] += strength * torch.nn.functional.one_hot(labels, 3)
    families = [f"f{k % 25}" for k in range(n)]
    others = [f"t{k // 2}" for k in range(n)]
    return fit(states[:n], labels[:n], families, states[n:], labels[n:], others, 3, seed=0)


def test_a_planted_label_is_found_in_its_layer_and_nowhere_else():
    found = planted(4.0)
    assert found["best_layer"] == 1 and found["best"] == found["accuracy"][1] > 0.9
    assert all(abs(found["accuracy"][k] - 1 / 3) < 0.1 for k in (0, 2))
    assert found["interval"][0] <= found["best"] <= found["interval"][1]
    assert found["interval"][0] > 0.8


def test_shuffled_labels_are_at_chance_even_where_the_label_stands():
    assert SHUFFLES > 1
    assert all(abs(share - 1 / 3) < 0.08 for share in planted(4.0)["shuffled"])


def test_without_a_signal_the_interval_holds_chance():
    found = planted(0.0)
    low, high = found["interval"]
    assert low < 1 / 3 < high


def test_examples_of_a_family_are_drawn_together():
    truth = torch.tensor([0, 1] * 80)
    guessed = torch.where(torch.arange(160) < 80, truth, 1 - truth)  # right in half the families
    wide, narrow = (
        spread(truth, guessed, [str(k // size) for k in range(160)], 2, seed=0) for size in (16, 1)
    )
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0]) > 0


def test_balanced_accuracy_of_a_constant_guess_is_chance():
    truth = torch.tensor([0] * 90 + [1] * 10)
    assert balanced(truth, torch.zeros(100, dtype=torch.long), 2) == pytest.approx(0.5)


def test_labels_of_programs_are_true(pool):
    """Judged once more in a bare interpreter, on the problem's own inputs."""
    checked = {"passes": 0, "fails": 0}
    for row in basics.problems("heldout")[:8]:
        problem = Problem(**row)
        for example in pool.submit(judged_programs, problem, 2, 0).result():
            names: dict = {}
            tests = problem.tests
            try:
                exec(example.program, names)
                got = [names[tests["fn_name"]](*json.loads(json.dumps(x))) for x in tests["inputs"]]
            except Exception:
                got = None
            wanted = json.loads(json.dumps(tests["outputs"]))
            same = got is not None and json.loads(json.dumps(got)) == wanted
            assert same == (example.label == "passes"), example.program
            checked[example.label] += 1
    assert min(checked.values()) >= 10


def test_as_many_programs_pass_as_fail_for_every_problem(pool):
    for row in basics.problems("train")[::60]:
        labels = [e.label for e in pool.submit(judged_programs, Problem(**row), 1, 0).result()]
        assert labels.count("passes") == labels.count("fails")


def test_passing_programs_are_edited_too():
    """Else a probe would only have to tell touched programs from untouched ones."""
    program = "def f(n):\n    total = 0\n    if n > 3:\n        total += n\n    return total * 2"
    rng = random.Random(0)
    plain = edited(program, rng, 0, 0)
    versions = {edited(program, rng, 1, 0) for _ in range(20)}
    assert len(versions) > 2
    for version in versions:
        names: dict = {}
        exec(version, names)
        assert [names["f"](n) for n in (1, 3, 4)] == [0, 0, 8]
    assert plain not in versions
    assert len({edited(program, rng, 0, 1) for _ in range(20)}) > 3


def test_no_family_and_no_problem_is_in_both_splits(pool):
    rows = {split: basics.problems(split) for split in ("train", "heldout")}
    for key in ("family", "task_id"):
        assert not {r[key] for r in rows["train"]} & {r[key] for r in rows["heldout"]}
    for split in rows:
        examples = make_examples(CFG, pool, split, 3)
        known = {row["family"] for row in rows[split]}
        assert {e.family for part in examples.values() for e in part} <= known


def test_buckets_of_values():
    named = {-5: "negative", 0: "0", 1: "1-3", 3: "1-3", 4: "4-9", 9: "4-9", 10: "10 or more"}
    assert {value: bucket(value) for value in named} == named


def test_the_state_is_that_of_the_programs_last_token(tiny_model):
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModel.from_pretrained(tiny_model, dtype=torch.float32).eval()
    one = Example("f", "Write f.", "def f(x):\n    return x + 1", "")
    two = dataclasses.replace(one, program="def f(x):\n    return x + 2")
    ids = [program_ids(tokenizer, example) for example in (one, two)]
    text = tokenizer.decode(ids[0])
    assert text.endswith("return x + 1") and "Write f." in text
    alone = [last_states(model, [sequence])[0] for sequence in ids]
    # beside a longer one, on which it must not depend
    together = last_states(model, [ids[0], ids[1], ids[1] + ids[0]])
    assert alone[0].shape == (3, 64)
    assert torch.allclose(together[0], alone[0], atol=1e-5)
    assert torch.allclose(together[1], alone[1], atol=1e-5)
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)


def test_a_model_is_probed_and_twice_gives_the_same(tiny_model, pool, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("tools.probe.fit", lambda *a: seen.append((a[2], a[5])) or fit(*a))
    row, out = probe(CFG, str(tiny_model), pool, LIMIT), tmp_path / "new/probe.json"
    train, heldout = ({f.name for f in basics.families(split)} for split in ("train", "heldout"))
    assert seen and all(set(a) <= train and set(b) <= heldout for a, b in seen)
    command = [ROOT / "tools" / "probe.py", f"--model={tiny_model}", f"--limit={LIMIT}"]
    said = Python([*command, "--dtype=float32", f"--out={out}"], tmp_path / "log").finish()
    assert said.count("probe ") == 3 and f"written: {out}" in said
    again = json.loads(out.read_text())
    assert (again.pop("model"), again.pop("settings")["limit"]) == (str(tiny_model), LIMIT)
    for one in (row, again):
        one.pop("seconds")
    assert again == row
    assert row["layers"] == [0, 1, 2] and set(row["targets"]) == {"passes", "value", "type"}
    for target in row["targets"].values():
        assert len(target["accuracy"]) == len(target["shuffled"]) == 3
        assert target["chance"] == 1 / len(target["classes"])
        assert target["n_train"] and target["n_test"]


@pytest.mark.parametrize(
    "flag, words",
    [
        ("--model=none", "model directory none does not exist"),
        ("--limit=x", "--limit must be a number"),
        ("--colour=red", "unknown key colour"),
    ],
)
def test_bad_flags_of_the_probe_are_told_in_a_sentence(flag, words):
    with pytest.raises(UserError, match=words) as caught:
        tools.probe.main([flag])
    assert "\n" not in str(caught.value)


def fake_row() -> dict:
    target = {"classes": ["a", "b"], "chance": 0.5, "accuracy": [0.5, 0.9], "shuffled": [0.5, 0.5]}
    return {
        "task": "probe",
        "layers": [0, 1],
        "targets": dict.fromkeys(("passes", "value", "type"), target),
    }


def test_the_plot_is_well_formed_and_names_every_model():
    svg = ElementTree.fromstring(plot({"base": fake_row(), "<script>&": fake_row()}))
    texts = [e.text for e in svg.iter() if e.tag.endswith("text")]
    assert {"base", "<script>&", "passes", "value", "type"} <= set(texts)


def test_the_command_draws_results_and_refuses_the_rest(tmp_path):
    good, bad = tmp_path / "a.json", tmp_path / "b.json"
    good.write_text(json.dumps([{"task": "humaneval"}, fake_row()]))
    bad.write_text(json.dumps({"task": "humaneval"}))
    svg = tmp_path / "probe.svg"
    command = [sys.executable, "tools/probe_plot.py", str(svg), f"base={good}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert svg.exists()
    for argv in (
        [],
        [str(svg)],
        ["probe.png", f"a={good}"],
        [str(svg), f"a={bad}"],
        [str(svg), "a=no"],
    ):
        with pytest.raises(UserError) as caught:
            main(argv)
        assert "\n" not in str(caught.value)
