"""One run of the evidence: train an arm, evaluate what came of it, keep the numbers.

    python results/run.py smollm coderl 0        # -> results/smollm-coderl-0.json
    python results/run.py smollm grpo 1 --probe --cruxeval   # ... some eight minutes more
    python results/run.py gemma coderl 0         # after python tools/prepare.py models/gemma3-270m

The arms of a setting differ in the flags below and in nothing else. Samples a step (but DAPO
samples others for flat groups), steps and learning rate are the same unless an arm's name says so;
the rate was chosen by what plain GRPO does on held-out problems. Weights stay in out/, with 6 GB of
checkpoints; the file holds what results/table.py needs. Left out: running arms side by side, which
on two cores would spoil the times.
"""

import dataclasses
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from checks.directory import write_whole  # noqa: E402
from config import CODE_TEMPLATE, Config, load_config  # noqa: E402
from problems.stats import by_problem  # noqa: E402

ANSWER = """\
Answer with one Python code block and nothing else.

```python
def {0}:
{5}
    return result
```

"""
SHOT = """\
Write a Python function `{0}` that returns {1}.

Example: {2} returns {3}

Start like this:
```python
def {0}:
    result = {4}
    ...
    return result
```

"""
TESTED_SHOT = """\
Write a function to find {1}.
Your code should pass these tests:

assert {2} == {3}

"""
SHOTS = [  # name and arguments, what it returns, a call, its value, where it starts, its body
    ("double(x)", "twice the number `x`", "double(4)", "8", "0", "    result = x * 2"),
    (
        "first_letters(words)",
        "a list of the first letter of each word in the list `words`",
        "first_letters(['ab', 'cd'])",
        "['a', 'c']",
        "[]",
        "    result = []\n    for word in words:\n        result.append(word[0])",
    ),
    (
        "total(nums)",
        "the sum of the numbers in the list `nums`",
        "total([1, 2, 3])",
        "6",
        "0",
        "    result = 0\n    for n in nums:\n        result += n",
    ),
    (
        "shout(text)",
        "the text `text` with '!' added at its end",
        "shout('hi')",
        "'hi!'",
        "''",
        "    result = text + '!'",
    ),
]
FOUR_SHOTS = "".join((SHOT + ANSWER).format(*shot) for shot in SHOTS)
FOUR_TESTED = "".join((TESTED_SHOT + ANSWER).format(*shot) for shot in SHOTS)
EXAMPLES = load_config([str(ROOT / "configs/demo.py")]).align_examples
# Not instructed: it is shown programs first, and stopped where it asks its own question. One
# step at the demo's learning rate, and half of what it writes no longer parses.
GEMMA = [
    "configs/demo.py",
    "--model=models/gemma3-270m",
    "--lr=5e-6",
    '--stop=["\\n```\\n", "\\n\\n```", "\\n\\nWrite "]',
]
MBPP = [
    "--problems=mbpp",
    "--max_tokens=160",
    "--max_prompt_tokens=1024",
    "--temperature=0.5",
]
SETTINGS = {
    "smollm": ["configs/demo.py"],
    "gemma": [*GEMMA, f"--code_template={FOUR_SHOTS}{CODE_TEMPLATE}"],
    "mbpp": ["configs/demo.py", *MBPP],
    "gemma-mbpp": [*GEMMA, *MBPP, f"--code_template={FOUR_TESTED}{CODE_TEMPLATE}"],
}
WITHOUT = "--align_ratio=0"
ARMS = {
    "base": None,  # not trained
    "grpo": [WITHOUT],
    "coderl": [],
    "grpo-rpp": [WITHOUT, "--algo=reinforce++"],
    "coderl-rpp": ["--algo=reinforce++"],
    "grpo-dapo": [WITHOUT, "--algo=dapo"],
    "coderl-dapo": ["--algo=dapo"],
    "coderl-0.2": ["--align_ratio=0.2"],
    "coderl-0.6": ["--align_ratio=0.6"],
    # without the example of a program that has an output and nothing else
    "coderl-paper": [
        "--format_bonus=0",
        "--align_output=False",
        f"--align_examples={EXAMPLES[:2]}",
    ],
    "grpo-lr1e-5": [WITHOUT, "--lr=1e-5"],
    "coderl-lr1e-5": ["--lr=1e-5"],
    "grpo-60": [WITHOUT, "--steps=60"],
    "coderl-60": ["--steps=60"],
}
TRAINING = ("--temperature=", "--max_tokens=")  # flags that eval.py is not given
SAMPLED = "--tasks=basics,basics-trace,basics-output"
EVALUATIONS = {  # name -> script and flags; "sampled" at the temperature of training
    "mbpp": ["eval.py", "--tasks=mbpp", "--temperature=0"],  # where it is trained on
    "sampled": ["eval.py", SAMPLED, "--n=4"],
    "greedy": ["eval.py", SAMPLED, "--temperature=0"],
    "humaneval": ["eval.py", "--tasks=humaneval", "--temperature=0"],
}
EXTRA = {  # by flags of this script; CRUXEval is not built in: data/cruxeval.jsonl, or the hub
    "probe": ["tools/probe.py"],
    "cruxeval": ["eval.py", "--tasks=cruxeval-o", "--limit=200", "--temperature=0"],
}
CURVE = ["step", "reward/code", "reward/align", "align/share", "align/right", "align/unparsed"]
CURVE += ["entropy/code", "flat_groups", "tokens", "time/step", "time/sample", "time/train"]


