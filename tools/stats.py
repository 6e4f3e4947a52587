"""Is one evaluation better than another, or is it luck? Paired tests over families of problems.

Problems of one family (one task, other constants) are passed or failed together, so a family is
drawn as a whole, as in problems/stats.py, which has the intervals of one evaluation. Left out:
intervals over training seeds.
"""

import math
from dataclasses import dataclass

import numpy as np

from problems.stats import DRAWS, by_family, resampled


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
    """Values by problem of two evaluations; of: families(). ValueError if they share none.

    With one sample a problem, pass or fail, and one problem a family it is McNemar's exact test:
    among the problems on which the two differ, how lopsided are gains and losses for a fair coin?
    Otherwise the signs of the families' differences are flipped at random. The interval is a
    bootstrap over families; one family alone says nothing, so its interval is all there is.
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
