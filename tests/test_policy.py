"""A packed pass equals plain ones, sequence by sequence, gradients included."""

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import tiny
import torch
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    PhiConfig,
    PhiForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

import policy as policy_module
from config import Config, UserError
from policy import (
    EDGE,
    Pack,
    Policy,
    TargetLogp,
    common_prefix,
    deal,
    fill_packs,
    split_batch,
)
from rollout import Group, Response, Sample
from startup.model import load_policy

GENERATOR = torch.Generator().manual_seed(7)
CPU = torch.device("cpu")


def tokens(n):
    return torch.randint(4, 500, (n,), generator=GENERATOR).tolist()


def plain_logprobs(model, prompts, answers, temperature):
    """The definition: one forward per sequence over prompt + answer, no cache, no padding."""
    out = []
    for prompt, group in zip(prompts, answers, strict=True):
        for answer in group:
            logits = model(torch.tensor([prompt + answer])).logits[0] / temperature
            logp = torch.log_softmax(logits, dim=-1)
            out += [logp[len(prompt) - 1 + t, token] for t, token in enumerate(answer)]
    return torch.stack(out)


CASES = {
    "unequal prompts and answers": ([5, 17, 9], [[3, 8, 1], [2, 2, 12], [7, 1, 4]]),
    "equal lengths": ([6, 6], [[4, 4], [4, 4]]),
    "answers of one token": ([5, 11], [[1, 1], [1, 1]]),
    "shared beginning": ([2, 9, 4], [[3, 1], [2, 5], [6, 6]]),
    "shared beginning is a whole prompt": ([0, 3], [[2, 4], [1, 5]]),
    "one prompt, one answer": ([9], [[6]]),
    "longer than a block": ([150], [[70, 3, 90, 140]]),
}


def make_case(case):
    prompt_lengths, answer_lengths = CASES[case]
    beginning = tokens(6) if "shared" in case else []
    prompts = [beginning + tokens(n) for n in prompt_lengths]
    answers = [[tokens(n) for n in group] for group in answer_lengths]
    return prompts, answers, torch.randn(sum(map(sum, answer_lengths)), generator=GENERATOR)


def gradient(module):
    return torch.cat([tiny.full(p.grad) for p in module.parameters()])


def compare(model, policy, case, temperature=1.0):
    """Values and gradients of `policy` on a pack against plain passes of `model`."""
    prompts, answers, weights = make_case(case)
    plain = plain_logprobs(model, prompts, answers, temperature)
    (plain * weights).sum().backward()
    packed = policy(Pack(prompts, answers))
    (packed * weights).sum().backward()
    assert torch.allclose(plain, packed, atol=1e-5)
    error = (gradient(model) - gradient(policy)).norm() / gradient(model).norm()
    assert error < 1e-5


def packed(model, temperature=1.0):
    model.set_attn_implementation("packed")
    return Policy(model, temperature, CPU)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_a_pack_equals_plain_passes_in_value_and_gradient(case, temperature):
    model, policy = tiny.make_model(512, 0).eval(), packed(tiny.make_model(512, 0), temperature)
    compare(model, policy, case, temperature)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gradient_of_log_probabilities_in_slices(monkeypatch, dtype):
    """Also of a token that is almost certain: of its p - 1 no digit would be left in bf16."""
    monkeypatch.setitem(policy_module.HEAD_TOKENS, "cpu", 4)
    monkeypatch.setitem(policy_module.FP32_TOKENS, "cpu", 3)
    dice = torch.Generator().manual_seed(0)
    hidden, weight = (torch.randn(n, 8, generator=dice) for n in (10, 50))
    targets = torch.randint(50, (10,), generator=dice)
    weight[targets[0]] = hidden[0] * 15 / hidden[0].norm() ** 2  # its logit is 15
    hidden, weight = hidden.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_()
    advantages = torch.tensor([1e3] + [1.0, -2.0, 0.5] * 3)
    logits = hidden @ weight.T  # rounded as the head rounds them; the rest in fp32
    exact = -torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")
    found = TargetLogp.apply(hidden, weight, targets)
    assert -0.005 < exact[0] < 0 and torch.allclose(exact, found, atol=1e-6)
    for inputs in (hidden, weight):
        a, b = (torch.autograd.grad(x @ advantages, inputs, retain_graph=True)[0].float()
                for x in (exact, found))  # fmt: skip
        assert (a - b).norm() < {torch.float32: 1e-5, torch.bfloat16: 0.02}[dtype] * a.norm()


