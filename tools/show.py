"""Samples to read in a terminal: prompt, program, verdict, and the test that failed.

    python tools/show.py out/demo                            # a run
    python tools/show.py result.json                         # or result.samples.jsonl of eval.py
    python tools/show.py out/demo step=30 status=failed task_id=basics/12    # some of them

Left out: colours and paging; pipe it into `less`.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from config import UserError  # noqa: E402
from jail.terminal import printable  # noqa: E402
from problems.load import read_jsonl  # noqa: E402
from tools import command  # noqa: E402
from tools.compare import read_results  # noqa: E402

RULE = "-" * 80


def show(args: list[str]) -> str:
    """Text of the samples that match every key=value, and how many do. Raises UserError."""
    paths = [arg for arg in args if "=" not in arg]
    wanted = dict(arg.split("=", 1) for arg in args if "=" in arg)
    if len(paths) != 1:
        raise UserError("give one run directory, or one file of eval.py")
    keys, texts, count = {}, [], 0
    for row in read_samples(Path(paths[0])):
        count += 1
        keys |= dict.fromkeys(row)
        if all(str(row.get(key)) == text for key, text in wanted.items()):
            try:
                texts.append(sample_text(row))
            except (AttributeError, TypeError, ValueError) as error:
                raise UserError(f"{paths[0]}: row {count} is no sample of ours: {error}") from error
    missing = [key for key in wanted if count and key not in keys]
    if missing:
        raise UserError(f"no sample has a {missing[0]}; samples have {', '.join(keys)}")
    return "\n".join([*texts, RULE, f"{len(texts)} of {count} samples"])


def read_samples(path: Path) -> Iterator[dict]:
    if path.is_dir():
        path = path / "samples.jsonl"
    if path.name.endswith((".jsonl", ".jsonl.gz")):
        yield from (row for row, _ in read_jsonl(path))
        return
    for task, row in read_results(str(path)).items():
        yield from ({"task": task} | result for result in row.get("results", []))


def sample_text(row: dict) -> str:
    keys = ("task", "step", "id", "task_id", "sample", "objective", "difficulty")
    head = ", ".join(f"{key} {row[key]}" for key in keys if row.get(key) not in (None, ""))
    verdict = str(row.get("status", ""))
    if "reward" in row or "score" in row:
        verdict += f", reward {row['reward']:g}" if "reward" in row else f", {row['score']:.0%}"
    parts = [RULE, head]
    parts += ["", "PROMPT", row["prompt"]] if row.get("prompt") else []
    answer = row.get("response", row.get("completion", row.get("solution")))
    parts += ["", "ANSWER", answer] if answer else []
    parts += ["", f"VERDICT  {verdict}"]
    parts += [row["error"]] if row.get("error") else []
    for key, text in (row.get("test") or {}).items():
        parts.append(f"  {key:<9} {text}")
    for key in ("predicted", "target"):
        if row.get(key) is not None:
            value = row[key] if isinstance(row[key], str) else json.dumps(row[key])
            parts.append(f"  {key:<9} {value}")
    return printable("\n".join(parts))


if __name__ == "__main__":
    command.run(lambda args: print(show(args)), __doc__)
