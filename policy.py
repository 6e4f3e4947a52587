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
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel
from transformers.utils import logging as transformers_logging

from config import Config, UserError

HEAD_TOKENS = 512  # tokens whose logits exist at the same time


def load_policy(directory: str, device: torch.device) -> PreTrainedModel:
    """The model with fp32 weights, without dropout. Raises UserError for a broken directory."""
    transformers_logging.disable_progress_bar()
    # On a CPU the backward pass of torch's SDPA costs 15 % of a step more than plain matmuls.
    attention = "sdpa" if device.type == "cuda" else "eager"
    try:
        model = AutoModelForCausalLM.from_pretrained(
            directory, dtype=torch.float32, attn_implementation=attention
        )
    except Exception as error:  # a broken file shows as any of a dozen exceptions
        short = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"cannot load the model in {directory}: {short}") from error
    return model.to(device).eval()  # eval: sampler and trainer must be the same function


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
    cache = DynamicCache(config=model.config)
    if shared:
        model.base_model(torch.tensor([prompts[0][:shared]], device=device), past_key_values=cache)
        cache = rows_of(cache, torch.zeros(len(prompts), dtype=torch.long), model.config)
    prompt_ids, own_mask = pad([p[shared:] for p in prompts], left=True, device=device)
    prompt_mask = F.pad(own_mask, (shared, 0), value=1)  # (P, S + Tp)
    prompt_hidden = model.base_model(
        input_ids=prompt_ids,
        attention_mask=prompt_mask,
        position_ids=shared + (own_mask.cumsum(-1) - 1).clamp(min=0),
        past_key_values=cache,
    ).last_hidden_state[:, -1:]  # (P, 1, H): what predicts an answer's first token

    flat = [(i, answer) for i, group in enumerate(answers) for answer in group]
    logp: list[torch.Tensor | None] = [None] * len(flat)
    for part in like_lengths([len(answer) for _, answer in flat]):
        owner = torch.tensor([flat[n][0] for n in part], device=device)  # (B,) rows of prompts
        targets, mask = pad([flat[n][1] for n in part], left=False, device=device)  # (B, Ta)
        hidden = prompt_hidden[owner]
        if targets.shape[1] > 1:
            answer_hidden = model.base_model(
                input_ids=targets[:, :-1],
                attention_mask=torch.cat([prompt_mask[owner], mask[:, :-1]], dim=1),
                position_ids=prompt_mask.sum(-1)[owner, None]
                + torch.arange(targets.shape[1] - 1, device=device),
                past_key_values=rows_of(cache, owner, model.config),
            ).last_hidden_state
            hidden = torch.cat([hidden, answer_hidden], dim=1)  # (B, Ta, H)
        # The head only where a token is trained, never on padding or prompts.
        chosen = token_logprobs(model, hidden[mask.bool()], targets[mask.bool()], temperature)
        for n, piece in zip(part, chosen.split(mask.sum(-1).tolist()), strict=True):
            logp[n] = piece
    return torch.cat(logp)


def token_logprobs(
    model: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor, temperature: float
) -> torch.Tensor:
    """log p of each target token: hidden (N, H), targets (N,) -> (N,) fp32.

    The logits of all tokens would be the largest tensor of the pass, so they are made a slice at a
    time, and made again in the backward pass.
    """

    def of_slice(hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = model.get_output_embeddings()(hidden).float() / temperature  # (n, vocabulary)
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
    """Group indices split so that each part's prompts, padded, and answers fit max_tokens.

    Prompts of like length go together. One group alone may exceed the limit: it is not split.
    """
    parts: list[list[int]] = []
    for i in sorted(range(len(prompts)), key=lambda i: len(prompts[i])):
        part = [*parts[-1], i] if parts else [i]
        tokens = len(part) * len(prompts[i]) + sum(len(a) for j in part for a in answers[j])
        if len(part) > 1 and tokens <= max_tokens and len(prompts[i]) <= 2 * len(prompts[part[0]]):
            parts[-1] = part
        else:
            parts.append([i])
    return parts


@dataclass
class MicroBatch:
    """What one forward and backward pass needs; T is the number of its answer tokens."""

    prompts: list[list[int]]
    answers: list[list[list[int]]]
    advantages: torch.Tensor  # (T,)
    sampler_logp: torch.Tensor  # (T,)
    old_logp: torch.Tensor | None = None  # (T,)

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
        tensors = [torch.tensor(column, device=device) for column in (advantages, sampler)]
        batches.append(MicroBatch([prompts[i] for i in part], [answers[i] for i in part], *tensors))
    return batches
