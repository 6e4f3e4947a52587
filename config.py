"""One flat dataclass, one file of literals, and --key=value: the whole configuration.

A config file such as configs/demo.py holds lines `key = literal`. It is parsed, never executed:
nanoGPT's `exec` of the file accepts any typo, we refuse it with file, line and the nearest key.
The command line wins over the file, the file over the defaults below.

Left out: nesting, includes, environment variables.
"""

import ast
import dataclasses
import difflib
import inspect
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from jail.packages import PACKAGES


class UserError(Exception):
    """Bad input. The message is one sentence: what is wrong, where, what to do."""


def first_line(error: BaseException) -> str:
    """Of the message; the name of the exception where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def whole_text(error: BaseException) -> str:
    """The message on one line, for errors of which the first line says little, as a hub's do."""
    return " ".join(str(error).split())[:400] or type(error).__name__


CPUINFO = Path("/proc/cpuinfo")  # where Linux says which instructions a CPU has
# What the model sees as a code prompt, and as an alignment prompt ({...} are filled in).
CODE_TEMPLATE = "{prompt}\n\nAnswer with one Python code block and nothing else."
ALIGN_TEMPLATE = """\
```python
{program}
```
{action} What are the final values of {names}? Answer with one line `name = value` for each."""


@dataclasses.dataclass
class Config:
    # --- run
    name: str = "run"  # everything is written under out_dir/name
    out_dir: str = "out"  # parent folder of run directories
    seed: int = 0  # data order, choice of questions and every sample follow from it
    resume: bool = False  # continue from out_dir/name/ckpt/latest
    wandb: bool = False  # mirror metrics to wandb, offline unless you are logged in
    # --- model and sampler
    model: str = "models/smollm2-135m"  # a directory or a Hugging Face hub name
    dtype: str = "auto"  # to compute and sample in: bfloat16, float32 (weights stay fp32), or auto
    engine: str = "vllm"  # sampler: vllm, or hf (transformers only: slower, needs no vLLM)
    kv_cache_gb: float = 1.0  # vLLM's key/value cache on a CPU; on GPUs see gpu_memory
    gpu_memory: float = 0.5  # share of GPU memory that vLLM may use while it samples
    rollout_tp: int = 1  # GPUs that share one sampler; for models that one cannot hold
    # --- problems and batch
    problems: str = "basics"  # a set, a file, a folder or a hub name, or several: a,b
    data_dir: str = "data"  # your copies of known data sets, mbpp.jsonl and so on; else the hub
    steps: int = 100  # rollouts; each is followed by `optimizer_steps` updates
    prompts_per_step: int = 8  # prompts a step over all ranks and objectives
    samples_per_prompt: int = 8  # G, the group size of GRPO
    max_prompt_tokens: int = 1024  # problems and questions with longer prompts are left out
    max_tokens: int = 512  # longest response, in tokens
    temperature: float = 1.0  # of sampling; the trainer divides its logits by it, too
    stop: tuple = ()  # texts that end a response besides EOS; () is the paper's form
    code_template: str = CODE_TEMPLATE  # {prompt}
    chat_kwargs: tuple = ()  # what a chat template is told, such as enable_thinking=False
    # --- code reward
    reward: str = "binary"  # binary: 1 if all tests pass; fraction: their share (a check is one)
    timeout_s: float = 2.0  # CPU time that a program may take for one test
    memory_mb: int = 512  # memory limit of a program
    sandbox: str = "auto"  # auto: isolate or refuse to start; weak: resource limits only
    sandbox_packages: tuple = PACKAGES  # what programs may import besides the standard library
    sandbox_workers: int = 2  # programs judged at the same time, per rank
    # --- execution semantics alignment
    align_ratio: float = 0.4  # share of prompts about failed programs; 0 is plain GRPO
    align_output: bool = True  # ask for the program's output, too, as one more item
    format_bonus: float = 0.1  # reward of an answer of the right form, were all values wrong
    max_variables: int = 3  # ask for at most this many variables, those defined last
    align_inputs: int = 1  # questions about a failed program: one on each of its first test inputs
    align_template: str = ALIGN_TEMPLATE  # {program}, {action}, {names}
    align_examples: tuple = ()  # worked examples: (program, call[, thought]); a trace answers
    # --- objective and optimizer
    algo: str = "grpo"  # a row of ALGORITHMS in train.py
    clip: tuple = ()  # PPO clips the ratio to (1 - low, 1 + high); () is what algo's row says
    tis_cap: float = 2.0  # cap of the importance weight trainer/sampler; 0 turns it off
    kl_coef: float = 0.0  # weight of the KL to the starting model; 0 loads no reference
    lr: float = 1e-6  # AdamW's learning rate, constant after the warm-up
    warmup_steps: int = 0  # optimizer steps of linear warm-up
    grad_clip: float = 1.0  # largest gradient norm
    optimizer_steps: int = 1  # updates per rollout; above 1 the PPO clip starts to matter
    micro_tokens: int = 4096  # tokens of a forward pass; lower it when memory runs out
    checkpoint_layers: bool = False  # keep no activations inside layers, make them again backward
    states: str = "ranks"  # FSDP shards over all "ranks" or in each "node"; "cpu": kept in RAM
    # --- evaluation and checkpoints
    eval_tasks: tuple = ("basics", "basics-trace", "basics-output")  # mbpp:200: its first 200
    eval_every: int = 0  # steps between evaluations while training; 0: none
    eval_temperature: float = 0.0  # 0 is greedy
    save_every: int = 50  # steps between checkpoints; the last step is always saved

    @property
    def run_dir(self) -> Path:
        return Path(self.out_dir) / self.name

    @property
    def compute_dtype(self) -> str:
        """bfloat16 or float32. auto is float32 on a CPU without instructions for bfloat16, which
        torch emulates there: matrix products then take ten times as long."""
        if self.dtype != "auto":
            return self.dtype
        import torch  # nothing else here needs it

        fast = torch.cuda.is_available() or (CPUINFO.exists() and "bf16" in CPUINFO.read_text())
        return "bfloat16" if fast else "float32"

    @property
    def limits(self) -> dict:
        """What a Sandbox is told."""
        limits = {"timeout_s": self.timeout_s, "memory_mb": self.memory_mb, "mode": self.sandbox}
        return limits | {"packages": self.sandbox_packages}


