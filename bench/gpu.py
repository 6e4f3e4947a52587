"""Does the trainer work on this GPU machine, and how fast? One table, one JSON file, eight minutes.

    python bench/gpu.py [--out=out/gpu.json] [--minutes=8] [--only=attention,updates-1.5b]

It needs no network, no model and no vLLM; where vLLM is installed, two more parts and six more
minutes look at it. Each part is a process of its own and has a share of the time (see parts.py);
one that fails ends as a row. The exit status is 0 if every row passed. One GPU is used. Without one
all parts run on the CPU, tiny, for the test of this file.
"""

import contextlib
import gc
import importlib.metadata
import importlib.util
import itertools
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

# A count of GPUs by CUDA itself would leave forked processes without CUDA.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

import torch
from parts import Part, Row, Rows, measure_parts
from shapes import ROOT, matmul_flops, memory, parameters, peak_flops, update_gb, write_random_model
from transformers.utils import logging as transformers_logging
from update import made_up, measure

sys.path.insert(0, str(ROOT / "tests"))

import tiny  # noqa: E402

import policy as core  # noqa: E402
from config import Config  # noqa: E402
from policy import Pack, Policy, named_weights, split_batch  # noqa: E402
from rollout import HfEngine, Request, make_engine  # noqa: E402
from run import RunDir  # noqa: E402
from sandbox import Sandbox, SandboxUnavailable  # noqa: E402
from startup.model import load_policy, make_optimizer, shard  # noqa: E402
from train import batch_loss, update  # noqa: E402


def on_gpu(device: torch.device) -> bool:
    return device.type == "cuda"


# ------------------------------------------------------------------------------- what is here
def versions(scratch: Path, device: torch.device) -> Rows:
    installed = importlib.metadata.packages_distributions()
    for package in ("torch", "transformers", "triton", "vllm"):
        names = installed.get(package, [])
        yield Row(package, importlib.metadata.version(names[0]) if names else "not installed")
    yield Row("python, cores", f"{platform.python_version()}, {os.cpu_count()}")
    yield Row("sandbox", layers() or "isolates nothing here: train.py needs --sandbox=weak")
    if on_gpu(device):
        card = torch.cuda.get_device_properties(device)
        yield Row("GPU", f"{card.name}, {card.major}.{card.minor}")
        yield Row("CUDA, NCCL", f"{torch.version.cuda}, {torch.cuda.nccl.version()}")
        yield Row("GiB", card.total_memory / 2**30)
        yield Row("TFLOP/s of a bf16 product, measured", matmul_flops() / 1e12)
    peak, source = peak_flops()
    yield Row(f"TFLOP/s by {source}", peak / 1e12)


def layers() -> str:
    """Those of the sandbox; "" where it refuses to start."""
    with contextlib.suppress(SandboxUnavailable), contextlib.closing(Sandbox()) as sandbox:
        return sandbox.layers
    return ""


# ------------------------------------------------------------------------------- is it right
def error(value: torch.Tensor, true: torch.Tensor) -> float:
    """Relative, in the 2-norm."""
    value, true = value.detach().double().cpu(), true.detach().double().cpu()
    return float((value - true).norm() / true.norm())


def attention(scratch: Path, device: torch.device) -> Rows:
    """What a GPU takes for a pack in bf16, against plain products in fp32."""
    torch.manual_seed(0)
    shared, *own = (torch.randint(4, 500, (n,)).tolist() for n in (33, 117, 40))
    answers = [[[7] * n for n in lengths] for lengths in ((1, 5, 130), (1, 1, 64))]
    pack = Pack([shared + tokens for tokens in own], answers, device)
    sizes = (64, 128, 256) if on_gpu(device) else (64,)
    for size, kv_heads, window in itertools.product(sizes, (8, 2), (None, 40)):
        shapes = [(heads, len(pack.ids), size) for heads in (8, kv_heads, kv_heads)]
        inputs = [torch.randn(s, device=device).bfloat16().requires_grad_() for s in shapes]
        plain = [x.detach().float().requires_grad_() for x in inputs]
        rows = [x[None] for x in inputs]
        out, _ = core.packed_attention(None, *rows, None, pack, sliding_window=window)
        true = core.grouped_attention(*plain, pack, size**-0.5, window)  # (T, heads, size)
        weight = torch.randn_like(true)
        gradients = torch.autograd.grad((out[0] * weight).sum(), inputs)
        wanted = torch.autograd.grad((true * weight).sum(), plain)
        where = f"head {size}, 8/{kv_heads} heads" + ", window" * bool(window)
        yield Row(f"{where}: output", error(out[0], true), 0.01)
        yield Row(f"{where}: gradients", max(map(error, gradients, wanted)), 0.02)
    yield Row("kernel", "ragged flash" if core.has_kernel(inputs[0]) else "plain products")


