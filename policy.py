"""The policy's forward pass: log-probabilities of sampled answers, each prompt computed once.

The G answers to a prompt share its tokens. We run the prompts once and keep their keys and values,
repeat that cache G times, and run only the answers on top; the gradient flows back through the
cache, so it is exact. Alignment prompts are long and their answers short: 350-token prompts with
32-token answers cost a fifth of the plain pass on a CPU.

Left out: packing without padding, sharding, activation checkpointing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel

from config import Config, UserError


def load_policy(directory: str, device: torch.device) -> PreTrainedModel:
    """The model with fp32 weights, without dropout. Raises UserError for a broken directory."""
    try:
        model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
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
    device, group = model.device, len(answers[0])
    prompt_ids, prompt_mask = pad(prompts, left=True, device=device)  # (P, Tp)
    positions = (prompt_mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    prompt_out = model.base_model(
        input_ids=prompt_ids,
        attention_mask=prompt_mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    )
    # The first answer token is predicted by the last prompt token's hidden state.
    hidden = prompt_out.last_hidden_state[:, -1:].repeat_interleave(group, dim=0)  # (PG, 1, H)

    flat = [answer for answers_of_prompt in answers for answer in answers_of_prompt]
    if max(map(len, flat)) > 1:
        cache.batch_repeat_interleave(group)
        ids, mask = pad([answer[:-1] for answer in flat], left=False, device=device)  # (PG, Ta-1)
        start = prompt_mask.sum(-1).repeat_interleave(group)[:, None]
        answer_out = model.base_model(
            input_ids=ids,
            attention_mask=torch.cat([prompt_mask.repeat_interleave(group, dim=0), mask], dim=1),
            position_ids=start + torch.arange(ids.shape[1], device=device),
            past_key_values=cache,
            use_cache=True,
        )
        hidden = torch.cat([hidden, answer_out.last_hidden_state], dim=1)  # (PG, Ta, H)
    targets, mask = pad(flat, left=False, device=device)  # (PG, Ta)
    # The head only where a token is trained: logits (N, vocabulary), never (PG, Tp + Ta, ...).
    logits = model.get_output_embeddings()(hidden[mask.bool()]).float()
    if temperature != 1.0:
        logits = logits / temperature
    return -F.cross_entropy(logits, targets[mask.bool()], reduction="none")


def micro_batches(prompts: list, answers: list, max_tokens: int) -> list[list[int]]:
    """Group indices split so that each part's padded tokens stay within max_tokens.

    Groups of like length go together. One group alone may exceed the limit: it is not split.
    """
    longest = [max(map(len, group)) for group in answers]
    order = sorted(range(len(prompts)), key=lambda i: (longest[i], len(prompts[i])))
    parts: list[list[int]] = []
    for i in order:
        part = [*parts[-1], i] if parts else [i]
        width = max(len(prompts[j]) for j in part)
        tokens = len(part) * (width + len(answers[i]) * max(longest[j] for j in part))
        if parts and tokens <= max_tokens:
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