FIELDS = {field.name: field for field in dataclasses.fields(Config)}
CHOICES = {
    "dtype": ("auto", "bfloat16", "float32"),
    "engine": ("vllm", "hf"),
    "sandbox": ("auto", "weak"),
    "states": ("ranks", "node", "cpu"),
}
LISTS = ("eval_tasks", "sandbox_packages", "chat_kwargs")  # may be a,b,c on the command line
AT_LEAST_ONE = [
    "steps", "prompts_per_step", "samples_per_prompt", "max_tokens", "max_prompt_tokens",
    "optimizer_steps", "sandbox_workers", "max_variables", "align_inputs", "micro_tokens",
    "rollout_tp", "save_every", "memory_mb",
]  # fmt: skip
SHARE = ("between 0 and 1", lambda x: 0 <= x <= 1)
POSITIVE, AT_LEAST_0 = ("above 0", lambda x: x > 0), ("at least 0", lambda x: x >= 0)
BOUNDS = dict.fromkeys(("align_ratio", "format_bonus", "gpu_memory"), SHARE)
BOUNDS |= dict.fromkeys(("temperature", "timeout_s", "grad_clip", "kv_cache_gb"), POSITIVE)
BOUNDS |= dict.fromkeys(("lr", "tis_cap", "kl_coef", "warmup_steps", "eval_every"), AT_LEAST_0)
BOUNDS["eval_temperature"] = AT_LEAST_0


def load_config(argv: list[str]) -> Config:
    """Config from `[FILE] [--key=value ...]`. Raises UserError; prints help and exits on --help."""
    values: dict[str, object] = {}
    if {"--help", "-h"} & set(argv):
        print_help()
    for number, arg in enumerate(argv):
        if arg.startswith("--"):
            key, equals, text = arg[2:].partition("=")
            key = check_key(key.replace("-", "_"), where=f"argument {arg!r}")
            if not equals and FIELDS[key].type is not bool:
                raise UserError(f"argument {arg!r} has no value: write {arg}=VALUE as one word")
            value = literal(text, FIELDS[key].type) if equals else True
            values[key] = convert(key, value, where=f"argument {arg!r}")
        elif number == 0:
            values.update(read_config_file(Path(arg)))
        else:
            raise UserError(f"unexpected argument {arg!r}: give one config file, then --key=value")
    cfg = Config(**values)
    check(cfg)
    return cfg