def python(*command: str) -> None:
    """A command of this project, from its root. Exits with its status if it fails."""
    print("$ python", *command, flush=True)
    status = subprocess.run([sys.executable, *command], cwd=ROOT).returncode
    if status:
        sys.exit(status)


def rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def curve(path: Path) -> dict[str, list]:
    """metric -> its value at every step."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {key: [rounded(row[key]) for row in rows] for key in CURVE}


def evaluation(path: Path) -> dict[str, dict]:
    """task -> pass@1, interval, statuses, and `values`: the mean of each problem, in order of ids.

    A value is the share of its samples that pass; in -trace tasks, of variables that are right.
    """
    rows = json.loads(path.read_text())
    found = {}
    for row in rows if isinstance(rows, list) else [rows]:
        keys = ["pass@1", "score", "interval", "chance", "n", "n_problems", "statuses", "targets"]
        kept = {key: row[key] for key in [*keys, "seconds"] if key in row}
        if "results" in row:
            means = by_problem(row["results"], row["task"])
            kept["values"] = [rounded(mean) for _, mean in sorted(means.items())]
        found[row["task"]] = kept
    return found


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((x.split(": ")[1] for x in lines if x.startswith("model name")), "")
    return f"{os.cpu_count()} x {name or platform.processor() or platform.machine()}"


def commit() -> str:
    """Of the code that runs; a star says that it has been changed since."""
    git = {"cwd": ROOT, "capture_output": True, "text": True}
    name = subprocess.run(["git", "rev-parse", "--short", "HEAD"], **git).stdout.strip()
    changed = subprocess.run(["git", "diff", "--name-only", "HEAD", "--", "*.py"], **git).stdout
    return f"{name}*" if changed else name


def keys(argv: list[str]) -> dict[str, object]:
    """The configuration of a run: the keys that are not as config.py has them, but its name."""
    cfg, plain = (dataclasses.asdict(load_config(args)) for args in (argv, []))
    changed = {key: value for key, value in cfg.items() if value != plain[key]}
    changed.pop("name", None)
    return json.loads(json.dumps(changed))  # tuples become lists, as in the file


def train(cfg: Config, given: list[str]) -> None:
    """Train unless that is done; goes on where it was interrupted."""
    checkpoints = ROOT / cfg.run_dir / "ckpt"
    if not (checkpoints / "latest").exists():
        python("train.py", *given)
    elif not (checkpoints / f"step_{cfg.steps}").exists():
        python("train.py", *given, "--resume")


def main() -> None:
    extra = [name for name in EXTRA if f"--{name}" in sys.argv]
    argv = [arg for arg in sys.argv[1:] if arg.removeprefix("--") not in extra]
    if len(argv) != 3 or argv[0] not in SETTINGS or argv[1] not in ARMS or not argv[2].isdigit():
        choices = f"{'|'.join(SETTINGS)} {'|'.join(ARMS)} SEED [--probe] [--cruxeval]"
        sys.exit(f"usage: python results/run.py {choices}")
    setting, arm, seed = argv
    name, command = "-".join(argv), [*SETTINGS[setting], *(ARMS[arm] or [])]
    training = [*command, f"--seed={seed}", f"--name={name}", "--eval_every=0"]
    cfg = load_config(training)
    row = {"setting": setting, "arm": arm, "seed": int(seed)}
    row |= {"config": command[0], "flags": command[1:], "keys": keys(command)}
    row |= {"commit": commit(), "machine": machine(), "evaluations": {}}
    notes = ROOT / "out" / name / "row.json"  # what an earlier call of this command has found
    if notes.exists():
        known = json.loads(notes.read_text())
        if known["keys"] != row["keys"]:
            sys.exit(f"error: {notes.parent} is of another configuration; remove it")
        if row["commit"] not in known["commit"]:
            known["commit"] += f", {row['commit']}"
        row = known
    notes.parent.mkdir(parents=True, exist_ok=True)
    write_whole(notes, json.dumps(row))
    given = [x for x in SETTINGS[setting] if not x.startswith(TRAINING)]
    given += [f"--seed={seed}", f"--temperature={cfg.temperature:g}"]
    if ARMS[arm] is not None:
        train(cfg, training)
        row["samples_per_step"] = cfg.prompts_per_step * cfg.samples_per_prompt
        row["curve"] = curve(ROOT / cfg.run_dir / "metrics.jsonl")
        given.append(f"--model=out/{name}/hf")
    tasks = EVALUATIONS | {name: EXTRA[name] for name in extra}
    if cfg.problems != "mbpp":
        del tasks["mbpp"]
    for label in (label for label in tasks if label not in row["evaluations"]):
        path = ROOT / "out" / name / "eval" / f"{label}.json"
        script, *flags = tasks[label]
        python(script, *given, *flags, f"--out={path}")
        row["evaluations"][label] = evaluation(path)
        write_whole(notes, json.dumps(row))
    target = ROOT / "results" / f"{name}.json"
    target.write_text(json.dumps(row, separators=(",", ":")) + "\n")
    print(f"written: {target.relative_to(ROOT)}, {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
