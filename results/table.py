"""The tables of both READMEs and the plots in this folder, from the runs in this folder.

    python results/table.py            # write them
    python results/table.py --check    # say whether they are what the runs say (exit 1)

A number is the mean over seeds of the mean over problems; its interval is a bootstrap over families
of problems of their values, averaged over seeds (stats.py). The plots are drawn by curves.py.
Left out: an interval over seeds, of which there are too few.
"""

import itertools
import json
import re
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from basics import problems  # noqa: E402
from results.curves import mean, plot  # noqa: E402
from stats import Difference, interval, paired_difference  # noqa: E402
from tools import probe_plot  # noqa: E402

SETTINGS = {  # the first is the main one: its curves and probes are drawn
    "smollm": "SmolLM2-135M-Instruct on `basics`",
    "begin": "SmolLM2-135M-Instruct on `basics`, programs begun",
    "begin-all": "SmolLM2-135M-Instruct on `basics`, programs and answers begun",
    "gemma": "Gemma 3 270M, not instructed, on `basics`",
    "mbpp": "SmolLM2-135M-Instruct on MBPP's training split",
    "gemma-mbpp": "Gemma 3 270M, not instructed, on MBPP's training split",
}
BRIEF = {  # in the table of pairs
    "smollm": "SmolLM2",
    "begin": "SmolLM2, programs begun",
    "begin-all": "SmolLM2, answers begun, too",
    "gemma": "Gemma 3",
    "mbpp": "SmolLM2 on MBPP",
    "gemma-mbpp": "Gemma 3 on MBPP",
}
MARKS = ("<!-- {}: written by results/table.py -->", "<!-- end of {} -->")
NAMES = {
    "base": "before training",
    "grpo": "GRPO",
    "coderl": "CodeRL+",
    "align": "alignment alone",
    "grpo-rpp": "REINFORCE++",
    "coderl-rpp": "CodeRL+ with REINFORCE++",
    "grpo-dapo": "DAPO",
    "coderl-dapo": "CodeRL+ with DAPO",
    "grpo-dapo-60": "DAPO, 60 steps",
    "coderl-dapo-60": "CodeRL+ with DAPO, 60 steps",
    "coderl-0.2": "CodeRL+, a share of 0.2",
    "coderl-0.6": "CodeRL+, a share of 0.6",
    "coderl-paper": "CodeRL+, the paper's reward form",
    "grpo-lr1e-5": "GRPO, learning rate 1e-5",
    "grpo-lr4e-5": "GRPO, learning rate 4e-5",
    "coderl-lr1e-5": "CodeRL+, learning rate 1e-5",
    "grpo-60": "GRPO, 60 steps",
    "coderl-60": "CodeRL+, 60 steps",
    "coderl-varied": "CodeRL+, varied questions first",
    "coderl-varied-60": "CodeRL+, varied questions first, 60 steps",
}
EARLIER = {  # runs at temperature 1 that results/run.py does not make any more: arm -> name
    "base": "before training",
    "grpo-30": "GRPO, 1e-5, 30 steps",
    "coderl-30": "CodeRL+, 1e-5, 30 steps",
    "grpo": "GRPO, 1e-5, 60 steps",
    "coderl": "CodeRL+, 1e-5, 60 steps",
    "coderl-variables": "the same, about variables only, six inputs",
    "grpo-lr2e-5": "GRPO, 2e-5, 30 steps",
    "coderl-lr2e-5": "CodeRL+, 2e-5, 30 steps",
    "grpo-lr4e-5": "GRPO, 4e-5, 30 steps",
}
PAIRS = [("grpo", "coderl"), ("grpo-rpp", "coderl-rpp"), ("grpo-dapo", "coderl-dapo")]
PAIRS += [("base", "grpo"), ("grpo", "align"), ("grpo-lr1e-5", "coderl-lr1e-5")]
PAIRS += [("grpo", "coderl-0.2"), ("grpo", "coderl-0.6"), ("grpo", "coderl-paper")]
PAIRS += [("grpo-60", "coderl-60"), ("grpo", "coderl-varied")]
PAIRS += [("grpo-60", "coderl-varied-60"), ("grpo-dapo-60", "coderl-dapo-60")]
WITH_AND_WITHOUT = [pair for pair in PAIRS if pair[1].replace("coderl", "grpo") == pair[0]]
COLUMNS = [  # evaluation, task, heading
    ("sampled", "basics", "`basics`"),
    ("sampled", "basics-trace", "`basics-trace`"),
    ("sampled", "basics-output", "`basics-output`"),
    ("mbpp", "mbpp", "MBPP, greedy"),
    ("greedy", "basics", "`basics`, greedy"),
    ("greedy", "basics-trace", "`basics-trace`, greedy"),
    ("greedy", "basics-output", "`basics-output`, greedy"),
    ("humaneval", "humaneval", "HumanEval, greedy"),
    ("cruxeval", "cruxeval-o", "CRUXEval-O, first 200, greedy"),
]
PROBED = ("passes", "value", "type")
FAMILIES = [row["family"] for row in sorted(problems("heldout"), key=lambda row: row["task_id"])]
FIRST, LAST = slice(5), slice(-5, None)  # steps of which the reward is told
Runs = dict[str, list[dict]]  # arm of one setting -> its runs in order of seeds


