"""Write out/<name>/report.html: what a run did, its curves, its samples to read one by one, and
what eval.py wrote into out/<name>/eval/*.json: benchmarks as a table, probes layer by layer.

The page is a single file that opens from disk without a network: report.html beside it (markup,
style, and the script that draws) with the run's data in it as JSON. Everything that a model wrote
is hostile: no `<` of the data reaches the page's markup, and its script inserts text as text only.

Left out: a plotting library and a server (the page shall still open in ten years), several runs
side by side (wandb does that), the samples of benchmarks (`eval.py --show` prints them), and
samples beyond MAX_SAMPLES or MAX_BYTES, which an even choice over the run stands for.

    python tools/report.py out/demo
"""

import html
import itertools
import json
import keyword
import re
import sys
from pathlib import Path

TEMPLATE = Path(__file__).parent / "report.html"
MAX_SAMPLES = 2_000  # rows in the page's list
MAX_BYTES = 4_500_000  # JSON of the samples; a page of 5 MB still opens at once
MAX_EVALUATIONS = 500_000  # bytes of JSON of the evaluations; one takes about 1,000
MAX_PARTS = 200  # difficulties, months, statuses, targets or layers of one evaluation
MAX_NAME = 120  # characters of a name in an evaluation
MAX_TEXT = 10_000  # characters of one text; a run-away response is as instructive cut as whole
LABELS = {  # what to call the measures of our own evaluations in a sentence
    ("basics", "pass@1"): "pass@1 on unseen problem families",
    ("basics-trace", "score"): "variables of unseen programs predicted right",
    ("basics-trace", "pass@1"): "unseen programs with every variable right",
    ("basics-output", "pass@1"): "outputs predicted right",
    ("humaneval", "pass@1"): "pass@1 on HumanEval",
}


class RunError(Exception):
    """A run directory that cannot be read. The message names the file, the line and the reason."""


