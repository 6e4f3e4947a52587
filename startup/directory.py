"""The run directory, before a run starts or goes on: is it free, shared by all nodes, and whole?

Most of this is for rank 0 alone; run.py tells the others what came of it.

A checkpoint is believed if its files have the checksums that were written with them: a copy that
broke off, or a disk that lost a block, would otherwise be found by nobody. Left out: repairing one,
and a lock for file systems that have none (there two runs of one name still mix).
"""

import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from transformers import GenerationConfig, PreTrainedModel

from config import Config, UserError, first_line
from jail.values import NO_CAPS, encode
from problems.problem import Problem
from startup.files import TIED, checkpoint_names

KEEP_CHECKPOINTS = 2  # older ones are deleted
COPIED = {".json", ".jinja", ".txt", ".model"}  # suffixes of the files of a model but its weights
# Keys that may differ on --resume, for they change no number of any step, or by rounding only.
FREE_KEYS = {"resume", "steps", "wandb", "out_dir", "name", "data_dir", "sandbox_workers"}
FREE_KEYS |= {"save_every", "eval_tasks", "eval_every", "eval_temperature"}
FREE_KEYS |= {"kv_cache_gb", "gpu_memory", "rollout_tp", "micro_tokens", "checkpoint_layers"}
FREE_KEYS |= {"states"}


