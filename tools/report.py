"""Write out/<name>/report.html: what a run did, its curves, its samples to read one by one, and
what eval.py and tools/probe.py wrote into out/<name>/eval/*.json.

    python tools/report.py out/demo

The page is one file that opens from disk without a network: report.html beside this script with the
run's data in it as JSON. What a model wrote is hostile: no `<` of the data reaches the page's
markup, and the page inserts text as text only. Left out: a plotting library and a server (the page
shall still open in ten years), several runs side by side (wandb does that), the samples of
benchmarks (tools/show.py prints them), and samples beyond MAX_PAGE: an even choice stands for them.
"""

import html
import itertools
import json
import keyword
import re
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from config import UserError  # noqa: E402
from tools import command  # noqa: E402

MAX_PAGE = 5_000_000  # bytes; a page of that size still opens at once
MAX_SAMPLES = 2_000  # rows in the page's list
MAX_TEXT = 10_000  # characters of one text; a run-away response is as instructive cut as whole
LABELS = {  # what to call the measures of our own evaluations in a sentence
    ("basics", "pass@1"): "pass@1 on unseen problem families",
    ("basics-trace", "score"): "variables of unseen programs predicted right",
    ("basics-trace", "pass@1"): "unseen programs with every variable right",
    ("basics-output", "pass@1"): "outputs predicted right",
    ("humaneval", "pass@1"): "pass@1 on HumanEval",
}


def read_json(text: bytes, where: str) -> object:
    """Parse JSON; NaN, which no browser parses, is None. Raises UserError."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON: {error}") from None


def check_object(row: object, where: str, *needed: str) -> dict:
    """`row` if it is an object that has a value for every key of `needed`, else a UserError."""
    if not isinstance(row, dict) or any(row.get(key) is None for key in needed):
        raise UserError(f"{where} is not an object with {', '.join(needed) or 'keys'}")
    return row


def read_rows(path: Path, *needed: str) -> Iterator[tuple[int, dict]]:
    """(offset, row) of each line of a JSONL file, none without a file. Raises UserError.

    A killed run may leave half a line at the end, which is ignored.
    """
    offset = 0
    for number, line in enumerate(path.open("rb") if path.exists() else (), 1):
        where = f"{path}, line {number}"
        try:
            yield offset, check_object(read_json(line, where), where, *needed)
        except UserError:
            if line.endswith(b"\n"):
                raise
        offset += len(line)


def read_evaluations(folder: Path) -> list[dict]:
    """The results that lie in `folder`, by task and file, without what was sampled."""
    rows = []
    for path in folder.glob("*.json"):
        found = read_json(path.read_bytes(), str(path))
        for row in found if isinstance(found, list) else [found]:
            probe = check_object(row, str(path), "task")["task"] == "probe"
            check_object(row, str(path), *(["targets"] if probe else ["interval", "statuses"]))
            rows.append({k: v for k, v in row.items() if k != "results"} | {"file": path.stem})
    return sorted(rows, key=lambda row: (row["task"], row["file"]))


def columns(rows: list[dict]) -> dict[str, list]:
    """Turn rows into one list a key, None where a row lacks it, floats to six digits."""
    table: dict[str, list] = {key: [] for row in rows for key in row}
    for row, (key, values) in itertools.product(rows, table.items()):
        x = row.get(key)
        values.append(float(f"{x:.6g}") if isinstance(x, float) else x)
    return table


def measures(run: Path) -> list[dict]:
    """One entry a task and measure, with its value at each evaluated step, the main one first."""
    evals, found = [row for _, row in read_rows(run / "eval.jsonl", "step", "task")], []
    for task in dict.fromkeys(row["task"] for row in evals):
        names = ["score", "pass@1"] if task.endswith("-trace") else ["pass@1"]
        rows = [row for row in evals if row["task"] == task]
        for name in names:
            entry = {key: rows[-1].get(key) for key in ("task", "n_problems", "n_samples")}
            tier = " of basics-hard" * task.startswith("basics-hard")
            known = LABELS.get((task.replace("basics-hard", "basics"), name))
            entry |= {"label": known + tier if known else f"{name} on {task}"}
            entry |= {"measure": name, "main": name == names[0]}
            entry |= {"steps": [row["step"] for row in rows]}
            found.append(entry | {"values": [row[name] for row in rows]})
    return found


def before_and_after(results: list[dict]) -> str:
    """A table of the first and the last evaluation; empty when there are not two."""
    lines = []
    for r in results:
        if r["main"] and len(r["steps"]) > 1:
            old, new = r["values"][0], r["values"][-1]
            name = f"{r['task']}, {r['measure']}"
            lines.append(f"{name:<24}{old:>8.1%}{new:>9.1%}{new - old:>+9.1%}\n")
    return "".join([f"{'evaluation':<24}{'before':>8}{'after':>9}\n", *lines]) if lines else ""


def percent(x: float) -> str:
    return f"{100 * x:.1f}".removesuffix(".0") + "\u00a0%"


def duration(seconds: float) -> str:
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else s, "s")]
    return " ".join(f"{n}\u00a0{unit}" for n, unit in parts if n)


def change(before: str, after: str) -> str:
    return f"stayed at {after}" if before == after else f"went from {before} to {after}"


def summary(config: dict, metrics: list[dict], results: list[dict]) -> str:
    """The run in one sentence, in its own numbers."""
    results = [r for r in results if r["main"]]
    if not metrics:
        now = [f"{r['label']}: {percent(r['values'][-1])}" for r in results]
        return "; ".join(["No step is finished yet", *now]) + "."
    done, planned = len(metrics), config.get("steps") or 0
    steps = f"{done} of {planned} steps" if planned > done else f"{done} step{'s'[: done > 1]}"
    seconds = sum(row.get("time/step") or 0 for row in metrics)
    start = f"In {steps} ({duration(seconds)})" if seconds >= 1 else f"In {steps}"
    ends = [(r["label"], r["values"][0], r["values"][-1]) for r in results if len(r["steps"]) > 1]
    rewards = [row["reward/code"] for row in metrics if row.get("reward/code") is not None]
    if ends:
        said = [f"{label} {change(percent(a), percent(b))}" for label, a, b in ends]
        return f"{start} {'; '.join(said)}."
    if not rewards:
        return f"{start} no program was rewarded yet."
    k = min(5, (len(rewards) + 1) // 2)  # a single step's mean is mostly noise
    first, last = sum(rewards[:k]) / k, sum(rewards[-k:]) / k
    return f"{start} the mean reward of a program {change(f'{first:.2f}', f'{last:.2f}')}."


def clip(value: object) -> object:
    """Cut every text in `value` to MAX_TEXT characters and say so."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"{value[:MAX_TEXT]}\n… ({len(value) - MAX_TEXT:,} more characters in samples.jsonl)"
    return {k: clip(v) for k, v in value.items()} if isinstance(value, dict) else value


