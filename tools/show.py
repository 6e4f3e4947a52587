"""Samples to read in a terminal: prompt, program, verdict, and the test that failed.

    python eval.py --show out/demo                      # a run
    python eval.py --show result.json | result.samples.jsonl
    python eval.py --show out/demo step=30 status=failed task_id=basics/12   # some of them

Left out: colours and paging; pipe it into `less`.
"""

import json
from pathlib import Path

from config import UserError
from data import read_jsonl
from tools.compare import read_results

RULE = "-" * 80


def show(args: list[str]) -> str:
    """Text of the samples that match every key=value. Raises UserError."""
    paths = [arg for arg in args if "=" not in arg]
    wanted = dict(arg.split("=", 1) for arg in args if "=" in arg)
    if len(paths) != 1:
        raise UserError("--show needs one run directory, or one file of eval.py")
    rows = read_samples(Path(paths[0]))
    for key in wanted:
        if rows and not any(key in row for row in rows):
            raise UserError(f"no sample has a {key}; samples have {', '.join(rows[0])}")
    chosen = [r for r in rows if all(str(r.get(key)) == text for key, text in wanted.items())]
    count = f"{len(chosen)} of {len(rows)} samples"
    return "\n".join([*map(sample_text, chosen), RULE, count])


def read_samples(path: Path) -> list[dict]:
    if path.is_dir():
        path = path / "samples.jsonl"
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        return [row for row, _ in read_jsonl(path)]
    return [
        {"task": task} | result
        for task, row in read_results(str(path)).items()
        for result in row.get("results", [])
    ]


def sample_text(row: dict) -> str:
    keys = ("task", "step", "id", "task_id", "sample", "objective", "difficulty")
    head = ", ".join(f"{key} {row[key]}" for key in keys if row.get(key) not in (None, ""))
    verdict = str(row.get("status", ""))
    if "reward" in row or "score" in row:
        verdict += f", reward {row['reward']:g}" if "reward" in row else f", {row['score']:.0%}"
    parts = [RULE, printable(head)]
    parts += ["", "PROMPT", printable(row["prompt"])] if row.get("prompt") else []
    answer = row.get("response", row.get("completion", row.get("solution")))
    parts += ["", "ANSWER", printable(answer)] if answer else []
    parts += ["", f"VERDICT  {printable(verdict)}"]
    parts += [printable(row["error"])] if row.get("error") else []
    for key, text in (row.get("test") or {}).items():
        parts.append(f"  {key:<9} {printable(text)}")
    for key in ("predicted", "target"):
        if row.get(key) is not None:
            value = row[key] if isinstance(row[key], str) else json.dumps(row[key])
            parts.append(f"  {key:<9} {printable(value)}")
    return "\n".join(parts)


def printable(text: str) -> str:
    """What a model wrote, without the characters that would command the terminal."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