def test_products_of_attention_have_few_shapes():
    """For each shape oneDNN compiles a kernel, at 2 ms; it keeps 128 of them (startup/heap.py)."""
    prompts, answers = [tokens(n) for n in (21, 30, 44)], [[tokens(n) for n in range(5, 60, 6)]] * 3
    sides = {tuple(distance.shape) for _, _, distance in Pack(prompts, answers).blocks}
    assert all(side % EDGE == 0 for shape in sides for side in shape) and len(sides) <= 4


@pytest.mark.parametrize("case", ["unequal prompts and answers", "shared beginning"])
@pytest.mark.parametrize("checkpoint_layers", [False, True])
def test_sharded_and_with_layers_made_again_it_is_the_same(one_process, case, checkpoint_layers):
    cfg = Config(dtype="float32", checkpoint_layers=checkpoint_layers)
    compare(tiny.make_model(512, 0), tiny.make_policy(cfg), case)


SIZES = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "layer_types": ["sliding_attention", "full_attention"],
    "sliding_window": 5,
}
FAMILIES = {
    "qwen2": (Qwen2ForCausalLM, Qwen2Config(**SIZES, use_sliding_window=True)),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig(**SIZES, head_dim=16)),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("case", ["shared beginning", "longer than a block"])
def test_other_families_and_sliding_windows(family, case):
    kind, config = FAMILIES[family]
    torch.manual_seed(0)
    model = kind(copy.deepcopy(config)).eval()
    twin = kind(copy.deepcopy(config)).eval()
    twin.load_state_dict(model.state_dict())
    compare(model, packed(twin), case)


def varlen_2_11(q, k, v, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1)):
    """torch 2.11 takes no enable_gqa, and keys of fewer heads all the same."""
    lengths = (cu_seq_q, cu_seq_k, max_q, max_k)
    return varlen(q, k, v, *lengths, scale=scale, window_size=window_size, enable_gqa=True)


def varlen(
    query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1),
    enable_gqa=False,
):  # fmt: skip
    """What torch documents of varlen_attn, one sequence after the other: the last query sees all
    keys of its sequence, and each one before it one key less."""
    heads = query.shape[1] // key.shape[1]
    assert enable_gqa or heads == 1
    out, longest = [], [0, 0]
    for i in range(len(cu_seq_q) - 1):
        q = query[cu_seq_q[i] : cu_seq_q[i + 1]]
        k, v = (x[cu_seq_k[i] : cu_seq_k[i + 1]].repeat_interleave(heads, 1) for x in (key, value))
        longest = [max(longest[0], len(q)), max(longest[1], len(k))]
        distance = torch.arange(len(k) - len(q), len(k))[:, None] - torch.arange(len(k))
        seen = (distance >= 0) & ((distance <= window_size[0]) | (window_size[0] < 0))
        scores = torch.einsum("qhd,khd->hqk", q, k) * scale
        shares = scores.masked_fill(~seen, -torch.inf).softmax(-1)
        out.append(torch.einsum("hqk,khd->qhd", shares, v))
    assert longest == [max_q, max_k] and cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
    return torch.cat(out)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kernel", [varlen, varlen_2_11])
def test_what_the_gpu_kernel_is_given_means_the_same(monkeypatch, family, case, kernel):
    """The kernel itself needs a GPU; its arguments do not."""
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    kind, config = FAMILIES[family]
    torch.manual_seed(0)
    policy = packed(kind(copy.deepcopy(config)).eval())
    pack = Pack(*make_case(case)[:2])
    with torch.no_grad():
        ours = policy(pack)
        monkeypatch.setattr(policy_module, "has_kernel", lambda query: True)
        assert torch.allclose(policy(pack), ours, atol=1e-5)


@pytest.mark.parametrize("more", [{"softcap": 50.0}, {"s_aux": torch.zeros(2)}])
def test_attention_that_no_path_computes_is_refused(more):
    query, pack = torch.zeros(1, 2, 3, 8), Pack([[1]], [[[2, 3, 4]]])
    with pytest.raises(UserError, match="soft caps, sinks or a mask"):
        policy_module.packed_attention(None, query, query, query, None, pack, **more)


def test_a_pack_computes_each_token_once():
    beginning, own, answers = tokens(6), [tokens(3), tokens(5)], [[tokens(4), tokens(2)]] * 2
    pack = Pack([beginning + own[0], beginning + own[1]], answers)
    assert len(pack.ids) == 6 + (3 + 5) + 2 * (3 + 1)
    assert len(pack.targets) == len(pack.predictors) == sum(pack.lengths) == 2 * (4 + 2)


def test_common_prefix_leaves_every_prompt_a_token():
    assert common_prefix([[1, 2, 3, 4], [1, 2, 5], [1, 2, 3]]) == 2
    assert common_prefix([[1, 2], [1, 2, 3]]) == 1
    assert common_prefix([[1, 2], [1, 2]]) == 1
    assert common_prefix([[1, 2], [3]]) == 0
    assert common_prefix([[1, 2, 3]]) == 0


