"""Intervals that cover, tests that call luck luck, and pass@k against brute force."""

import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from config import UserError
from problems.stats import by_family, chance, families, interval, pass_at_k
from tools.compare import compare
from tools.stats import mcnemar, paired_difference

ROOT = Path(__file__).parent.parent


@pytest.fixture
def few_draws(monkeypatch):
    """For simulations of hundreds of benchmarks, a fifth of the draws of each."""
    for module in ("problems.stats", "tools.stats"):
        monkeypatch.setattr(f"{module}.DRAWS", 2_000)


def alone(values):
    """Values by problem, and each problem a family of its own."""
    found = {f"{k:03d}": float(value) for k, value in enumerate(values)}
    return found, {key: key for key in found}


@pytest.mark.parametrize("n, c", [(1, 0), (1, 1), (5, 2), (6, 6), (7, 0), (6, 5)])
def test_pass_at_k_equals_brute_force(n, c):
    samples = [True] * c + [False] * (n - c)
    for k in range(1, n + 1):
        draws = list(itertools.combinations(samples, k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))
    with pytest.raises(ValueError):
        pass_at_k(n, c, n + 1)


def test_one_answer_for_all_questions_earns_what_chance_says():
    targets = ["0"] * 5 + ["1", "2", "3", "4", "5"]
    answers = {"the same": ["0"] * 10, "right": targets, "none": [None] * 10}
    found = {}
    for name, given in answers.items():
        pairs = zip(targets, given, strict=True)
        found[name] = chance(
            [{"target": {"x": t, "y": "9"}, "predicted": {"x": a} if a else {}} for t, a in pairs]
        )
    # of 20 targets five are 0, five another digit once each, ten are 9, which is never answered
    assert found == {"the same": 10 * 5 / 400, "right": (5 * 5 + 5) / 400, "none": 0.0}
    assert chance([{"target": {"x": "0"}, "predicted": {"x": "0"}}]) == 1.0
    assert chance([{"status": "too long"}]) == 0.0


@pytest.mark.parametrize("rate", [0.1, 0.35, 0.8])
def test_intervals_cover_the_truth_in_a_simulation(rate, few_draws):
    """Of 200 benchmarks of 160 problems, about 95 % of the intervals hold the true rate."""
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        low, high = interval(*alone(rng.random(160) < rate), seed)
        covered += low <= rate <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_intervals_of_all_wrong_and_all_right_are_no_points():
    low, high = interval(*alone([0.0] * 100))
    assert low == 0.0 and 0.02 < high < 0.06
    low, high = interval(*alone([1.0] * 100))
    assert 0.94 < low < 0.98 and high == 1.0
    values, _ = alone([0.0] * 100)  # of ten families one knows less
    assert interval(values, {key: key[1] for key in values})[1] > 0.2
    nearly = values | {"000": 1.0}  # and one right answer does not make one know more
    assert interval(nearly, {key: key[1] for key in values}) == (
        0.0,
        pytest.approx(0.2775, abs=1e-3),
    )
    one = dict.fromkeys(values, "x")
    assert interval(nearly, one) == (0.0, 1.0)
    d = paired_difference(values, nearly, one)
    assert (d.low, d.high, d.p, d.families) == (-1.0, 1.0, 1.0, 1)


