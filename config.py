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
import re
import sys
from pathlib import Path


class UserError(Exception):
    """Bad input. The message is one sentence: what is wrong, where, what to do."""


def first_line(error: BaseException) -> str:
    """Of the message; the name of the exception where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


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
    rank_timeout_s: float = 1800.0  # how long ranks wait for the slowest of them
    # --- problems and batch
    problems: str = "basics"  # a set, file, folder or hub name, or a:0.7,b:0.3 of them: see data.py
    data_dir: str = "data"  # your copies of known data sets, mbpp.jsonl and so on; else the hub
    difficulty: tuple = ()  # train on these levels only, as the source names them: easy,medium
    min_tests: int = 1  # problems with fewer tests are not trained on
    max_tests: int = 0  # so many tests of a problem count, the first; 0: all
    steps: int = 100  # rollouts; each is followed by `optimizer_steps` updates
    prompts_per_step: int = 8  # prompts a step over all ranks, code and alignment together
    samples_per_prompt: int = 8  # G, the group size of GRPO
    max_prompt_tokens: int = 1024  # longer code prompts are refused, alignment ones dropped
    max_tokens: int = 512  # longest response, in tokens
    temperature: float = 1.0  # of sampling; the trainer divides its logits by it, too
    stop: tuple = ()  # texts that end a response besides EOS; () is the paper's form
    code_template: str = CODE_TEMPLATE  # {prompt}
    begin: bool = False  # programs go on from the problem's `begin`, where it has one
    # --- reward
    reward: str = "binary"  # binary: 1 if all tests pass; fraction: share of tests that pass
    timeout_s: float = 2.0  # wall-clock limit of a program on one test
    program_timeout_s: float = 10.0  # ... and on all of its tests together
    memory_mb: int = 512  # memory limit of a program
    sandbox: str = "auto"  # auto: isolate or refuse to start; weak: resource limits only
    sandbox_workers: int = 2  # programs judged at the same time, per rank
    # --- execution semantics alignment
    align_ratio: float = 0.4  # share of prompts about failed programs; 0 is plain GRPO
    align_output: bool = True  # ask for the program's output, too, as one more item
    code_weight: float = 1.0  # of the code objective's advantages; 0 trains on alignment alone
    format_bonus: float = 0.1  # reward of an answer of the right form, were all values wrong
    max_variables: int = 3  # ask for the last-defined so many variables
    align_values: str = "end"  # read at the end of the run, or at each name's last binding
    align_inputs: int = 1  # ask about a failed program on its first so many test inputs
    align_varied: bool = False  # ask questions of one value only at the end; no gain so far
    max_complexity: int = 10  # failed programs with more decision points are not asked about
    buffer_size: int = 20_000  # questions kept: the newest
    align_begin: bool = False  # answers go on from `name =`, the first asked for; no gain so far
    align_template: str = ALIGN_TEMPLATE  # {program}, {action}, {names}
    align_examples: tuple = ()  # worked examples: (program, call), answered by a real trace
    # --- objective and optimizer
    algo: str = "grpo"  # grpo, dr_grpo, dapo, rloo, reinforce++, gspo or cispo: see algorithms.py
    lr: float = 1e-6  # AdamW's peak learning rate
    warmup_steps: int = 0  # optimizer steps of linear warm-up
    weight_decay: float = 0.0  # of AdamW
    grad_clip: float = 1.0  # largest gradient norm
    optimizer_steps: int = 1  # updates per rollout; above 1 the PPO clip starts to matter
    clip_low: float = 0.2  # PPO clip of the ratio at 1 - clip_low; gspo wants 3e-4
    clip_high: float = 0.2  # ... and at 1 + clip_high; dapo wants 0.28, gspo 4e-4, cispo 4.0
    kl_coef: float = 0.0  # weight of the KL to the starting model; 0 loads no reference
    kl_estimator: str = "k3"  # k1, k2 or k3
    kl_in: str = "loss"  # loss: of each token; reward: taken off the answer's reward
    resample_rounds: int = 3  # dapo: how often flat groups are replaced by others
    tis_cap: float = 2.0  # cap of the importance weight trainer/sampler; 0 turns it off
    micro_tokens: int = 4096  # tokens of a forward pass; lower it when memory runs out
    checkpoint_layers: bool = False  # keep no activations inside layers, make them again backward
    offload: bool = False  # on GPUs: weights and AdamW's state rest in main memory
    # --- evaluation and checkpoints
    eval_tasks: tuple = ("basics", "basics-trace", "basics-output")  # see tasks.py; or a,b
    eval_every: int = 0  # steps between evaluations while training; 0: none
    eval_n: int = 1  # samples per problem
    eval_temperature: float = 0.0  # 0 is greedy
    eval_max_tokens: int = 0  # longest answer; 0: what tasks.py says for the task
    eval_limit: int = 0  # first so many problems of each task; 0: all
    eval_since: str = ""  # only problems published on this day or later, "2024-08-01"
    eval_until: str = ""  # ... and on this day or earlier
    eval_release: int = 6  # of LiveCodeBench, which grows: 1 to 6
    save_every: int = 50  # steps between checkpoints; the last step is always saved
    keep_checkpoints: int = 2  # older ones are deleted

    @property
    def run_dir(self) -> Path:
        return Path(self.out_dir) / self.name

    @property
    def compute_dtype(self) -> str:
        """bfloat16 or float32. auto is bfloat16, but on a CPU without instructions for it float32:
        torch would emulate bfloat16 there, and matrix products take ten times as long."""
        if self.dtype != "auto":
            return self.dtype
        import torch  # nothing else here needs it

        fast = torch.cuda.is_available() or (CPUINFO.exists() and "bf16" in CPUINFO.read_text())
        return "bfloat16" if fast else "float32"

    @property
    def limits(self) -> dict:
        """What a Sandbox is told."""
        limits = {"timeout_s": self.timeout_s, "program_timeout_s": self.program_timeout_s}
        return limits | {"memory_mb": self.memory_mb, "mode": self.sandbox}


FIELDS = {field.name: field for field in dataclasses.fields(Config)}
CHOICES = {
    "dtype": ("auto", "bfloat16", "float32"),
    "engine": ("vllm", "hf"),
    "reward": ("binary", "fraction"),
    "sandbox": ("auto", "weak"),
    "align_values": ("end", "binding"),
    "algo": ("grpo", "dr_grpo", "dapo", "rloo", "reinforce++", "gspo", "cispo"),
    "kl_estimator": ("k1", "k2", "k3"),
    "kl_in": ("loss", "reward"),
}
NAMES = ("difficulty", "eval_tasks")  # may be a,b,c on the command line
AT_LEAST_ONE = [
    "steps", "prompts_per_step", "samples_per_prompt", "max_tokens", "max_prompt_tokens",
    "optimizer_steps", "sandbox_workers", "max_variables", "align_inputs", "buffer_size",
    "micro_tokens", "rollout_tp", "save_every", "keep_checkpoints", "eval_n",
]  # fmt: skip


def load_config(argv: list[str]) -> Config:
    """Config from `[FILE] [--key=value ...]`. Raises UserError; prints help and exits on --help."""
    values: dict[str, object] = {}
    if "--help" in argv or "-h" in argv:
        print_help()
        sys.exit(0)
    for number, arg in enumerate(argv):
        if arg.startswith("--"):
            key, equals, text = arg[2:].partition("=")
            key = check_key(key.replace("-", "_"), where=f"argument {arg!r}")
            values[key] = convert(key, literal(text) if equals else True, where=f"argument {arg!r}")
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
        where = f"{path}:{getattr(error, 'lineno', 1)}"
        raise UserError(f"{where}: not `key = literal`: {error}") from error
    values: dict[str, object] = {}
    for node in tree.body:
        where = f"{path}:{node.lineno}"
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            raise UserError(f"{where}: only lines `key = literal` are allowed in a config file")
        key = check_key(node.targets[0].id, where)
        if key in values:
            raise UserError(f"{where}: {key} is set twice in this file; keep one of them")
        try:
            value = ast.literal_eval(node.value)
        except (ValueError, TypeError, MemoryError, RecursionError) as error:
            raise UserError(
                f"{where}: the value of {key} is not a literal; config files are not executed"
            ) from error
        values[key] = convert(key, value, where)
    return values


def literal(text: str) -> object:
    """A command-line value: a Python literal where it parses as one, else the text itself."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def check_key(key: str, where: str) -> str:
    if key in FIELDS:
        return key
    near = difflib.get_close_matches(key, FIELDS, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else "see --help for all keys"
    raise UserError(f"{where}: unknown key {key}; {hint}")


def convert(key: str, value: object, where: str) -> object:
    """`value` if it has the field's type; int is welcome as float, and list as tuple."""
    wanted = FIELDS[key].type
    if wanted is float and type(value) is int:
        return float(value)
    if wanted is tuple and isinstance(value, str):
        return tuple(value.split(",")) if key in NAMES else (value,)
    if wanted is tuple and isinstance(value, list):
        return tuple(value)
    if wanted is str and type(value) in (int, float) and where.startswith("argument"):
        return str(value)  # --name=7
    if type(value) is not wanted:
        raise UserError(f"{where}: {key} must be {wanted.__name__}, not {value!r}")
    return value


def check(cfg: Config) -> None:
    """Arithmetic and choices that can be refused before a model loads. Raises UserError."""
    for key, choices in CHOICES.items():
        if getattr(cfg, key) not in choices:
            raise UserError(f"{key} must be one of {', '.join(choices)}, not {getattr(cfg, key)!r}")
    for key in AT_LEAST_ONE:
        if getattr(cfg, key) < 1:
            raise UserError(f"{key} must be at least 1, not {getattr(cfg, key)}")
    if not 0 <= cfg.align_ratio <= 1:
        raise UserError(f"align_ratio must lie between 0 and 1, not {cfg.align_ratio}")
    if cfg.temperature <= 0:
        raise UserError(f"temperature must be above 0, not {cfg.temperature}: GRPO needs variety")
    if "/" in cfg.name or cfg.name in ("", ".", ".."):
        raise UserError(f"name must be a plain folder name, not {cfg.name!r}")
    if cfg.prompts_per_step % cfg.optimizer_steps:
        raise UserError(
            f"prompts_per_step={cfg.prompts_per_step} cannot be split into "
            f"optimizer_steps={cfg.optimizer_steps} equal parts; make it a multiple"
        )
    for key, holes in (("code_template", "{prompt}"), ("align_template", "{program} {names}")):
        missing = [hole for hole in holes.split() if hole not in getattr(cfg, key)]
        if missing:
            raise UserError(f"{key} must contain {' and '.join(missing)}")


def fill(template: str, **values: str) -> str:
    """Put values into their {holes} in one pass; any other brace (JSON, say) stays as it is."""
    return re.sub(r"\{(" + "|".join(values) + r")\}", lambda hole: values[hole[1]], template)


def check_tp(cfg: Config, world_size: int) -> None:
    """Every sampler must have equally many ranks. Raises UserError."""
    if world_size % cfg.rollout_tp:
        raise UserError(f"rollout_tp={cfg.rollout_tp} does not divide {world_size} processes")


def check_world(cfg: Config, world_size: int) -> None:
    """Every sampler must have as many ranks and get as many prompts as any. Raises UserError."""
    check_tp(cfg, world_size)
    samplers = world_size // cfg.rollout_tp
    if cfg.prompts_per_step % samplers:
        raise UserError(
            f"prompts_per_step={cfg.prompts_per_step} cannot be shared by {samplers} samplers; "
            f"make it a multiple of {samplers}"
        )


def print_help() -> None:
    """Every field with its default and the comment that stands beside it above."""
    print("usage: python train.py|eval.py [configs/FILE.py] [--key=value ...]\n")
    for line in inspect.getsource(Config).splitlines():
        line = line.strip()
        if line.startswith("# ---"):
            print(f"\n{line[6:]}")
        name = line.partition(":")[0]
        if name in FIELDS and "#" in line:
            default = repr(FIELDS[name].default)
            default = default if len(default) < 40 else default[:36] + " ..."
            print(
                f"  --{name}={default:<{max(1, 32 - len(name))}} {line.partition('#')[2].strip()}"
            )