def read_runs(folder: Path, arms: dict[str, str] = NAMES) -> dict[str, Runs]:
    """setting -> its runs; settings and arms in the order of the tables above."""
    rows = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    places = {name: place for place, name in enumerate([*SETTINGS, *arms])}
    rows.sort(key=lambda row: (places[row["setting"]], places[row["arm"]], row["seed"]))
    found: dict[str, Runs] = {}
    for row in rows:
        found.setdefault(row["setting"], {}).setdefault(row["arm"], []).append(row)
    return found


# --------------------------------------------------------------------------- tables
def values(rows: list[dict], label: str, task: str) -> list[list[float]]:
    """Values by problem of every seed that has this evaluation."""
    found = (row["evaluations"].get(label, {}).get(task) for row in rows)
    return [one["values"] for one in found if one]


def averaged(seeds: list[list[float]]) -> list[float]:
    return [mean(list(parts)) for parts in zip(*seeds, strict=True)]


def by_place(values: list[float]) -> dict[str, float]:
    return {str(place): value for place, value in enumerate(values)}


def families_by_place(task: str, n: int) -> dict[str, str]:
    """place -> family of n problems in order of ids: of basics, else each is its own."""
    names = FAMILIES if task.startswith("basics") else range(n)
    return {str(place): str(name) for place, name in zip(range(n), names, strict=True)}


def cell(seeds: list[list[float]], task: str) -> str:
    if not seeds:
        return ""
    found = by_place(averaged(seeds))
    low, high = interval(found, families_by_place(task, len(found)))
    each = ", ".join(f"{100 * mean(seed):.1f}" for seed in seeds)
    several = f" [{each}]" if len(seeds) > 1 else ""
    return f"{100 * mean(averaged(seeds)):.1f} ({100 * low:.1f} to {100 * high:.1f}){several}"