def parse(text: bytes, where: str) -> object:
    """Parse JSON; NaN, which no browser parses, is None."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{where} is not JSON: {error}") from None


def read_object(text: bytes, where: str, *needed: str) -> dict:
    """Parse one JSON object that has the keys `needed`."""
    return check_object(parse(text, where), where, *needed)


def check_object(row: object, where: str, *needed: str) -> dict:
    missing = [key for key in needed if not isinstance(row, dict) or row.get(key) is None]
    if missing or not isinstance(row, dict):
        raise RunError(f"{where} is not an object with {', '.join(needed) or 'keys'}")
    return row


def read_rows(path: Path, *key: str) -> list[dict]:
    """Read a JSONL file ([] if there is none) in order of step; the last row of a `key` counts.

    A killed run may leave half a line at the end, and a resumed one writes some steps twice.
    """
    lines = path.read_bytes().rstrip().split(b"\n") if path.exists() else []
    rows = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = read_object(line, f"{path}, line {number}", *key)
        except RunError:
            if number == len(lines):
                break
            raise
        rows[tuple(row[name] for name in key)] = row
    return sorted(rows.values(), key=lambda row: row["step"])


def columns(rows: list[dict]) -> dict[str, list]:
    """Turn rows into one list a key, None where a row lacks it, floats to six digits."""
    table: dict[str, list] = {key: [] for row in rows for key in row}
    for row in rows:
        for key, values in table.items():
            x = row.get(key)
            values.append(float(f"{x:.6g}") if isinstance(x, float) else x)
    return table


def measures(evals: list[dict]) -> list[dict]:
    """One entry a task and measure, with its value at each evaluated step, the main one first.

    Only traces are scored in parts; the score of a code task counts tests, which nobody asks for.
    """
    found = []
    for task in dict.fromkeys(row["task"] for row in evals):
        names = ["score", "pass@1"] if task.endswith("-trace") else ["pass@1"]
        for name in names:
            rows = [r for r in evals if r["task"] == task and r.get(name) is not None]
            if not rows:
                continue
            entry = {key: rows[-1].get(key) for key in ("task", "n_problems", "n_samples")}
            entry |= {"label": LABELS.get((task, name), f"{name} on {task}")}
            entry |= {"main": name == names[0], "steps": [r["step"] for r in rows]}
            entry |= {"interval": interval(rows[-1])} if entry["main"] else {}
            found.append(entry | {"values": [r[name] for r in rows]})
    return found


# Files in eval/ may be by other hands: these four take of a value what has the right type.
def number(x: object) -> float | None:
    """`x` to six digits if it is a number that a browser can draw, else None."""
    fits = isinstance(x, int | float) and not isinstance(x, bool) and abs(x) < 1e15
    return None if not fits else x if isinstance(x, int) else float(f"{x:.6g}")


def numbers(x: object) -> list[float | None]:
    return [number(value) for value in x[:MAX_PARTS]] if isinstance(x, list) else []


def parts(x: object) -> dict:
    return {key[:MAX_NAME]: x[key] for key in list(x)[:MAX_PARTS]} if isinstance(x, dict) else {}


def interval(row: dict) -> list[float] | None:
    ends = numbers(row.get("interval"))
    return ends if len(ends) == 2 and None not in ends else None


def benchmark(row: dict) -> dict:
    """What the table says of one evaluation: numbers and names, never what was sampled."""
    measure = "score" if row["task"].endswith("-trace") and "score" in row else "pass@1"
    shown = {key: number(row.get(key)) for key in ("n_problems", "n_samples", "seconds")}
    shown |= {"measure": measure, "value": number(row.get(measure)), "interval": interval(row)}
    shown["temperature"] = number(parts(row.get("settings")).get("temperature"))
    others = [key for key in parts(row) if key.startswith("pass@") and key != measure]
    shown["rates"] = {key: number(row[key]) for key in others}
    shown["statuses"] = {key: number(count) for key, count in parts(row.get("statuses")).items()}
    for split in ("by_difficulty", "by_month"):
        found = {key: parts(part) for key, part in parts(row.get(split)).items()}
        keys = ("pass@1", "n_problems")
        shown[split] = {k: [number(part.get(key)) for key in keys] for k, part in found.items()}
    return shown


def probe(row: dict) -> dict:
    """What the plot draws of one probe: for each target accuracy and control, layer by layer."""
    targets = []
    for target, found in parts(row.get("targets")).items():
        found, layers = parts(found), numbers(row.get("layers"))
        shown = {key: numbers(found.get(key)) for key in ("accuracy", "shuffled")}
        if len(layers) != len(shown["accuracy"]) or None in layers:
            layers = list(range(len(shown["accuracy"])))
        shown |= {key: number(found.get(key)) for key in ("chance", "best", "best_layer")}
        shown |= {"target": target, "layers": layers, "interval": interval(found)}
        targets.append(shown)
    return {"targets": targets}


def read_evaluations(directory: Path) -> dict:
    """What eval.py wrote, by task and file: as many rows as fit, and how many do not."""
    rows = []
    for path in directory.glob("*.json"):
        found = parse(path.read_bytes(), str(path))
        for row in found if isinstance(found, list) else [found]:
            check_object(row, str(path), "task")
            names = {"file": path.stem, "task": row["task"], "model": row.get("model") or ""}
            names = {key: str(text)[:MAX_NAME] for key, text in names.items()}
            rows.append(names | (probe if names["task"] == "probe" else benchmark)(row | names))
    rows.sort(key=lambda row: (row["task"], row["file"]))
    sizes = itertools.accumulate(len(json.dumps(row)) for row in rows)
    fit = sum(size <= MAX_EVALUATIONS for size in sizes)
    return {"rows": rows[:fit], "left_out": len(rows) - fit}


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
    if ends:
        said = [f"{label} {change(percent(a), percent(b))}" for label, a, b in ends]
        return f"{start} {'; '.join(said)}."
    rewards = [row["reward/code"] for row in metrics if row.get("reward/code") is not None]
    if not rewards:
        return f"{start} no program was rewarded yet."
    k = min(5, (len(rewards) + 1) // 2)  # a single step's mean is mostly noise
    first, last = sum(rewards[:k]) / k, sum(rewards[-k:]) / k
    return f"{start} the mean reward of a program {change(f'{first:.2f}', f'{last:.2f}')}."


def clip(value: object) -> object:
    """Cut every text in `value` to MAX_TEXT characters and say so."""
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"{value[:MAX_TEXT]}\n… ({len(value) - MAX_TEXT:,} more characters in samples.jsonl)"
    if isinstance(value, dict):
        return {key: clip(item) for key, item in value.items()}
    return value


def pack(samples: list[dict]) -> dict:
    """As many samples as fit, spread evenly, and the programs that alignment samples ask about.

    The samples of a prompt share its text, so each prompt is stored once and named by number.
    """
    by_id, n = {row["id"]: row for row in samples}, min(len(samples), MAX_SAMPLES)
    while True:
        chosen = {samples[i * len(samples) // n]["id"] for i in range(n)}
        chosen |= {by_id[i].get("source") for i in chosen} & set(by_id)
        prompts: dict[str, int] = {}
        rows = [clip(row) for row in samples if row["id"] in chosen]
        rows = [r | {"prompt": prompts.setdefault(r.get("prompt"), len(prompts))} for r in rows]
        packed = {"total": len(samples), "prompts": list(prompts), "rows": rows}
        if n <= 1 or (len(rows) <= MAX_SAMPLES and len(json.dumps(packed)) <= MAX_BYTES):
            return packed
        n = n * 9 // 10


def write_report(run_dir: str | Path) -> Path:
    """Write `run_dir`/report.html and return its path. Raises RunError for an unreadable run."""
    run = Path(run_dir)
    if not (run / "config.json").exists():
        raise RunError(f"{run} is not a run's directory: it has no config.json")
    config = read_object((run / "config.json").read_bytes(), f"{run}/config.json")
    metrics = read_rows(run / "metrics.jsonl", "step")
    results = measures(read_rows(run / "eval.jsonl", "step", "task"))
    data = {
        "config": config,
        "summary": summary(config, metrics, results),
        "metrics": columns(metrics),
        "results": results,
        "evaluations": read_evaluations(run / "eval"),
        "keywords": keyword.kwlist,
        "samples": pack(read_rows(run / "samples.jsonl", "step", "id")),
    }
    # json.dumps leaves ASCII only (no U+2028); without "<" no text can end or open an element.
    holes = {"DATA": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")}
    holes["TITLE"] = html.escape(str(config.get("name") or run.resolve().name))
    page = re.sub("{{(DATA|TITLE)}}", lambda m: holes[m[1]], TEMPLATE.read_text("utf-8"))
    out = run / "report.html"
    out.write_text(page, encoding="utf-8", errors="replace")
    return out


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/report.py out/demo")
    try:
        print(write_report(sys.argv[1]))
    except RunError as error:
        sys.exit(str(error))