def tiny_policy(cfg: Config, device: torch.device) -> Policy:
    model = tiny.make_model(512, 0).eval()
    model.set_attn_implementation("packed")
    return shard(cfg, Policy(model, cfg.temperature, device), cfg.states)


def weights_of(policy: Policy) -> torch.Tensor:
    return torch.cat([weight.flatten().cpu() for _, weight in named_weights(policy)])


def two_steps(cfg: Config, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Log-probabilities, their gradient, and how two optimizer steps move the weights."""
    torch.manual_seed(0)
    groups = made_up(4, 2, 30, 12, vocabulary=512)
    policy = tiny_policy(cfg, device)
    start, (batch, *_) = weights_of(policy), split_batch(cfg, groups, policy.layout, device)
    logp = policy(batch.pack)
    (logp * batch.advantages).sum().backward()
    gradient = torch.cat([tiny.full(weight.grad).cpu() for weight in policy.parameters()])
    update(cfg, 1, groups, policy, None, make_optimizer(cfg, policy))
    return logp, gradient, weights_of(policy) - start


def agreement(scratch: Path, device: torch.device) -> Rows:
    """A tiny model on this device against the CPU in fp32."""
    cfg = Config(dtype="float32", optimizer_steps=2, lr=1e-4, micro_tokens=256)
    reference = two_steps(cfg, torch.device("cpu"))
    numbers = {"float32": (1e-4, 1e-3, 0.05), "bfloat16": (0.01, 0.05, None)}  # limits
    options = {"": {}, "layers": {"checkpoint_layers": True}, "states=cpu": {"states": "cpu"}}
    for dtype, option in itertools.product(numbers, options):
        found = two_steps(replace(cfg, dtype=dtype, **options[option]), device)
        errors = map(error, found, reference)
        names = ("log-probabilities", "gradient", "two steps")
        for name, value, limit in zip(names, errors, numbers[dtype], strict=True):
            yield Row(f"{dtype} {option}: {name}", value, limit)


def saving(scratch: Path, device: torch.device) -> Rows:
    """A checkpoint gives back the same bits, weights and moments, also to a policy at rest."""
    for more in ({}, {"states": "cpu"}):
        cfg = Config(dtype="float32", out_dir=str(scratch / f"saved{len(more)}"), **more)
        run = RunDir(cfg)
        policy = tiny_policy(cfg, device)
        optimizer = make_optimizer(cfg, policy)
        update(cfg, 1, made_up(2, 4, 40, 24, vocabulary=512), policy, None, optimizer)
        run.save({"step": 1}, policy, tiny.make_tokenizer(), optimizer)
        other = tiny_policy(cfg, device)
        run.restore(other, restored := make_optimizer(cfg, other))
        sums = []
        for model, states in ((policy, optimizer), (other, restored)):
            moments = [tiny.full(s["exp_avg"]).cpu() for s in states.state.values()]
            sums.append(torch.cat([weights_of(model), *moments]))
        yield Row(" ".join(["numbers changed", *more]), int((sums[0] != sums[1]).sum()), 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # RunDir has its own


# ------------------------------------------------------------------------------- how fast is it
def shape_on(shape: str, device: torch.device) -> str:
    return shape if on_gpu(device) else "tiny"


def random_model(scratch: Path, shape: str, device: torch.device) -> str:
    """A directory, which later parts find."""
    directory = scratch / shape
    if not (directory / "tokenizer.json").exists():
        shutil.rmtree(directory, ignore_errors=True)
        write_random_model(shape, directory, tiny.make_tokenizer(), device.type)
    return str(directory)


def groups_for(device: torch.device) -> list:
    """On a GPU two packs of 8192 tokens, or four of 4096."""
    sizes = (4, 8, 512, 448) if on_gpu(device) else (4, 2, 8, 6)
    torch.manual_seed(0)
    return made_up(*sizes, vocabulary=500)


def updates(shape: str, scratch: Path, device: torch.device) -> Rows:
    """Seconds, MFU and peak memory of an update, beside the sums of docs/gpus.md."""
    shape = shape_on(shape, device)
    cfg = Config(model=random_model(scratch, shape, device))
    groups, (peak, _) = groups_for(device), peak_flops()
    trained = sum(len(s.response.token_ids) for group in groups for s in group.samples)
    default = core.HEAD_TOKENS[device.type]
    for layers in (False, True):
        cfg = replace(cfg, checkpoint_layers=layers)
        policy = load_policy(cfg, cfg.model, device)
        optimizer = make_optimizer(cfg, policy)
        body, head = parameters(policy.model.config)
        sizes = [(4096, default), (8192, default)]
        for tokens, slices in (
            sizes if layers else [*sizes, (8192, 2 * default), (8192, 4 * default)]
        ):
            core.HEAD_TOKENS[device.type] = slices
            part = replace(cfg, micro_tokens=tokens)
            seconds, computed, gb = measure(part, policy, optimizer, {"": groups}, 3)[""]
            where = f"{tokens} tokens, head {slices}" + ", checkpoint_layers" * layers
            yield Row(f"{where}: seconds", seconds)
            used = 6 * (body * computed + head * trained) / seconds / peak
            yield Row(f"{where}: MFU, %", 100 * used)
            if on_gpu(device):
                sums = update_gb(
                    shape=shape, micro_tokens=tokens, checkpoint_layers=layers, head_tokens=slices
                )
                yield Row(f"{where}: peak, GiB; the sums are the limit", gb, sums)
        core.HEAD_TOKENS[device.type] = default
        del policy, optimizer
        gc.collect()  # what checkpoint_layers does to a layer is a cycle
    if on_gpu(device):
        yield Row("GiB that torch took from the card", torch.cuda.memory_reserved() / 2**30)


def profile(scratch: Path, device: torch.device) -> Rows:
    """One micro-batch, forward and backward: where its time goes."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    cfg = Config(model=random_model(scratch, shape_on("qwen2.5-1.5b", device), device))
    policy = load_policy(cfg, cfg.model, device)
    batch = split_batch(cfg, groups_for(device), policy.layout, device)[0]

    def passes() -> None:
        loss = batch_loss(cfg, batch, policy, None, len(batch.advantages), 1, Counter())
        loss.backward()
        if on_gpu(device):
            torch.cuda.synchronize()

    passes()
    start = time.perf_counter()
    passes()
    wall = time.perf_counter() - start
    kind, unit = (
        (ProfilerActivity.CUDA, "self_device_time_total")
        if on_gpu(device)
        else (ProfilerActivity.CPU, "self_cpu_time_total")
    )
    with profiler(activities=[kind]) as found:
        passes()
    spent = {e.key: (getattr(e, unit) / 1e6, e.count) for e in found.key_averages()}
    top = sorted((pair for pair in spent.items() if pair[1][0]), key=lambda pair: -pair[1][0])
    total = sum(seconds for _, (seconds, _) in top)
    yield Row("seconds", wall)
    yield Row("kernels at work, % of it", 100 * total / wall)
    yield Row("kernels", sum(count for _, (_, count) in top))
    for name, (seconds, count) in top[:12]:
        yield Row(f"{count} x {name[:50]}, %", 100 * seconds / total)


def move_weights(policy: Policy) -> None:
    """So far that a sync which is lost shows, for biases, too, which begin at 0."""
    with torch.no_grad():
        for weight in policy.parameters():
            weight.mul_(1.5) if weight.dim() > 1 else weight.add_(0.5)


def syncs(scratch: Path, device: torch.device) -> Rows:
    """All weights from the trainer to a sampler of transformers, and whether they arrive."""
    shape = shape_on("qwen2.5-1.5b", device)
    directory = random_model(scratch, shape, device)
    engine = HfEngine(Config(), directory, device)
    gb = memory(shape)["weights"]
    for more in ({}, {"states": "cpu"}):
        policy = load_policy(Config(), directory, device, **more)
        move_weights(policy)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            engine.sync(named_weights(policy, Config().compute_dtype))
            if on_gpu(device):
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
        where = " ".join([f"{gb:.2f} GiB", *more])
        yield Row(f"{where}: seconds", statistics.median(seconds))
        own = dict(engine.model.named_parameters())
        pairs = ((weight.to(own[name].dtype), own[name]) for name, weight in named_weights(policy))
        yield Row(f"{where}: tensors that differ", sum(not a.equal(b) for a, b in pairs), 0)
        del policy


# ------------------------------------------------------------------------------- the whole of it
def training(scratch: Path, device: torch.device) -> Rows:
    """train.py on the model of the tests, which solves its problems half the time."""
    model, problems = scratch / "taught", scratch / "problems.jsonl"
    command = [sys.executable, "train.py", f"--model={tiny.make_taught_directory(model)}"]
    command += [f"--problems={tiny.write_problems(problems)}", f"--out_dir={scratch}"]
    command += ["--engine=hf", "--prompts_per_step=4", "--samples_per_prompt=4", "--lr=1e-4"]
    command += ["--max_prompt_tokens=400", "--max_tokens=48", "--align_ratio=0.5"]
    command += ["--eval_every=0", "--save_every=4", f"--sandbox={'auto' if layers() else 'weak'}"]
    for more in (["--steps=4"], ["--steps=5", "--resume"]):
        start = time.perf_counter()
        done = subprocess.run(
            [*command, *more], cwd=ROOT, env=tiny.environment(), capture_output=True, text=True
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines()[-3:]
            yield Row(f"train.py {' '.join(more)}", " | ".join(said), failed=True)
            return
        yield Row(f"train.py {' '.join(more)}: seconds", time.perf_counter() - start)
    rows = [json.loads(line) for line in (scratch / "run/metrics.jsonl").read_text().splitlines()]
    resumed = "resuming after step 4" in done.stdout and [row["step"] for row in rows]
    yield Row("steps, one of them resumed", str(resumed), failed=resumed != [1, 2, 3, 4, 5])
    yield Row("gap of sampler and trainer, mean", max(r["mismatch/mean"] for r in rows), 0.05)
    yield Row("steps without a gradient", sum(not r["grad_norm"] > 0 for r in rows), 4)
    yield Row("seconds of a step", statistics.median(r["time/step"] for r in rows[1:]))


def sampler(runner: str, scratch: Path, device: torch.device) -> Rows:
    """vLLM beside the trainer: sleep, wake, sync, and whether both are the same function."""
    if not importlib.util.find_spec("vllm"):
        yield Row("left out", "vLLM is not installed")
        return
    os.environ["VLLM_USE_V2_MODEL_RUNNER"] = runner
    directory = random_model(scratch, shape_on("qwen2.5-0.5b", device), device)
    cfg = Config(model=directory, max_prompt_tokens=256, max_tokens=64, kv_cache_gb=0.1)
    policy = load_policy(cfg, directory, device)
    optimizer = make_optimizer(cfg, policy)
    start = time.perf_counter()
    engine = make_engine(cfg, directory, device)
    yield Row("seconds to start", time.perf_counter() - start)
    torch.manual_seed(0)
    prompts = torch.randint(4, 500, (16, 100)).tolist()
    requests = [Request(prompts[i // 8], i, cfg.max_tokens, cfg.temperature) for i in range(128)]

    def timed(what: str, work: Callable, *arguments: object) -> Row:
        free = torch.cuda.mem_get_info()[0] if on_gpu(device) else 0
        start = time.perf_counter()
        work(*arguments)
        if on_gpu(device):
            torch.cuda.synchronize()
            what += f" (frees {(torch.cuda.mem_get_info()[0] - free) / 2**30:.1f} GiB)"
        return Row(f"{what}: seconds", time.perf_counter() - start)

    for turn in ("start", "asleep and awake"):
        yield timed(f"sync, {turn}", lambda: engine.sync(named_weights(policy, cfg.compute_dtype)))
        start = time.perf_counter()
        responses = engine.sample(requests)
        count = sum(len(response.token_ids) for response in responses)
        yield Row(f"{turn}: tokens/s", count / (time.perf_counter() - start))
        answers = [[r.token_ids for r in responses[i : i + 8]] for i in range(0, 128, 8)]
        logp = policy.no_grad_logp(Pack(prompts, answers, device)).cpu()
        gap = logp - torch.tensor([x for response in responses for x in response.logprobs])
        yield Row(f"{turn}: gap of sampler and trainer, mean", float(gap.abs().mean()), 0.05)
        yield Row(f"{turn}: largest gap", float(gap.abs().max()), 1.0)
        yield timed("sleep", engine.sleep)
        update(cfg, 1, groups_for(device), policy, None, optimizer)
        move_weights(policy)


# ------------------------------------------------------------------------------- parts
PARTS = {
    "versions": Part(25, versions),
    "attention": Part(40, attention),
    "agreement": Part(50, agreement),
    "saving": Part(25, saving),
    "updates-0.5b": Part(70, partial(updates, "qwen2.5-0.5b")),
    "updates-1.5b": Part(100, partial(updates, "qwen2.5-1.5b")),
    "profile": Part(40, profile),
    "syncs": Part(45, syncs),
    "training": Part(85, training),
    "vllm-runner-1": Part(180, partial(sampler, "0")),
    "vllm-runner-2": Part(180, partial(sampler, "1")),
}


def main(arguments: list[str]) -> int:
    minutes = 14 if importlib.util.find_spec("vllm") else 8
    flags = {"out": "out/gpu.json", "minutes": minutes, "only": ",".join(PARTS)}
    flags |= dict(a.lstrip("-").partition("=")[::2] for a in arguments)
    names = flags["only"].split(",")
    if len(flags) > 3 or not set(names) <= set(PARTS):
        sys.exit(f"{__doc__}\nThe parts are {', '.join(PARTS)}.")
    transformers_logging.disable_progress_bar()
    parts = {name: PARTS[name] for name in names}
    return 0 if measure_parts(parts, 60 * float(flags["minutes"]), Path(flags["out"])) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