def read_config_file(path: Path) -> dict[str, object]:
    """Parse `key = literal` lines. Raises UserError that names file and line."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read config file {path}: {error}") from error
    except (SyntaxError, ValueError) as error:
        where = f"{path}:{getattr(error, 'lineno', None) or 1}"
        raise UserError(f"{where}: not `key = literal`: {error}") from error
    values: dict[str, object] = {}
    for node in tree.body:
        where = f"{path}:{node.lineno}"
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        one = isinstance(node, ast.Assign) and len(node.targets) == 1
        if not (one and isinstance(node.targets[0], ast.Name)):
            raise UserError(f"{where}: only lines `key = literal` are allowed in a config file")
        key = check_key(node.targets[0].id, where)
        if key in values:
            raise UserError(f"{where}: {key} is set twice in this file; keep one of them")
        try:
            value = ast.literal_eval(node.value)
        except (ValueError, TypeError, ArithmeticError, MemoryError, RecursionError) as error:
            why = f"the value of {key} is not a literal; config files are not executed"
            raise UserError(f"{where}: {why}") from error
        values[key] = convert(key, value, where)
    return values


def literal(text: str, wanted: type) -> object:
    """A command-line value: a Python literal where it parses as one, else the text itself, which
    --name=1.10 is, too."""
    if text in ("true", "false"):
        return text == "true"
    if wanted is str and text[:1] not in ("'", '"'):
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, ArithmeticError):
        return text


def check_key(key: str, where: str, more: Iterable[str] = ()) -> str:
    """`key`, if it is a field. Raises UserError, whose hint may be one of `more`, too."""
    if key in FIELDS:
        return key
    near = difflib.get_close_matches(key, [*FIELDS, *more], n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "see --help for all keys"
    raise UserError(f"{where}: unknown key {key}; {hint}")


def convert(key: str, value: object, where: str) -> object:
    """`value` if it has the field's type; int is welcome as float, and list as tuple."""
    wanted = FIELDS[key].type
    if wanted is float and type(value) is int:
        return float(value)
    if wanted is tuple and value == "" and key != "eval_tasks":  # --stop= is none
        return ()
    if wanted is tuple and isinstance(value, str):
        return tuple(map(str.strip, value.split(","))) if key in LISTS else (value,)
    if wanted is tuple and isinstance(value, list):
        return tuple(value)
    if type(value) is not wanted:
        kind = "a list" if wanted is tuple else wanted.__name__
        raise UserError(f"{where}: {key} must be {kind}, not {value!r}")
    return value


def check(cfg: Config) -> None:
    """Arithmetic and choices that can be refused before a model loads. Raises UserError."""
    for key, choices in CHOICES.items():
        check_choice(cfg, key, choices)
    for key in AT_LEAST_ONE:
        if getattr(cfg, key) < 1:
            raise UserError(f"{key} must be at least 1, not {getattr(cfg, key)}")
    for key, (bounds, fits) in BOUNDS.items():
        if not fits(getattr(cfg, key)):
            raise UserError(f"{key} must be {bounds}, not {getattr(cfg, key)}")
    if 0 < cfg.align_ratio * cfg.prompts_per_step <= 0.5:
        asked = f"align_ratio={cfg.align_ratio} of prompts_per_step={cfg.prompts_per_step}"
        raise UserError(f"{asked} is no question in any step; 0 is plain GRPO")
    numbers = all(type(x) in (int, float) and x >= 0 for x in cfg.clip)
    if not numbers or cfg.clip and (len(cfg.clip) != 2 or 0.5 < cfg.clip[0] < 1 < cfg.clip[1] < 2):
        how = "two numbers, how far the ratio may go from 1 on either side, such as 0.2,0.28"
        raise UserError(f"clip must be {how}, not {cfg.clip}")
    if not cfg.eval_tasks:
        raise UserError("eval_tasks must name a task; eval_every=0 evaluates nothing")
    for key in (*LISTS, "stop"):
        if not all(isinstance(text, str) and text for text in getattr(cfg, key)):
            raise UserError(f"{key} must be texts, none empty, not {getattr(cfg, key)}")
    if not all(text.partition("=")[2] for text in cfg.chat_kwargs):
        raise UserError(f"chat_kwargs must be texts such as 'key=value', not {cfg.chat_kwargs}")
    if "/" in cfg.name or cfg.name in ("", ".", ".."):
        raise UserError(f"name must be a plain folder name, not {cfg.name!r}")
    if cfg.prompts_per_step % cfg.optimizer_steps:
        wanted = f"a multiple of optimizer_steps={cfg.optimizer_steps}"
        raise UserError(f"prompts_per_step must be {wanted}, not {cfg.prompts_per_step}")
    for key, holes in (("code_template", "{prompt}"), ("align_template", "{program} {names}")):
        missing = [hole for hole in holes.split() if hole not in getattr(cfg, key)]
        if missing:
            raise UserError(f"{key} must contain {' and '.join(missing)}")


def check_choice(cfg: Config, key: str, choices: Iterable[str]) -> None:
    """Raises UserError if cfg's `key` is none of the choices."""
    if getattr(cfg, key) not in choices:
        raise UserError(f"{key} must be one of {', '.join(choices)}, not {getattr(cfg, key)!r}")


def print_help(flags: dict[str, str] | None = None) -> None:
    """Every field with its default and the comment that stands beside it above; then exit.

    flags: those that a script has besides, with what they do.
    """
    lines = [f"usage: python {Path(sys.argv[0]).name} [configs/FILE.py] [--key=value ...]"]
    lines += [f"  --{name:<33} {text}" for name, text in (flags or {}).items()]
    for line in map(str.strip, inspect.getsource(Config).splitlines()):
        name, comment = line.partition(":")[0], line.partition("#")[2].strip()
        if line.startswith("# ---"):
            lines.append(f"\n{line[6:]}")
        elif name in FIELDS:
            default = repr(FIELDS[name].default)
            default = default if len(default) < 40 else f"{default[:36]} ..."
            lines.append(f"  --{name}={default:<{max(1, 32 - len(name))}} {comment}")
    try:
        print("\n".join(lines), flush=True)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os._exit(0)
    sys.exit(0)
