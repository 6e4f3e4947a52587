"""The policy: log-probabilities of sampled answers, sharded over ranks, a micro-batch at a time.

The G answers to a prompt share its tokens, and prompts share a prefix (system turn, worked
examples). A Pack lays them out side by side, without padding:

    shared prefix | prompt 0 | answer 0.0 | answer 0.1 | prompt 1 | answer 1.0 | ...

Each of these segments follows others (`before`): a token sees those, and its own segment up to
itself. Attention alone knows that; for every other layer it is a sequence of T tokens. The gradient
is that of plain passes, one answer at a time. A model whose other layers mix tokens gets Rows.

FSDP2 keeps one rank's share of the fp32 weights, of their gradient and of AdamW's state on each
rank, gathers a layer's weights in the compute type when its turn comes, and sums gradients in fp32.
One process, which has them whole, works on copies in the compute type instead: see copy_weights().

Left out: tensor, pipeline and context parallelism.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from os.path import commonprefix
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.nn.utils.rnn import pad_sequence
from transformers import AttentionInterface, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from config import Config, UserError

BLOCK_TOKENS = 128  # queries of one matrix product, where there is no kernel for ragged segments
EDGE = 64  # sides of these products are multiples of it: oneDNN compiles a kernel for each shape
UNSEEN = 2**31  # the distance of a key that a query may not see: beyond every window
# Tokens whose logits exist at the same time, and those whose logits are fp32: these stay in a CPU's
# cache. Each slice is one more bf16 sum in the gradient of the head.
HEAD_TOKENS, FP32_TOKENS = {"cpu": 256, "cuda": 512}, {"cpu": 4, "cuda": 512}


class Policy(torch.nn.Module):
    """A causal language model as the loss sees it."""

    def __init__(self, model: PreTrainedModel, temperature: float, device: torch.device) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature
        self.device = device  # where it computes; its weights may rest elsewhere
        self.layout: type[Pack] | type[Rows] = Pack  # Rows where startup/model.py says so
        self.gathers_once = False  # see shard() in startup/model.py
        self.masters: list[tuple[Tensor, Tensor]] = []  # see copy_weights()

    def forward(self, pack: "Pack | Rows") -> Tensor:
        """log p(target | what it follows) at the sampling temperature: (N,) fp32, differentiable.

        N is the number of answer tokens in the pack, in the order prompt, answer, token.
        """
        decoder = self.model.get_decoder()  # of a multimodal model the part that reads text
        hidden = decoder(use_cache=False, **pack.inputs).last_hidden_state.flatten(0, 1)  # (T, H)
        rows = hidden.index_select(0, pack.predictors) / self.temperature
        return TargetLogp.apply(rows, self.model.get_output_embeddings().weight, pack.targets)

    @torch.no_grad()
    def no_grad_logp(self, pack: "Pack | Rows") -> Tensor:
        """forward() without a gradient; no weight stays gathered, no mask stays made."""
        logp = self(pack)
        vars(pack).pop("blocks", None)
        vars(pack).get("masks", {}).clear()
        self.release()
        return logp

    def copy_weights(self, _: object, dtype: torch.dtype) -> None:
        """A hook for before a pass: weights have values of `dtype` until release()."""
        if not self.masters:
            self.masters = [(w, w.data) for w in self.parameters() if w.requires_grad]
            for weight, master in self.masters:
                weight.data = master.to(dtype)

    def release(self) -> None:
        """Let gathered or copied weights go: optimizer and sync take those in fp32."""
        for part in (module for module in self.modules() if isinstance(module, FSDPModule)):
            part.reshard()
        for weight, master in self.masters:
            weight.data = master
        self.masters = []

    def next_micro_batch(self, last: bool) -> None:
        """Call it before each micro-batch. last: of an optimizer step.

        Until the last one a policy that gathers_once keeps the weights (as ZeRO-1; else ZeRO-3) and
        sums whole gradients; the last backward pass sums those over ranks, and frees the weights.
        """
        if isinstance(self, FSDPModule):
            self.set_requires_all_reduce(last)  # over nodes: what waits is no more than the sum
            if self.gathers_once:
                self.set_requires_gradient_sync(last)
                self.set_reshard_after_backward(last)

    def clip_gradient(self, limit: float) -> float | None:
        """Scale the gradient of all ranks to a norm of at most `limit`; returns the norm it had,
        None for one that is not finite."""
        self.release()
        for weight in self.parameters():
            if weight.requires_grad and weight.grad is None:  # every group was flat
                weight.grad = torch.zeros_like(weight)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), limit)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        return float(norm) if norm.isfinite() else None


class TargetLogp(torch.autograd.Function):
    """log p of each target: hidden (N, H), weight (V, H), targets (N,) -> (N,) fp32.

    All logits would be the largest tensor of a pass. So those of a slice exist at a time, and are
    made again in the backward pass, where d log p / d logits = onehot(target) - p.
    """

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
        logp = []
        for h, ids in slices(HEAD_TOKENS, hidden, targets):
            parts = slices(FP32_TOKENS, F.linear(h, weight), ids)
            logp += [-F.cross_entropy(part.float(), t, reduction="none") for part, t in parts]
        ctx.save_for_backward(hidden, weight, targets, logp := torch.cat(logp))
        return logp

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        hidden, weight, targets, logp = ctx.saved_tensors
        to_hidden, to_weight = [], torch.empty_like(weight)  # which the first slice sets
        for h, t, value, grad in slices(HEAD_TOKENS, hidden, targets, logp, -gradient):
            gap = F.linear(h, weight).softmax(-1)  # p - onehot, whose targets rounding would spoil
            gap[torch.arange(len(t), device=t.device), t] = value.expm1().to(gap.dtype)
            to_weight.addmm_(gap.T, (h * grad[:, None]).to(h.dtype), beta=bool(to_hidden))
            to_hidden.append((gap @ weight * grad[:, None]).to(h.dtype))
        return torch.cat(to_hidden), to_weight, None


def slices(length: dict[str, int], *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(x.split(length[x.device.type]) for x in tensors), strict=True)


def named_weights(policy: Policy, dtype: str = "float32") -> Iterator[tuple[str, Tensor]]:
    """(name in the checkpoint, full tensor) pairs, gathered one at a time: all ranks must take all.

    dtype: of parameters, which rest in fp32; in bf16 half as much is gathered. Buffers stay as they
    are, for the trainer computes with them so. transformers renames some weights when it loads them
    and fuses those of experts; it also knows the way back."""
    parameters = {name for name, _ in policy.model.named_parameters()}
    for name, weight in own_tensors(policy.model).items():
        full = weight.to(policy.device)
        full = full.to(getattr(torch, dtype)) if name in parameters else full
        full = full.full_tensor() if isinstance(full, DTensor) else full
        yield from revert_weight_conversion(policy.model, {name: full}).items()


def own_tensors(model: PreTrainedModel) -> dict[str, Tensor]:
    """What a checkpoint holds, under the model's own names: each tied weight once."""
    tied = model.all_tied_weights_keys
    return {name: tensor for name, tensor in model.state_dict().items() if name not in tied}


