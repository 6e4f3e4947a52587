"""The tables of README.md and docs/evidence.md, and curves.svg, from the runs in this folder.

    python results/table.py            # write them
    python results/table.py --check    # say whether they are what the runs say (exit 1)

A number is the mean over seeds of the mean over problems, its interval a bootstrap over families of
problems. Left out: an interval over seeds, of which there are too few.
"""

import json
import sys
from pathlib import Path
from statistics import fmean as mean

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from problems import basics  # noqa: E402
from problems.stats import interval  # noqa: E402
from tools.stats import paired_difference  # noqa: E402

SETTINGS = {
    "smollm": "SmolLM2",
    "gemma": "Gemma 3",
    "mbpp": "SmolLM2 on MBPP",
    "gemma-mbpp": "Gemma 3 on MBPP",
}
SUMMARY = {"base": "before training", "grpo": "GRPO", "coderl": "CodeRL+"}
PAIRS = {  # (without alignment, with it) -> what both are
    ("grpo", "coderl"): "GRPO",
    ("grpo-rpp", "coderl-rpp"): "REINFORCE++",
    ("grpo-dapo", "coderl-dapo"): "DAPO",
    ("grpo-lr1e-5", "coderl-lr1e-5"): "GRPO, learning rate 1e-5",
    ("grpo-60", "coderl-60"): "GRPO, 60 steps",
}
COLUMNS = [  # evaluation, task, heading
    ("sampled", "basics", "`basics`"),
    ("sampled", "basics-trace", "`basics-trace`"),
    ("sampled", "basics-output", "`basics-output`"),
    ("mbpp", "mbpp", "MBPP, greedy"),
]
FAMILIES = [r["family"] for r in sorted(basics.problems("heldout"), key=lambda r: r["task_id"])]
Runs = dict[str, list[dict]]  # arm of one setting -> its runs in order of seeds


def read_runs(folder: Path) -> dict[str, Runs]:
    """setting -> its runs."""
    rows = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    found: dict[str, Runs] = {}
    for row in sorted(rows, key=lambda row: (list(SETTINGS).index(row["setting"]), row["seed"])):
        found.setdefault(row["setting"], {}).setdefault(row["arm"], []).append(row)
    return found


# --------------------------------------------------------------------------- tables
def values(row: dict, label: str, task: str) -> list[float]:
    """Values by problem, in order of ids; [] if the run lacks this evaluation."""
    return row["evaluations"].get(label, {}).get(task, {}).get("values", [])


def averaged(seeds: list[list[float]]) -> dict[str, float]:
    """place of a problem -> its mean over seeds."""
    return {str(k): mean(parts) for k, parts in enumerate(zip(*seeds, strict=True))}


def families(task: str, n: int) -> dict[str, str]:
    """place -> family of n problems in order of ids; but for basics, each is its own."""
    names = FAMILIES if task.startswith("basics") else range(n)
    return {str(place): str(name) for place, name in zip(range(n), names, strict=True)}


