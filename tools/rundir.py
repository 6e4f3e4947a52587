"""The run directory: metrics, samples, evaluations and checkpoints, written so that a kill at any
moment loses nothing but the steps since the last checkpoint.

    out/<name>/config.json   metrics.jsonl   samples.jsonl   eval.jsonl   report.html
    out/<name>/ckpt/step_N/  shards of weights and optimizer, generators, state, and hf/: the model
                             and tokenizer for everybody else; ckpt/latest -> step_N, hf -> its hf/

A checkpoint is written to a temporary directory, flushed to disk and renamed: it is whole or it is
not there. On --resume, rows of steps after the checkpoint are dropped and made again.

Left out: asynchronous saving, and uploading anywhere but wandb.
"""

import contextlib
import json
import os
import shutil
import signal
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from config import Config, UserError, first_line
from policy import Policy, named_weights
from ranks import gather, generators, set_generators
from reward import Question
from tools.memory import MemoryWatch

# Keys that may differ on --resume, for they change no number of any step, or by rounding only.
FREE_KEYS = {"resume", "steps", "wandb", "out_dir", "name", "sandbox_workers", "save_every"}
FREE_KEYS |= {"keep_checkpoints", "eval_tasks", "eval_every", "eval_n", "eval_temperature"}
FREE_KEYS |= {"eval_limit", "kv_cache_gb", "gpu_memory", "rank_timeout_s", "rollout_tp"}
FREE_KEYS |= {"eval_max_tokens", "eval_since", "eval_until", "eval_release", "data_dir"}
FREE_KEYS |= {"micro_tokens", "checkpoint_layers", "offload"}


@dataclass
class State:
    """Everything that the next step depends on besides weights, optimizer and generators."""

    step: int = 0
    position: int = 0  # code prompts served so far: the place in the data order
    buffer: list[Question] = field(default_factory=list)  # about failed programs, oldest first
    asked: list[str] = field(default_factory=list)  # keys of the questions that left the buffer


