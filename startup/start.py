"""What can be refused before a model loads: GPUs that would not be used, lengths that do not fit.

Each refusal is one sentence. Left out: what config.py finds in the configuration alone.
"""

import os
from dataclasses import replace
from pathlib import Path

import torch
from transformers import AutoConfig

from config import Config, UserError, first_line
from jail.calls import parse_call
from problems.failures import tried_again
from problems.problem import Question, chat_ids, question_messages
from reward import make_question
from run import gather
from sandbox import Sandbox
from startup.files import model_directory

DEVICES = Path("/dev")


def check_start(cfg: Config, device: torch.device, compares: bool) -> str:
    """The directory of cfg.model. Raises UserError.

    compares: the algorithm compares the answers to one prompt."""
    check_device(cfg, device)
    if compares and cfg.samples_per_prompt == 1:
        raise UserError(
            f"samples_per_prompt=1, but {cfg.algo} compares the answers to one prompt, so that it "
            "would learn nothing; make it 2 or more, or take --algo=reinforce++"
        )
    directory = find_model(cfg.model)
    context, length = context_length(directory), cfg.max_prompt_tokens + cfg.max_tokens
    if context and length > context:
        raise UserError(
            f"max_prompt_tokens={cfg.max_prompt_tokens} + max_tokens={cfg.max_tokens} is {length}, "
            f"but the context of {directory} is {context} tokens; lower either"
        )
    return directory


def find_model(model: str) -> str:
    """Its directory. Where it must be downloaded, the first rank of each node does that alone.
    Raises UserError, on all ranks."""
    found: str | UserError | None = None
    for first in (True, False):
        if (os.environ["LOCAL_RANK"] == "0") is first:
            try:
                found = model_directory(model)
            except UserError as error:
                found = error
        for answer in gather(found, "finding the model"):
            if isinstance(answer, UserError):
                raise answer
    return found


def check_world(cfg: Config, world_size: int) -> None:
    """Every sampler needs as many ranks and as many prompts as any other, and the ranks of one
    talk too much for the network between nodes. Raises UserError."""
    per_node = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
    if cfg.rollout_tp > 1 and per_node % cfg.rollout_tp:
        raise UserError(
            f"rollout_tp={cfg.rollout_tp} would spread a sampler over nodes of {per_node} processes"
            f" each; make it a divisor of {per_node}"
        )
    if cfg.states == "node" and world_size % per_node:
        raise UserError(
            f"states=node needs nodes alike, but {world_size} processes are not some times the "
            f"{per_node} of this one; take --states=ranks"
        )
    if world_size % cfg.rollout_tp:
        raise UserError(f"rollout_tp={cfg.rollout_tp} does not divide {world_size} processes")
    samplers = world_size // cfg.rollout_tp
    if cfg.prompts_per_step % samplers:
        wanted = f"a multiple of {samplers}, the number of samplers"
        raise UserError(
            f"prompts_per_step={cfg.prompts_per_step} cannot be shared; make it {wanted}"
        )


def check_device(cfg: Config, device: torch.device) -> None:
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    gpus = sorted(DEVICES.glob("nvidia[0-9]*"))  # a container may have the fourth alone
    if device.type == "cpu" and gpus and not hidden:
        try:
            torch.cuda.init()
            why = "it sees none"
        except Exception as error:  # RuntimeError, AssertionError: torch has one for each cause
            why = first_line(error)
        raise UserError(
            f"there is a GPU ({gpus[0]}) that torch {torch.__version__} cannot use ({why}); mend "
            "the driver or install the torch for it, or set CUDA_VISIBLE_DEVICES= for the CPU"
        )
    bf16 = device.type == "cuda" and cfg.compute_dtype == "bfloat16"
    if bf16 and not torch.cuda.is_bf16_supported(including_emulation=False):
        name = torch.cuda.get_device_name(device)
        raise UserError(f"the GPU ({name}) does not compute in bfloat16; give --dtype=float32")


def context_length(directory: str) -> int | None:
    """Tokens of the longest text that the model takes, None if there is no limit. RoPE that is
    scaled from an original length takes `factor` times that."""
    try:
        config = AutoConfig.from_pretrained(directory).get_text_config()
    except Exception as error:  # a broken file shows as any of a dozen exceptions
        raise UserError(f"cannot read config.json in {directory}: {first_line(error)}") from error
    rope = getattr(config, "rope_parameters", None) or {}
    original = rope.get("original_max_position_embeddings") or 0
    scaled = original * (rope.get("factor") or 1)
    return max(getattr(config, "max_position_embeddings", None) or 0, int(scaled)) or None


def check_sandbox(sandbox: Sandbox) -> str:
    """The walls of the sandbox, in a line. Raises UserError if it ends whatever it runs: then all
    programs would fail, without a word."""
    (run,) = sandbox.run("print(1)", [""])
    if run.status != "ok":
        how = "raise memory_mb, timeout_s, or this shell's limits (ulimit -a)"
        raise UserError(f"the sandbox cannot run `print(1)` ({run.status}: {run.error}); {how}")
    return sandbox.layers


def worked_examples(sandbox: Sandbox, cfg: Config) -> list[Question]:
    """cfg.align_examples with their true answers, from a real trace. Raises UserError."""
    examples = []
    for number, parts in enumerate(cfg.align_examples, start=1):
        are_texts = isinstance(parts, tuple | list) and all(isinstance(part, str) for part in parts)
        if not are_texts or len(parts) not in (2, 3):
            form = "(program, call) or (program, call, thought), all of them texts"
            raise UserError(f"align_examples: example {number} is not of the form {form}")
        program, call, *thought = parts
        try:
            fn_name, arguments = parse_call(call, program) if call else (None, "")
        except ValueError as error:
            raise UserError(f"align_examples: example {number}: {error}") from error
        given = (sandbox, program.strip(), arguments, fn_name, cfg)
        made = tried_again(lambda given=given: make_question(*given), str)
        if isinstance(made, str):
            raise UserError(f"align_examples: example {number} gives no question: {made}")
        made.thought = "".join(thought).strip()
        examples.append(made)
    return examples


def check_examples(cfg: Config, tokenizer, examples: list[Question]) -> None:
    """Raises UserError if no question fits into a prompt beside the worked examples, or if the chat
    template leaves their thoughts out, as Qwen3's does with those of earlier turns."""
    if cfg.align_ratio and examples:
        chats = [question_messages(example, cfg, examples) for example in examples]
        prompts = [chat_ids(tokenizer, chat, cfg)[0] for chat in chats]
        shortest = min(map(len, prompts))
        others = [replace(e, thought=e.thought and f"Other: {e.thought}") for e in examples]
        other = chat_ids(tokenizer, question_messages(examples[0], cfg, others), cfg)[0]
        if any(example.thought for example in examples) and other == prompts[0]:
            raise UserError(
                "align_examples: the chat template of this model leaves out the thoughts of earlier"
                " turns, so that none would be shown; give (program, call) alone, or tell it to "
                "keep them with --chat_kwargs"
            )
        if shortest > cfg.max_prompt_tokens:
            raise UserError(
                f"align_examples leave no room for a question: a short one makes {shortest} tokens "
                f"with them, and max_prompt_tokens is {cfg.max_prompt_tokens}; use fewer examples"
            )