# ------------------------------------------------------------------------------- who may write here
def check_config(cfg: Config) -> None:
    """A new run must not overwrite an old one; a resumed one must have the same config. Raises
    UserError."""
    if not cfg.resume:
        if checkpoints(cfg.run_dir / "ckpt"):
            raise UserError(f"{cfg.run_dir} holds a run already; give --resume or another --name")
        return
    try:
        old = dict(json.loads((cfg.run_dir / "config.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"nothing to resume in {cfg.run_dir}: {error}") from error
    new, default = (json.loads(settings(config)) for config in (cfg, Config()))
    old = default | old  # a run may be older than a key
    keys = [key for key in new if key not in FREE_KEYS and old[key] != new[key]]
    if changed := "; ".join(f"{key}: {old[key]!r} -> {new[key]!r}" for key in keys):
        raise UserError(f"--resume with another config; these keys differ: {changed}")


def settings(cfg: Config) -> str:
    """As JSON; what dtype="auto" is depends on the machine."""
    return json.dumps(asdict(cfg) | {"compute_dtype": cfg.compute_dtype}, indent=1)


def reserve(cfg: Config) -> TextIO:
    """Make the run directory ready for a run; returns its lock, see there. Raises UserError."""
    check_config(cfg)
    path, ckpt = cfg.run_dir, cfg.run_dir / "ckpt"
    held = lock(path)
    if not cfg.resume and any(path.glob("*.jsonl")):
        print(f"an earlier run without a checkpoint was moved to {set_aside(path)}", flush=True)
        held = lock(path)
    ckpt.mkdir(exist_ok=True)
    if not (path / "hf").is_symlink():
        (path / "hf").symlink_to("ckpt/latest/hf")
    write_whole(path / "config.json", settings(cfg))
    return held


def lock(path: Path) -> TextIO:
    """Reserve a run directory for this process, until the file that is returned is closed, or the
    process ends in whatever way. Raises UserError where another one has it."""
    path.mkdir(parents=True, exist_ok=True)
    file = (path / ".lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        raise UserError(
            f"{path} is in use by {file.read()}: wait for it, stop it, or give another --name"
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise
        print(f"{path} is on a file system without locks: start no second run of its name")
    file.truncate(0)
    who = f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%F %T')}"
    file.write(f"{who} ({secrets.token_hex(4)})")  # so that a machine's own directory is told apart
    file.flush()
    os.fsync(file.fileno())
    return file


def holder(path: Path) -> str:
    """What stands in the lock of a run directory as this process sees it; "" where none is."""
    with suppress(OSError):
        return (path / ".lock").read_text(encoding="utf-8")
    return ""


def set_aside(path: Path) -> Path:
    """Rename a run that ended before its first checkpoint: it cannot go on, its rows are kept."""
    count = 1
    while (aside := path.with_name(f"{path.name}.{count}")).exists():
        count += 1
    return path.rename(aside)


def fingerprint(problems: list[Problem]) -> str:
    """Tells apart lists of problems in which a prompt or a test differs, or the order.

    What a reference was run for does not count: it may differ from run to run.
    """
    total = hashlib.sha256()
    for problem in problems:
        made = {"outputs"} if "reference" in problem.tests else set()
        tests = {key: value for key, value in problem.tests.items() if key not in made}
        row = [problem.task_id, problem.prompt, problem.starter, tests]
        total.update(json.dumps(encode(row, **NO_CAPS)).encode())
    return f"{len(problems)} problems, sha256 {total.hexdigest()[:16]}"


def wandb_log(cfg: Config) -> Callable[[dict], None]:
    """What sends a row to this directory's wandb run, the same after a resume. It is offline, below
    the run directory, where neither a key nor WANDB_MODE says otherwise.

    Steps are an axis of their own: wandb's count cannot go back, as a resumed run does.
    """
    try:
        import wandb
    except ImportError as error:
        raise UserError("--wandb needs the package wandb: install it, or leave it out") from error
    where = {"dir": str(cfg.run_dir), "resume": "allow"}
    kept = cfg.run_dir / "wandb_id"
    if not kept.exists():
        write_whole(kept, secrets.token_hex(4))
    try:
        if "WANDB_MODE" not in os.environ and not wandb.login(prompt=False, verify=False):
            where["mode"] = "offline"
        where |= {"id": kept.read_text(), "name": cfg.name, "config": asdict(cfg)}
        run = wandb.init(project="nanocoderl", **where)
    except wandb.Error as error:
        how = "set WANDB_MODE=offline, or leave out --wandb"
        raise UserError(f"wandb does not start ({first_line(error)}); {how}") from error
    run.define_metric("*", step_metric="step")

    def log(row: dict) -> None:
        try:
            run.log(row)
        except (OSError, wandb.Error) as error:  # Slurm's SIGTERM, say, is for wandb's process, too
            print(f"wandb lost a row ({first_line(error)}); metrics.jsonl has it", flush=True)

    return log


# ------------------------------------------------------------------------------- checkpoints
def number(path: Path) -> int:
    return int(path.name[5:])


def checkpoints(ckpt: Path) -> list[Path]:
    """Those that can be resumed from, newest first: what `latest` names, and those before it.

    One of a higher step belongs to a history that was left, when somebody resumed before it.
    """
    steps = [path for path in ckpt.glob("step_*") if re.fullmatch(r"step_\d+", path.name)]
    latest = ckpt / "latest"
    if latest.is_symlink():
        if not re.fullmatch(r"step_\d+", latest.readlink().name):
            raise UserError(f"{latest} points to {latest.readlink()}, which is no step_N beside it")
        steps = [path for path in steps if number(path) <= number(latest.readlink())]
    return sorted(steps, key=number, reverse=True)


def checksum(path: Path) -> int:
    """CRC-32 of a file."""
    total = 0
    with path.open("rb") as file:
        while part := file.read(1 << 24):
            total = zlib.crc32(part, total)
    return total


def newest_whole(ckpt: Path) -> Path:
    """The first of checkpoints() that is not damaged; says which are. Raises UserError."""
    found = checkpoints(ckpt)
    for path in found:
        if not (problem := damage(path)):
            return path
        print(f"{path} is damaged: {problem}", flush=True)
    why = "it has no checkpoint; start without --resume"
    if found:
        why = f"all {len(found)} checkpoints are damaged; begin again with another --name"
    raise UserError(f"nothing to resume in {ckpt}: {why}")


def damage(checkpoint: Path) -> str:
    """What is wrong with a checkpoint, in a few words; "" for nothing."""
    sums = {"state.json": None, "shards/.metadata": None}  # of one that is older than checksums
    try:
        if (checkpoint / "sums.json").exists():
            sums = json.loads((checkpoint / "sums.json").read_text())
        with ThreadPoolExecutor() as pool:
            found = list(pool.map(checksum, (checkpoint / name for name in sums)))
    except (OSError, ValueError) as error:
        return str(error)
    wrong = [name for name, now in zip(sums, found, strict=True) if sums[name] not in (None, now)]
    return f"{wrong[0]} is not what was written" if wrong else ""


def publish(scratch: Path, final: Path) -> None:
    """Flush a written checkpoint, give it its name and `latest` to it, and delete old ones."""
    for path in [*scratch.rglob("*"), scratch]:
        flush(path)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(scratch, final)
    point_latest(final)
    for old in checkpoints(final.parent)[KEEP_CHECKPOINTS:]:
        shutil.rmtree(old, ignore_errors=True)  # NFS keeps a file that is open; the next one tries


def point_latest(checkpoint: Path) -> None:
    link = checkpoint.parent / ".latest"
    link.unlink(missing_ok=True)
    link.symlink_to(checkpoint.name)
    os.replace(link, checkpoint.parent / "latest")
    flush(checkpoint.parent)


def go_on_from(checkpoint: Path) -> None:
    """Make it the latest, and drop the rows of later steps. Later checkpoints, which are damaged or
    of a history that was left, get another name; what was never finished is deleted."""
    ckpt = checkpoint.parent
    for path in ckpt.glob(".writing_*"):
        shutil.rmtree(path, ignore_errors=True)
    point_latest(checkpoint)
    for path in sorted(ckpt.glob("step_*")):
        if re.fullmatch(r"step_\d+", path.name) and number(path) > number(checkpoint):
            aside = ckpt / f"left_{path.name}"
            shutil.rmtree(aside, ignore_errors=True)
            print(f"kept {path} as {path.rename(aside).name}: delete it if nobody needs it")
    for file in ("metrics.jsonl", "samples.jsonl", "eval.jsonl"):
        keep_rows(ckpt.parent / file, number(checkpoint))


def export(model: PreTrainedModel, tokenizer, weights: dict, folder: Path, dtype: str) -> None:
    """Write a model for everybody else: weights (name -> tensor), and all other files as they came
    (tokenizer, templates, processors, configs), but for the type of the tensors.

    Another version of transformers may not understand what this one writes (4 ignores the RoPE of
    5, without a word), and it refuses to write generation configs in which it finds a fault.
    """
    source = Path(model.name_or_path)
    files = source.iterdir() if source.is_dir() else ()  # it may be gone since the start
    kept = [path for path in files if path.suffix in COPIED]
    if checkpoint_names(str(source)) - weights.keys() - TIED:  # a text model out of one with eyes
        kept = [path for path in kept if path.name != "config.json"]  # which asks for these, too
    if (source / "generation_config.json").exists():
        model.generation_config = GenerationConfig()  # this one it writes
    model.save_pretrained(folder, state_dict=weights, save_original_format=False)  # they have it
    tokenizer.save_pretrained(folder)
    for path in kept:
        if not path.name.endswith(".index.json"):
            shutil.copyfile(path, folder / path.name)
    types = ("dtype", "torch_dtype")  # 5's name and 4's
    config = json.loads(
        (folder / "config.json").read_text(),  # of the model, and of its parts where it has some
        object_hook=lambda part: part | {key: dtype for key in types if key in part},
    )
    if not config.keys() & set(types):
        config["torch_dtype"] = dtype
    (folder / "config.json").write_text(json.dumps(config, indent=2))


# ------------------------------------------------------------------------------- files
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
    """Drop rows of later steps, and a line that a kill left half-written. Of a long run's gigabytes
    of samples one line at a time is in memory."""
    if path.exists():
        scratch = path.with_name(f".{path.name}")
        with path.open(encoding="utf-8") as rows, scratch.open("w", encoding="utf-8") as kept:
            for line in rows:
                with suppress(json.JSONDecodeError):
                    if json.loads(line)["step"] <= last_step:
                        kept.write(line.rstrip("\n") + "\n")
        flush(scratch)
        os.replace(scratch, path)
