"""What every run needs around the training loop: ranks, the run directory, checkpoints, console.

    out/<name>/config.json   metrics.jsonl   samples.jsonl   eval.jsonl   report.html
    out/<name>/ckpt/step_N/  shards of weights and optimizer, state.json, and hf/: the model and
                             tokenizer for everybody else; ckpt/latest -> step_N, hf -> its hf/

One path serves one process and many: gloo on CPUs, NCCL on GPUs, under torchrun or without it.

A kill at any moment loses nothing but the steps since the last checkpoint, because a checkpoint is
written to a temporary directory, flushed to disk and renamed: it is whole or it is not there. On
--resume, rows of steps after the checkpoint are dropped and made again.

Left out: asynchronous saving, uploading anywhere but wandb, and the states of global generators:
nothing here draws from them, and a fork that does should seed its own from the step.
"""

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from config import Config, UserError, first_line
from policy import Policy, named_weights

RANK_TIMEOUT_S = 1800  # how long ranks wait for the slowest of them
KEEP_CHECKPOINTS = 2  # older ones are deleted
# Keys that may differ on --resume, for they change no number of any step, or by rounding only.
FREE_KEYS = {"resume", "steps", "wandb", "out_dir", "name", "data_dir", "sandbox_workers"}
FREE_KEYS |= {"save_every", "eval_tasks", "eval_every", "eval_temperature"}
FREE_KEYS |= {"kv_cache_gb", "gpu_memory", "rollout_tp", "micro_tokens", "checkpoint_layers"}
FREE_KEYS |= {"offload"}


# ------------------------------------------------------------------------------- ranks
meeting: dict = {}  # the gloo group of gather(), and its patience: set once


def set_up_ranks(timeout_s: float = RANK_TIMEOUT_S) -> torch.device:
    """Join the process group of torchrun, or make one of a single process. Returns the device.

    timeout_s: how long ranks wait for each other in gather().
    """
    if "RANK" not in os.environ:
        alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            os.environ |= alone | {"MASTER_PORT": str(free.getsockname()[1])}
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
        # gloo is for what rests in main memory: objects, and with --offload the weights
        dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
        tune_heap()
    # Only rank 0 learns who is missing, and torchrun ends everybody once one rank fails: the
    # others, who go by the timeout of the group, outlast it, even where it comes last.
    meeting["patience"] = timedelta(seconds=timeout_s)
    meeting["group"] = dist.new_group(backend="gloo", timeout=3 * meeting["patience"])
    return device


def leave_ranks() -> None:
    """Leave the process group; where vLLM ran, it does so itself when the process ends."""
    time.sleep(0.3)  # a gloo thread that still holds tensors when Python ends aborts the process
    if dist.is_initialized() and "vllm" not in sys.modules:
        dist.destroy_process_group()


def gather(item: object, task: str = "its work") -> list:
    """`item` of every rank, in rank order, on every rank.

    What ranks wait for may take long (sampling, judging, saving), so they wait here, outside of
    NCCL, and not for ever: raises UserError that names the ranks which did not come.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [item]
    try:
        dist.monitored_barrier(meeting["group"], meeting["patience"], wait_all_ranks=True)
    except RuntimeError as error:
        why = f"{first_line(error)}; raise RANK_TIMEOUT_S in run.py if it may"
        raise UserError(f"{task} took too long on some rank: {why}") from error
    items: list = [None] * dist.get_world_size()
    dist.all_gather_object(items, item, group=meeting["group"])
    return items


# ------------------------------------------------------------------------------- memory and time
def tune_heap() -> None:
    """Two settings for CPUs, to be made before torch computes.

    glibc returns large freed blocks at once, and a step then spends an eighth of its time on
    faulting the same pages in again; so it keeps them until return_freed_memory(). torch keeps a
    compiled kernel for each of the last 1024 shapes, small blocks all over the heap between which
    large ones no longer fit; every pack has its own shapes, and 128 are enough.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for option, value in ((-4, 0), (-1, 2**31 - 1)):  # M_MMAP_MAX, M_TRIM_THRESHOLD
            libc.mallopt(option, value)


