"""Is it better, or is it luck? pass@k, intervals over problems, and paired tests. Pure functions.

A problem is the unit: its samples are averaged first, and what is drawn again is problems, for it
is over problems that a benchmark wants to speak. Left out: intervals over training seeds.
"""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

DRAWS = 10_000


def by_problem(results: list[dict], task: str) -> dict[str, float]:
    """task_id -> mean over its samples of what the task measures: the score in -trace tasks, the
    share that passed in others. KeyError for a result without it."""
    measure, parts = "score" if task.endswith("-trace") else "passed", {}
    for result in results:
        parts.setdefault(result["task_id"], []).append(float(result[measure]))
    return {task_id: sum(part) / len(part) for task_id, part in parts.items()}


def chance(results: list[dict]) -> float:
    """The share of values right were the same answers dealt to the questions at random.

    sum over values of P(it is answered) P(it is the target), all samples and variables of a task
    together. Where the score is no higher, the answers have nothing to do with their questions.
    """
    targets, answers = Counter(), Counter()
    for result in results:
        for name, value in result.get("target", {}).items():
            targets[value] += 1
            answers[result["predicted"].get(name)] += 1
    pairs = sum(answers[value] * count for value, count in targets.items())
    return pairs / max(1, targets.total()) ** 2


def pass_at_k(n: int, passed: int, k: int) -> float:
    """1 - C(n - passed, k) / C(n, k): does one of k drawn samples pass? (arXiv 2107.03374)"""
    if not 0 < k <= n:
        raise ValueError(f"pass@{k} needs at least {k} samples, not {n}")
    return 1.0 - math.comb(n - passed, k) / math.comb(n, k)


def interval(values: list[float], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of `values` in 0..1, one a problem: percentile bootstrap.

    Where all are 0, or all 1, every draw is the same; then Wilson's interval, which is not a point.
    """
    x = np.asarray(values, dtype=float)
    if len(set(values)) == 1 and values[0] in (0.0, 1.0):
        shrink = 1.96**2 / (len(x) + 1.96**2)
        return (0.0, shrink) if values[0] == 0.0 else (1.0 - shrink, 1.0)
    low, high = np.percentile(resampled_means(x, seed), [2.5, 97.5])
    return float(low), float(high)


def resampled_means(x: np.ndarray, seed: int) -> np.ndarray:
    """x: (problems,). (DRAWS,) means of as many values drawn with replacement."""
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, len(x), (DRAWS // 10, len(x))) for _ in range(10)]  # spares memory
    return np.concatenate([x[rows].mean(axis=1) for rows in draws])


@dataclass
class Difference:
    """Mean of b - a over the problems that both have; `p` is two-sided, of no difference at all."""

    n: int
    mean: float
    low: float
    high: float
    p: float
    test: str

    @property
    def noise(self) -> bool:
        return self.p >= 0.05


def paired_difference(a: dict[str, float], b: dict[str, float], seed: int = 0) -> Difference:
    """Values by problem of two evaluations. Raises ValueError if they share no problem.

    One sample each, pass or fail: McNemar's exact test (of the problems on which they differ, how
    lopsided are the two kinds, were it a fair coin?). Else: signs of the differences flipped at
    random. The interval is a bootstrap of the differences.
    """
    shared = sorted(a.keys() & b.keys())
    if not shared:
        raise ValueError("the two evaluations share no problem")
    x = np.array([b[key] - a[key] for key in shared], dtype=float)
    low, high = np.percentile(resampled_means(x, seed), [2.5, 97.5])
    if {a[key] for key in shared} | {b[key] for key in shared} <= {0.0, 1.0}:
        p, test = mcnemar(int((x > 0).sum()), int((x < 0).sum())), "McNemar"
    else:
        p, test = sign_flips(x, seed), "sign flips"
    return Difference(len(shared), float(x.mean()), float(low), float(high), p, test)


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p: 2 P(X <= min(gained, lost)) for X ~ Binomial(gained + lost, 1/2)."""
    n = gained + lost
    tail = sum(math.comb(n, k) for k in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / 2**n)


def sign_flips(x: np.ndarray, seed: int) -> float:
    """x: (problems,) differences. How often is |mean| as large when each sign is a coin's?"""
    rng = np.random.default_rng(seed)
    x = x[x != 0]
    signs = (rng.integers(0, 2, (DRAWS // 10, len(x))) * 2 - 1 for _ in range(10))
    means = np.concatenate([np.abs(sign @ x) for sign in signs])
    return float(((means >= abs(x.sum()) - 1e-12).sum() + 1) / (len(means) + 1))
