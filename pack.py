"""Prompts and their answers as one sequence, each token once, and the attention that knows of it.

The G answers to a prompt share its tokens, and prompts share their beginning (system turn, worked
examples). A Pack lays them out side by side, without padding:

    shared beginning | prompt 0 | answer 0.0 | answer 0.1 | prompt 1 | answer 1.0 | ...

Each of these segments follows others (`before`): a token sees those, and its own segment up to
itself. Attention alone knows that; for every other layer it is a sequence of T tokens. The gradient
is that of plain passes, one answer at a time. Tests compare both.

Left out: models that add to attention what neither path here does (soft caps, sinks).
"""

from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import AttentionInterface

from config import UserError

BLOCK_TOKENS = 128  # queries of one matrix product, where there is no kernel for ragged segments


class Span(NamedTuple):
    """Tokens start:stop of a pack."""

    start: int
    stop: int


class Segment(NamedTuple):
    """Tokens `own`, which follow those of `before`; no others follow those of a leaf."""

    own: Span
    before: tuple[Span, ...]
    leaf: bool


class Block(NamedTuple):
    """n neighbouring tokens that follow the same segments: queries of one matrix product."""

    length: int
    keys: tuple[int, ...]  # blocks whose k tokens, in all, are the keys
    visible: Tensor  # (n, k), True where a query may see a key
    distance: Tensor  # (n, k), how many tokens lie between them, for sliding windows


class Pack:
    """P prompts with G answers each as one sequence of T tokens, which predict N targets.

    prompts: P token lists. answers: P lists of token lists, none empty. Targets are all tokens of
    all answers, in the order prompt, answer, token; `lengths` is how many of them an answer has.
    """

    def __init__(
        self,
        prompts: list[list[int]],
        answers: list[list[list[int]]],
        device: torch.device | str = "cpu",
    ) -> None:
        ids: list[int] = []
        positions: list[int] = []
        predictors: list[int] = []
        self.segments: list[Segment] = []

        def add(tokens: list[int], position: int, before: tuple = (), leaf: bool = False) -> Span:
            own = Span(len(ids), len(ids) + len(tokens))
            ids.extend(tokens)
            positions.extend(range(position, position + len(tokens)))
            if tokens:
                self.segments.append(Segment(own, before, leaf))
            return own

        shared = common_prefix(prompts)
        beginning = (add(prompts[0][:shared], 0),) if shared else ()
        for prompt, group in zip(prompts, answers, strict=True):
            own = add(prompt[shared:], shared, beginning)
            for answer in group:
                # its last token predicts nothing
                part = add(answer[:-1], len(prompt), (*beginning, own), leaf=True)
                predictors += [own.stop - 1, *range(part.start, part.stop)]
        self.masks: dict[tuple, list[Tensor]] = {}  # what additive_masks has made
        targets = [token for group in answers for answer in group for token in answer]
        self.lengths = [len(answer) for group in answers for answer in group]
        self.ids = torch.tensor(ids, device=device)  # (T,)
        self.positions = torch.tensor(positions, device=device)  # (T,)
        self.predictors = torch.tensor(predictors, device=device)  # (N,) places in the pack
        self.targets = torch.tensor(targets, device=device)  # (N,)

    @cached_property
    def blocks(self) -> list[Block]:
        """For grouped_attention: every segment a block, but some leaves of a prompt together."""
        parts: list[list[Segment]] = []
        for segment in self.segments:
            first = parts[-1][0] if parts else None
            alike = first and first.leaf and first.before == segment.before
            if alike and segment.own.stop - first.own.start <= BLOCK_TOKENS:
                parts[-1].append(segment)
            else:
                parts.append([segment])
        spans = [Span(part[0].own.start, part[-1].own.stop) for part in parts]
        blocks = []
        for own, part in zip(spans, parts, strict=True):
            lengths = torch.tensor([s.own.stop - s.own.start for s in part])
            owner = torch.arange(len(part)).repeat_interleave(lengths)
            inside = (owner[:, None] == owner).tril()  # (n, n)
            keys = (*part[0].before, own)
            places = torch.cat([self.positions[span.start : span.stop] for span in keys])
            before = torch.ones(len(owner), len(places) - len(owner), dtype=torch.bool)
            visible = torch.cat([before, inside], dim=1).to(self.ids.device)
            distance = self.positions[own.start : own.stop, None] - places
            numbers = tuple(spans.index(span) for span in keys)
            blocks.append(Block(len(owner), numbers, visible, distance))
        return blocks

    @cached_property
    def ragged(self) -> tuple[Tensor, Tensor, Tensor, int, int]:
        """For varlen_attn: the place of each key, cumulative lengths of queries and keys, and the
        longest of either; each segment is a sequence whose last keys are its queries."""
        places: list[int] = []
        queries, keys = [0], [0]
        for own, before, _ in self.segments:
            for span in (*before, own):
                places += range(*span)
            queries.append(own.stop)
            keys.append(len(places))
        device = self.ids.device
        sums = [torch.tensor(c, dtype=torch.int32, device=device) for c in (queries, keys)]
        longest = [max(b - a for a, b in zip(c, c[1:], strict=False)) for c in (queries, keys)]
        return torch.tensor(places, device=device), *sums, *longest

    def additive_masks(self, window: int | None, dtype: torch.dtype) -> list[Tensor]:
        """One (n, k) for each block: 0 where a query sees a key, -inf elsewhere."""
        if (window, dtype) not in self.masks:
            seen = [b.visible & (b.distance < (window or 2**31)) for b in self.blocks]
            self.masks[window, dtype] = [
                torch.zeros(s.shape, dtype=dtype, device=s.device).masked_fill(~s, -torch.inf)
                for s in seen
            ]
        return self.masks[window, dtype]


