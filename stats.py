"""Is it better, or is it luck? pass@k, intervals over problems, and paired tests. Pure functions.

The samples of a problem are averaged first, and what is drawn again is problems, for it is over
problems that a benchmark wants to speak. Problems of one family (one task, other constants) are
passed or failed together, so a family is drawn as a whole; taken for independent, 160 problems of
37 families have intervals down to half as wide as they should be (a cluster bootstrap: Cameron,
Gelbach and Miller, 2008). Left out: intervals over training seeds.
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


def families(results: list[dict]) -> dict[str, str]:
    """task_id -> its family, where one of its results names it, else a family of its own."""
    named = {r["task_id"]: r["family"] for r in results if r.get("family")}
    return {r["task_id"]: named.get(r["task_id"], r["task_id"]) for r in results}


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


def interval(values: dict[str, float], of: dict[str, str], seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean of `values` in 0..1 by problem: percentile bootstrap.

    of: families(). Where all are 0, or all 1, every draw is the same, and of one family one knows
    nothing; so an interval that reaches 0 or 1 is no narrower than Wilson's for as many families.
    """
    sums, sizes = by_family(values, of)
    if len(sums) == 1:
        return 0.0, 1.0
    low, high = resampled(sums, sizes, seed)
    wilson = 1.96**2 / (len(sums) + 1.96**2)
    if low == 0.0:
        high = max(high, wilson)
    if high == 1.0:
        low = min(low, 1.0 - wilson)
    return low, high


def by_family(values: dict[str, float], of: dict[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """(sum of values, number of problems) of each family, both (families,)."""
    keys = sorted(values)
    _, place = np.unique([of[key] for key in keys], return_inverse=True)
    return np.bincount(place, [values[key] for key in keys]), np.bincount(place)


def resampled(sums: np.ndarray, sizes: np.ndarray, seed: int) -> tuple[float, float]:
    """95 % of the means over the problems of as many families, drawn with replacement."""
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, len(sums), (DRAWS // 10, len(sums))) for _ in range(10))
    means = [sums[rows].sum(axis=1) / sizes[rows].sum(axis=1) for rows in draws]  # spares memory
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


@dataclass
class Difference:
    """Mean of b - a over the problems that both have; `p` is two-sided, of no difference at all."""

    n: int
    families: int
    mean: float
    low: float
    high: float
    p: float
    test: str

    @property
    def noise(self) -> bool:
        return self.p >= 0.05


def paired_difference(
    a: dict[str, float], b: dict[str, float], of: dict[str, str], seed: int = 0
) -> Difference:
    """Values by problem of two evaluations; of: families(). ValueError if they share no problem.

    One sample each, pass or fail, and no two problems of a family: McNemar's exact test (of the
    problems on which they differ, how lopsided are the two kinds, were it a fair coin?). Else:
    signs of the families' differences flipped at random. The interval is a bootstrap of them; of
    one family it is all there is.
    """
    shared = a.keys() & b.keys()
    if not shared:
        raise ValueError("the two evaluations share no problem")
    x, sizes = by_family({key: b[key] - a[key] for key in shared}, of)
    low, high = resampled(x, sizes, seed) if len(x) > 1 else (-1.0, 1.0)
    if sizes.max() == 1 and {side[key] for key in shared for side in (a, b)} <= {0.0, 1.0}:
        p, test = mcnemar(int((x > 0).sum()), int((x < 0).sum())), "McNemar"
    else:
        p, test = sign_flips(x, seed), "sign flips"
    return Difference(len(shared), len(x), float(x.sum() / sizes.sum()), low, high, p, test)


def mcnemar(gained: int, lost: int) -> float:
    """Exact two-sided p: 2 P(X <= min(gained, lost)) for X ~ Binomial(gained + lost, 1/2)."""
    n = gained + lost
    tail = sum(math.comb(n, k) for k in range(min(gained, lost) + 1))
    return min(1.0, 2 * tail / 2**n)


def sign_flips(x: np.ndarray, seed: int) -> float:
    """x: (families,) differences. How often is |sum| as large when each sign is a coin's?"""
    rng = np.random.default_rng(seed)
    x = x[x != 0]
    signs = (rng.integers(0, 2, (DRAWS // 10, len(x))) * 2 - 1 for _ in range(10))
    means = np.concatenate([np.abs(sign @ x) for sign in signs])
    return float(((means >= abs(x.sum()) - 1e-12).sum() + 1) / (len(means) + 1))
