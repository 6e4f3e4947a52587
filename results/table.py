"""The tables of README.md and docs/evidence.md, and curves.svg, from the runs in this folder.

    python results/table.py            # write them
    python results/table.py --check    # say whether they are what the runs say (exit 1)

A number is a mean over seeds and problems, greedily; its interval is a bootstrap over problems (in
basics-hard over families). No interval speaks of other seeds, so their own numbers stand beside it.
"""

import json
import sys
from pathlib import Path
from statistics import fmean as mean

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from problems import basics  # noqa: E402
from problems.stats import interval  # noqa: E402
from tools.chart import Line, Panel, chart  # noqa: E402
from tools.stats import paired_difference  # noqa: E402

ARMS = {  # arm -> what it is called; what it is compared with; its colour
    "base": ("before training", "", ""),
    "grpo": ("GRPO", "base", "#bc4c00"),
    "coderl": ("CodeRL+", "grpo", "#1f6feb"),
    "random": ("GRPO, paid by a coin", "base", "#888"),
    "dealt": ("CodeRL+, values of other questions", "grpo", "#8250df"),
    "more": ("CodeRL+, questions on top", "grpo", "#1a7f37"),
    "easy": ("CodeRL+, easier problems", "grpo", "#bf3989"),
    "passed": ("CodeRL+, about what passed", "grpo", "#9a6700"),
}
COLUMNS = {  # task -> heading
    "humaneval": "HumanEval",
    "mbpp": "MBPP",
    "cruxeval-o": "CRUXEval-O",
    "basics-hard": "`basics-hard`",
    "basics-hard-trace": "`basics-hard-trace`",
}
SHORT = ("base", "grpo", "coderl", "random", "dealt")  # the rows of README.md
FORM = ("cruxeval-o", "basics-hard-trace")  # tasks whose answers may fail to parse
SMOOTH = 10  # steps in a mean of the curves
Runs = dict[str, list[dict]]  # arm -> its runs in order of seeds


def read_runs(folder: Path) -> Runs:
    rows = [json.loads(path.read_text()) for path in sorted(folder.glob("*-*.json"))]
    return {a: found for a in ARMS if (found := [row for row in rows if row["arm"] == a])}


def greedy(row: dict, task: str) -> list[float]:
    """Values by problem, in order of ids."""
    return row["evaluations"]["greedy"][task]["values"]


def averaged(rows: list[dict], task: str) -> dict[str, float]:
    """place of a problem -> its mean over runs."""
    parts = zip(*(greedy(row, task) for row in rows), strict=True)
    return {str(place): mean(part) for place, part in enumerate(parts)}


def families(task: str, places: dict) -> dict[str, str]:
    """place -> family; each problem is its own, but in basics-hard."""
    if not task.startswith("basics-hard"):
        return {place: place for place in places}
    rows = sorted(basics.problems("heldout", tier="basics-hard"), key=lambda r: r["task_id"])
    return {place: row["family"] for place, row in zip(places, rows, strict=True)}