def common_prefix(prompts: list[list[int]]) -> int:
    """How many tokens all prompts begin with, leaving each a token of its own; one prompt: 0."""
    if len(prompts) < 2:
        return 0
    first, last = min(prompts), max(prompts)  # what these share, all between them share
    shared, most = 0, min(map(len, prompts)) - 1
    while shared < most and first[shared] == last[shared]:
        shared += 1
    return shared


# ------------------------------------------------------------------------------- attention
def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: None,
    pack: Pack,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention of a pack: query (1, heads, T, D), key and value (1, kv_heads, T, D)
    -> (1, T, heads, D). transformers calls it in each layer of a model loaded with
    attn_implementation="packed", and hands over the `pack` that the forward pass was given.
    Raises UserError for a model that needs what neither path computes.
    """
    if softcap is not None or s_aux is not None:
        raise UserError("this model's attention has soft caps or sinks: it cannot be trained here")
    kernel = varlen_attention if has_kernel(query) else grouped_attention
    scale = scaling or query.shape[-1] ** -0.5
    return kernel(query[0], key[0], value[0], pack, scale, sliding_window)[None], None


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
    return varlen_attn(
        query.transpose(0, 1),
        key.transpose(0, 1)[places],
        value.transpose(0, 1)[places],
        *lengths,
        scale=scale,
        window_size=(window - 1 if window else -1, 0),
        enable_gqa=query.shape[0] != key.shape[0],
    )


def grouped_attention(
    query: Tensor, key: Tensor, value: Tensor, pack: Pack, scale: float, window: int | None
) -> Tensor:
    """The same by plain matrix products, on any device and in any type.

    On CPUs the backward pass of torch's own attention is slow. Heads that share a key are rows of
    one product.
    """
    heads, _, size = query.shape
    kv_heads = key.shape[0]
    lengths = [block.length for block in pack.blocks]
    queries, keys, values = (x.split(lengths, dim=1) for x in (query, key, value))
    masks = pack.additive_masks(window, query.dtype)
    mixed = []
    for rows, block, mask in zip(queries, pack.blocks, masks, strict=True):
        k = torch.cat([keys[n] for n in block.keys], dim=1)  # (kv_heads, k, D)
        v = torch.cat([values[n] for n in block.keys], dim=1)
        rows = rows.reshape(kv_heads, -1, size)  # (kv_heads, heads / kv_heads * n, D)
        scores = (rows @ k.transpose(1, 2) * scale).view(kv_heads, -1, *mask.shape) + mask
        shares = scores.softmax(-1, dtype=torch.float32).to(v.dtype)
        part = shares.view(kv_heads, -1, mask.shape[1]) @ v
        mixed.append(part.view(heads, -1, size))
    return torch.cat(mixed, dim=1).transpose(0, 1)  # (T, heads, D)
