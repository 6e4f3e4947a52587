"""What every run needs around the training loop: ranks, the run directory, checkpoints, console.

    out/<name>/config.json   metrics.jsonl   samples.jsonl   eval.jsonl   report.html
    out/<name>/ckpt/step_N/  shards of weights and optimizer, state.json, and hf/: the model and
                             tokenizer for everybody else; ckpt/latest -> step_N, hf -> its hf/

startup/directory.py looks at this directory before a run starts or goes on.

One path serves one process and many: gloo on CPUs, NCCL on GPUs, under torchrun or without it.

A kill at any moment loses nothing but the steps since the last checkpoint, because a checkpoint is
written to a temporary directory, flushed to disk and renamed: it is whole or it is not there. On
--resume, rows of steps after the checkpoint are dropped and made again.

Left out: asynchronous saving, uploading anywhere but wandb, and the states of global generators:
nothing here draws from them, and a fork that does should seed its own from the step.
"""

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
from collections.abc import Callable
from datetime import timedelta
from math import isfinite
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from config import Config, UserError, first_line
from jail.terminal import printable
from policy import Policy, named_weights
from problems.failures import sample_line
from startup import directory
from startup.checkpoint import cause, load_checkpoint
from startup.heap import tune_heap

RANK_TIMEOUT_S = 1800  # how long ranks wait for the slowest of them
FAR_NATS = 0.3  # bf16 rounds by some 0.01; a weight that the sampler misplaces moves far more
BAD_STEPS = 5  # in a row without a finite gradient, and the run ends
ALIKE = ("grad_norm", "lr", "skipped")  # statistics of an update that are the same on every rank


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
        if (local := int(os.environ["LOCAL_RANK"])) >= torch.cuda.device_count():
            gpus = f"this machine has {torch.cuda.device_count()} GPU(s)"
            raise UserError(f"{gpus}; give torchrun --nproc_per_node= no more than that")
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
        # gloo is for what rests in main memory: objects, and weights at rest. With a
        # device_id torch would split the NCCL communicator for every gloo group, and may hang.
        dist.init_process_group("cpu:gloo,cuda:nccl")
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


def by_rank_0(work: Callable, task: str) -> object:
    """What work() of rank 0 returned, on every rank; where it raises UserError, all ranks do."""
    result = None
    try:
        if dist.get_rank() == 0:
            result = work()
    except OSError as error:
        result = UserError(f"{task} failed: {error}")
    except UserError as error:
        result = error
    result = gather(result, task)[0]
    if isinstance(result, UserError):
        raise result
    return result


