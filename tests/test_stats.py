"""Intervals that cover, tests that call luck luck, and pass@k against brute force."""

import itertools
import json
import random

import numpy as np
import pytest

from config import UserError
from stats import chance, interval, mcnemar, paired_difference, pass_at_k
from tools.compare import compare


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
def test_intervals_cover_the_truth_in_a_simulation(rate):
    """Of 200 benchmarks of 160 problems, about 95 % of the intervals hold the true rate."""
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        low, high = interval(list((rng.random(160) < rate).astype(float)), seed)
        covered += low <= rate <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_intervals_of_all_wrong_and_all_right_are_no_points():
    low, high = interval([0.0] * 100)
    assert low == 0.0 and 0.02 < high < 0.06
    low, high = interval([1.0] * 100)
    assert 0.94 < low < 0.98 and high == 1.0


def test_an_interval_depends_on_the_seed_alone():
    values = [0.0, 1.0, 0.5, 1.0] * 10
    assert interval(values, 3) == interval(values, 3)
    assert interval(values * 10)[1] - interval(values * 10)[0] < 0.5 * (
        interval(values)[1] - interval(values)[0]
    )


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
    a = {str(k): float(rng.random() < rate_a) for k in range(n)}
    return a, {key: float(rng.random() < rate_b) for key in a}


def test_luck_is_called_a_difference_in_about_one_of_twenty_cases():
    said = [not paired_difference(*pairs(0.3, 0.3, 100, seed)).noise for seed in range(200)]
    assert sum(said) / len(said) <= 0.08
    # several samples a problem: means, so the test flips signs
    said = []
    for seed in range(60):
        rng = random.Random(seed)
        a, b = ({str(k): rng.randrange(5) / 4 for k in range(60)} for _ in range(2))
        d = paired_difference(a, b)
        assert d.test == "sign flips"
        said.append(not d.noise)
    assert sum(said) / len(said) <= 0.15


def test_a_true_difference_is_found_with_its_sign():
    d = paired_difference(*pairs(0.2, 0.5, 160, 0))
    assert not d.noise and d.mean > 0.15 and d.low > 0 and d.test == "McNemar" and d.n == 160
    a, b = pairs(0.2, 0.5, 160, 0)
    assert paired_difference(b, a).mean == -d.mean


def test_only_shared_problems_are_compared():
    d = paired_difference({"a": 1.0, "b": 0.0}, {"b": 1.0, "c": 0.0})
    assert (d.n, d.mean) == (1, 1.0)
    with pytest.raises(ValueError, match="share no problem"):
        paired_difference({"a": 1.0}, {"b": 1.0})


def result(path, values, task="humaneval"):
    rows = [{"task_id": key, "passed": bool(v), "score": v} for key, v in values.items()]
    path.write_text(json.dumps({"task": task, "results": rows}))
    return str(path)


def test_compare_says_what_is_noise_and_what_is_not(tmp_path):
    a, b = pairs(0.2, 0.5, 160, 0)
    first, better = result(tmp_path / "a.json", a), result(tmp_path / "b.json", b)
    same = result(tmp_path / "c.json", a | {"0": 1.0 - a["0"]})
    lines = compare([first, better, same]).splitlines()
    assert lines[0] == "humaneval" and lines[1].split()[0] == first
    assert lines[2].endswith("160 problems: a difference") and "+" in lines[2]
    assert "noise" in lines[3] and "McNemar" in lines[3]


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
