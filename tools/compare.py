"""Results of eval.py side by side, with what a difference is worth.

    python tools/compare.py A.json B.json ...      # every file against the first

A file holds one row or a list of rows, a task each; the tasks that the files share are compared,
problem by problem. Left out: correction for many comparisons. With twenty of them, one is
"significant" by luck.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from config import UserError  # noqa: E402
from problems.stats import by_problem, families, interval  # noqa: E402
from tools import command  # noqa: E402
from tools.stats import paired_difference  # noqa: E402


def read_results(path: str) -> dict[str, dict]:
    """task -> row of a file that eval.py wrote. Raises UserError."""
    try:
        rows = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    rows = rows if isinstance(rows, list) else [rows]
    for row in rows:
        if not isinstance(row, dict) or "task" not in row:
            raise UserError(f"{path} is no result of eval.py: it has no task")
    return {row["task"]: row for row in rows}


def values(row: dict, path: str) -> dict[str, float]:
    """by_problem() of a result file's row. Raises UserError."""
    try:
        return by_problem(row["results"], row["task"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: {row['task']} has no results to compare: {error!r}") from error


def compare(paths: list[str]) -> str:
    """The table, a line a task and file. Raises UserError if there is nothing to compare."""
    if len(paths) < 2:
        raise UserError("a comparison needs two or more result files of eval.py")
    files = {path: read_results(path) for path in paths}
    first, *others = paths
    shared = [task for task in files[first] if task != "probe"]
    shared = [task for task in shared if any(task in files[path] for path in others)]
    if not shared:
        raise UserError(f"{first} shares no task with the other files")
    return "\n".join(line for task in shared for line in compare_task(task, paths, files))


def compare_task(task: str, paths: list[str], files: dict[str, dict[str, dict]]) -> list[str]:
    """The lines of one task: the share of the first file, and how far the others are from it."""
    first, width = paths[0], max(map(len, paths))
    found = [(path, values(files[path][task], path)) for path in paths if task in files[path]]
    of = families([row for path, _ in found for row in files[path][task]["results"]])
    base = found[0][1]
    lines = [task, f"  {first:<{width}}  {share(base, of)}"]
    for path, theirs in found[1:]:
        try:
            d = paired_difference(base, theirs, of)
        except ValueError as error:
            raise UserError(f"{path}: {task}: {error} (with {first})") from error
        said = "noise, as far as these problems tell" if d.noise else "a difference"
        kin = f" of {d.families} families" if d.families < d.n else ""
        lines.append(
            f"  {path:<{width}}  {share(theirs, of)}   "
            f"{100 * d.mean:+.1f} points ({100 * d.low:+.1f} to {100 * d.high:+.1f}), "
            f"p = {d.p:.3g}, {d.test}, {d.n} problems{kin}: {said}"
        )
    return lines


def share(found: dict[str, float], of: dict[str, str]) -> str:
    low, high = interval(found, of)
    return f"{sum(found.values()) / len(found):6.1%} ({low:.1%} to {high:.1%})"


if __name__ == "__main__":
    command.run(lambda paths: print(compare(paths)), __doc__)