class RunDir:
    """Files of one run. Every rank calls every method; rank 0 alone writes the shared files."""

    def __init__(self, cfg: Config) -> None:
        self.cfg, self.rank = cfg, dist.get_rank()
        self.path, self.ckpt = cfg.run_dir, cfg.run_dir / "ckpt"
        self.spent, self.first_step = 0.0, None  # seconds of steps, for the time left
        self.stop_asked = False
        self._check_config()
        gather(None, "opening the run")  # no rank may see what rank 0 changes from here on
        signal.signal(signal.SIGINT, self._on_interrupt)
        self.wandb = None
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
        changed = [
            f"{key}: {old[key]!r} -> {value!r}"
            for key, value in new.items()
            if key not in FREE_KEYS and old[key] != value
        ]
        if changed:
            raise UserError(
                f"--resume with another config; these keys differ: {'; '.join(changed)}"
            )

    def _set_aside(self) -> None:
        """A run that ended before its first checkpoint cannot go on, but its rows are kept."""
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.{number}")).exists():
            number += 1
        self.path.rename(aside)
        self.say(f"an earlier run without a checkpoint was moved to {aside}")

    # ---------------------------------------------------------------- console and interrupt
    def say(self, text: str) -> None:
        if self.rank == 0:
            print(text, flush=True)

    def _on_interrupt(self, signum: int, frame: object) -> None:
        if self.stop_asked:
            raise KeyboardInterrupt
        self.stop_asked = True
        self.say("\nfinishing this step, then saving; press Ctrl-C again to stop at once")

    def asked_to_stop(self, advice: str | None) -> bool:
        """Has any rank a Ctrl-C or advice? Ranks must agree, or one would wait for the others."""
        return any(gather(self.stop_asked or bool(advice)))

    # ---------------------------------------------------------------- rows
    def append(self, file: str, rows: list[dict]) -> None:
        if self.rank == 0:
            with (self.path / file).open("a", encoding="utf-8") as out:
                out.write("".join(json.dumps(row) + "\n" for row in rows))

    def log_evaluation(self, rows: list[dict], step: int) -> None:
        short = [{k: v for k, v in row.items() if k != "results"} for row in rows]
        self.append("eval.jsonl", [{"step": step} | row for row in short])
        if self.wandb:
            self.wandb.log({f"eval/{r['task']}": r["pass@1"] for r in rows}, step=step)

    def evaluations(self) -> list[dict]:
        path = self.path / "eval.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def evaluation_due(self, step: int) -> bool:
        """Every eval_every steps and after the last one, once: a resumed run may have done it."""
        every = self.cfg.eval_every
        due = bool(every) and (step % every == 0 or step == self.cfg.steps)
        return all(gather(due and all(row["step"] != step for row in self.evaluations())))

    def before_and_after(self) -> str:
        """A table of the first and the last evaluation; empty when there are not two.

        Of -trace tasks it has the score, the share of variables that are right.
        """
        first, last = {}, {}
        for row in self.evaluations():
            first.setdefault(row["task"], row)
            last[row["task"]] = row
        lines = []
        for task, row in last.items():
            if row["step"] > first[task]["step"]:
                measure = "score" if "score" in row else "pass@1"
                old, new = first[task][measure], row[measure]
                lines.append(f"{f'{task}, {measure}':<24}{old:>8.1%}{new:>9.1%}{new - old:>+9.1%}")
        return "\n".join([f"{'':<24}{'before':>8}{'after':>9}", *lines]) if lines else ""

    def log_step(
        self, state: State, groups: list, stats: dict, laps: dict, watch: MemoryWatch
    ) -> None:
        """One row in metrics.jsonl, one a sample in samples.jsonl, one line on the console.

        groups: those of all ranks. stats: what update() returned. laps: seconds by phase.
        """
        gathered = gather(stats, "the update")
        if self.rank:
            return
        rows = [sample_row(state.step, g, i) for g in groups for i in range(len(g.responses))]
        totals = {k: (max if k.startswith("max") else sum)(s[k] for s in gathered) for k in stats}
        totals |= {k: stats[k] for k in ("grad_norm", "lr")}  # the same on every rank
        metrics = step_metrics(state, rows, totals, laps)
        metrics |= {f"free_gb/{moment}": free for moment, free in watch.free.items()}
        metrics["peak_mem_gb"] = watch.peak_gb()
        self.append("metrics.jsonl", [metrics])
        self.append("samples.jsonl", [{k: v for k, v in r.items() if k[0] != "_"} for r in rows])
        if self.wandb:
            self.wandb.log(metrics, step=state.step)
        self.first_step = self.first_step or state.step
        print(self._line(metrics), flush=True)

    def _line(self, m: dict) -> str:
        done, left = m["step"] - self.first_step + 1, self.cfg.steps - m["step"]
        self.spent += m["time/step"]
        code, align = (
            "  --" if m[f"reward/{kind}"] is None else f"{m[f'reward/{kind}']:.2f}"
            for kind in ("code", "align")
        )
        return (
            f"step {m['step']:>4}/{self.cfg.steps} | code {code} | align {align} "
            f"({m['align/share']:.0%}, buffer {m['align/buffer']}) | grad {m['grad_norm']:.2f} | "
            f"mismatch {m['mismatch/mean']:.3f} | {m['time/step']:.1f} s: sample "
            f"{m['time/sample']:.1f} judge {m['time/judge']:.1f} train {m['time/train']:.1f} | "
            f"{self.spent / done * left / 60:.0f} min left"
        )

    # ---------------------------------------------------------------- checkpoints
    def restore(self, policy: Policy, optimizer: torch.optim.Optimizer) -> State:
        """Load weights, optimizer and generators from the newest checkpoint, written by any number
        of processes, and drop rows made after it. Raises UserError when there is none."""
        path = (self.ckpt / "latest").resolve()
        if not (path / "state.json").exists():
            raise UserError(
                f"nothing to resume: {path} is not a checkpoint; start without --resume"
            )
        saved = json.loads((path / "state.json").read_text())
        state = State(**saved | {"buffer": [Question.from_row(row) for row in saved["buffer"]]})
        weights, moments = get_state_dict(policy, optimizer)
        dcp.load({"policy": weights, "optimizer": moments}, checkpoint_id=path / "shards")
        set_state_dict(policy, optimizer, model_state_dict=weights, optim_state_dict=moments)
        if (mine := path / f"generators_{self.rank}.pt").exists():
            set_generators(torch.load(mine, weights_only=False))
        if self.rank == 0:
            for file in ("metrics.jsonl", "samples.jsonl", "eval.jsonl"):
                keep_rows(self.path / file, state.step)
        gather(None, "resuming")  # the other ranks read these files, too
        self.say(f"resuming after step {state.step} from {path}")
        return state

    def save(self, state: State, policy: Policy, tokenizer, optimizer) -> None:
        """Write ckpt/step_N and point ckpt/latest to it. Raises UserError when the disk is full."""
        final = self.ckpt / f"step_{state.step}"
        scratch = self.ckpt / f".writing_{state.step}"
        weights, moments = get_state_dict(policy, optimizer)
        full = {}  # what the sampler has, for the other tools
        for name, weight in named_weights(policy):  # every rank must take part
            if self.rank == 0:
                full[name] = weight.to(getattr(torch, self.cfg.compute_dtype)).cpu()

        def make_room() -> None:
            if self.rank == 0:
                shutil.rmtree(scratch, ignore_errors=True)
                scratch.mkdir(parents=True)

        def write_shards() -> None:
            dcp.save({"policy": weights, "optimizer": moments}, checkpoint_id=scratch / "shards")

        def write_rest() -> None:
            torch.save(generators(), scratch / f"generators_{self.rank}.pt")
            if self.rank == 0:
                policy.model.save_pretrained(scratch / "hf", state_dict=full)
                tokenizer.save_pretrained(scratch / "hf")
                whole = vars(state) | {"buffer": [question.row() for question in state.buffer]}
                (scratch / "state.json").write_text(json.dumps(whole))

        def publish() -> None:
            if self.rank == 0:
                self._publish(scratch, final)

        for task in (make_room, write_shards, write_rest, publish):
            problem = None
            try:
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
                    f"cannot write the checkpoint of step {state.step} in {self.ckpt} "
                    f"({problems[0]}); earlier checkpoints are whole: free some disk and go on "
                    "with --resume"
                )

    def _publish(self, scratch: Path, final: Path) -> None:
        for path in [*scratch.rglob("*"), scratch]:
            flush(path)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(scratch, final)
        link = self.ckpt / ".latest"
        link.unlink(missing_ok=True)
        link.symlink_to(final.name)
        os.replace(link, self.ckpt / "latest")
        flush(self.ckpt)
        steps = sorted(self.ckpt.glob("step_*"), key=lambda p: int(p.name[5:]))
        for old in steps[: -self.cfg.keep_checkpoints]:
            if old != final:
                shutil.rmtree(old)


