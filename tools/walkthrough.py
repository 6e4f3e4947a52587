"""The real parts of docs/walkthrough.md: one prompt of a run through one step, and what came of it.

    python tools/walkthrough.py out/demo        # from its samples.jsonl and metrics.jsonl

It takes a question whose answers and whose programs both earned different rewards: the one with
the best answer, about a short program. Left out: programs for stdin, and algorithms other than
grpo, whose advantages differ.
"""

import sys
from collections import defaultdict
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from config import UserError  # noqa: E402
from jail.calls import parse_call  # noqa: E402
from problems.load import read_jsonl  # noqa: E402
from sandbox import Sandbox  # noqa: E402
from tools import command  # noqa: E402
from trace import table, trace_program  # noqa: E402
from train import standardised  # noqa: E402

PAGE = Path(__file__).parent.parent / "docs/walkthrough.md"
MOST_LINES = 9  # of the program that is asked about


def chosen(groups: dict[tuple, list[dict]]) -> tuple[list[dict], list[dict], dict]:
    """(programs of a group, answers of a question about one of them, that one)."""
    found = []
    for answers in (group for group in groups.values() if group[0]["objective"] == "align"):
        step, group, sample = map(int, answers[0]["source"].split("/"))
        programs = groups.get((step, group), [])
        lines = len(answers[0]["program"].strip().splitlines())
        if all(len({row["reward"] for row in part}) > 1 for part in (programs, answers)):
            best = max(row["reward"] for row in answers)
            asked = len(answers[0]["target"])
            found.append(((lines <= MOST_LINES, best, asked), programs, answers, sample))
    if not found:
        raise UserError("no question of this run has both different answers and different programs")
    _, programs, answers, sample = max(found, key=lambda one: one[0])
    return programs, answers, programs[sample]


def rows(group: list[dict], shown: str) -> str:
    """A table: verdict, reward, advantage, and what the sample says."""
    rewards = torch.tensor([float(row["reward"]) for row in group])
    lines = ["| | verdict | reward | advantage | |", "|---|---|---|---|---|"]
    for g, (row, advantage) in enumerate(zip(group, standardised(rewards).tolist(), strict=True)):
        said = " ⏎ ".join(str(row[shown] or row["response"]).strip().splitlines())
        said = said.replace("|", "\\|").replace("`", "'")
        said = said if len(said) <= 120 else f"{said[:117]}..."
        cells = f"{row['status']} | {row['reward']:g} | {advantage:+.2f} | `{said}`"
        lines.append(f"| {g} | {cells} |")
    return "\n".join(lines)


def block(text: str) -> str:
    fence = "`" * (4 if "```" in text else 3)
    return f"{fence}\n{text.strip()}\n{fence}"


def parts(run: Path) -> dict[str, str]:
    """mark -> what stands there."""
    groups = defaultdict(list)
    for row, _ in read_jsonl(run / "samples.jsonl"):
        step, group, _ = map(int, row["id"].split("/"))
        groups[step, group].append(row)
    programs, answers, failed = chosen(groups)
    metrics = {row["step"]: row for row, _ in read_jsonl(run / "metrics.jsonl")}
    name, given = parse_call(answers[0]["call"], answers[0]["program"])
    traced = trace_program(Sandbox(), answers[0]["program"], given, name)
    rewards = torch.tensor([float(row["reward"]) for row in programs])
    best = int(standardised(rewards).argmax())
    advantage, tokens = standardised(rewards)[best].item(), metrics[programs[0]["step"]]["tokens"]
    loss = f"A = {advantage:+.4f}, {tokens:g} tokens: −A / tokens = {-advantage / tokens:+.2e}"
    test = "".join(f"{key}: {text}\n" for key, text in (failed["test"] or {}).items())
    return {
        "problem": f"Step {programs[0]['step']}, `{failed['task_id']}`:\n\n"
        + block(programs[0]["prompt"]),
        "programs": rows(programs, "program"),
        "failed": f"Sample {failed['id']}:\n\n{block(failed['program'])}\n\n{block(test)}",
        "trace": block(table(traced, name)),
        "question": f"Step {answers[0]['step']}:\n\n{block(answers[0]['prompt'])}",
        "answers": rows(answers, "response"),
        "loss": f"Sample {programs[best]['id']}: {loss}.",
    }


def main(args: list[str]) -> None:
    if len(args) != 1:
        raise UserError("give one run directory, such as out/demo")
    page = PAGE.read_text()
    for mark, text in parts(Path(args[0])).items():
        begin, end = f"<!-- {mark}: tools/walkthrough.py -->", f"<!-- end of {mark} -->"
        if page.count(begin) != 1 or page.count(end) != 1:
            raise UserError(f"{PAGE} needs the marks {begin} and {end}, once each")
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}"
    PAGE.write_text(page)


if __name__ == "__main__":
    command.run(main, __doc__)