# ------------------------------------------------------------------------------- memory and time
def return_freed_memory() -> None:
    """On CPUs, give what is free in the heap back to the kernel after each pack: the next has other
    shapes, finds no hole that fits, and the process would grow (the demo to 5.7 GiB, not 4.9)."""
    if not torch.cuda.is_available() and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def peak_gb() -> float:
    """Peak of what torch allocated on the GPU (a sampler that sleeps counts as if awake), or of
    this process's resident memory, GiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # from KiB


class Stopwatch:
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
        self.bad_steps, self.questions, self.too_long = 0, 0, 0  # see _log()
        self.stopped_by, self.wandb = None, None
        self.problems = ""  # see check_same_problems()
        by_rank_0(self._open, "opening the run")
        # Others look after rank 0 has written: network file systems remember what was not there.
        holder = by_rank_0(lambda: directory.holder(self.path), "opening the run")
        seen = directory.holder(self.path) == holder
        unseen = gather("" if seen else f"rank {self.rank} on {socket.gethostname()}")
        if ranks := ", ".join(filter(None, unseen)):
            raise UserError(
                f"{self.path.absolute()} is not the same directory for all ranks: {ranks} cannot "
                "see what rank 0 wrote there; give an --out_dir that all machines share"
            )
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)  # of Slurm, Kubernetes, and torchrun

    def _open(self) -> None:
        self.lock = directory.reserve(self.cfg)  # as long as this object lives
        self.wandb = directory.wandb_log(self.cfg) if self.cfg.wandb else None

    def check_same_problems(self, problems: list) -> None:
        """For save() and restore(). Raises UserError where ranks have different ones."""
        self.problems = directory.fingerprint(problems)
        if len(found := set(gather(self.problems, "loading problems"))) > 1:
            raise UserError(f"problems={self.cfg.problems} differs between ranks: {sorted(found)}")

    def say(self, text: str) -> None:
        if self.rank == 0:
            print(printable(text), flush=True)

    def _on_signal(self, signum: int, frame: object) -> None:
        """Ask for a stop after this step. Only Ctrl-C is meant when it comes twice: of SIGTERM,
        Slurm sends one to every process, and torchrun another one."""
        if self.stopped_by and signal.SIGINT in (signum, self.stopped_by):
            raise KeyboardInterrupt
        if self.rank == 0 and not self.stopped_by:  # print() may just be at work
            os.write(1, b"\nfinishing this step, then saving; press Ctrl-C again to stop at once\n")
        self.stopped_by = signum

    def asked_to_stop(self) -> bool:
        """Has any rank had a signal? Ranks must agree, or one would wait for the others."""
        return any(gather(self.stopped_by))

    def _append(self, file: str, lines: list[str]) -> None:
        try:
            with (self.path / file).open("a", encoding="utf-8") as out:
                out.writelines(f"{line}\n" for line in lines)
        except OSError as error:
            raise UserError(
                f"cannot write {self.path / file} ({error.strerror}); checkpoints and earlier rows "
                "are whole: free some disk if it is full, then --resume"
            ) from error

    def log_evaluation(self, rows: list[dict], step: int) -> None:
        short = [{"step": step} | {k: v for k, v in r.items() if k != "results"} for r in rows]
        by_rank_0(lambda: self._append("eval.jsonl", list(map(json.dumps, short))), "logging")
        if self.wandb:
            self.wandb({"step": step} | {f"eval/{r['task']}": r["pass@1"] for r in rows})

    def evaluation_due(self, step: int) -> bool:
        """Every eval_every steps and after the last one, once: a resumed run may have done it."""
        every, path = self.cfg.eval_every, self.path / "eval.jsonl"
        due = bool(every) and (step % every == 0 or step == self.cfg.steps)
        done = map(json.loads, path.read_text().splitlines()) if path.exists() else []
        return all(gather(due and all(row["step"] != step for row in done)))

    def log_step(self, step: int, groups: list, waiting: dict, stats: dict, laps: dict) -> None:
        """One row in metrics.jsonl, one a sample in samples.jsonl, one line on the console.

        groups: those of all ranks. waiting: see Prompts.waiting(). stats: what update() returned.
        laps: seconds by phase.
        """
        gathered = gather(stats, "the update")
        totals = {k: stats[k] for k in ALIKE}
        for key in stats.keys() - totals.keys():
            totals[key] = (max if key.startswith("max") else sum)(s[key] for s in gathered)
        by_rank_0(lambda: self._log(step, groups, waiting, totals, laps), "logging")

    def _log(self, step: int, groups: list, waiting: dict, totals: dict, laps: dict) -> None:
        lines = [sample_line(step, group, g) for group in groups for g in range(len(group.samples))]
        metrics = {"step": step} | step_metrics(groups, waiting, totals)
        metrics |= {f"time/{name}": seconds for name, seconds in laps.items()}
        metrics |= {"time/step": sum(laps.values()), "peak_mem_gb": peak_gb()}
        self._append("metrics.jsonl", [json.dumps(metrics)])
        self._append("samples.jsonl", lines)
        if metrics["judge_errors"] == len(lines) > 0:
            why = groups[0].samples[0].outcome.error
            raise UserError(f"step {step}: no answer could be judged ({why})")
        if (gap := metrics["mismatch/mean"] or 0.0) > FAR_NATS:
            apart = f"the sampler's log-probabilities are {gap:.2f} nats a token off the trainer's"
            raise UserError(f"step {step}: {apart}, so it runs another model; take --engine=hf")
        self.bad_steps = self.bad_steps + 1 if metrics["grad_norm"] is None else 0
        if self.bad_steps == BAD_STEPS:
            raise UserError(
                f"step {step}: the gradient was not finite for {BAD_STEPS} steps in a row, so this "
                f"run learns nothing more; look at {self.path}/samples.jsonl, or lower lr"
            )
        self.questions += sum(group.objective != "code" for group in groups)
        self.too_long += sum(counts["too_long"] for counts in waiting.values())
        if self.wandb:
            self.wandb(metrics)
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
        if self.too_long and not self.questions:
            limit = f"max_prompt_tokens={self.cfg.max_prompt_tokens}"
            self.say(f"no question was asked: all {self.too_long} were longer than {limit}")
        if step < self.cfg.steps:
            more = "; go on with: python train.py ... --resume" if step else ""
            self.say(f"stopped after step {step}{more}")

    def restore(self, policy: Policy, optimizer: torch.optim.Optimizer) -> dict:
        """Load weights and optimizer from the newest whole checkpoint, written by any number of
        processes, and drop rows made after it. Returns the state that save() was given. Raises
        UserError when there is none, or when the problems are others than then."""
        path = by_rank_0(lambda: directory.newest_whole(self.ckpt), "resuming")
        state = json.loads((path / "state.json").read_text())
        if (then := state.get("problems", self.problems)) != self.problems:
            raise UserError(
                f"--resume with other problems ({then} -> {self.problems}): a file of problems="
                f"{self.cfg.problems} has changed, or another reference fails; put it back, or "
                f"begin a new run with --model={self.path}/hf"
            )
        weights, moments = get_state_dict(policy, optimizer)
        load_checkpoint({"policy": weights, "optimizer": moments}, path / "shards")
        set_state_dict(policy, optimizer, model_state_dict=weights, optim_state_dict=moments)
        gather(None, "resuming")  # nobody reads what rank 0 moves now
        by_rank_0(lambda: directory.go_on_from(path), "resuming")
        self.say(f"resuming after step {state['step']} from {path}")
        return state

    def save(self, state: dict, policy: Policy, tokenizer, optimizer) -> None:
        """Write ckpt/step_N and point ckpt/latest to it. Raises UserError when the disk is full.

        state: what the next step depends on besides weights and optimizer, as JSON can hold it,
        with "step", the steps that are done.
        """
        scratch = self.ckpt / f".writing_{state['step']}"
        state = state | {"problems": self.problems}
        weights, moments = get_state_dict(policy, optimizer)
        full = {}  # what the sampler has, for the other tools; every rank must take part
        for name, weight in named_weights(policy, self.cfg.compute_dtype):
            if self.rank == 0:
                full[name] = weight.cpu()
        sums: dict[str, int] = {}

        def make_room() -> None:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir(parents=True)

        def write_shards() -> dict[str, int]:
            dcp.save({"policy": weights, "optimizer": moments}, checkpoint_id=scratch / "shards")
            own = [*(scratch / "shards").glob(f"__{self.rank}_*")]
            own += [scratch / "shards" / ".metadata"] if self.rank == 0 else []
            return {f"shards/{path.name}": directory.checksum(path) for path in own}

        def write_rest() -> None:
            directory.export(policy.model, tokenizer, full, scratch / "hf", self.cfg.compute_dtype)
            (scratch / "state.json").write_text(json.dumps(state))
            sums["state.json"] = directory.checksum(scratch / "state.json")
            (scratch / "sums.json").write_text(json.dumps(sums))
            directory.publish(scratch, self.ckpt / f"step_{state['step']}")

        for task in (make_room, write_shards, write_rest):
            made, problem = None, None
            try:
                if self.rank == 0 or task is write_shards:
                    made = task()
            except (Exception, CheckpointException) as error:  # OSError, or what torch makes of it
                error = cause(error)
                problem = f"{type(error).__name__}: {first_line(error)}"
            answers = gather((made, problem), "saving")
            if problems := [p for _, p in answers if p]:
                if self.rank == 0:
                    shutil.rmtree(scratch, ignore_errors=True)
                raise UserError(
                    f"cannot write the checkpoint of step {state['step']} in {self.ckpt} "
                    f"({problems[0]}); earlier ones are whole: free some disk if it is full, then "
                    "--resume"
                )
            for part, _ in answers:
                sums |= part or {}


# ------------------------------------------------------------------------------- rows and metrics
def step_metrics(groups: list, waiting: dict[str, dict], stats: dict) -> dict:
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
            metrics[f"{name}/share"] = len(part) / len(every)
            metrics |= {f"{name}/{key}": count for key, count in waiting[name].items()}
            shares = {f"{name}/right": "right", f"{name}/unparsed": "unparsed"}
        for key, status in shares.items():
            metrics[key] = mean([sample.outcome.status == status for sample in part])
    metrics |= {
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
        "skipped": stats["skipped"],  # updates without a finite gradient
        "lr": stats["lr"],
        "tokens": sum(len(sample.response.token_ids) for sample in every),
        "tokens_trained": stats["trained"],
        "tokens_computed": stats["computed"],  # those and their prompts, each once a pack
    }
    return {key: value if isfinite(value or 0) else None for key, value in metrics.items()}


def console_line(m: dict, waiting: dict, steps: int) -> str:
    def shown(key: str, digits: int) -> str:
        return "--" if m[key] is None else f"{m[key]:.{digits}f}"

    line = f"step {m['step']:>4}/{steps}"
    for name in ("code", *waiting):
        line += f" | {name} {shown(f'reward/{name}', 2):>4}"
        if name in waiting:
            long = f", {n} too long" if (n := m[f"{name}/too_long"]) else ""
            line += f" ({m[f'{name}/share']:.0%}, buffer {m[f'{name}/buffer']}{long})"
    if (m["truncated"] or 0) > 0.5:
        line += f" | {m['truncated']:.0%} cut at max_tokens"
    line += f" | {n} judge errors" if (n := m["judge_errors"]) else ""
    line += f" | grad {shown('grad_norm', 2)} | mismatch {shown('mismatch/mean', 3)}"
    times = " ".join(f"{phase} {m[f'time/{phase}']:.1f}" for phase in ("sample", "judge", "train"))
    return f"{line} | {m['time/step']:.1f} s: {times}"


def mean(values: list) -> float | None:
    return sum(values) / len(values) if values else None