# ------------------------------------------------------------------ micro-batches
def make_groups(prompts, answers):
    groups = []
    for index, (n, lengths) in enumerate(zip(prompts, answers, strict=True)):
        responses = [(tokens(m), [-1.0] * m) for m in lengths]
        samples = [Sample(Response(*r, "", True), None, advantage=1.0) for r in responses]
        groups.append(Group(index, "code", None, "", tokens(n), samples))
    return groups


def samples_of(parts):
    """Places (group, sample) of what the parts hold."""
    pairs = [pair for part in parts for pair in part]
    return sorted((g.index, [s is one for one in g.samples].index(True)) for g, s in pairs)


def test_packs_hold_every_sample_once_within_the_budget():
    groups = make_groups((5, 50, 7, 30, 5), ([9, 2], [1, 1], [40, 300], [6, 6], [8, 8]))
    parts = fill_packs(groups, 120, Pack.cost)
    assert samples_of(parts) == [(i, g) for i in range(5) for g in range(2)]
    assert len(parts) > 2
    for part in parts:
        assert Pack.cost(part) <= 120 or len(part) == 1
        prompts = list(dict.fromkeys(tuple(group.prompt_ids) for group, _ in part))
        answers = [
            [s.response.token_ids for g, s in part if tuple(g.prompt_ids) == p] for p in prompts
        ]
        assert Pack.cost(part) == len(Pack([list(p) for p in prompts], answers).ids)


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_every_rank_gets_as_many_packs_and_about_as_much_work(world):
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 200, (24, 4), generator=generator).tolist()
    shares = deal(make_groups([20] * 24, lengths), 1000, world, Pack.cost)
    assert len({len(share) for share in shares}) == 1
    assert samples_of(p for s in shares for p in s) == [(i, g) for i in range(24) for g in range(4)]
    work = [sum(map(Pack.cost, share)) for share in shares]
    assert max(work) < 1.1 * min(work)
    assert all(Pack.cost(part) <= 1000 for share in shares for part in share)


def test_more_ranks_than_samples_leaves_some_with_an_empty_batch():
    shares = deal(make_groups([5], [[2, 3]]), 1000, 4, Pack.cost)
    assert sorted(len(part) for share in shares for part in share) == [0, 0, 0, 2]
    shares = deal(make_groups([5, 5], [[2, 3], [300, 300]]), 250, 2, Pack.cost)
    assert [sorted(map(len, share)) for share in shares] == [[1, 1], [1, 1]]


def test_a_batch_holds_what_its_samples_hold(one_process):
    groups = make_groups((5, 9), ([3, 4], [2, 6]))
    groups[1].samples[0].advantage, groups[1].samples[1].advantage = 0.25, -0.5
    cfg = Config(micro_tokens=10)
    batches = split_batch(cfg, groups, Pack, CPU)
    assert len(batches) > 1
    for batch in batches:
        pairs = [(s.advantage, t) for _, s in batch.samples for t in s.response.token_ids]
        wanted, targets = map(list, zip(*pairs, strict=True))
        assert batch.pack.targets.tolist() == targets
        assert batch.advantages.tolist() == wanted
    whole = split_batch(dataclasses.replace(cfg, micro_tokens=1000), groups, Pack, CPU)
    assert len(whole) == 1


def test_broken_model_directory_is_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"not a tensor file")
    with pytest.raises(UserError, match="cannot load the model") as caught:
        load_policy(Config(), str(tmp_path), CPU)
    assert "\n" not in str(caught.value)


def test_a_model_that_changes_its_logits_is_refused(one_process, tiny_model, tmp_path):
    for path in Path(tiny_model).iterdir():
        (tmp_path / path.name).symlink_to(path)
    known = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(known | {"final_logit_softcapping": 30.0}))
    with pytest.raises(UserError, match="final_logit_softcapping"):
        load_policy(Config(), str(tmp_path), CPU)


def test_a_model_whose_head_has_a_bias_is_refused(one_process, tmp_path):
    sizes = {key: SIZES[key] for key in ("vocab_size", "hidden_size", "num_attention_heads")}
    PhiForCausalLM(PhiConfig(**sizes, num_hidden_layers=1)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="its output head has a bias"):
        load_policy(Config(), str(tmp_path), CPU)


def test_no_mask_is_kept_between_passes(one_process):
    """They grow with the square of the lengths, and a step has many packs."""
    pack = Pack([[1, 2]], [[[3, 4], [5]]])
    tiny.make_policy(Config(dtype="float32")).no_grad_logp(pack)
    assert not pack.masks and "blocks" not in vars(pack)
