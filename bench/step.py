"""Seconds per phase, tokens/s, MFU and peak memory of training steps; TRL beside it.

    python bench/step.py configs/demo.py [--steps=6] [--trl[=2]] [--key=value ...]
    python bench/step.py configs/small.py --model=qwen2.5-0.5b      # random weights, no network

Runs train.py for some steps without evaluation in a scratch directory and prints medians of its
metrics, without the first step, which warms caches and has no alignment yet. With --trl (pip
install trl datasets), TRL's GRPOTrainer does two steps, or --trl=N, of the same work between two
such runs of ours: the same model, prompts, samples per prompt, token limit and reward, one
optimizer step. It has no alignment: give --align_ratio=0 to compare the same work. Run nothing else
beside it. A matrix product before and after says how fast the machine was.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import transformers
from shapes import (
    ROOT,
    SHAPES,
    demo_tokenizer,
    matmul_flops,
    parameters,
    peak_flops,
    write_random_model,
)

sys.path.insert(0, str(ROOT))

from config import load_config  # noqa: E402
from startup.files import model_directory  # noqa: E402

PHASES = ("sample", "judge", "train", "sync", "step")


def run_ours(arguments: list[str], steps: int) -> list[dict]:
    """Rows of metrics.jsonl."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "train.py", *arguments, "--name=bench", f"--out_dir={out}"]
        command += [f"--steps={steps}", "--eval_every=0", "--save_every=1000000"]
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
        lines = Path(out, "bench", "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return rows[1:] or rows


def print_ours(rows: list[dict], directory: str) -> float:
    """The median seconds of a step."""
    middle = {p: statistics.median(row[f"time/{p}"] for row in rows) for p in PHASES}
    body, head = parameters(transformers.AutoConfig.from_pretrained(directory))
    flops = statistics.median(
        6 * (body * row["tokens_computed"] + head * row["tokens_trained"]) / row["time/train"]
        for row in rows
    )
    peak, source = peak_flops()
    sampled = statistics.median(row["tokens"] / row["time/sample"] for row in rows)
    trained = statistics.median(row["tokens_computed"] / row["time/train"] for row in rows)
    print(f"nanocoderl, {len(rows)} steps, alignment ", end="")
    print(f"{statistics.mean(row['align/share'] for row in rows):.0%} of the samples:")
    print("  " + ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in middle.items()) + " s")
    print(f"  sampled {sampled:.0f} tokens/s, update {trained:.0f} tokens/s (each computed once)")
    print(f"  MFU of the update {flops / peak:.1%} of {peak / 1e12:.3g} TFLOP/s ({source})")
    print(f"  not hidden of judging: {middle['judge'] / middle['step']:.1%} of the step")
    print(f"  peak {max(row['peak_mem_gb'] for row in rows):.2f} GiB", flush=True)
    return middle["step"]


TRL = """
import json, resource, sys, time
sys.path.insert(0, {root!r})
import torch
from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer
from config import load_config
from problems.load import load_problems
from problems.problem import code_messages, served
from problems.programs import extract_program
from reward import judge
from run import peak_gb
from sandbox import Pool

cfg = load_config({arguments!r})
problems = load_problems(cfg.problems)
order = served(problems, 0, {steps} * cfg.prompts_per_step, cfg.seed)
rows = [{{"prompt": code_messages(problems[i], cfg), "number": i}} for i in order]
pool = Pool(cfg.sandbox_workers, **cfg.limits)

def reward(completions, number, **_):
    texts = [c[0]["content"] for c in completions]
    futures = [
        pool.submit(judge, problems[i], extract_program(text, problems[i].fn_name), cfg.reward)
        for i, text in zip(number, texts)
    ]
    return [future.result().reward for future in futures]

batch = cfg.prompts_per_step * cfg.samples_per_prompt
marks = dict(step=[], sample=[])
class Timed(GRPOTrainer):
    def training_step(self, *args, **kwargs):
        start = time.perf_counter()
        out = super().training_step(*args, **kwargs)
        marks["step"].append(time.perf_counter() - start)
        return out
    def _generate_and_score_completions(self, *args, **kwargs):
        start = time.perf_counter()
        out = super()._generate_and_score_completions(*args, **kwargs)
        marks["sample"].append(time.perf_counter() - start)
        return out

on_gpu = torch.cuda.is_available()
trainer = Timed(
    model=cfg.model, reward_funcs=reward, train_dataset=Dataset.from_list(rows),
    args=GRPOConfig(
        output_dir={out!r}, max_steps={steps}, per_device_train_batch_size=batch,
        num_generations=cfg.samples_per_prompt, max_completion_length=cfg.max_tokens,
        temperature=cfg.temperature, learning_rate=cfg.lr, bf16=True, use_cpu=not on_gpu, beta=0.0,
        report_to="none", save_strategy="no", logging_steps=1, disable_tqdm=True,
    ),
)
trainer.train()
pool.close()
print("RESULT", json.dumps([marks["step"], marks["sample"], peak_gb()]))
"""


def measure_trl(arguments: list[str], steps: int) -> float | None:
    """The median seconds of a step, printed with what else there is."""
    with tempfile.TemporaryDirectory() as out:
        script = TRL.format(root=str(ROOT), arguments=arguments, steps=steps, out=out)
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    result = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not result:
        print(f"TRL did not finish (exit status {done.returncode})")
        return None
    step, sample, memory = json.loads(result[0][7:])
    rest = [a - b for a, b in zip(step, sample, strict=True)]
    print(f"TRL GRPOTrainer, the same prompts, no alignment, {steps} steps:")
    print(f"  sample and judge {statistics.median(sample):.2f}, ", end="")
    print(f"train {statistics.median(rest):.2f}, step {statistics.median(step):.2f} s")
    print(f"  peak {memory:.2f} GiB", flush=True)
    return statistics.median(step)


def main() -> None:
    flags = dict(a.partition("=")[::2] for a in sys.argv[1:])
    steps = int(flags.pop("--steps", 6))
    trl_steps = int(flags.pop("--trl") or 2) if "--trl" in flags else 0
    with tempfile.TemporaryDirectory() as scratch:
        if flags.get("--model") in SHAPES:
            write_random_model(flags["--model"], Path(scratch), demo_tokenizer())
            flags["--model"] = scratch
        arguments = [f"{flag}={text}" if text else flag for flag, text in flags.items()]
        directory = model_directory(load_config(arguments).model)
        print(f"machine before: {matmul_flops() / 1e9:.0f} GFLOP/s in a bf16 matrix product")
        rows = run_ours(arguments, steps)
        if not trl_steps:
            print_ours(rows, directory)
        else:
            theirs = measure_trl(arguments, trl_steps)
            ours = print_ours(rows + run_ours(arguments, steps), directory)
            if theirs:
                print(f"TRL / nanocoderl: {theirs / ours:.1f}")
        print(f"machine after: {matmul_flops() / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
