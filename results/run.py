"""One run of the evidence: train an arm, evaluate what came of it, keep the numbers.

    python results/run.py coderl 0       # -> results/coderl-0.json

All arms are configs/coder.py and differ in what ARMS and CONTROLS say alone. Learning rate, samples
a step and steps were chosen by GRPO alone. MBPP and CRUXEval are files under data/ (docs/data.md).
An interrupted command goes on where it was. Run nothing beside it, or its times say nothing.
"""

import dataclasses
import json
import os
import platform
import random
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from config import Config, load_config  # noqa: E402
from problems.stats import by_problem  # noqa: E402

STUDY = ["configs/coder.py", "--eval_every=0"]
GRPO, HARD = "--align_ratio=0", "basics-hard,basics-hard-trace"
ARMS = {  # name -> flags; None is the model before training
    "base": None,
    "grpo": [GRPO],
    "coderl": [],
    "more": ["--prompts_per_step=16", "--align_ratio=0.5"],  # GRPO's programs, and questions on top
    "random": [GRPO],  # programs are paid by a coin
    "dealt": [],  # questions expect the values of others
    "easy": ["--problems=basics"],  # of which it passes most
    "passed": [],  # questions are about the programs that passed
}
TASKS = {  # label -> flags of eval.py; "sampled" at the temperature of training
    "greedy": [f"--tasks=humaneval,mbpp,cruxeval-o,{HARD},basics-hard-output", "--temperature=0"],
    "sampled": [f"--tasks=mbpp:200,cruxeval-o:200,{HARD}", "--n=4"],
}
CURVE = ["step", "reward/code", "reward/align", "align/share", "align/right", "align/unparsed"]
CURVE += ["entropy/code", "flat_groups", "tokens", "time/step", "time/sample", "time/train"]
KEPT = ["pass@1", "score", "interval", "chance", "n", "n_problems", "statuses", "seconds"]


def pay_by_a_coin() -> None:
    """Let train.py pay 0 or 1 for a program by chance, whatever it does."""
    import train

    judged = train.score_sample

    def score_sample(sandbox, group, response, source: str, cfg: Config) -> object:  # noqa: ANN001
        sample = judged(sandbox, group, response, source, cfg)
        coin = float(random.Random(f"{cfg.seed} {source}").random() < 0.5)
        sample.outcome = dataclasses.replace(sample.outcome, reward=coin)
        return sample

    train.score_sample = score_sample


def deal_targets() -> None:
    """Let each new question of train.py expect the values of the next ones: they have its form, and
    nothing to do with its program."""
    import train

    learn = train.Prompts.add_questions

    def deal(prompts: object, groups: list) -> None:
        known = set(map(id, prompts.buffer))
        learn(prompts, groups)
        new = [question for question in prompts.buffer if id(question) not in known]
        values = [value for question in new for value in question.target.values()]
        first = len(new[0].target) if new else 0
        turned = iter(values[first:] + values[:first])
        for question in new:
            question.target = {name: next(turned) for name in question.target}

    train.Prompts.add_questions = deal


def ask_about_what_passed() -> None:
    """Let train.py ask about the programs that passed, and about no others."""
    import train

    align = train.OBJECTIVES["align"]

    def ask(sandbox: object, problem: object, verdict: object, cfg: Config) -> list:
        other = "failed" if verdict.status == "passed" else "passed"
        return align.ask(sandbox, problem, dataclasses.replace(verdict, status=other), cfg)

    train.OBJECTIVES["align"] = align._replace(ask=ask)


CONTROLS = {"random": pay_by_a_coin, "dealt": deal_targets, "passed": ask_about_what_passed}


def curve(path: Path) -> dict[str, list]:
    """metric -> its value at every step."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {key: [row[key] for row in rows] for key in CURVE}


def evaluation(path: Path) -> dict[str, dict]:
    """task -> pass@1, interval, statuses, and `values`: the mean of each problem, in order of ids.

    A value is the share of its samples that pass; in -trace tasks, of variables that are right.
    """
    rows = json.loads(path.read_text())
    found = {}
    for row in rows if isinstance(rows, list) else [rows]:
        means = by_problem(row["results"], row["task"])
        kept = {key: row[key] for key in KEPT if key in row}
        found[row["task"]] = kept | {"values": [mean for _, mean in sorted(means.items())]}
    return found


def machine() -> str:
    names = re.findall(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    return f"{os.cpu_count()} x {(names or [platform.machine()])[0]}"


def commit() -> str:
    """The last one that changed anything but this folder, with -dirty if files differ from it."""
    code = ["--", ".", ":!results"]
    asked = ["log -1 --format=%h", "status --porcelain --untracked-files=no"]
    words = (["git", *line.split(), *code] for line in asked)
    found, changes = (subprocess.check_output(w, cwd=ROOT, text=True).strip() for w in words)
    return found + "-dirty" * bool(changes)


def python(*command: str) -> None:
    """A command of this project, from its root. Exits with its status if it fails."""
    print("$ python", *command, flush=True)
    if status := subprocess.run([sys.executable, *command], cwd=ROOT).returncode:
        sys.exit(status)


def train(cfg: Config, arm: str, given: list[str]) -> None:
    """Train unless that is done; goes on where it was interrupted."""
    checkpoints = ROOT / cfg.run_dir / "ckpt"
    last = checkpoints / f"step_{cfg.steps}"
    if not last.exists():
        resume = ["--resume"] if (checkpoints / "latest").exists() else []
        python("results/run.py", f"--train={arm}", *given, *resume)
    if not last.exists():
        sys.exit("the training was stopped; the same command goes on with it")


def main() -> None:
    if sys.argv[1:] and sys.argv[1].startswith("--train="):
        CONTROLS.get(sys.argv.pop(1).removeprefix("--train="), lambda: None)()
        import train as trainer

        return trainer.main()
    if len(sys.argv) != 3 or sys.argv[1] not in ARMS or not sys.argv[2].isdigit():
        sys.exit(f"usage: python results/run.py {'|'.join(ARMS)} SEED")
    arm, seed = sys.argv[1:]
    name = f"{arm}-{seed}"
    given = [*STUDY, *(ARMS[arm] or []), f"--seed={seed}", f"--name={name}"]
    cfg = load_config(given)
    row = {"arm": arm, "seed": int(seed), "flags": given, "commit": commit(), "machine": machine()}
    asked = [*STUDY, f"--seed={seed}", f"--temperature={cfg.temperature:g}"]
    if ARMS[arm] is not None:
        train(cfg, arm, given)
        row["samples_per_step"] = cfg.prompts_per_step * cfg.samples_per_prompt
        row["curve"] = curve(ROOT / cfg.run_dir / "metrics.jsonl")
        asked.append(f"--model={cfg.run_dir}/hf")
    row["evaluations"] = {}
    for label, flags in TASKS.items():
        path = ROOT / cfg.run_dir / "eval" / f"{label}.json"
        if not path.exists():
            python("eval.py", *asked, *flags, f"--out={path}")
        row["evaluations"][label] = evaluation(path)
    target = ROOT / "results" / f"{name}.json"
    target.write_text(json.dumps(row, separators=(",", ":")) + "\n")
    print(f"written: {target.relative_to(ROOT)}, {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