# ------------------------------------------------------------------------------- micro-batches
@dataclass
class MicroBatch:
    """What one forward and backward pass needs; N is the number of its answer tokens.

    `samples` are (group, sample) pairs in the order of the pack. A batch without samples keeps a
    rank in step with the others, which have one more: it is computed, and its loss weighs 0.
    """

    samples: list[tuple]
    pack: "Pack | Rows | None"  # None when it is done
    advantages: Tensor  # (N,)
    sampler_logp: Tensor  # (N,)
    old_logp: Tensor | None = None  # (N,)


def split_batch(
    cfg: Config, groups: list, layout: "type[Pack] | type[Rows]", device: torch.device
) -> list[MicroBatch]:
    """This rank's share of one optimizer step, as many micro-batches as every other rank's.

    groups: those of all ranks. A group without advantages moves nothing unless there is a KL term,
    so it is left out: its tokens still count in the denominator. Where all are such, the first
    stays, so that the mismatch is measured.
    """
    groups = [g for g in groups if cfg.kl_coef or g.teaches] or groups[:1]
    shares = deal(groups, cfg.micro_tokens, dist.get_world_size(), layout.cost)
    return [make_batch(part, layout, device) for part in shares[dist.get_rank()]]


def make_batch(samples: list[tuple], layout: type, device: torch.device) -> MicroBatch:
    own = {id(group): group.prompt_ids for group, _ in samples}
    prompts = list(own.values())
    answers = [[s.response.token_ids for g, s in samples if id(g) == key] for key in own]
    advantages = [s.advantage for _, s in samples for _ in s.response.token_ids]
    sampler = [logp for _, s in samples for logp in s.response.logprobs]
    if not samples:
        prompts, answers, advantages, sampler = [[0]], [[[0]]], [0.0], [0.0]
    pack = layout(prompts, answers, device)
    tensors = [torch.tensor(column, device=device) for column in (advantages, sampler)]
    return MicroBatch(samples, pack, *tensors)


