"""The policy: how it is loaded and sharded, and a proof that its log-probabilities are the model's.

A Pack is exact where attention alone lets tokens see each other. Mamba, linear attention and short
convolutions do so, too: there the answers of a pack leak into each other, without an error. No list
of names could tell which models do that, so it is measured: the packed log-probabilities of a few
random tokens against one plain pass for each answer. Where they differ, or where a model cannot be
told about packs at all, the same is asked of Rows, which every causal model computes exactly.

It takes seconds for a large model, because whether tokens mix depends on the kinds of layers and
not on their number: the first layers compute, up to one of each kind, in fp32, where rounding is
less than a tenth of TOLERANCE. Where the frequencies of RoPE change at some length, the
texts lie across it: positions are shifted, not texts made long.

Left out: windows and chunks of attention longer than these texts (windows are tested elsewhere).
"""

import inspect
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, AutoTokenizer, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from config import Config, UserError, first_line, whole_text
from policy import Pack, Policy, Rows
from startup.files import check_own_names

TOLERANCE = 1e-3  # nats; fp32 rounds them by 5e-5 where keys are as large as in Qwen2.5
# Two prompts with a common beginning, and their answers: numbers of tokens.
BEGINNING, PROMPTS, ANSWERS = 6, (4, 9), ((3, 8), (12,))


LAYOUT = "def f(x):\n    return x + 1"  # what a tokenizer has to give back