def return_freed_memory() -> None:
    """Give what is free in the heap back to the kernel, after each pack: the next has other shapes,
    finds no hole that fits, and the process would grow (the demo to 5.7 GiB instead of 4.9)."""
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def peak_gb() -> float:
    """Peak of what torch allocated on the GPU (a sampler that sleeps counts as if awake), or of
    this process's resident memory, GiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # from KiB


class Clock:
    """Seconds between laps, by name."""

    def __init__(self) -> None:
        self.laps: Counter[str] = Counter()
        self.last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] += now - self.last
        self.last = now


# ------------------------------------------------------------------------------- run directory
class RunDir:
    """Files of one run. Every rank calls every method; rank 0 alone writes the shared files."""

    def __init__(self, cfg: Config) -> None:
        self.cfg, self.rank = cfg, dist.get_rank()
        self.path, self.ckpt = cfg.run_dir, cfg.run_dir / "ckpt"
        self.spent, self.first_step = 0.0, None  # seconds of steps, for the time left
        self.stop_asked, self.wandb = False, None
        self._check_config()
        gather(None, "opening the run")  # no rank may see what rank 0 changes from here on
        signal.signal(signal.SIGINT, self._on_interrupt)
        if self.rank == 0:
            if not cfg.resume and any(self.path.glob("*.jsonl")):
                self._set_aside()
            self.ckpt.mkdir(parents=True, exist_ok=True)
            if not (self.path / "hf").is_symlink():
                (self.path / "hf").symlink_to("ckpt/latest/hf")
            write_whole(self.path / "config.json", json.dumps(asdict(cfg), indent=1))
            self.wandb = start_wandb(cfg) if cfg.wandb else None

    def _check_config(self) -> None:
        """A new run must not overwrite an old one; a resumed one must have the same config."""
        if not self.cfg.resume:
            if (self.ckpt / "latest").exists():
                raise UserError(f"{self.path} holds a run already; give --resume or another --name")
            return
        try:
            old = json.loads((self.path / "config.json").read_text())
        except (OSError, ValueError) as error:
            raise UserError(f"nothing to resume in {self.path}: {error}") from error
        new, default = (json.loads(json.dumps(asdict(cfg))) for cfg in (self.cfg, Config()))
        old = default | old  # a run may be older than a key
        keys = [key for key in new if key not in FREE_KEYS and old[key] != new[key]]
        if changed := "; ".join(f"{key}: {old[key]!r} -> {new[key]!r}" for key in keys):
            raise UserError(f"--resume with another config; these keys differ: {changed}")

    def _set_aside(self) -> None:
        """A run that ended before its first checkpoint cannot go on, but its rows are kept."""
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        self.path.rename(aside)
        self.say(f"an earlier run without a checkpoint was moved to {aside}")

    def say(self, text: str) -> None:
        if self.rank == 0:
            print(text, flush=True)

    def _on_interrupt(self, signum: int, frame: object) -> None:
        if self.stop_asked:
            raise KeyboardInterrupt
        self.stop_asked = True
        self.say("\nfinishing this step, then saving; press Ctrl-C again to stop at once")

    def asked_to_stop(self) -> bool:
        """Has any rank had a Ctrl-C? Ranks must agree, or one would wait for the others."""
        return any(gather(self.stop_asked))

    def append(self, file: str, rows: list[dict]) -> None:
        if self.rank == 0:
            with (self.path / file).open("a", encoding="utf-8") as out:
                out.write("".join(json.dumps(row) + "\n" for row in rows))

    def log_evaluation(self, rows: list[dict], step: int) -> None:
        short = [{k: v for k, v in row.items() if k != "results"} for row in rows]
        self.append("eval.jsonl", [{"step": step} | row for row in short])
        if self.wandb:
            self.wandb.log({f"eval/{r['task']}": r["pass@1"] for r in rows}, step=step)

    def evaluation_due(self, step: int) -> bool:
        """Every eval_every steps and after the last one, once: a resumed run may have done it."""
        every, path = self.cfg.eval_every, self.path / "eval.jsonl"
        due = bool(every) and (step % every == 0 or step == self.cfg.steps)
        done = map(json.loads, path.read_text().splitlines()) if path.exists() else []
        return all(gather(due and all(row["step"] != step for row in done)))

    def log_step(self, step: int, groups: list, waiting: dict, stats: dict, laps: dict) -> None:
        """One row in metrics.jsonl, one a sample in samples.jsonl, one line on the console.

        groups: those of all ranks. waiting: questions in the buffer, by objective. stats: what
        update() returned. laps: seconds by phase.
        """
        gathered = gather(stats, "the update")
        if self.rank:
            return
        totals = {k: (max if k.startswith("max") else sum)(s[k] for s in gathered) for k in stats}
        totals |= {k: stats[k] for k in ("grad_norm", "lr")}  # the same on every rank
        metrics = {"step": step} | step_metrics(groups, waiting, totals)
        metrics |= {f"time/{name}": seconds for name, seconds in laps.items()}
        metrics |= {"time/step": sum(laps.values()), "peak_mem_gb": peak_gb()}
        rows = [sample_row(step, group, g) for group in groups for g in range(len(group.samples))]
        self.append("metrics.jsonl", [metrics])
        self.append("samples.jsonl", rows)
        if metrics["judge_errors"] == len(rows) > 0:
            raise UserError(f"step {step}: no answer could be judged ({rows[0]['error']})")
        if self.wandb:
            self.wandb.log(metrics, step=step)
        self.first_step = self.first_step or step
        self.spent += metrics["time/step"]
        mean_s = self.spent / (step - self.first_step + 1)
        minutes = mean_s * (self.cfg.steps - step) / 60
        self.say(f"{console_line(metrics, waiting, self.cfg.steps)} | {minutes:.0f} min left")

    def finish(self, step: int) -> None:
        """Say how the run ended, and write the report in a process of its own, so that nothing
        which goes wrong there can fail the run."""
        if self.rank == 0:
            tool = str(Path(__file__).parent / "tools" / "report.py")
            command = [sys.executable, tool, str(self.path)]
            done = subprocess.run(command, capture_output=True, text=True)
            failed = f"no report: {done.stderr.strip()[-500:]}"
            self.say(failed if done.returncode else done.stdout.strip())
        if step < self.cfg.steps:
            self.say(f"stopped after step {step}; go on with: python train.py ... --resume")

    def restore(self, policy: Policy, optimizer: torch.optim.Optimizer) -> dict:
        """Load weights and optimizer from the newest checkpoint, written by any number of
        processes, and drop rows made after it. Returns the state that save() was given. Raises
        UserError when there is none."""
        path = (self.ckpt / "latest").resolve()
        if not (path / "state.json").exists():
            raise UserError(f"nothing to resume: {path} is no checkpoint; start without --resume")
        state = json.loads((path / "state.json").read_text())
        weights, moments = get_state_dict(policy, optimizer)
        dcp.load({"policy": weights, "optimizer": moments}, checkpoint_id=path / "shards")
        set_state_dict(policy, optimizer, model_state_dict=weights, optim_state_dict=moments)
        if self.rank == 0:
            for file in ("metrics.jsonl", "samples.jsonl", "eval.jsonl"):
                keep_rows(self.path / file, state["step"])
        gather(None, "resuming")  # the other ranks read these files, too
        self.say(f"resuming after step {state['step']} from {path}")
        return state

    def save(self, state: dict, policy: Policy, tokenizer, optimizer) -> None:
        """Write ckpt/step_N and point ckpt/latest to it. Raises UserError when the disk is full.

        state: what the next step depends on besides weights and optimizer, as JSON can hold it,
        with "step", the steps that are done.
        """
        scratch = self.ckpt / f".writing_{state['step']}"
        weights, moments = get_state_dict(policy, optimizer)
        full = {}  # what the sampler has, for the other tools
        for name, weight in named_weights(policy):  # every rank must take part
            if self.rank == 0:
                full[name] = weight.to(getattr(torch, self.cfg.compute_dtype)).cpu()

        def make_room() -> None:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)

        def write_shards() -> None:
            dcp.save({"policy": weights, "optimizer": moments}, checkpoint_id=scratch / "shards")

        def write_rest() -> None:
            policy.model.save_pretrained(scratch / "hf", state_dict=full)
            tokenizer.save_pretrained(scratch / "hf")
            (scratch / "state.json").write_text(json.dumps(state))
            publish(scratch, self.ckpt / f"step_{state['step']}")

        for task in (make_room, write_shards, write_rest):
            problem = None
            try:
                if self.rank == 0 or task is write_shards:
                    task()
            except (Exception, CheckpointException) as error:  # OSError, or what torch makes of it
                if isinstance(error, CheckpointException):  # one for each rank that failed
                    error = next(iter(error.failures.values()))[0]
                problem = f"{type(error).__name__}: {first_line(error)}"
            problems = [p for p in gather(problem, "saving") if p]
            if problems:
                if self.rank == 0:
                    shutil.rmtree(scratch, ignore_errors=True)
                raise UserError(
                    f"cannot write the checkpoint of step {state['step']} in {self.ckpt} "
                    f"({problems[0]}); earlier ones are whole: free some disk, then --resume"
                )


def publish(scratch: Path, final: Path) -> None:
    """Flush a written checkpoint, give it its name and `latest` to it, and delete old ones."""
    for path in [*scratch.rglob("*"), scratch]:
        flush(path)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(scratch, final)
    link = final.parent / ".latest"
    link.unlink(missing_ok=True)
    link.symlink_to(final.name)
    os.replace(link, final.parent / "latest")
    flush(final.parent)
    steps = sorted(final.parent.glob("step_*"), key=lambda path: int(path.name[5:]))
    for old in steps[:-KEEP_CHECKPOINTS]:
        if old != final:
            shutil.rmtree(old)


# ------------------------------------------------------------------------------- rows and metrics
def sample_row(step: int, group, g: int) -> dict:
    """A row of samples.jsonl."""
    sample = group.samples[g]
    row = {"step": step, "id": f"{step}/{group.index}/{g}", "objective": group.objective}
    row |= {"task_id": group.task.task_id, "prompt": group.prompt, "response": sample.response.text}
    return row | {"reward": sample.reward, "status": sample.outcome.status} | sample.outcome.row()


def step_metrics(groups: list, waiting: dict[str, int], stats: dict) -> dict:
    """The flat row of metrics.jsonl; None where a quantity does not exist in this step."""
    samples = {name: [] for name in ("code", *waiting)}
    for group in groups:
        samples[group.objective] += group.samples
    every = [sample for part in samples.values() for sample in part]
    trained = stats["trained"] or 1.0
    metrics: dict[str, float | None] = {}
    for name, part in samples.items():
        # The mean of -log p over sampled tokens is an unbiased estimate of the entropy.
        metrics[f"reward/{name}"] = mean([sample.reward for sample in part])
        metrics[f"entropy/{name}"] = mean([-lp for s in part for lp in s.response.logprobs])
        shares = {"pass_rate": "passed", "timeouts": "timeout"}
        if name in waiting:
            metrics |= {f"{name}/share": len(part) / len(every), f"{name}/buffer": waiting[name]}
            shares = {f"{name}/right": "right", f"{name}/unparsed": "unparsed"}
        for key, status in shares.items():
            metrics[key] = mean([sample.outcome.status == status for sample in part])
    return metrics | {
        "flat_groups": mean([group.flat for group in groups for _ in group.samples]),
        "truncated": mean([not sample.response.finished for sample in every]),
        "unjudged": mean([sample.outcome.status == "unjudged" for sample in every]),
        "judge_errors": sum(sample.outcome.status == "judge_error" for sample in every),
        "kl": stats["kl"] / trained,
        "clip_frac": stats["clipped"] / trained,
        "mismatch/mean": stats["mismatch"] / trained,
        "mismatch/max": stats["max_mismatch"],
        "mismatch/kl": stats["mismatch_kl"] / trained,
        "grad_norm": stats["grad_norm"],
        "lr": stats["lr"],
        "tokens": sum(len(sample.response.token_ids) for sample in every),
        "tokens_trained": stats["trained"],
        "tokens_computed": stats["computed"],  # those and their prompts, each once a pack
    }


def console_line(m: dict, waiting: dict, steps: int) -> str:
    line = f"step {m['step']:>4}/{steps}"
    for name in ("code", *waiting):
        reward = m[f"reward/{name}"]
        line += f" | {name} {'  --' if reward is None else f'{reward:.2f}'}"
        if name in waiting:
            line += f" ({m[f'{name}/share']:.0%}, buffer {m[f'{name}/buffer']})"
    line += f" | grad {m['grad_norm']:.2f} | mismatch {m['mismatch/mean']:.3f}"
    times = " ".join(f"{phase} {m[f'time/{phase}']:.1f}" for phase in ("sample", "judge", "train"))
    return f"{line} | {m['time/step']:.1f} s: {times}"


def mean(values: list) -> float | None:
    return sum(values) / len(values) if values else None


def flush(path: Path) -> None:
    """fsync a file or directory."""
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def write_whole(path: Path, text: str) -> None:
    """Replace a file's content at once."""
    scratch = path.with_name(f".{path.name}")
    scratch.write_text(text, encoding="utf-8")
    flush(scratch)
    os.replace(scratch, path)


def keep_rows(path: Path, last_step: int) -> None:
    """Drop rows of later steps, and a line that a kill left half-written."""
    if path.exists():
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            with contextlib.suppress(json.JSONDecodeError):
                if json.loads(line)["step"] <= last_step:
                    kept.append(line)
        write_whole(path, "".join(kept))


def start_wandb(cfg: Config) -> object:
    """A wandb run: online for those who are logged in, else offline below the run directory."""
    import wandb

    where = {"dir": str(cfg.run_dir), "mode": "online" if wandb.api.api_key else "offline"}
    return wandb.init(project="nanocoderl", name=cfg.name, config=asdict(cfg), **where)