# -------------------------------------------------------------------- rows and metrics
def sample_row(step: int, group, g: int) -> dict:
    """A row of samples.jsonl. Keys that begin with _ feed the metrics and are not written."""
    response, outcome = group.responses[g], group.outcomes[g]
    row = {
        "step": step,
        "id": f"{step}/{group.index}/{g}",
        "objective": group.objective,
        "task_id": (group.problem or group.question).task_id,
        "prompt": group.prompt,
        "response": response.text,
        "reward": group.rewards[g],
        "status": outcome.status,
        "program": group.programs[g],
        "_tokens": len(response.token_ids),
        "_logp": sum(response.logprobs),
        "_finished": response.finished,
        "_flat": len(set(group.rewards)) == 1,
    }
    if group.problem:
        return row | {"test": outcome.test, "error": outcome.error}
    question = group.question
    return row | {
        "source": question.source,
        "call": question.call,
        "target": question.shown_target(),
        "predicted": outcome.predicted,
        "correct": outcome.correct,
    }


def step_metrics(state: State, rows: list[dict], stats: dict, laps: dict) -> dict:
    """The flat row of metrics.jsonl; None where a quantity does not exist in this step."""
    parts = {name: [r for r in rows if r["objective"] == name] for name in ("code", "align")}
    trained = stats["trained"] or 1.0

    def mean(values: list) -> float | None:
        return sum(values) / len(values) if values else None

    def entropy(part: list[dict]) -> float | None:
        # The mean of -log p over sampled tokens: an unbiased estimate that costs nothing.
        tokens = sum(r["_tokens"] for r in part)
        return -sum(r["_logp"] for r in part) / tokens if tokens else None

    return {
        "step": state.step,
        "reward/code": mean([r["reward"] for r in parts["code"]]),
        "reward/align": mean([r["reward"] for r in parts["align"]]),
        "pass_rate": mean([r["status"] == "passed" for r in parts["code"]]),
        "align/share": len(parts["align"]) / len(rows),
        "align/buffer": len(state.buffer),
        "align/right": mean([r["status"] == "right" for r in parts["align"]]),
        "align/unparsed": mean([r["status"] == "unparsed" for r in parts["align"]]),
        "flat_groups": mean([r["_flat"] for r in rows]),
        "truncated": mean([not r["_finished"] for r in rows]),
        "timeouts": mean([r["status"] == "timeout" for r in parts["code"]]),
        "entropy/code": entropy(parts["code"]),
        "entropy/align": entropy(parts["align"]),
        "kl": stats["kl"] / trained,
        "clip_frac": stats["clipped"] / trained,
        "mismatch/mean": stats["gap"] / trained,
        "mismatch/max": stats["max_gap"],
        "mismatch/kl": stats["gap_kl"] / trained,
        "grad_norm": stats["grad_norm"],
        "lr": stats["lr"],
        "tokens": sum(r["_tokens"] for r in rows),
        "tokens_trained": stats["trained"],
        "tokens_computed": stats["computed"],  # those and their prompts, each once a pack
        **{f"time/{name}": seconds for name, seconds in laps.items()},
        "time/step": sum(laps.values()),
    }


# -------------------------------------------------------------------- small pieces
def flush(path: Path) -> None:
    """fsync a file or directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
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

    mode = "online" if wandb.api.api_key else "offline"
    return wandb.init(
        project="nanocoderl", name=cfg.name, config=asdict(cfg), dir=str(cfg.run_dir), mode=mode
    )