def table(heads: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


def summary(runs: Runs) -> str:
    """The main arms as trained: mean and interval, in %."""
    rows = []
    for arm, name in SUMMARY.items():
        cells = []
        for label, task, _ in COLUMNS[:3]:
            found = averaged([values(row, label, task) for row in runs[arm]])
            low, high = (100 * end for end in interval(found, families(task, len(found))))
            cells.append(f"{100 * mean(found.values()):.1f} ({low:.1f} to {high:.1f})")
        first, *_, last = (row["seed"] for row in runs[arm] * 2)
        command = f"`python results/run.py {runs[arm][0]['setting']} {arm} {first}`"
        rows.append([name, *cells, command + f" (to {last})" * (last > first)])
    return table(["arm", *(head for *_, head in COLUMNS[:3]), "command"], rows)


def both(runs: Runs, pair: tuple[str, str]) -> list[tuple[dict, dict]]:
    """The two runs of each seed that both arms have on like cores, for others round otherwise."""
    a, b = ({(r["seed"], r["machine"]): r for r in runs.get(arm, [])} for arm in pair)
    return [(a[key], b[key]) for key in sorted(a.keys() & b.keys())]


def gain(found: list[tuple[dict, dict]], label: str, task: str) -> str:
    """What alignment adds, in points, with its interval; "" without such an evaluation."""
    sides = [[values(row, label, task) for row in side] for side in zip(*found, strict=True)]
    if not all(map(all, sides)):
        return ""
    a, b = map(averaged, sides)
    d = paired_difference(a, b, families(task, len(a)))
    return f"{100 * d.mean:+.1f} ({100 * d.low:+.1f} to {100 * d.high:+.1f})"


def pairs(settings: dict[str, Runs]) -> str:
    """What alignment adds to the same training without, in every setting."""
    rows = []
    for setting, runs in settings.items():
        for pair, name in PAIRS.items():
            if found := both(runs, pair):
                cells = [gain(found, label, task) for label, task, _ in COLUMNS]
                seeds = " ".join(str(a["seed"]) for a, _ in found)
                made = ", ".join(f"`{setting} {arm} {seeds}`" for arm in pair)
                rows.append([SETTINGS[setting], name, *cells, made])
    return table(["model", "over", *(head for *_, head in COLUMNS), "`results/run.py`"], rows)


# --------------------------------------------------------------------------- curves
WIDTH, HEIGHT, LEFT, TOP, SMOOTH = 360, 200, 46, 40, 5  # of a panel; steps in a mean
COLOURS = {"grpo": "#bc4c00", "coderl": "#1f6feb"}
STYLE = "text{font:12px sans-serif;fill:#888}polyline{fill:none;stroke-width:1.6}"
TITLES = {"reward/code": "programs that pass", "reward/align": "alignment reward"}
PANELS = [("reward/code", "samples"), ("reward/code", "minutes"), ("reward/align", "samples")]


def points(row: dict, metric: str, axis: str) -> list[tuple[float, float]]:
    """(x, mean of the last SMOOTH steps) of one run. x: samples or minutes since its start."""
    found, recent, x, curve = [], [], 0.0, row["curve"]
    for step, seconds, value in zip(curve["step"], curve["time/step"], curve[metric], strict=True):
        x = float(row["samples_per_step"] * step) if axis == "samples" else x + seconds / 60
        if value is not None:
            recent = [*recent, value][-SMOOTH:]
            found.append((x, mean(recent)))
    return found


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'


def panel(runs: Runs, metric: str, axis: str, x0: int) -> list[str]:
    """SVG elements of one panel whose left edge is at x0."""
    lines = [(arm, points(row, metric, axis)) for arm in COLOURS for row in runs[arm]]
    right, top = (max(point[k] for _, line in lines for point in line) for k in (0, 1))
    left, bottom = x0 + LEFT, TOP + HEIGHT
    parts = [text(left, TOP - 14, f"{TITLES[metric]}, by {axis}")]
    for y in (0, top / 2, top):
        level = bottom - HEIGHT * y / top
        parts.append(f'<path d="M{left} {level:.1f}h{WIDTH}" stroke="#8884"/>')
        parts.append(text(left - 6, level + 4, f"{100 * y:.0f} %", "end"))
    parts.append(text(left, bottom + 18, f"0 {axis}"))
    parts.append(text(left + WIDTH, bottom + 18, f"{right:.0f} {axis}", "end"))
    for arm, line in lines:
        at = [(left + WIDTH * x / right, bottom - HEIGHT * y / top) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        parts.append(f'<polyline points="{path}" stroke="{COLOURS[arm]}"/>')
    return parts


def plot(runs: Runs) -> str:
    """The learning curves of the main pair: a line a run, a colour an arm."""
    wide, parts = WIDTH + LEFT + 30, [f"<style>{STYLE}</style>"]
    for number, (metric, axis) in enumerate(PANELS):
        parts += panel(runs, metric, axis, number * wide)
    for number, (arm, colour) in enumerate(COLOURS.items()):
        x, y = LEFT + number * 170, TOP + HEIGHT + 44
        parts.append(f'<path d="M{x} {y - 4}h22" stroke="{colour}" stroke-width="2"/>')
        parts.append(text(x + 28, y, SUMMARY[arm]))
    size = f'width="{len(PANELS) * wide}" height="{TOP + HEIGHT + 60}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>\n'


# --------------------------------------------------------------------------- files
def with_table(page: str, name: str, rows: str) -> str:
    """`page` with `rows` between the marks of `name`, which have to be there."""
    begin, end = f"<!-- {name}: written by results/table.py -->", f"<!-- end of {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        sys.exit(f"error: a page needs the marks {begin} and {end}, once each")
    return f"{page.partition(begin)[0]}{begin}\n{rows}\n{end}{page.partition(end)[2]}"


def main() -> None:
    settings = read_runs(ROOT / "results")
    main_runs, readme, evidence = settings["smollm"], ROOT / "README.md", ROOT / "docs/evidence.md"
    wanted = {ROOT / "results/curves.svg": plot(main_runs)}
    wanted[readme] = with_table(readme.read_text(), "summary", summary(main_runs))
    wanted[evidence] = with_table(evidence.read_text(), "pairs", pairs(settings))
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
    if "--check" in sys.argv:
        sys.exit(f"error: not what the runs say: {names}; python results/table.py" if stale else 0)
    for path in stale:
        path.write_text(wanted[path])
    print(f"written: {names or 'nothing, all is as it should be'}")


if __name__ == "__main__":
    main()
