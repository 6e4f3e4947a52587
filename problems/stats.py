"""pass@k, and intervals over problems, of the results of a task. tools/stats.py has paired tests.

The samples of a problem are averaged first, and what is drawn again is problems, for it is over
problems that a benchmark wants to speak. Problems of one family (one task, other constants) are
passed or failed together, so a family is drawn as a whole; taken for independent, 160 problems of
37 families have intervals down to half as wide as they should be (a cluster bootstrap: Cameron,
Gelbach and Miller, 2008). Left out: intervals over training seeds.
"""

import math
from collections import Counter

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


def summarise(task: str, results: list[dict]) -> dict:
    """pass@k over problems for k = 1 and, with several samples each, the number of samples.

    `interval` is for pass@1, of -trace tasks for the score: 95 %, a bootstrap over families.
    `chance`: what the same answers would earn, dealt to other questions.
    """
    row: dict = {"task": task} | rates(results)
    if task.endswith("-trace"):  # the share of variables right, whole answers or not
        row["score"] = sum(r["score"] for r in results) / len(results)
    row["interval"] = interval(by_problem(results, task), families(results))
    if task.endswith(("-trace", "-output")):
        row["chance"] = chance(results)
    row["n_samples"] = len(results)
    for name, key, length in (("by_difficulty", "difficulty", None), ("by_month", "date", 7)):
        parts: dict[str, list[dict]] = {}
        for result in results:
            if result.get(key):
                parts.setdefault(result[key][:length], []).append(result)
        if parts:
            row[name] = {label: rates(part) for label, part in sorted(parts.items())}
    row["statuses"] = dict(sorted(Counter(r["status"] for r in results).items()))
    return row | {"results": results}


def rates(results: list[dict]) -> dict:
    """pass@1, pass@n, n and n_problems; n is the fewest samples of a problem."""
    total = Counter(result["task_id"] for result in results)
    passed = Counter(result["task_id"] for result in results if result["passed"])
    fewest, row = min(total.values()), {}
    for k in sorted({1, fewest}):
        row[f"pass@{k}"] = sum(pass_at_k(n, passed[p], k) for p, n in total.items()) / len(total)
    return row | {"n": fewest, "n_problems": len(total)}


def row_text(row: dict) -> str:
    """A row of summarise(), as lines for the terminal."""
    low, high = row["interval"]
    values = [f"{k} {v:6.1%}" for k, v in row.items() if k.startswith("pass@") or k == "score"]
    of = "score" if "score" in row else "pass@1"
    by_chance = f", by chance {row['chance']:.1%}" if "chance" in row else ""
    counts = ", ".join(f"{count} {status}" for status, count in row["statuses"].items())
    lines = [
        f"{row['task']:<14} {'  '.join(values)}  ({of} {low:.1%} to {high:.1%}{by_chance})   "
        f"{row['n_problems']} problems: {counts}"
    ]
    for name in ("by_difficulty", "by_month"):
        for label, part in row.get(name, {}).items():
            rate, n = part["pass@1"], part["n_problems"]
            lines.append(f"  {label:<12} pass@1 {rate:6.1%}   {n} problems")
    return "\n".join(lines)
