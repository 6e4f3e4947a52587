"""The policy: log-probabilities of sampled answers, sharded over ranks, a micro-batch at a time.

FSDP2 keeps one rank's share of the fp32 weights, of their gradient and of AdamW's state on each
rank, gathers a layer's weights in the compute type when its turn comes, and sums gradients in fp32.
One process is the same path with nothing to gather.

Left out: tensor, pipeline and context parallelism.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.utils.checkpoint import checkpoint
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from config import Config, UserError, first_line
from pack import Pack, common_prefix

# Tokens whose logits exist at the same time. A GPU needs more of them to be fast, and each slice is
# one more bf16 sum in the gradient of the head; 512 logits of Qwen2.5 take 0.9 GiB with gradients.
HEAD_TOKENS = {"cpu": 128, "cuda": 512}


class Policy(torch.nn.Module):
    """A causal language model as the loss sees it."""

    def __init__(self, model: PreTrainedModel, temperature: float, device: torch.device) -> None:
        super().__init__()
        self.model, self.temperature = model, temperature
        self.device = device  # where it computes; its weights may rest elsewhere

    def forward(self, pack: Pack) -> torch.Tensor:
        """log p(target | what it follows) at the sampling temperature: (N,) fp32, differentiable.

        N is the number of answer tokens in the pack, in the order prompt, answer, token.
        """
        hidden = self.model.base_model(
            input_ids=pack.ids[None],
            position_ids=pack.positions[None],
            use_cache=False,
            pack=pack,
        ).last_hidden_state[0]  # (T, H)
        # The logits of all tokens would be the largest tensor of the pass. So the head sees only
        # what predicts, a slice at a time, and makes the logits again in the backward pass.
        length = HEAD_TOKENS[self.device.type]
        rows = hidden.index_select(0, pack.predictors).split(length)
        slices = zip(rows, pack.targets.split(length), strict=True)
        return torch.cat([checkpoint(self.head, h, t, use_reentrant=False) for h, t in slices])

    def head(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """hidden (n, H), targets (n,) -> log p of each target (n,) fp32."""
        logits = self.model.get_output_embeddings()(hidden / self.temperature).float()
        return -F.cross_entropy(logits, targets, reduction="none")  # of (n, vocabulary)

    @torch.no_grad()
    def frozen(self, pack: Pack) -> torch.Tensor:
        """The same without a gradient. Gathered weights go at once: a sync must not see them."""
        logp = self(pack)
        if isinstance(self, FSDPModule):
            self.reshard()
        return logp


def load_policy(cfg: Config, directory: str, device: torch.device, offload: bool = False) -> Policy:
    """The model of `directory` without dropout, sharded. Raises UserError for a broken directory.

    offload: weights (and AdamW's state) rest in main memory and come to the GPU layer by layer.
    """
    transformers_logging.disable_progress_bar()
    try:
        model = AutoModelForCausalLM.from_pretrained(
            directory, dtype="auto", attn_implementation="packed"
        )
    except Exception as error:  # a broken file shows as any of a dozen exceptions
        raise UserError(f"cannot load the model in {directory}: {first_line(error)}") from error
    for name in ("final_logit_softcapping", "logit_scale", "logits_scaling"):
        if getattr(model.config, name, None) not in (None, 1.0):
            raise UserError(f"{directory}: its logits are changed ({name}), which is not done here")
    model.eval()  # sampler and trainer must be the same function
    return shard(cfg, Policy(model, cfg.temperature, device), offload)


def shard(cfg: Config, policy: Policy, offload: bool = False) -> Policy:
    """Spread fp32 weights over all ranks, layer by layer; whole, each exists for a moment only."""
    compute = getattr(torch, cfg.compute_dtype)
    options = {
        "mesh": init_device_mesh(policy.device.type, (dist.get_world_size(),)),
        "mp_policy": MixedPrecisionPolicy(param_dtype=compute, reduce_dtype=torch.float32),
    }
    if offload and policy.device.type == "cuda":
        options["offload_policy"] = CPUOffloadPolicy()
    for layer in policy.model.base_model.layers:
        if cfg.checkpoint_layers:
            layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
        fully_shard(layer.float(), **options)
    return fully_shard(policy.float(), **options)


def named_weights(policy: Policy) -> Iterator[tuple[str, torch.Tensor]]:
    """(Hugging Face name, full tensor) pairs, gathered one at a time: all ranks must take all."""
    for name, weight in policy.model.named_parameters():
        yield name, weight.detach().to(policy.device).full_tensor()


# ------------------------------------------------------------------------------- micro-batches
@dataclass
class MicroBatch:
    """What one forward and backward pass needs; N is the number of its answer tokens.

    `samples` are (group, place in the group) pairs in the order of the pack. A batch of none keeps
    a rank in step with the others, which have one more: it goes through the motions, weighs 0.
    """

    samples: list[tuple]
    pack: Pack
    advantages: torch.Tensor  # (N,)
    sampler_logp: torch.Tensor  # (N,)
    old_logp: torch.Tensor | None = None  # (N,)


def split_batch(cfg: Config, groups: list, device: torch.device) -> list[MicroBatch]:
    """This rank's share of one optimizer step, as many micro-batches as every other rank's.

    groups: those of all ranks. Flat ones move nothing unless there is a KL term, so they are left
    out: their tokens still count in the denominator.
    """
    groups = [group for group in groups if cfg.kl_coef or any(group.advantages)]
    shares = deal(groups, cfg.micro_tokens, dist.get_world_size())
    return [make_batch(part, device) for part in shares[dist.get_rank()]]


def make_batch(samples: list[tuple], device: torch.device) -> MicroBatch:
    prompts, answers, advantages, sampler = [], [], [], []
    for number, (group, g) in enumerate(samples):
        if not number or group is not samples[number - 1][0]:
            prompts.append(group.prompt_ids)
            answers.append([])
        answers[-1].append(group.responses[g].token_ids)
        advantages += [group.advantages[g]] * len(answers[-1][-1])
        sampler += group.responses[g].logprobs
    if not samples:
        prompts, answers, advantages, sampler = [[0]], [[[0]]], [0.0], [0.0]
    pack = Pack(prompts, answers, device)
    tensors = [torch.tensor(column, device=device) for column in (advantages, sampler)]
    return MicroBatch(samples, pack, *tensors)


def pack_samples(groups: list, max_tokens: int) -> list[list[tuple]]:
    """(group, place) pairs in lists that compute at most max_tokens tokens each.

    Prompts that begin alike go together. One sample alone may exceed the limit.
    """
    parts: list[list[tuple]] = []
    for group in sorted(groups, key=lambda group: (group.prompt_ids, group.index)):
        for g in range(len(group.responses)):
            if parts and cost([*parts[-1], (group, g)]) <= max_tokens:
                parts[-1].append((group, g))
            else:
                parts.append([(group, g)])
    return parts


def cost(samples: list[tuple]) -> int:
    """How many tokens a pack of these samples computes."""
    prompts = {id(group): group.prompt_ids for group, _ in samples}
    shared = common_prefix(list(prompts.values()))
    own = sum(len(prompt) - shared for prompt in prompts.values())
    return shared + own + sum(len(group.responses[g].token_ids) - 1 for group, g in samples)


def deal(groups: list, max_tokens: int, world: int) -> list[list[list[tuple]]]:
    """Packs for each of `world` ranks: about as much work, and as many packs, for one as another.

    Groups go, the largest first, to the rank with the least work; where packs are missing, the
    largest is halved.
    """
    shares: list[list] = [[] for _ in range(world)]
    work = [0] * world
    whole = {
        group.index: cost([(group, g) for g in range(len(group.responses))]) for group in groups
    }
    for group in sorted(groups, key=lambda group: -whole[group.index]):
        least = work.index(min(work))
        shares[least].append(group)
        work[least] += whole[group.index]
    packs = [pack_samples(share, max_tokens) for share in shares]
    for parts in packs:
        while len(parts) < max(map(len, packs)):
            largest = max(parts, key=cost, default=[])
            if half := len(largest) // 2:
                parts.remove(largest)
                parts += [largest[:half], largest[half:]]
            else:
                parts.append([])
    return packs