def choose_samples(path: Path) -> tuple[int, list[dict], dict[str, dict]]:
    """(number of samples, an even choice of at most MAX_SAMPLES, their sources by id).

    The file may be larger than memory, so of a row only its place is kept, and of a step its first
    row: the id of a source, "step/group/sample", says in which step to look for it.
    """
    places, first_of = array("q"), {}
    for offset, row in read_rows(path, "step", "id"):
        first_of.setdefault(str(row["step"]), len(places))
        places.append(offset)
    if not places:
        return 0, [], {}
    with path.open("rb") as file:

        def row_at(k: int) -> dict:
            file.seek(places[k])
            return clip(read_json(file.readline(), str(path)))

        n, sources = min(len(places), MAX_SAMPLES), {}
        rows = [row_at(i * len(places) // n) for i in range(n)]
        wanted = {row.get("source", "") for row in rows}
        for step in {source.partition("/")[0] for source in wanted} & set(first_of):
            for k in range(first_of[step], len(places)):
                row = row_at(k)
                if str(row["step"]) != step:
                    break
                if row["id"] in wanted:
                    sources[row["id"]] = row
    return len(places), rows, sources


def fit_samples(path: Path, room: int) -> dict:
    """As many samples as fit into `room` bytes, and the programs that they ask about.

    The samples of a prompt share its text, so each prompt is stored once and named by number.
    """
    total, rows, sources = choose_samples(path)
    n = len(rows)
    while True:
        chosen = {row["id"]: row for row in (rows[i * len(rows) // n] for i in range(n))}
        asked = {row.get("source") for row in chosen.values()}
        chosen |= {name: row for name, row in sources.items() if name in asked}
        prompts: dict[str, int] = {}
        shown = sorted(chosen.values(), key=lambda row: row["step"])
        shown = [r | {"prompt": prompts.setdefault(r.get("prompt"), len(prompts))} for r in shown]
        page = {"total": total, "prompts": list(prompts), "rows": shown}
        size = len(to_json(page))
        if n <= 1 or (len(shown) <= MAX_SAMPLES and size <= room):
            return page
        n = min(n * 9 // 10, n * room // size + 1)


def to_json(data: object) -> str:
    """ASCII only (no U+2028), and without the `<` that could end or open an element."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def write_report(run: Path) -> Path:
    """Write report.html of a run's directory and return its path. Raises UserError."""
    if not (run / "config.json").exists():
        raise UserError(f"{run} is not a run's directory: it has no config.json")
    where = f"{run}/config.json"
    config = check_object(read_json(Path(where).read_bytes(), where), where)
    metrics = [row for _, row in read_rows(run / "metrics.jsonl", "step")]
    results = measures(run)
    data = {"config": config, "summary": summary(config, metrics, results), "results": results}
    data |= {"metrics": columns(metrics), "evaluations": read_evaluations(run / "eval")}
    data |= {"keywords": keyword.kwlist}
    template = Path(__file__).with_suffix(".html").read_text("utf-8")
    room = MAX_PAGE - len(template.encode()) - len(to_json(data))
    data["samples"] = fit_samples(run / "samples.jsonl", room)
    title = html.escape(str(config.get("name") or run.resolve().name))
    holes = {"DATA": to_json(data), "TITLE": title}
    page = re.sub("{{(DATA|TITLE)}}", lambda hole: holes[hole[1]], template)
    (run / "report.html").write_text(page, encoding="utf-8", errors="replace")
    return run / "report.html"


def main(paths: list[str]) -> None:
    if len(paths) != 1:
        raise UserError("give one run directory, such as out/demo")
    page = write_report(Path(paths[0]))
    print(f"{before_and_after(measures(page.parent))}report: {page}")


if __name__ == "__main__":
    command.run(main, __doc__)
