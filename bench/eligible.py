"""How many programs may be asked about, and why the others may not.

    python bench/eligible.py mbpp.jsonl leetcode-train.jsonl.gz [--limit=N]

It traces each file's reference programs on their first input, as train.py traces failed programs,
except that a reference may be of any complexity and length. The share is of the programs that have
a reference and an input.
"""

import sys
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import reward  # noqa: E402
import trace  # noqa: E402
from config import Config  # noqa: E402
from problems.load import load_problems  # noqa: E402
from problems.problem import Problem  # noqa: E402
from sandbox import Pool, Sandbox  # noqa: E402
from tools.command import options, run  # noqa: E402


def reason(sandbox: Sandbox, problem: Problem) -> str:
    """ "" if the reference program may be asked about."""
    inputs = problem.tests.get("inputs") or problem.tests.get("calls")
    prefix, name = problem.tests.get("prefix", ""), problem.fn_name
    given = (sandbox, problem.solution, inputs[0], name)
    made = reward.make_question(*given, Config(), prefix, max_complexity=sys.maxsize)
    if made == "forgeable":
        return trace.trace_program(*given, prefix=prefix).error
    return made if isinstance(made, str) else "" if made.has_variables else "no variable"


def main() -> None:
    paths, flags = options(__doc__, limit=0)
    limit = flags["limit"] or None
    if not paths:
        sys.exit(__doc__)
    for path in paths:
        problems = load_problems(path)
        given = ("inputs", "calls")
        have = [p for p in problems if p.solution and any(map(p.tests.get, given))]
        with Pool(2) as pool:
            made: list[Future] = [pool.submit(reason, problem) for problem in have[:limit]]
            reasons = Counter(future.result() for future in made)
        total = sum(reasons.values())
        print(f"{Path(path).name}: {100 * reasons.pop('', 0) / total:.2f} % of {total}")
        for why, n in reasons.most_common():
            print(f"  {n:5} {why}")


if __name__ == "__main__":
    run(lambda _: main(), __doc__)
