"""Seconds per phase, tokens/s and peak memory of a training step; TRL beside it where installed.

    python bench/step.py configs/demo.py [--steps=6] [--trl]

Runs train.py for some steps without evaluation in a scratch directory and prints medians of its
metrics. With --trl, TRL's GRPOTrainer then does the same work in its own process: the same model,
prompts, samples per prompt and token limit, the same reward, one optimizer step; plain GRPO, for
it has no alignment. Both take the machine as it is: run nothing else beside them. How fast it is
just then, a matrix product tells before and after.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

PHASES = ("sample", "judge", "train", "sync", "step")


def matmul_speed() -> str:
    """How fast this machine multiplies bf16 matrices of the demo model's shape just now."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    a, b = (torch.ones(n, 1536, dtype=torch.bfloat16, device=device) for n in (1024, 576))
    seconds = []
    for _ in range(200):
        start = time.perf_counter()
        float((a @ b.T)[0, 0])  # waits for the result
        seconds.append(time.perf_counter() - start)
    rate = 2 * 1024 * 576 * 1536 / statistics.median(seconds) / 1e9
    return f"{rate:.0f} GFLOP/s in a bf16 matrix product"


def measure_ours(arguments: list[str], steps: int) -> None:
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "train.py", *arguments, "--name=bench", f"--out_dir={out}"]
        command += [f"--steps={steps}", "--eval_every=0", "--save_every=1000000"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
        lines = Path(out, "bench", "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    rows = rows[1:] or rows  # the first step warms caches, and has no alignment yet
    print(f"nanocoderl, median of {len(rows)} steps (first left out):")
    for phase in PHASES:
        print(f"  {phase:<7}{statistics.median(r[f'time/{phase}'] for r in rows):8.2f} s")
    tokens = statistics.median(r["tokens"] / r["time/step"] for r in rows)
    print(f"  {tokens:.0f} sampled tokens/s, {max(r['peak_mem_gb'] for r in rows):.2f} GiB peak")
    print(f"  alignment share {statistics.mean(r['align/share'] for r in rows):.0%}")


TRL = """
import json, resource, sys, time
sys.path.insert(0, {root!r})
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer
from config import load_config
from data import code_text, data_order, load_problems
from reward import extract_program, judge
from sandbox import Pool

cfg = load_config({arguments!r})
problems = load_problems(cfg.problems)
order = data_order(len(problems), 0, {steps} * cfg.prompts_per_step, cfg.seed)
rows = []
for i in order:
    text = code_text(problems[i], cfg)
    rows.append({{"prompt": [{{"role": "user", "content": text}}], "number": i}})
pool = Pool(cfg.sandbox_workers)

def reward(completions, number, **_):
    texts = [c[0]["content"] for c in completions]
    futures = [pool.submit(judge, problems[i], extract_program(t)) for i, t in zip(number, texts)]
    return [f.result().reward(cfg.reward) for f in futures]

batch = cfg.prompts_per_step * cfg.samples_per_prompt
marks = []
class Timed(GRPOTrainer):
    def training_step(self, *args, **kwargs):
        start = time.perf_counter()
        out = super().training_step(*args, **kwargs)
        marks.append(time.perf_counter() - start)
        return out

trainer = Timed(
    model=cfg.model, reward_funcs=reward, train_dataset=Dataset.from_list(rows),
    args=GRPOConfig(
        output_dir={out!r}, max_steps={steps}, per_device_train_batch_size=batch,
        num_generations=cfg.samples_per_prompt, max_completion_length=cfg.max_tokens,
        temperature=cfg.temperature, learning_rate=cfg.lr, bf16=True, use_cpu=True, beta=0.0,
        report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True,
    ),
)
trainer.train()
pool.close()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print("RESULT", json.dumps([sorted(marks)[len(marks) // 2], memory]))
"""


def measure_trl(arguments: list[str], steps: int) -> None:
    with tempfile.TemporaryDirectory() as out:
        script = TRL.format(root=str(ROOT), arguments=arguments, steps=steps, out=out)
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    result = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not result:
        print(f"TRL did not finish (exit status {done.returncode})")
        return
    seconds, memory = json.loads(result[0][7:])
    print(f"TRL GRPOTrainer, the same prompts, no alignment, median of {steps} steps:")
    print(f"  step   {seconds:8.2f} s, {memory:.2f} GiB peak")


def main() -> None:
    arguments = [a for a in sys.argv[1:] if not a.startswith("--steps") and a != "--trl"]
    steps = next((int(a[8:]) for a in sys.argv if a.startswith("--steps=")), 6)
    start = time.perf_counter()
    print(f"machine before: {matmul_speed()}")
    measure_ours(arguments, steps)
    print(f"machine after:  {matmul_speed()}")
    if "--trl" in sys.argv:
        try:
            import trl  # noqa: F401
        except ImportError:
            print("TRL is not installed here: pip install trl datasets")
        else:
            measure_trl(arguments, 2)
    print(f"({time.perf_counter() - start:.0f} s in all)", file=sys.stderr)


if __name__ == "__main__":
    main()
