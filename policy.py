"""The policy's forward pass: log-probabilities of sampled answers, each prompt computed once.

The G answers to a prompt share its tokens, and prompts share their beginning (system turn, worked
examples). We run what is shared once, keep its keys and values, and run the rest on top of that
cache, answers of like length together; the gradient flows back through the cache, so it is exact.
Alignment prompts are long and their answers short.

Left out: packing without padding, sharding, activation checkpointing below the head.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint
from transformers import AttentionInterface, AutoModelForCausalLM, DynamicCache, PreTrainedModel
from transformers.masking_utils import AttentionMaskInterface, eager_mask
from transformers.utils import logging as transformers_logging

from config import Config, UserError

HEAD_TOKENS = 512  # tokens whose logits exist at the same time


def load_policy(directory: str, device: torch.device) -> PreTrainedModel:
    """The model with fp32 weights, without dropout. Raises UserError for a broken directory."""
    transformers_logging.disable_progress_bar()
    attention = "sdpa" if device.type == "cuda" else "grouped"
    try:
        model = AutoModelForCausalLM.from_pretrained(
            directory, dtype=torch.float32, attn_implementation=attention
        )
    except Exception as error:  # a broken file shows as any of a dozen exceptions
        short = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"cannot load the model in {directory}: {short}") from error
    return model.to(device).eval()  # eval: sampler and trainer must be the same function


def grouped_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Attention for CPUs, where the backward pass of torch's SDPA is slow: plain matrix products.

    query (B, heads, T, D), key and value (B, kv_heads, S, D), additive mask (B, 1, T, S)
    -> (B, T, heads, D). Heads that share a key are rows of one product; nothing is repeated.
    """
    rows, heads, length, size = query.shape
    query = query.reshape(rows, key.shape[1], -1, size)  # (B, kv_heads, heads / kv_heads * T, D)
    scores = (query @ key.transpose(2, 3) * scaling).view(rows, heads, length, -1)
    if mask is not None:
        scores = scores + mask
    shares = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
    mixed = shares.view(rows, key.shape[1], -1, key.shape[2]) @ value
    return mixed.view(rows, heads, length, size).transpose(1, 2).contiguous(), None


AttentionInterface.register("grouped", grouped_attention)
AttentionMaskInterface.register("grouped", eager_mask)


