"""How many of the failed programs of a run can be asked about, and why not the others.

    python bench/questions.py out/mbpp          # a run of train.py, with its samples.jsonl

Every failed program is traced again on the first `align_inputs` inputs of its problem, as training
does. A program counts as asked about if one of them gives a question that is not too long a prompt;
else the reason of the first stands. Then, ten steps at a time: how many of those failed programs
can be asked about; of what was asked in these steps, how many programs it was about, how old they
were, how many questions were flat (all answers earned the same, so nothing was learned; of those,
how many were answered all right, and how many with no right value) and how many ask for one value
under all names; the entropy of the answers (nats a token, the mean over steps); and the values most
often asked for and most often answered.
"""

import json
import statistics
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config import Config, UserError  # noqa: E402
from data import load_problems, read_jsonl  # noqa: E402
from formats import Problem  # noqa: E402
from reward import make_question, name_to_trace  # noqa: E402
from sandbox import Pool, Sandbox  # noqa: E402


def outcome(sandbox: Sandbox, problem: Problem, row: dict, cfg: Config) -> str:
    """ "asked", or why not."""
    if not row["program"]:
        return "no program"
    if row["status"] in ("syntax", "timeout"):
        return {"syntax": "does not parse", "timeout": "timeout in the tests"}[row["status"]]
    tests, reasons = problem.tests, []
    name = name_to_trace(row["program"], tests.get("fn_name") or tests.get("entry_point"))
    prefix = tests.get("prefix", "")
    for given in (tests.get("inputs") or tests.get("calls", []))[: cfg.align_inputs]:
        made = make_question(sandbox, row["program"], given, name, cfg, prefix)
        reason = made if isinstance(made, str) else "" if made.has_variables else "no variable"
        if not reason:
            return "asked"
        reasons.append(reason)
    return reasons[0] if reasons else "no literal input"


def main(run: Path) -> None:
    try:
        cfg = Config(**json.loads((run / "config.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"cannot read {run}/config.json: {error}") from error
    problems = {p.task_id: p for p in load_problems(cfg.problems, cfg=cfg)}
    rows = [row for row, _ in read_jsonl(run / "samples.jsonl")]
    metrics = [row for row, _ in read_jsonl(run / "metrics.jsonl")]
    failed = [r for r in rows if r["objective"] == "code" and r["status"] != "passed"]
    with Pool(cfg.sandbox_workers, **cfg.limits) as pool:
        made = [pool.submit(outcome, problems[r["task_id"]], r, cfg) for r in failed]
        reasons = [future.result() for future in made]
    counts = Counter(reasons)
    for reason, count in counts.most_common():
        print(f"{count:5} {count / len(failed):6.1%}  {reason}")
    print(f"{len(failed):5} failed programs of {len(rows)} samples")
    outcomes = [(r["step"], reason) for r, reason in zip(failed, reasons, strict=True)]
    print_by_steps(rows, outcomes, metrics)


def print_by_steps(rows: list[dict], failed: list[tuple[int, str]], metrics: list[dict]) -> None:
    """Three lines for every ten steps. failed: step and outcome of each failed program."""
    for first in range(1, rows[-1]["step"] + 1, 10):
        steps = range(first, first + 10)
        reasons = [reason for step, reason in failed if step in steps]
        answers = [r for r in rows if r["step"] in steps and r["objective"] == "align"]
        questions = {(r["step"], r["source"], r["call"]): r for r in answers}
        earned: dict[tuple, set] = {}
        for r in answers:
            right = len(r["correct"]) / len(r["target"])
            earned.setdefault((r["step"], r["source"], r["call"]), set()).add((r["reward"], right))
        flat = [found for found in earned.values() if len({reward for reward, _ in found}) == 1]
        ages = [step - int(source.partition("/")[0]) for step, source, _ in questions]
        programs, tasks = {source for _, source, _ in questions}, {r["task_id"] for r in answers}
        asked = f"{reasons.count('asked')} of {len(reasons)} failed programs can be asked about"
        about = f"{len(questions)} questions on {len(programs)} programs of {len(tasks)} problems"
        same = sum(len(set(q["target"].values())) == 1 for q in questions.values())
        age = f"written {statistics.median(ages or [0]):.0f} steps before"
        ends = [sum({right for _, right in found} == {end} for found in flat) for end in (1, 0)]
        kinds = f"{len(flat)} flat ({ends[0]} all right, {ends[1]} all wrong), {same} of one value"
        entropies = [m["entropy/align"] for m in metrics if m["step"] in steps]
        entropy = statistics.mean([e for e in entropies if e is not None] or [0])
        kinds += f", entropy {entropy:.2f}"
        print(f"\nsteps {first} to {first + 9}: {asked}; {about}, {age}; {kinds}")
        targets = [value for q in questions.values() for value in q["target"].values()]
        print("  asked for:", commonest(targets))
        print("  answered: ", commonest([v for a in answers for v in a["predicted"].values()]))


def commonest(values: list[str]) -> str:
    """The three values that are there most often, with their shares."""
    return ", ".join(f"{v} {n / len(values):.0%}" for v, n in Counter(values).most_common(3))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except (UserError, IndexError) as error:
        sys.exit(f"error: {error}; usage: python bench/questions.py out/RUN")