def table(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


def percent(values: tuple[float, float, float], sign: str = "") -> str:
    middle, low, high = (f"{100 * value:{sign}.1f}" for value in values)
    return f"{middle} ({low} to {high})"


def scores(runs: Runs) -> str:
    """Each arm: mean and interval in %, and the means of its seeds where it has several."""

    def cell(found: list[dict], task: str) -> str:
        all_ = averaged(found, task)
        each = ", ".join(f"{100 * mean(greedy(row, task)):.1f}" for row in found)
        ends = interval(all_, families(task, all_))
        return percent((mean(all_.values()), *ends)) + (f"; {each}" if len(found) > 1 else "")

    made = {a: ", ".join(f"`{a} {row['seed']}`" for row in runs[a]) for a in SHORT if a in runs}
    rows = [[ARMS[a][0], *(cell(runs[a], t) for t in COLUMNS), by] for a, by in made.items()]
    return table(["greedy, %", *COLUMNS.values(), "`python results/run.py`"], rows)


def gains(runs: Runs) -> str:
    """Each arm against the one that it adds something to, in points, with an interval."""

    def cell(one: str, other: str, task: str) -> str:
        base, theirs = averaged(runs[other], task), averaged(runs[one], task)
        d = paired_difference(base, theirs, families(task, base))
        return percent((d.mean, d.low, d.high), "+")

    pairs = [(a, ARMS[a][1]) for a in runs if ARMS[a][1] in runs]
    pairs += [("coderl", "dealt")] if {"coderl", "dealt"} <= runs.keys() else []
    rows = [
        [f"{ARMS[a][0]} over {ARMS[b][0]}", *(cell(a, b, t) for t in COLUMNS)] for a, b in pairs
    ]
    return table(["greedy, points", *COLUMNS.values()], rows)


def forms(runs: Runs) -> str:
    """Form and substance apart: the share of answers that parse, and what of those is right."""

    def cell(found: list[dict], task: str) -> str:
        parts = [row["evaluations"]["greedy"][task] for row in found]
        parsed = mean(1 - p["statuses"].get("unparsed", 0) / p["n_problems"] for p in parts)
        right = mean(averaged(found, task).values()) / max(parsed, 1e-9)
        return f"{100 * parsed:.1f}, {100 * right:.1f}"

    rows = [[ARMS[a][0], *(cell(runs[a], t) for t in FORM)] for a in SHORT if a in runs]
    return table(["greedy, %", *(f"{COLUMNS[t]}: parse, right of those" for t in FORM)], rows)


def points(row: dict, axis: str) -> list[tuple[float, float]]:
    """(x, mean reward of programs in the last SMOOTH steps). x: samples or minutes so far."""
    curve, found, minutes = row["curve"], [], 0.0
    for i, step in enumerate(curve["step"]):
        minutes += curve["time/step"][i] / 60
        recent = curve["reward/code"][max(0, i + 1 - SMOOTH) : i + 1]
        x = row["samples_per_step"] * step if axis == "samples" else minutes
        found.append((x, mean(recent)))
    return found


def plot(runs: Runs) -> str:
    """SVG: rewards of programs at equal samples and at equal time, a line a run."""
    trained = [(ARMS[a][2], row) for a in runs for row in runs[a] if "curve" in row]
    panels = []
    for axis in ("samples", "minutes"):
        lines = [Line(colour, points(row, axis), 1.5) for colour, row in trained]
        panels.append(Panel(f"programs that pass, by {axis}", axis, lines))
    return chart(panels, {ARMS[a][0]: ARMS[a][2] for a in runs if a != "base"})


def with_table(page: str, name: str, rows: str) -> str:
    """`page` with `rows` between the marks of `name`, which have to be there."""
    begin, end = f"<!-- {name}: written by results/table.py -->", f"<!-- end of {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        sys.exit(f"error: a page needs the marks {begin} and {end}, once each")
    return f"{page.partition(begin)[0]}{begin}\n{rows}\n{end}{page.partition(end)[2]}"


def main() -> None:
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    runs, readme, page = read_runs(ROOT / "results"), ROOT / "README.md", ROOT / "docs/evidence.md"
    evidence = with_table(page.read_text(), "gains", gains(runs))
    wanted = {page: with_table(evidence, "forms", forms(runs))}
    wanted[readme] = with_table(readme.read_text(), "scores", scores(runs))
    wanted[ROOT / "results/curves.svg"] = plot(runs)
    stale = [path for path, new in wanted.items() if not path.exists() or path.read_text() != new]
    names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
    if "--check" in sys.argv:
        sys.exit(f"error: not what the runs say: {names}; python results/table.py" if stale else 0)
    for path in stale:
        path.write_text(wanted[path])
    print(f"written: {names or 'nothing, all is as it should be'}")


if __name__ == "__main__":
    main()