def load_tokenizer(directory: str):
    """The tokenizer of `directory`. Raises UserError if there is none, or if it loses the layout of
    programs: some models (DeepSeek-Coder's) name a class that drops spaces and newlines."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(directory)
    except Exception as error:  # ValueError, OSError, or what a broken file makes of it
        why = whole_text(error)
        raise UserError(f"cannot load the tokenizer in {directory}: {why}") from error
    back = tokenizer.decode(tokenizer.encode(LAYOUT, add_special_tokens=False))
    if back.strip() != LAYOUT:
        how = '"tokenizer_class": "PreTrainedTokenizerFast" in its tokenizer_config.json'
        raise UserError(
            f"the tokenizer in {directory} makes {back!r} of {LAYOUT!r}, so that it could neither "
            f"read nor write programs; put {how}, in a copy of the directory"
        )
    return tokenizer


def load_policy(
    cfg: Config, directory: str, device: torch.device, states: str = "ranks",
    say: Callable[[str], None] | None = None,
) -> Policy:  # fmt: skip
    """The model of `directory` without dropout, checked and sharded. Raises UserError if it is
    broken or cannot be trained here.

    states: see shard(). say: is told in one line what was measured.
    """
    transformers_logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            directory, dtype="auto", attn_implementation="packed"
        )
    except Exception as error:  # a broken file shows as any of a dozen exceptions
        raise UserError(f"cannot load the model in {directory}: {first_line(error)}") from error
    refuse_what_is_not_done(model, directory)
    check_own_names(model, directory)
    model.eval()  # sampler and trainer must be the same function
    fix_rope(model, cfg.max_prompt_tokens + cfg.max_tokens)
    model.requires_grad_(False)  # of a multimodal model the eyes: no text depends on them
    for part in (model.get_decoder(), model.get_output_embeddings()):
        part.requires_grad_(True)
    # Where vLLM has no code of its own for a family, it puts its compiler into transformers' class.
    model.get_decoder().do_not_compile = True
    policy = Policy(model, cfg.temperature, device)
    found = choose_layout(policy, directory, cfg.max_prompt_tokens + cfg.max_tokens)
    if say:
        say(found)
    return shard(cfg, policy, states)


def shard(cfg: Config, policy: Policy, states: str) -> Policy:
    """Spread fp32 weights over ranks, layer by layer; whole, each exists for a moment only.

    states: "ranks" spreads over all ranks; "node" over those of each node, so that every node has a
    copy, and only gradients travel between nodes; "cpu" over all, to rest in main memory.

    A policy that gathers_once then has whole weights for an optimizer step, not a micro-batch. That
    takes 2 bytes a weight, and 4 for the gradients that belong to other ranks. Copies cost a CPU
    time; a GPU, where checkpoint_layers says that memory is short, gathers while it computes.
    One such process has nothing to spread: keep_whole().
    """
    world, compute = dist.get_world_size(), getattr(torch, cfg.compute_dtype)
    sizes = (world,)
    if states == "node":  # FSDP copies along the first dimension and spreads along the second
        node = int(os.environ.get("LOCAL_WORLD_SIZE", world))
        sizes = (world // node, node)
    names = ("nodes", "ranks")[-len(sizes) :]
    on_gpu = policy.device.type == "cuda"
    policy.gathers_once = states != "cpu" and not (on_gpu and cfg.checkpoint_layers)
    if cfg.checkpoint_layers:
        for layer in policy.model.get_decoder().layers:
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    if world == 1 and policy.gathers_once:
        return keep_whole(policy, compute)
    options = {
        "mesh": init_device_mesh(policy.device.type, sizes, mesh_dim_names=names),
        "mp_policy": MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32),
        "reshard_after_forward": False if policy.gathers_once else None,
    }
    if states == "cpu" and on_gpu:
        options["offload_policy"] = CPUOffloadPolicy()
    for layer in policy.model.get_decoder().layers:
        fully_shard(layer.float(), **options)
    return fully_shard(policy.float(), **options)


def keep_whole(policy: Policy, compute: torch.dtype) -> Policy:
    """As gathers_once on one rank, where all that FSDP does is copying through its buffers."""
    policy.to(policy.device, torch.float32)
    for weight in trained(policy):
        weight.grad_dtype = None  # any: fp32 beside values in the compute type
        weight.register_post_accumulate_grad_hook(sum_in_fp32)
    policy.register_forward_pre_hook(partial(Policy.copy_weights, dtype=compute))
    return policy


def sum_in_fp32(weight: Tensor) -> None:
    """A hook for after a gradient was added: the first of a step comes in the compute type."""
    weight.grad = weight.grad.float()


def make_optimizer(cfg: Config, policy: Policy) -> torch.optim.AdamW:
    """AdamW with its moments, which it would make in its first step: a run that has not enough
    memory for them ends there, and later steps take no more than the first one."""
    betas = (0.9, 0.95)
    optimizer = torch.optim.AdamW(policy.parameters(), cfg.lr, betas, weight_decay=0.0, fused=True)
    for weight in trained(policy):
        first, second = (torch.zeros_like(weight, dtype=torch.float32) for _ in range(2))
        count = torch.zeros((), device=weight.device)
        optimizer.state[weight] = {"step": count, "exp_avg": first, "exp_avg_sq": second}
    return optimizer


def trained(policy: Policy) -> list[torch.nn.Parameter]:
    return [weight for weight in policy.parameters() if weight.requires_grad]


def load_sampler(cfg: Config, directory: str) -> PreTrainedModel:
    """The model as transformers samples from it. Raises UserError if it caches in its own way."""
    dtype = getattr(torch, cfg.compute_dtype)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=dtype)
    if "past_key_values" not in inspect.signature(model.forward).parameters:
        kind = type(model).__name__
        raise UserError(f"{directory}: {kind} has no cache that --engine=hf knows; use vllm")
    fix_rope(model, cfg.max_prompt_tokens + cfg.max_tokens)
    return model


def refuse_what_is_not_done(model: PreTrainedModel, directory: str) -> None:
    """Raises UserError for a model whose parts the trainer does not know."""
    config = model.config.get_text_config()
    if getattr(model.config, "quantization_config", None):
        raise UserError(f"{directory}: its weights are quantised; take the model they were made of")
    for name in ("final_logit_softcapping", "logits_soft_cap", "logit_scale", "logits_scaling"):
        if getattr(config, name, None) not in (None, 1.0):
            raise UserError(f"{directory}: its logits are changed ({name}), which is not done here")
    if getattr(model.get_output_embeddings(), "bias", None) is not None:  # TargetLogp adds none
        raise UserError(f"{directory}: its output head has a bias, which is not done here")
    if not hasattr(model.get_decoder(), "layers"):
        kind = type(model).__name__
        raise UserError(
            f"{directory}: {kind} keeps its layers in no list `.layers`, so that they cannot be "
            "spread over GPUs one by one; use a model of another family"
        )


def fix_rope(model: PreTrainedModel, length: int) -> None:
    """Longrope has other frequencies for long texts, and transformers chooses them by the longest
    text of a batch: a token's probability would depend on its neighbours, and on whether keys are
    cached. vLLM chooses once, by the longest text that may come, `length`. So do we."""
    for module in model.modules():
        if getattr(module, "rope_type", None) == "longrope":
            module(torch.zeros(1), torch.tensor([[length - 1]]))
            module.rope_type = "chosen"


# ------------------------------------------------------------------------------- packs or rows
def choose_layout(policy: Policy, directory: str, length: int) -> str:
    """Set policy.layout to what is exact, and say in one line what was measured.

    length: of the longest text that may come. Raises UserError if neither Pack nor Rows is exact.
    """
    own = "sdpa" if policy.model._supports_sdpa else "eager"  # attention that knows no packs
    with first_layers(policy), temperature_1(policy):  # a low one multiplies what is rounded
        policy.model.set_attn_implementation(own)
        texts = Texts(policy, length)
        policy.model.set_attn_implementation("packed")
        gap, why = texts.gap(Pack)
        if gap <= TOLERANCE:  # and not NaN
            return f"answers share their prompts: packed and plain passes differ by {gap:.0e} nats"
        policy.model.set_attn_implementation(own)
        gap, broken = texts.gap(Rows)
    if gap <= TOLERANCE:
        policy.layout = Rows
        return f"each answer has a prompt of its own, because {why}"
    raise UserError(
        f"{directory}: cannot be trained, because {broken}: the model changes its logits, or with "
        f"the length of a text (up to {length} here) its RoPE; use another model"
    )


class Texts:
    """Random prompts and answers with their plain log-probabilities, one pass for each answer."""

    def __init__(self, policy: Policy, length: int) -> None:
        self.policy = policy
        config = policy.model.get_decoder().config
        dice = torch.Generator().manual_seed(0)

        def draw(count: int) -> list[int]:
            return torch.randint(config.vocab_size, (count,), generator=dice).tolist()

        beginning = draw(BEGINNING)
        self.prompts = [beginning + draw(n) for n in PROMPTS]
        self.answers = [[draw(n) for n in lengths] for lengths in ANSWERS]
        change = rope_change(config)
        middle = len(self.prompts[0]) + len(self.answers[0][0]) + 2  # the first text ends before it
        self.offset = change - middle if middle < change < length else 0
        pairs = zip(self.prompts, self.answers, strict=True)
        self.plain = torch.cat([self.alone(p, a) for p, group in pairs for a in group])  # (N,)

    def shifted(self, inputs: dict) -> dict:
        """With positions that lie across the length at which RoPE changes, if it does."""
        if not self.offset:
            return inputs
        rows, width = inputs["input_ids"].shape
        each = torch.arange(width, device=self.policy.device).expand(rows, width)
        return inputs | {"position_ids": inputs.get("position_ids", each) + self.offset}

    def alone(self, prompt: list[int], answer: list[int]) -> Tensor:
        """log p of each token of `answer` by the model itself, the whole text in one pass: (n,)."""
        ids = torch.tensor([prompt + answer], device=self.policy.device)
        logits = self.policy.model(use_cache=False, **self.shifted({"input_ids": ids})).logits[0]
        logp = (logits / self.policy.temperature).float().log_softmax(-1)
        return logp[len(prompt) - 1 : -1].gather(1, ids[0, len(prompt) :, None])[:, 0]

    def gap(self, layout: type) -> tuple[float, str]:
        """Largest difference in nats between `layout` and plain passes, and what to say of it."""
        try:
            batch = layout(self.prompts, self.answers, self.policy.device)
            batch.inputs = self.shifted(batch.inputs)
            gap = float((self.policy(batch) - self.plain).abs().max())
        except Exception as error:  # a model that takes no packs stumbles somewhere over them
            return (
                math.inf,
                f"{type(self.policy.model).__name__} takes no packs: {first_line(error)}",
            )
        name = {Pack: "packed", Rows: "padded"}[layout]
        return gap, f"{name} log-probabilities would differ from plain ones by {gap:.1g} nats"


def rope_change(config: PretrainedConfig) -> int:
    """Length of texts from which transformers has other frequencies of RoPE; 0 if it never has."""
    rope = getattr(config, "rope_parameters", None) or {}
    for kind in [rope] if "rope_type" in rope else rope.values():  # one, or one a type of layer
        if kind["rope_type"] == "longrope":
            return kind["original_max_position_embeddings"]
        if kind["rope_type"] == "dynamic":
            return config.max_position_embeddings
    return 0


@contextmanager
def temperature_1(policy: Policy) -> Iterator[None]:
    own, policy.temperature = policy.temperature, 1.0
    try:
        yield
    finally:
        policy.temperature = own


@contextmanager
def first_layers(policy: Policy) -> Iterator[None]:
    """Within it the model has only its first layers, up to one of each kind, in fp32."""
    decoder = policy.model.get_decoder()
    layers = decoder.layers
    types = getattr(decoder.config, "layer_types", None) or [""] * len(layers)
    modules = [tuple(map(type, layer.modules())) for layer in layers]
    kinds = list(zip(types, modules, strict=True))
    decoder.layers = layers[: max(map(kinds.index, kinds)) + 1]
    policy.to(policy.device, torch.float32)  # sharded, weights are fp32 anyway
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")  # some containers ask for TF32
    try:
        with torch.no_grad():
            yield
    finally:
        decoder.layers = layers
        torch.set_float32_matmul_precision(precision)