def fill_packs(groups: list, max_tokens: int, cost: Callable) -> list[list[tuple]]:
    """(group, sample) pairs in lists that compute at most max_tokens tokens each.

    Prompts with a common prefix go together. One sample alone may exceed the limit.
    """
    packs: list[list[tuple]] = []
    for group in sorted(groups, key=lambda group: (group.prompt_ids, group.index)):
        for sample in group.samples:
            if not packs or cost([*packs[-1], (group, sample)]) > max_tokens:
                packs.append([])
            packs[-1].append((group, sample))
    return packs


def deal(groups: list, max_tokens: int, world: int, cost: Callable) -> list[list[list[tuple]]]:
    """The packs of each of `world` ranks: equally many, and about as much work for each rank.

    cost: of Pack or Rows. The largest group goes first, to the rank with the least work so far. A
    rank that has fewer packs than another halves its largest one.
    """
    shares: list[list] = [[] for _ in range(world)]
    costs = {group.index: cost([(group, s) for s in group.samples]) for group in groups}
    for group in sorted(groups, key=lambda group: -costs[group.index]):
        min(shares, key=lambda share: sum(costs[g.index] for g in share)).append(group)
    packs = [fill_packs(share, max_tokens, cost) for share in shares]
    for parts in packs:
        while len(parts) < max(map(len, packs)):
            largest = max(parts, key=cost, default=[])
            parts.append([largest.pop(0) for _ in range(len(largest) // 2)])
    return packs


# ------------------------------------------------------------------------------- packs
class Segment(NamedTuple):
    """Tokens `own`, which follow those of `before`; no others follow those of a leaf."""

    own: range
    before: tuple[range, ...]
    leaf: bool


class Pack:
    """P prompts with G answers each as one sequence of T tokens, which predict N targets.

    prompts: P token lists. answers: P lists of token lists, none empty. Targets are all tokens of
    all answers, in the order prompt, answer, token; `lengths` is how many of them an answer has.
    """

    def __init__(
        self, prompts: list[list[int]], answers: list[list[list[int]]],
        device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        ids, positions, predictors = [], [], []
        self.segments: list[Segment] = []

        def add(tokens: list[int], position: int, before: tuple = (), leaf: bool = False) -> range:
            own = range(len(ids), len(ids) + len(tokens))
            ids.extend(tokens)
            positions.extend(range(position, position + len(tokens)))
            if tokens:
                self.segments.append(Segment(own, before, leaf))
            return own

        shared = common_prefix(prompts)
        prefix = (add(prompts[0][:shared], 0),) if shared else ()
        for prompt, group in zip(prompts, answers, strict=True):
            own = add(prompt[shared:], shared, prefix)
            for answer in group:  # its last token predicts nothing
                part = add(answer[:-1], len(prompt), (*prefix, own), leaf=True)
                predictors += [own.stop - 1, *part]
        self.masks: dict[tuple, list[Tensor]] = {}  # what additive_masks has made
        targets = [token for group in answers for answer in group for token in answer]
        self.lengths = [len(answer) for group in answers for answer in group]
        self.ids = torch.tensor(ids, device=device)  # (T,)
        self.positions = torch.tensor(positions, device=device)  # (T,)
        self.predictors = torch.tensor(predictors, device=device)  # (N,) places in the pack
        self.targets = torch.tensor(targets, device=device)  # (N,)
        self.inputs = {"input_ids": self.ids[None], "position_ids": self.positions[None]}
        self.inputs["pack"] = self  # for packed_attention

    @staticmethod
    def cost(samples: list[tuple]) -> int:
        """How many tokens a pack of these (group, sample) pairs computes."""
        prompts = {id(group): group.prompt_ids for group, _ in samples}
        shared = common_prefix(list(prompts.values()))
        own = sum(len(prompt) - shared for prompt in prompts.values())
        return shared + own + sum(len(sample.response.token_ids) - 1 for _, sample in samples)

    @cached_property
    def blocks(self) -> list[tuple[int, tuple[int, ...], Tensor]]:
        """For grouped_attention: (tokens, blocks that are its keys, distances) of each block, which
        is a segment, or some leaves of a prompt together. distances: (n, k), how far before a query
        a key stands, UNSEEN where it may not see it. Queries that see all and keys that none sees
        fill both sides up to multiples of EDGE."""
        parts: list[list[Segment]] = []
        for segment in self.segments:
            first = parts[-1][0] if parts else None
            alike = first and first.leaf and first.before == segment.before
            if not alike or segment.own.stop - first.own.start > BLOCK_TOKENS:
                parts.append([])
            parts[-1].append(segment)
        spans = [range(part[0].own.start, part[-1].own.stop) for part in parts]
        blocks = []
        for own, part in zip(spans, parts, strict=True):
            lengths = torch.tensor([len(segment.own) for segment in part])
            owner = torch.arange(len(part)).repeat_interleave(lengths).to(self.ids.device)
            keys = (*part[0].before, own)
            places = torch.cat([self.positions[span.start : span.stop] for span in keys])
            distance = self.positions[own.start : own.stop, None] - places
            distance[:, -len(owner) :][~(owner[:, None] == owner).tril()] = UNSEEN
            rows, columns = (-side % EDGE for side in distance.shape)
            distance = F.pad(F.pad(distance, (0, columns), value=UNSEEN), (0, 0, 0, rows))
            blocks.append((len(own), tuple(map(spans.index, keys)), distance))
        return blocks

    @cached_property
    def ragged(self) -> tuple[Tensor, Tensor, Tensor, int, int]:
        """For varlen_attn: the place of each key, cumulative lengths of queries and keys, and the
        longest of either; each segment is a sequence whose last keys are its queries."""
        places, queries, keys = [], [0], [0]
        for own, before, _ in self.segments:
            places += [place for span in (*before, own) for place in span]
            queries.append(own.stop)
            keys.append(len(places))
        sums = [torch.tensor(c, dtype=torch.int32, device=self.ids.device) for c in (queries, keys)]
        longest = [max(b - a for a, b in zip(c, c[1:], strict=False)) for c in (queries, keys)]
        return torch.tensor(places, device=self.ids.device), *sums, *longest

    def additive_masks(self, window: int | None, dtype: torch.dtype) -> list[Tensor]:
        """One (n, k) for each block: 0 where a query sees a key, -inf elsewhere."""
        if (window, dtype) not in self.masks:
            seen = [distance < (window or UNSEEN) for _, _, distance in self.blocks]
            self.masks[window, dtype] = [torch.where(s, 0.0, -torch.inf).to(dtype) for s in seen]
        return self.masks[window, dtype]


class Rows:
    """The same without sharing: a row for each answer after its prompt, padded on the right.

    It is exact for every causal model, because no token sees the padding that follows it.
    """

    def __init__(
        self, prompts: list[list[int]], answers: list[list[list[int]]],
        device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        pairs = [(p, a) for p, group in zip(prompts, answers, strict=True) for a in group]
        self.lengths = [len(answer) for _, answer in pairs]
        texts = [torch.tensor(prompt + answer[:-1]) for prompt, answer in pairs]
        self.ids = pad_sequence(texts, batch_first=True).to(device)  # (R, width)
        first = [row * self.ids.shape[1] + len(prompt) - 1 for row, (prompt, _) in enumerate(pairs)]
        places = [torch.arange(k, k + n) for k, n in zip(first, self.lengths, strict=True)]
        self.predictors = torch.cat(places).to(device)  # (N,) places in the rows, one after another
        self.targets = torch.tensor([t for _, a in pairs for t in a], device=device)  # (N,)
        self.inputs = {"input_ids": self.ids}

    @staticmethod
    def cost(samples: list[tuple]) -> int:
        """How many tokens the rows of these (group, sample) pairs have, with their padding."""
        lengths = [len(g.prompt_ids) + len(s.response.token_ids) - 1 for g, s in samples]
        return len(lengths) * max(lengths, default=0)


def common_prefix(prompts: list[list[int]]) -> int:
    """How many tokens all prompts begin with, leaving each a token of its own; one prompt: 0."""
    most = min(map(len, prompts)) - 1 if len(prompts) > 1 else 0
    return min(most, len(commonprefix(prompts)))


# ------------------------------------------------------------------------------- attention
def packed_attention(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: None, pack: Pack,
    scaling: float | None = None, sliding_window: int | None = None, softcap: float | None = None,
    s_aux: Tensor | None = None, **_: object,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attention of a pack: query (1, heads, T, D), key and value (1, kv_heads, T, D or D')
    -> (1, T, heads, D'). transformers calls it in each layer of a model loaded with
    attn_implementation="packed", and hands over the `pack` that the forward pass was given.
    Raises UserError for a model that needs what neither path computes: see Rows.
    """
    if softcap is not None or s_aux is not None or mask is not None:
        raise UserError("its attention has soft caps, sinks or a mask of its own")
    alike = query.shape[-1] == value.shape[-1]
    kernel = varlen_attention if alike and has_kernel(query) else grouped_attention
    scale = scaling or query.shape[-1] ** -0.5
    one = (x.squeeze(0) for x in (query, key, value))  # query[0] is copied in its backward pass
    return kernel(*one, pack, scale, sliding_window)[None], None


AttentionInterface.register("packed", packed_attention)


def has_kernel(query: Tensor) -> bool:
    """Flash attention needs a GPU since Ampere, two bytes a number and heads of a fitting size."""
    size = query.shape[-1]
    fits = query.dtype in (torch.bfloat16, torch.float16) and size % 8 == 0 and size <= 256
    return fits and query.is_cuda and torch.cuda.get_device_capability(query.device) >= (8, 0)


def varlen_attention(
    query: Tensor, key: Tensor, value: Tensor, pack: Pack, scale: float, window: int | None
) -> Tensor:
    """By torch's ragged flash attention: query (heads, T, D), key, value (kv_heads, T, D)
    -> (T, heads, D). Keys are repeated for each segment that follows them, work is not."""
    from torch.nn.attention.varlen import varlen_attn

    places, *lengths = pack.ragged
    # torch 2.11 knows no enable_gqa: its kernel, as the later one, counts the heads itself.
    gqa = {"enable_gqa": True} if "enable_gqa" in varlen_attn.__kwdefaults__ else {}
    options = {"scale": scale, "window_size": (window - 1 if window else -1, 0)} | gqa
    key, value = (x.transpose(0, 1)[places] for x in (key, value))
    return varlen_attn(query.transpose(0, 1), key, value, *lengths, **options)


def fill_up(parts: list[Tensor], length: int) -> Tensor:
    """Tensors (heads, tokens, D), one after another, then zeros: (heads, length, D)."""
    heads, _, size = parts[0].shape
    rest = length - sum(part.shape[1] for part in parts)
    return torch.cat([*parts, parts[0].new_zeros(heads, rest, size)], dim=1)


def grouped_attention(
    query: Tensor, key: Tensor, value: Tensor, pack: Pack, scale: float, window: int | None
) -> Tensor:
    """The same by plain matrix products, on any device and in any type.

    On CPUs the backward pass of torch's own attention is slow. Heads that share a key are rows of
    one product. A softmax of bf16 computes in fp32 and rounds once, without copies in between.
    """
    (heads, _, size), kv_heads = query.shape, len(key)
    lengths = [length for length, _, _ in pack.blocks]
    queries, keys, values = (x.split(lengths, dim=1) for x in (query, key * scale, value))
    masks = pack.additive_masks(window, query.dtype)
    mixed = []
    for rows, (length, numbers, _), mask in zip(queries, pack.blocks, masks, strict=True):
        n, width = mask.shape
        k, v = (fill_up([x[number] for number in numbers], width) for x in (keys, values))
        rows = fill_up([rows], n).view(kv_heads, -1, size)  # (kv_heads, heads / kv_heads * n, D)
        scores = (rows @ k.transpose(1, 2)).view(kv_heads, -1, n, width) + mask
        part = scores.softmax(-1).view(kv_heads, -1, width) @ v
        mixed.append(part.view(heads, n, -1)[:, :length].transpose(0, 1))
    return torch.cat(mixed)  # (T, heads, D')