def twins(rng, rate):
    """160 problems of 40 families: one result a family, which one in ten problems does not share.

    rate: of a family. Returns values by problem and the families.
    """
    shared = np.repeat(rng.random(40) < rate, 4)
    values, _ = alone(np.where(rng.random(160) < 0.1, rng.random(160) < rate, shared))
    return values, {key: str(int(key) // 4) for key in values}


def test_problems_of_a_family_are_drawn_together(few_draws):
    """Taken for independent, two intervals of five miss the truth, and luck passes for progress."""
    rng = np.random.default_rng(0)
    covered, found = {"families": 0, "problems": 0}, {"families": 0, "problems": 0}
    for seed in range(200):
        values, of = twins(rng, 0.35)
        after, _ = twins(rng, 0.35)
        for unit, members in (("families", of), ("problems", {key: key for key in of})):
            low, high = interval(values, members, seed)
            covered[unit] += low <= 0.35 <= high
            found[unit] += not paired_difference(values, after, members, seed).noise
    assert 0.88 <= covered["families"] / 200 <= 0.99 and covered["problems"] / 200 < 0.8
    assert found["families"] / 200 <= 0.1 and found["problems"] / 200 > 0.2


def test_a_mean_is_over_problems_however_large_the_families():
    values = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.0}
    of = {"a": "x", "b": "x", "c": "x", "d": "y"}
    sums, sizes = by_family(values, of)
    assert (sums.tolist(), sizes.tolist()) == ([3.0, 0.0], [3, 1])
    d = paired_difference(dict.fromkeys(values, 0.0), values, of)
    assert (d.n, d.mean, d.test) == (4, 0.75, "sign flips")
    rows = [{"task_id": "a", "family": "x"}, {"task_id": "b", "family": ""}, {"task_id": "c"}]
    assert families([*rows, {"task_id": "a"}]) == {"a": "x", "b": "b", "c": "c"}


def test_an_interval_depends_on_the_seed_alone():
    few, many = ([0.0, 1.0, 0.5, 1.0] * times for times in (10, 100))
    assert interval(*alone(few), 3) == interval(*alone(few), 3)
    (low, high), (lower, higher) = interval(*alone(few)), interval(*alone(many))
    assert higher - lower < 0.5 * (high - low)


@pytest.mark.parametrize("gained, lost", [(0, 0), (5, 0), (3, 7), (10, 10), (12, 3)])
def test_mcnemar_equals_counting_all_coin_tosses(gained, lost):
    n = gained + lost
    if n > 15:
        assert mcnemar(gained, lost) == pytest.approx(1.0)
        return
    distance = abs(gained - lost)
    tosses = itertools.product((0, 1), repeat=n)
    extreme = sum(abs(n - 2 * sum(toss)) >= distance for toss in tosses)
    assert mcnemar(gained, lost) == pytest.approx(extreme / 2**n)


def pairs(rate_a, rate_b, n, seed):
    rng = random.Random(seed)
    a, of = alone([rng.random() < rate_a for _ in range(n)])
    return a, {key: float(rng.random() < rate_b) for key in a}, of


def test_luck_is_called_a_difference_in_about_one_of_twenty_cases(few_draws):
    said = [not paired_difference(*pairs(0.3, 0.3, 100, seed)).noise for seed in range(200)]
    assert sum(said) / len(said) <= 0.08
    # several samples a problem: means, so the test flips signs
    said = []
    for seed in range(60):
        rng = random.Random(seed)
        (a, of), (b, _) = (alone([rng.randrange(5) / 4 for _ in range(60)]) for _ in range(2))
        d = paired_difference(a, b, of)
        assert d.test == "sign flips"
        said.append(not d.noise)
    assert sum(said) / len(said) <= 0.15


def test_a_true_difference_is_found_with_its_sign():
    d = paired_difference(*pairs(0.2, 0.5, 160, 0))
    assert not d.noise and d.mean > 0.15 and d.low > 0 and d.test == "McNemar" and d.n == 160
    a, b, of = pairs(0.2, 0.5, 160, 0)
    assert paired_difference(b, a, of).mean == -d.mean


def test_only_shared_problems_are_compared():
    of = {key: key for key in "abc"}
    d = paired_difference({"a": 1.0, "b": 0.0}, {"b": 1.0, "c": 0.0}, of)
    assert (d.n, d.mean) == (1, 1.0)
    with pytest.raises(ValueError, match="share no problem"):
        paired_difference({"a": 1.0}, {"b": 1.0}, of)


def result(path, values, task="humaneval", families=None):
    rows = [{"task_id": key, "passed": bool(v), "score": v} for key, v in values.items()]
    rows = [row | {"family": families[row["task_id"]]} if families else row for row in rows]
    path.write_text(json.dumps({"task": task, "results": rows}))
    return str(path)


def test_compare_says_what_is_noise_and_what_is_not(tmp_path):
    a, b, _ = pairs(0.2, 0.5, 160, 0)
    first, better = result(tmp_path / "a.json", a), result(tmp_path / "b.json", b)
    same = result(tmp_path / "c.json", a | {"000": 1.0 - a["000"]})
    lines = compare([first, better, same]).splitlines()
    assert lines[0] == "humaneval" and lines[1].split()[0] == first
    assert lines[2].endswith("160 problems: a difference") and "+" in lines[2]
    assert "noise" in lines[3] and "McNemar" in lines[3]
    assert (
        compare([first, first])
        .splitlines()[2]
        .endswith("160 problems: noise, as far as these problems tell")
    )
    of = {key: str(int(key) // 80) for key in a}  # two families tell nothing
    kin = [result(tmp_path / f"{k}.json", x, families=of) for k, x in enumerate((a, b))]
    for paths in (kin, [first, kin[1]], [kin[0], better]):  # results of before families had none
        line = compare(paths).splitlines()[2]
        assert "sign flips, 160 problems of 2 families: noise" in line


def test_compare_refuses_what_cannot_be_compared(tmp_path):
    good = result(tmp_path / "a.json", {"x": 1.0})
    other = result(tmp_path / "b.json", {"x": 1.0}, task="mbpp")
    apart = result(tmp_path / "c.json", {"y": 1.0})
    broken = tmp_path / "d.json"
    broken.write_text('{"task": "humaneval"}')
    for paths, words in (
        ([good], "two or more"),
        ([good, other], "shares no task"),
        ([good, apart], "share no problem"),
        ([good, str(broken)], "no results"),
        ([good, str(tmp_path / "none")], "cannot read"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            compare(paths)
        assert "\n" not in str(caught.value)


def test_the_command_compares_refuses_and_is_quiet_in_a_pipe(tmp_path):
    values, _ = alone([0.0, 1.0] * 20)
    files = [result(tmp_path / name, values) for name in ("a.json", "b.json")]

    def call(command: str) -> subprocess.CompletedProcess:
        script = f"{sys.executable} {ROOT / 'tools/compare.py'} {command}"
        whole = ["bash", "-o", "pipefail", "-c", script]
        return subprocess.run(whole, cwd=tmp_path, capture_output=True, text=True)

    done = call(" ".join(files))
    assert done.returncode == 0 and done.stdout.startswith("humaneval\n"), done.stderr
    done = call("a.json none.json")
    assert done.returncode and done.stderr.startswith("error: cannot read none.json")
    assert done.stderr.count("\n") == 1
    for command in ("--help | true", f"{' '.join(files)} | true"):
        assert call(command).stderr == ""
    done = call("")
    assert done.returncode and "python tools/compare.py A.json B.json" in done.stderr