def named_weights(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """(Hugging Face name, full tensor) pairs for the sampler, one at a time."""
    for name, parameter in model.named_parameters():
        yield name, parameter.detach()


def pad(rows: list[list[int]], left: bool, device: torch.device) -> tuple:
    """Token lists -> ids (B, T) and mask (B, T), padded on the given side. T may be 0."""
    width = max(map(len, rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        span = slice(width - len(row), width) if left else slice(0, len(row))
        ids[i, span] = torch.tensor(row, dtype=torch.long)
        mask[i, span] = 1
    return ids.to(device), mask.to(device)


def answer_logprobs(
    model: PreTrainedModel,
    prompts: list[list[int]],
    answers: list[list[list[int]]],
    temperature: float = 1.0,
) -> torch.Tensor:
    """log p(answer token | prompt, tokens before) at `temperature`, for P prompts x G answers.

    prompts: P token lists. answers: P lists of G token lists, none empty.
    Returns (N,) fp32, N tokens in the order prompt, answer, token; differentiable.
    """
    device = model.device
    shared = common_prefix(prompts)  # the system turn, worked examples: the same S tokens for all
    shared_ids = torch.tensor([prompts[0][:shared]], dtype=torch.long, device=device)  # (1, S)
    prompt_ids, own_mask = pad([p[shared:] for p in prompts], left=True, device=device)
    prompt_mask = F.pad(own_mask, (shared, 0), value=1)  # (P, S + Tp)
    flat = [(i, answer) for i, group in enumerate(answers) for answer in group]
    parts = like_lengths([len(answer) for _, answer in flat])
    padded = [pad([flat[n][1] for n in part], left=False, device=device) for part in parts]
    embedded = embed(model, [shared_ids, prompt_ids, *(ids[:, :-1] for ids, _ in padded)])

    cache = DynamicCache(config=model.config)
    if shared:
        model.base_model(inputs_embeds=embedded[0], past_key_values=cache)
        cache = rows_of(cache, torch.zeros(len(prompts), dtype=torch.long), model.config)
    prompt_hidden = model.base_model(
        inputs_embeds=embedded[1],
        attention_mask=prompt_mask,
        position_ids=shared + (own_mask.cumsum(-1) - 1).clamp(min=0),
        past_key_values=cache,
    ).last_hidden_state[:, -1:]  # (P, 1, H): what predicts an answer's first token

    hiddens, targets = [], []
    for part, (ids, mask), answer_embedded in zip(parts, padded, embedded[2:], strict=True):
        owner = torch.tensor([flat[n][0] for n in part], device=device)  # (B,) rows of prompts
        hidden = prompt_hidden[owner]
        if ids.shape[1] > 1:
            answer_hidden = model.base_model(
                inputs_embeds=answer_embedded,
                attention_mask=torch.cat([prompt_mask[owner], mask[:, :-1]], dim=1),
                position_ids=prompt_mask.sum(-1)[owner, None]
                + torch.arange(ids.shape[1] - 1, device=device),
                past_key_values=rows_of(cache, owner, model.config),
            ).last_hidden_state
            hidden = torch.cat([hidden, answer_hidden], dim=1)  # (B, Ta, H)
        hiddens.append(hidden[mask.bool()])  # the head sees trained tokens, no padding, no prompt
        targets.append(ids[mask.bool()])
    chosen = token_logprobs(model, torch.cat(hiddens), torch.cat(targets), temperature)
    order = [n for part in parts for n in part]
    lengths = [len(flat[n][1]) for n in order]
    pieces = dict(zip(order, chosen.split(lengths), strict=True))
    return torch.cat([pieces[n] for n in range(len(flat))])


def embed(model: PreTrainedModel, blocks: list[torch.Tensor]) -> list[torch.Tensor]:
    """Embeddings (B, T, H) of each (B, T) block of ids, in one call: the gradient of each call is
    as large as the whole table."""
    vectors = model.get_input_embeddings()(torch.cat([ids.flatten() for ids in blocks]))
    pieces = vectors.split([ids.numel() for ids in blocks])
    return [v.view(*ids.shape, vectors.shape[-1]) for v, ids in zip(pieces, blocks, strict=True)]


def token_logprobs(
    model: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor, temperature: float
) -> torch.Tensor:
    """log p of each target token: hidden (N, H), targets (N,) -> (N,) fp32.

    The logits of all tokens would be the largest tensor of the pass, so they are made a slice at a
    time, and made again in the backward pass.
    """

    def of_slice(hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = model.get_output_embeddings()(hidden / temperature).float()  # (n, vocabulary)
        return -F.cross_entropy(logits, targets, reduction="none")

    slices = zip(hidden.split(HEAD_TOKENS), targets.split(HEAD_TOKENS), strict=True)
    return torch.cat([checkpoint(of_slice, h, t, use_reentrant=False) for h, t in slices])


def common_prefix(prompts: list[list[int]]) -> int:
    """How many tokens all prompts begin with, leaving each a token of its own; one prompt: 0."""
    if len(prompts) == 1:
        return 0
    shared, most = 0, min(map(len, prompts)) - 1
    while shared < most and len({prompt[shared] for prompt in prompts}) == 1:
        shared += 1
    return shared


def rows_of(cache: DynamicCache, rows: torch.Tensor, config: object) -> DynamicCache:
    """A cache whose b-th row is row rows[b] of `cache`; gradients flow back into it."""
    repeated = DynamicCache(config=config)
    for number, layer in enumerate(cache.layers):
        repeated.update(layer.keys[rows], layer.values[rows], number)
    return repeated


def like_lengths(lengths: list[int]) -> list[list[int]]:
    """Indices in parts whose lengths differ at most 1.5-fold, so that little is padding."""
    parts: list[list[int]] = []
    for n in sorted(range(len(lengths)), key=lengths.__getitem__):
        if parts and lengths[n] <= 1.5 * lengths[parts[-1][0]]:
            parts[-1].append(n)
        else:
            parts.append([n])
    return parts


def micro_batches(prompts: list, answers: list, max_tokens: int) -> list[list[int]]:
    """Group indices split so that the tokens each part computes, padding included, fit max_tokens.

    Prompts of like length go together. One group alone may exceed the limit: it is not split.
    """
    parts: list[list[int]] = []
    for i in sorted(range(len(prompts)), key=lambda i: len(prompts[i])):
        part = [*parts[-1], i] if parts else [i]
        shared, longest = common_prefix([prompts[j] for j in part]), len(prompts[i])
        tokens = shared + len(part) * (longest - shared)
        tokens += sum(len(a) for j in part for a in answers[j])
        if len(part) > 1 and tokens <= max_tokens and longest <= 2 * len(prompts[part[0]]):
            parts[-1] = part
        else:
            parts.append([i])
    return parts


@dataclass
class MicroBatch:
    """What one forward and backward pass needs; T is the number of its answer tokens."""

    groups: list  # train.Group
    prompts: list[list[int]]
    answers: list[list[list[int]]]
    advantages: torch.Tensor  # (T,)
    sampler_logp: torch.Tensor  # (T,)
    old_logp: torch.Tensor | None = None  # (T,)

    @property
    def lengths(self) -> list[int]:
        return [len(answer) for group in self.answers for answer in group]

    def logprobs(self, cfg: Config, model: PreTrainedModel) -> torch.Tensor:
        bf16 = cfg.dtype == "bfloat16"
        with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=bf16):
            return answer_logprobs(model, self.prompts, self.answers, cfg.temperature)


def split_batch(cfg: Config, groups: list, device: torch.device) -> list[MicroBatch]:
    """This rank's share of one optimizer step as micro-batches. Flat groups move nothing unless
    there is a KL term, so they are left out: their tokens still count in the denominator."""
    groups = [g for g in groups if cfg.kl_coef or any(g.advantages)]
    prompts = [g.prompt_ids for g in groups]
    answers = [[r.token_ids for r in g.responses] for g in groups]
    batches = []
    for part in micro_batches(prompts, answers, cfg.micro_tokens):
        pairs = [
            p for i in part for p in zip(groups[i].responses, groups[i].advantages, strict=True)
        ]
        advantages = [a for response, a in pairs for _ in response.token_ids]
        sampler = [logp for response, _ in pairs for logp in response.logprobs]
        lists = [[column[i] for i in part] for column in (groups, prompts, answers)]
        tensors = [torch.tensor(column, device=device) for column in (advantages, sampler)]
        batches.append(MicroBatch(*lists, *tensors))
    return batches
