"""The file that an evaluation adds its samples to, from which the same command goes on."""

import json
import os
import threading
import zlib
from pathlib import Path

from config import FIELDS, Config, UserError
from problems.benchmarks import Item
from problems.load import read_jsonl
from run import gather

# Keys that change no sample, or that `about` names. A key that a fork adds is hashed.
NOT_HASHED = {
    "name", "out_dir", "resume", "wandb", "steps", "prompts_per_step", "samples_per_prompt",
    "max_prompt_tokens", "reward", "align_ratio", "align_inputs", "format_bonus", "algo", "clip",
    "tis_cap", "kl_coef", "lr", "warmup_steps", "grad_clip", "optimizer_steps", "micro_tokens",
    "checkpoint_layers", "states", "eval_every", "save_every", "kv_cache_gb", "gpu_memory",
    "rollout_tp", "sandbox_workers", "dtype", "model", "seed", "eval_temperature", "eval_tasks",
    "temperature",
}  # fmt: skip


class Samples:
    """The file that a model's graded samples are added to, a line each, the moment they are there.

    Lines of another model, or of other settings, are refused: the numbers would be a mixture's.
    """

    def __init__(self, path: Path, settings: dict) -> None:
        self.path, self.settings, self.lock = path, settings, threading.Lock()
        self.found: dict[tuple, dict] = {}
        if path.exists():
            data = path.read_bytes()
            os.truncate(path, data.rfind(b"\n") + 1)  # a kill may leave the beginning of a line
            for row, where in read_jsonl(path):
                if row.pop("settings", None) != settings:
                    hint = "give --out=FILE or remove this one"
                    raise UserError(f"{where}: of another evaluation; {hint}")
                if row.get("status") != "judge_error":  # it is asked again
                    self.found[row.pop("task"), row["item"], row["sample"]] = row
        gather(None, "reading samples")  # nobody adds before everybody has read
        path.parent.mkdir(parents=True, exist_ok=True)

    def of(self, task: str, item: Item, i: int, g: int) -> dict | None:
        row = self.found.get((task, i, g))
        if row and row["task_id"] != item.task_id:
            raise UserError(f"{self.path}: {row['task_id']} has moved in {task}; remove this file")
        return row

    def add(self, task: str, result: dict) -> None:
        line = json.dumps({"task": task} | result | {"settings": self.settings}) + "\n"
        try:
            with self.lock, self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise UserError(
                f"cannot write {self.path} ({error.strerror}); earlier samples are whole: free "
                "some disk if it is full, then give the same command"
            ) from error


def describe(cfg: Config, directory: str, tasks: dict[str, list[Item]], scope: object) -> dict:
    """What a sample depends on, as rank 0 sees it; `digest` is of all that, the weights (size and
    time) and the problems with their tests included. scope: an eval.Scope."""
    keys = [key for key in FIELDS if key not in NOT_HASHED] + ["compute_dtype"]
    files = [path.stat() for path in sorted(Path(directory).glob("*.safetensors"))]
    all_ = [getattr(cfg, key) for key in keys] + [(s.st_size, s.st_mtime_ns) for s in files]
    all_ += [(task, item.messages, item.asked) for task in tasks for item in tasks[task]]
    all_ += [scope.since, scope.until]
    about = {"model": cfg.model, "temperature": cfg.eval_temperature, "seed": cfg.seed}
    digest = f"{zlib.crc32(repr(all_).encode(errors='replace')):08x}"
    about |= {"max_tokens": scope.max_tokens, "digest": digest}
    return gather(about, "what is evaluated")[0]
