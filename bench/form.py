"""Is it the form of the answers that got better, or the values in them?

    python bench/form.py out/smollm-grpo-3 out/smollm-coderl-3     # two runs of results/run.py

An answer about variables earns nothing for a value that it does not give, so a model that learns
no more than to answer in the asked form scores higher, too. Here only the answers count that give
a value for each name, and only the problems of which both runs have such an answer: the share of
values right in these, the difference with its interval over families of problems, and p of a
paired test. And how many of all answers give one and the same value for several names.
Left out: the problems of which one run has none; those may be the harder ones.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from stats import by_problem, families, paired_difference  # noqa: E402

TASK = "basics-trace"


def answers(run: Path, label: str) -> list[dict]:
    rows = json.loads((run / "eval" / f"{label}.json").read_text())
    return next(row["results"] for row in rows if row["task"] == TASK)


def whole(results: list[dict]) -> list[dict]:
    """The answers that give a value for each name."""
    return [r for r in results if r["target"].keys() == (r["predicted"] or {}).keys()]


def repeated(results: list[dict], key: str) -> str:
    """Share of the answers ("predicted") or questions ("target") of one value for several names."""
    values = [list((result[key] or {}).values()) for result in results]
    share = sum(len(v) > 1 and len(set(v)) == 1 for v in values) / len(values)
    return f"{share:.0%}"


def compare(a: Path, b: Path, label: str) -> str:
    """One line: share of whole answers and values right in these, of both runs."""
    found = [answers(run, label) for run in (a, b)]
    shares = [len(whole(results)) / len(results) for results in found]
    means = [by_problem(whole(results), TASK) for results in found]
    d = paired_difference(*means, families([*found[0], *found[1]]))
    right = [sum(mean[k] for k in means[0].keys() & means[1].keys()) / d.n for mean in means]
    return (
        f"{label:<8} answers with all values {shares[0]:.0%}, {shares[1]:.0%}; of these, on the "
        f"{d.n} problems ({d.families} families) of which both have some, right {right[0]:.1%}, "
        f"{right[1]:.1%}: {d.mean:+.1%} ({d.low:+.1%} to {d.high:+.1%}), p = {d.p:.2g}; "
        f"one value for several names {', '.join(repeated(r, 'predicted') for r in found)} "
        f"(asked for: {repeated(found[0], 'target')})"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python bench/form.py out/A out/B, two runs of results/run.py")
    try:
        for label in ("sampled", "greedy"):
            print(compare(Path(sys.argv[1]), Path(sys.argv[2]), label))
    except (OSError, KeyError, TypeError, ValueError, StopIteration) as error:
        sys.exit(f"error: cannot compare {sys.argv[1]} with {sys.argv[2]}: {error!r}")
