"""Kills at random moments of a run of two processes: does it end as if nothing had happened?

    python bench/kills.py [--kills=20] [--steps=40]    # some minutes

A tiny model, vLLM, checkpoints every second step. Of five kills one falls anywhere in the first ten
seconds, when ranks, sampler and checkpoint are loaded, four while steps are made. Every second one
is a SIGTERM to torchrun alone, as Slurm or Kubernetes sends it; it is no failure if steps are made,
and the run must have saved the step that it was in. The others are SIGKILL for all processes.
After each kill the run is resumed; when it has ended another begins, until there have been enough
kills. Weights, data order, buffer, metrics and samples must equal those of an undisturbed run, bit
for bit.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import tiny  # noqa: E402

from tools.command import options  # noqa: E402

KEYS = """--dtype=float32 --prompts_per_step=4 --samples_per_prompt=4 --max_prompt_tokens=400
    --max_tokens=48 --kv_cache_gb=0.1 --lr=1e-3 --align_ratio=0.5 --eval_every=0 --save_every=2"""


def start(folder: Path, name: str, steps: int, out=subprocess.PIPE) -> subprocess.Popen:
    """torchrun with two processes on the model and problems of `folder`."""
    resume = ["--resume"] * any((folder / name / "ckpt").glob("step_*"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += [str(ROOT / "train.py"), f"--model={folder / 'model'}", f"--name={name}"]
    command += [f"--problems={folder / 'problems.jsonl'}", f"--out_dir={folder}"]
    return subprocess.Popen(
        [*command, *KEYS.split(), f"--steps={steps}", *resume], start_new_session=True,
        env=os.environ | {"TMPDIR": str(folder), "OMP_NUM_THREADS": "1"},
        stdout=out, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def processes(root: int) -> list[int]:
    """A process and all below it."""
    pids = [root]
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                pids += map(int, task.read_text().split())
    return pids


def kill_all(process: subprocess.Popen) -> None:
    """SIGKILL to torchrun and all below it at once."""
    for pid in processes(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


def terminate(process: subprocess.Popen, run: Path) -> None:
    """SIGTERM to torchrun, which hands it on. Once steps are made, their last one must be saved."""
    before = logged(run)
    process.terminate()
    output, _ = process.communicate()
    if "finishing this step" in output and logged(run) > before:
        saved = json.loads((run / "ckpt/latest/state.json").read_text())["step"]
        if saved != logged(run):
            sys.exit(f"after SIGTERM step {logged(run)} was not saved:\n{output[-2000:]}")


def logged(run: Path) -> int:
    metrics = run / "metrics.jsonl"
    return metrics.read_text().count("\n") if metrics.exists() else 0


def wait_for_a_step(process: subprocess.Popen, run: Path) -> float:
    """Wait until the run has made a step, or ended; returns the time."""
    before, began = logged(run), time.monotonic()
    while process.poll() is None and logged(run) <= before:
        time.sleep(0.01)
        if time.monotonic() - began < 10:  # a resumed run first drops rows
            before = min(before, logged(run))
    return time.monotonic()


def finish(process: subprocess.Popen) -> None:
    output, _ = process.communicate()
    if process.returncode:
        sys.exit(f"a run ended with {process.returncode}:\n{output[-2000:]}")


def rows(path: Path) -> list[dict]:
    """The rows of a file, without what a clock or the memory says."""
    kept = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        kept.append({k: v for k, v in row.items() if "time/" not in k and "mem" not in k})
    return kept


def main() -> None:
    _, flags = options(__doc__, kills=20, steps=40)
    kills, steps = flags.values()
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder, made, runs = Path(name), 0, 0
        tiny.write_problems(folder / "problems.jsonl")
        tiny.make_taught_directory(folder / "model")
        whole = start(folder, "whole", steps)
        first = wait_for_a_step(whole, folder / "whole")
        finish(whole)
        seconds = time.monotonic() - first
        print(f"undisturbed: the steps after the first took {seconds:.1f} s", flush=True)
        while made < kills:
            runs += 1
            run = folder / f"cut{runs}"
            while (process := start(folder, run.name, steps)) and made < kills:
                if made % 5:  # else anywhere, the start of the sampler included
                    wait_for_a_step(process, run)
                try:
                    process.wait(timeout=rng.uniform(0, 0.5) * (seconds if made % 5 else 20))
                    break  # it ended before its time had come
                except subprocess.TimeoutExpired:
                    made += 1
                    terminate(process, run) if made % 2 else kill_all(process)
                    how = "SIGTERM" if made % 2 else "SIGKILL"
                    print(f"{how} {made}, {logged(run)} of {steps} steps logged", flush=True)
            finish(process)
            for file in ("hf/model.safetensors", "state.json"):
                ours, theirs = (
                    folder / run / "ckpt/latest" / file for run in ("whole", f"cut{runs}")
                )
                if ours.read_bytes() != theirs.read_bytes():
                    sys.exit(f"{file} differs")
            for file in ("metrics.jsonl", "samples.jsonl"):
                if rows(folder / "whole" / file) != rows(folder / f"cut{runs}" / file):
                    sys.exit(f"{file} differs")
    print(f"{made} kills in {runs} runs, which all end as the undisturbed one, bit for bit")


if __name__ == "__main__":
    main()