def table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of Markdown, without rows that have a first cell only and without empty columns."""
    rows = [row for row in rows if any(row[1:])]
    used = [any(row[k] for row in rows) for k in range(len(heads))]
    body = [heads, ["---"] * len(heads), *rows] if rows else []
    return [f"| {' | '.join(itertools.compress(row, used))} |" for row in body]


def main_table(runs: Runs, columns: list[tuple[str, str, str]]) -> list[str]:
    rows = []
    for arm, of_arm in runs.items():
        cells = [cell(values(of_arm, label, task), task) for label, task, _ in columns]
        command = " ".join([of_arm[0]["setting"], arm, *(str(row["seed"]) for row in of_arm)])
        about = [f"`{command}`", cores(of_arm)] if any(cells) else ["", ""]
        rows.append([NAMES[arm], *cells, *about])
    return table(["arm", *(head for *_, head in columns), "`results/run.py`", "cores"], rows)


def cores(rows: list[dict]) -> str:
    """Who made them, by seed where that differs: "AMD", or "Intel, AMD, AMD"."""
    makers = [row["machine"].split(" x ")[1].replace("(", " ").split()[0] for row in rows]
    return ", ".join(makers if len(set(makers)) > 1 else makers[:1])


def sides(runs: Runs, pair: tuple[str, str], label: str, task: str) -> list[list[list[float]]]:
    """Values by problem of both arms, over the seeds that both have on like cores, which round
    alike; one base is for all."""
    both = [
        {
            (row["seed"], row["machine"]): found[0]
            for row in runs.get(arm, [])
            if (found := values([row], label, task))
        }
        for arm in pair
    ]
    if pair[0] == "base" and both[0]:
        both[0] = dict.fromkeys(both[1], both[0][min(both[0])])
    seeds = sorted(both[0].keys() & both[1].keys())
    return [[arm[seed] for seed in seeds] for arm in both]


def difference(first: list[list[float]], second: list[list[float]], task: str) -> Difference:
    """The second side minus the first, paired by problem, each averaged over its seeds."""
    a, b = (by_place(averaged(side)) for side in (first, second))
    return paired_difference(a, b, families_by_place(task, len(a)))


def told(runs: Runs, pair: tuple[str, str], label: str, task: str) -> str:
    """Mean, interval, each seed, p of a difference in points; nothing without a common seed."""
    first, second = sides(runs, pair, label, task)
    if not first:
        return ""
    d = difference(first, second, task)
    each = [f"{100 * (mean(b) - mean(a)):+.1f}" for a, b in zip(first, second, strict=True)]
    several = f" [{', '.join(each)}]" if len(each) > 1 else ""
    p = f"p = {d.p:.2g}" if d.p >= 0.001 else "p < 0.001"
    return f"{100 * d.mean:+.1f} ({100 * d.low:+.1f} to {100 * d.high:+.1f}){several}, {p}"


def earlier_table(runs: Runs) -> list[str]:
    """Runs of earlier states, with what makes them there: commit, seeds and flags of train.py."""
    columns = [*COLUMNS[:3], next(c for c in COLUMNS if c[:2] == ("greedy", "basics"))]
    rows = []
    for arm, of_arm in runs.items():
        commits = ", ".join(dict.fromkeys(row["commit"] for row in of_arm))
        seeds = ", ".join(str(row["seed"]) for row in of_arm)
        cells = [cell(values(of_arm, label, task), task) for label, task, _ in columns]
        flags = " ".join(of_arm[0]["flags"])
        rows.append(
            [EARLIER[arm], *cells, f"{commits}, seed {seeds}: `{flags}`".replace(": ``", "")]
        )
    return table(["arm", *(head for *_, head in columns), "made by"], rows)


def difference_table(runs: Runs, columns: list[tuple[str, str, str]]) -> list[str]:
    rows = []
    for pair in PAIRS:
        cells = [told(runs, pair, label, task) for label, task, _ in columns]
        rows.append([f"{NAMES[pair[1]]} − {NAMES[pair[0]]}", *cells])
    return table(["points", *(head for *_, head in columns)], rows)


def pairs_table(settings: dict[str, Runs]) -> list[str]:
    """What alignment adds to the same training without, in every setting."""
    rows, columns = [], COLUMNS[:4]
    for (setting, runs), pair in itertools.product(settings.items(), WITH_AND_WITHOUT):
        cells = [told(runs, pair, label, task) for label, task, _ in columns]
        alike = [{(row["seed"], row["machine"]) for row in runs.get(arm, [])} for arm in pair]
        seeds = " ".join(str(seed) for seed, _ in sorted(alike[0] & alike[1]))
        if seeds:
            made = ", ".join(f"`{setting} {arm} {seeds}`" for arm in pair)
            rows.append([BRIEF[setting], NAMES[pair[0]], *cells, made])
    heads = ["model", "over", *(head for *_, head in columns), "`results/run.py`"]
    return table(heads, rows)


def probes(rows: list[dict]) -> list[dict]:
    """target -> what its probe found, of every seed that was probed."""
    found = (row["evaluations"].get("probe", {}).get("probe") for row in rows)
    return [one["targets"] for one in found if one]


def probe_table(runs: Runs) -> list[str]:
    """Balanced accuracy at the layer that cross-validation chose, and of its control."""
    rows = []
    for arm, of_arm in runs.items():
        found, cells = probes(of_arm), []
        for target in PROBED if found else ():
            ts = [one[target] for one in found]
            low, high = (mean([t["interval"][k] for t in ts]) for k in (0, 1))
            control = mean([t["shuffled"][t["best_layer"]] for t in ts])
            best = f"{100 * mean([t['best'] for t in ts]):.1f}"
            cells += [f"{best} ({100 * low:.1f} to {100 * high:.1f})", f"{100 * control:.1f}"]
        rows.append([NAMES[arm], *cells])
    heads = [head for target in PROBED for head in (target, "shuffled labels")]
    return table(["hidden states", *heads], rows)


def probe_lines(runs: Runs) -> dict[str, dict]:
    """What tools/probe_plot.py draws of each arm: means over its seeds, layer by layer."""
    drawn = {}
    for arm, rows in runs.items():
        if found := probes(rows):
            targets = {target: dict(found[0][target]) for target in PROBED}
            for target, key in itertools.product(PROBED, ("accuracy", "shuffled")):
                targets[target][key] = averaged([one[target][key] for one in found])
            drawn[NAMES[arm]] = {"targets": targets}
    return drawn


def cost_table(runs: Runs) -> list[str]:
    rows = []
    for arm, of_arm in runs.items():
        curves, cells = [row["curve"] for row in of_arm if "curve" in row], []
        if curves:
            machine = statistics.mode(row["machine"] for row in of_arm)  # times of one kind only
            times = [row["curve"]["time/step"] for row in of_arm if row["machine"] == machine]
            cells += [f"{statistics.median(itertools.chain(*times)):.1f}", machine]
        for metric, part in itertools.product(("reward/code", "reward/align"), (FIRST, LAST)):
            known = [[x for x in curve[metric][part] if x is not None] for curve in curves]
            cells.append(f"{mean([mean(xs) for xs in known]):.2f}" if all(known) and known else "")
        rows.append([NAMES[arm], *cells])
    heads = [
        f"{kind} reward, {part} five steps"
        for kind in ("code", "alignment")
        for part in ("first", "last")
    ]
    return table(["arm", "seconds a step", "cores", *heads], rows)


def summary(runs: Runs) -> list[str]:
    """The main arms, as trained."""
    chosen = {arm: runs[arm] for arm in ("base", "grpo", "coderl") if arm in runs}
    return main_table(chosen, COLUMNS[:3])


def markdown(settings: dict[str, Runs]) -> str:
    """All tables, setting by setting."""
    parts = []
    for setting, runs in settings.items():
        parts.append([f"### {SETTINGS[setting]}"])
        for columns in (COLUMNS[:3], COLUMNS[3:]):
            parts += [main_table(runs, columns), difference_table(runs, columns)]
        parts += [cost_table(runs), probe_table(runs)]
    return "\n\n".join("\n".join(part) for part in parts if part)


# --------------------------------------------------------------------------- files
def with_tables(text: str, name: str, tables: str) -> str:
    """`text` with what stands between the marks of `name` replaced. Raises ValueError without."""
    begin, end = (mark.format(name) for mark in MARKS)
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"a README needs the marks {begin} and {end}, once each")
    between = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    return between.sub(lambda _: f"{begin}\n{tables}\n{end}", text)


def main() -> None:
    settings = read_runs(ROOT / "results")
    earlier = read_runs(ROOT / "results/earlier", EARLIER)[next(iter(SETTINGS))]
    runs = settings[next(iter(SETTINGS))]
    top, full = ROOT / "README.md", ROOT / "results/README.md"
    wanted = {path: path.read_text() for path in (top, full)}
    for path, name, lines in (
        (top, "summary", summary(runs)),
        (top, "pairs", pairs_table(settings)),
        (full, "evidence", [markdown(settings)]),
        (full, "earlier", earlier_table(earlier)),
    ):
        wanted[path] = with_tables(wanted[path], name, "\n".join(lines))
    wanted[ROOT / "results/curves.svg"] = plot(runs, NAMES)
    if found := probe_lines(runs):
        wanted[ROOT / "results/probe.svg"] = probe_plot.plot(found)
    stale = [p for p, text in wanted.items() if not p.exists() or p.read_text() != text]
    names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
    if "--check" in sys.argv:
        sys.exit(f"error: not what the runs say: {names}; python results/table.py" if stale else 0)
    for path in stale:
        path.write_text(wanted[path])
    print(f"written: {names or 'nothing, all is as it should be'}")


if __name__ == "__main__":
    main()
