"""A whole update: its normaliser, its splits, ranks, flat groups, and the choice of a batch."""

import dataclasses
import itertools
import json
from pathlib import Path

import pytest
import tiny
import torch
from forked import finish_ranks
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

import train
from config import Config
from policy import Pack, Policy, split_batch
from problems.problem import Problem, Question
from reward import Verdict
from rollout import Group, Response, Sample
from startup.model import make_optimizer
from train import (
    OBJECTIVES,
    Prompts,
    resample_flat,
    set_advantages,
    shares,
    update,
)


# ------------------------------------------------------------------ a whole update
def make_groups(flat=False):
    """Four groups of three samples of unequal lengths; the same on every process."""
    generator = torch.Generator().manual_seed(3)

    def tokens(n):
        return torch.randint(4, 500, (n,), generator=generator).tolist()

    groups = []
    for index, (prompt, lengths) in enumerate(
        [(5, [3, 9, 1]), (21, [2, 2, 2]), (8, [14, 1, 6]), (3, [4, 30, 2])]
    ):
        group = Group(index, "code", None, "", tokens(prompt))
        for n in lengths:
            logp = (-5 * torch.rand(n, generator=generator) - 3).tolist()
            response = Response(tokens(n), logp, "", True)
            earned = 0.5 if flat else float(torch.rand(1, generator=generator))
            group.samples.append(Sample(response, Verdict("failed", reward=earned)))
        groups.append(group)
    set_advantages(Config(), groups)
    return groups


def one_update(cfg, groups, policy=None):
    """An update that moves nothing; its statistics and the whole gradient."""
    policy = policy or tiny.make_policy(cfg)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.0)
    stats = update(dataclasses.replace(cfg, lr=0.0), 1, groups, policy, None, optimizer)
    return stats, torch.cat([tiny.full(p.grad) for p in policy.parameters()])


PLAIN = Config(dtype="float32", grad_clip=1e9, micro_tokens=60, tis_cap=0.0)


def test_update_follows_its_written_normaliser(one_process):
    """Gradient of -sum(A log p) / tokens, taken sequence by sequence without our code."""
    model, groups = tiny.make_model(512, 0).eval(), make_groups()
    _, ours = one_update(PLAIN, groups)
    total, count = 0.0, 0
    for group in groups:
        start = len(group.prompt_ids)
        for sample in group.samples:
            ids = torch.tensor([group.prompt_ids + sample.response.token_ids])
            logp = torch.log_softmax(model(ids).logits[0, start - 1 : -1], dim=-1)
            total = total - sample.advantage * logp.gather(-1, ids[0, start:, None]).sum()
            count += len(sample.response.token_ids)
    (total / count).backward()
    reference = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert (ours - reference).norm() / reference.norm() < 1e-5


@pytest.mark.parametrize("states", ["ranks", "cpu"])
@pytest.mark.parametrize("micro_tokens", [1, 100, 10_000])
def test_gradient_does_not_depend_on_the_split_into_micro_batches(
    one_process, micro_tokens, states
):
    _, whole = one_update(PLAIN, make_groups())
    cfg = dataclasses.replace(PLAIN, micro_tokens=micro_tokens, states=states)
    _, split = one_update(cfg, make_groups())
    assert (whole - split).norm() / whole.norm() < 1e-5


def test_flat_groups_give_exactly_zero_gradient(one_process):
    stats, gradient = one_update(PLAIN, make_groups(flat=True))
    assert stats["grad_norm"] == 0 and not gradient.any()


def test_a_group_is_flat_by_its_rewards_whatever_its_advantages():
    """REINFORCE++ whitens over all groups, so a flat one has advantages there."""
    groups = [*make_groups()[:1], *make_groups(flat=True)[:1]]
    set_advantages(Config(algo="reinforce++"), groups)
    assert all(group.teaches for group in groups)
    assert [group.flat for group in groups] == [False, True]


def test_a_step_of_flat_groups_moves_nothing_momentum_neither(one_process):
    cfg = dataclasses.replace(PLAIN, lr=0.01)
    policy = tiny.make_policy(cfg)
    optimizer = torch.optim.AdamW(policy.parameters())
    weights = [torch.cat([tiny.full(p).flatten() for p in policy.parameters()]).clone()]
    for step, flat in enumerate((False, True, False), start=1):
        update(cfg, step, make_groups(flat=flat), policy, None, optimizer)
        weights.append(torch.cat([tiny.full(p).flatten() for p in policy.parameters()]).clone())
    moved = [not torch.equal(a, b) for a, b in itertools.pairwise(weights)]
    assert moved == [True, False, True]


def test_a_sampler_of_other_weights_shows_where_every_answer_is_wrong(one_process):
    """All groups are flat then, so that nothing would be computed and no gap be seen."""
    policy = tiny.make_policy(PLAIN)
    optimizer = torch.optim.AdamW(policy.parameters())
    for algo in ("grpo", "dapo"):
        groups = make_groups(flat=True)
        for sample in groups[0].samples:
            sample.response.logprobs = [-50.0] * len(sample.response.token_ids)
        stats = update(dataclasses.replace(PLAIN, algo=algo), 1, groups, policy, None, optimizer)
        assert stats["mismatch"] / stats["trained"] > 30 and stats["grad_norm"] == 0


def test_a_log_probability_that_the_sampler_does_not_know_counts_as_the_trainers(one_process):
    policy = tiny.make_policy(PLAIN)
    optimizer = torch.optim.AdamW(policy.parameters())
    groups = make_groups()
    cfg = dataclasses.replace(PLAIN, tis_cap=2.0)
    (answer, *_), tokens = (
        groups[0].samples,
        sum(len(s.response.token_ids) for g in groups for s in g.samples),
    )
    answer.response.logprobs = [float("nan"), *answer.response.logprobs[1:]]
    stats = update(cfg, 1, groups, policy, None, optimizer)
    assert stats["grad_norm"] > 0 and stats["skipped"] == 0
    for group in groups:
        for sample in group.samples:
            sample.response.logprobs = [float("nan")] * len(sample.response.token_ids)
    stats = update(cfg, 2, groups, policy, None, optimizer)
    assert stats["mismatch"] == stats["trained"] == tokens  # one nat each, which ends the run


def test_a_gradient_that_is_not_finite_moves_nothing_and_is_counted(one_process):
    cfg = dataclasses.replace(PLAIN, lr=0.01, optimizer_steps=2)
    policy = tiny.make_policy(cfg)
    optimizer = torch.optim.AdamW(policy.parameters())
    before = torch.cat([tiny.full(p) for p in policy.parameters()]).clone()
    groups = make_groups() + make_groups()
    for group in groups:  # one answer of each optimizer step
        group.samples[0].advantage = float("nan")
    stats = update(cfg, 1, groups, policy, None, optimizer)
    assert (stats["skipped"], stats["grad_norm"]) == (2, None)
    assert torch.equal(before, torch.cat([tiny.full(p) for p in policy.parameters()]))
    stats = update(cfg, 2, make_groups() + make_groups(), policy, None, optimizer)
    assert stats["skipped"] == 0 and stats["grad_norm"] > 0
    assert torch.cat([tiny.full(p) for p in policy.parameters()]).isfinite().all()


def test_every_sampled_token_is_trained_the_last_one_too(one_process):
    """EOS is the last token of a finished answer; nothing is added to one that was cut."""
    groups = make_groups()
    batches = split_batch(PLAIN, groups, Pack, torch.device("cpu"))
    sent = []
    for batch in batches:
        sent += [part.tolist() for part in batch.pack.targets.split(batch.pack.lengths)]
    assert sorted(sent) == sorted(s.response.token_ids for g in groups for s in g.samples)
    assert sum(len(b.advantages) for b in batches) == sum(map(len, sent))
    assert all(torch.isfinite(b.sampler_logp).all() for b in batches)


def test_several_optimizer_steps_use_the_policy_that_sampled(one_process):
    """With two steps per rollout, the second step's ratio is taken to the old policy."""
    cfg = Config(dtype="float32", optimizer_steps=2, clip=(0.01, 0.01), lr=0.5, tis_cap=0.0)
    policy = tiny.make_policy(cfg)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.5)
    groups = make_groups()
    stats = update(cfg, 1, groups + make_groups(), policy, None, optimizer)
    assert stats["clipped"] > 0
    cfg = Config(dtype="float32", tis_cap=0.0)
    once = update(cfg, 1, groups, policy, None, optimizer)
    assert once["clipped"] == 0  # ratio is exactly 1


def test_warm_up_is_linear_and_knows_the_optimizer_steps(one_process):
    cfg = dataclasses.replace(PLAIN, lr=0.3, warmup_steps=2, optimizer_steps=2)
    policy = tiny.make_policy(cfg)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.0)
    rates = [update(cfg, step, make_groups(), policy, None, optimizer)["lr"] for step in (1, 2, 3)]
    assert rates == pytest.approx([0.2, 0.3, 0.3])  # after the second, fourth and sixth


def is_gathered(policy):
    if not isinstance(policy, FSDPModule):
        return bool(policy.masters)
    kinds = {isinstance(weight, DTensor) for weight in policy.parameters()}
    assert len(kinds) == 1
    return kinds == {False}


def watched_update(cfg, step, groups, policy, optimizer):
    """Were weights gathered, or copied, before each micro-batch, and are they still, at the end?"""
    seen, batches, batch_loss = [], [], train.batch_loss

    def noting(cfg, batch, policy, *rest):
        seen.append(is_gathered(policy))
        batches.append(batch)
        return batch_loss(cfg, batch, policy, *rest)

    train.batch_loss = noting
    try:
        update(cfg, step, groups, policy, None, optimizer)
        assert not any(batch.pack for batch in batches)  # whose masks take more than the rest
    finally:
        train.batch_loss = batch_loss
    return [*seen, is_gathered(policy)]


@pytest.mark.parametrize("more", [{}, {"checkpoint_layers": True}, {"states": "cpu"}])
def test_weights_are_gathered_once_an_optimizer_step_where_memory_allows(one_process, more):
    """And never kept beyond it: later steps see the weights that the optimizer has moved."""
    moved = []
    for change in (more, {"states": "cpu"}):
        cfg = dataclasses.replace(PLAIN, micro_tokens=50, lr=0.01, **change)
        policy = tiny.make_policy(cfg)
        optimizer = torch.optim.AdamW(policy.parameters())
        for step in (1, 2, 3):
            seen = watched_update(cfg, step, make_groups(), policy, optimizer)
            assert seen == [False] + [policy.gathers_once] * (len(seen) - 2) + [False]
            assert len(seen) > 3
        moved.append((policy.gathers_once, [tiny.full(p) for p in policy.parameters()]))
    assert [once for once, _ in moved] == [more.get("states") != "cpu", False]
    for one, other in zip(moved[0][1], moved[1][1], strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("micro_tokens", [50, 10_000])
def test_copies_of_one_process_are_what_fsdp_gathers(one_process, micro_tokens):
    """In bf16, to the bit: gradients of each micro-batch round, their sums and weights do not."""
    gradients, weights = [], []
    for states, kind in (("ranks", Policy), ("cpu", FSDPModule)):
        changes = {"states": states, "dtype": "bfloat16", "micro_tokens": micro_tokens}
        cfg = dataclasses.replace(PLAIN, lr=0.01, optimizer_steps=2, **changes)
        policy = tiny.make_policy(cfg)
        assert isinstance(policy, kind) and isinstance(policy, FSDPModule) == (kind is FSDPModule)
        optimizer = make_optimizer(cfg, policy)
        update(cfg, 1, make_groups(), policy, None, optimizer)  # asks no_grad_logp(), too
        gradients.append(torch.cat([tiny.full(p.grad) for p in policy.parameters()]))
        weights.append(torch.cat([tiny.full(p) for p in policy.parameters()]))
    assert gradients[0].dtype == weights[0].dtype == torch.float32
    assert torch.equal(*gradients) and torch.equal(*weights)


def test_moments_made_at_the_start_are_those_of_the_first_step(one_process):
    found, cfg = [], dataclasses.replace(PLAIN, lr=0.01)
    for make in (make_optimizer, lambda cfg, policy: torch.optim.AdamW(
        policy.parameters(), cfg.lr, (0.9, 0.95), weight_decay=0.0, fused=True
    )):  # fmt: skip
        policy = tiny.make_policy(cfg)
        optimizer = make(cfg, policy)
        sizes = [sum(t.numel() for s in optimizer.state.values() for t in s.values())]
        for step in (1, 2):
            update(cfg, step, make_groups(), policy, None, optimizer)
            sizes.append(sum(t.numel() for s in optimizer.state.values() for t in s.values()))
        found.append((sizes, [tiny.full(p) for p in policy.parameters()]))
    (early, ours), (late, wanted) = found
    assert early == [late[-1]] * 3 and late[0] == 0
    assert all(map(torch.equal, ours, wanted))


@pytest.mark.parametrize("algo", ["grpo", "dr_grpo", "rloo", "gspo", "cispo"])
def test_no_split_into_micro_batches_changes_the_gradient(one_process, algo):
    gradients = []
    for micro_tokens in (10, 60, 100_000):
        cfg = dataclasses.replace(PLAIN, algo=algo, micro_tokens=micro_tokens)
        gradients.append(one_update(cfg, make_groups())[1])
    for gradient in gradients[1:]:
        assert (gradient - gradients[0]).norm() / gradients[0].norm() < 1e-5


MANY = """
import sys; sys.path[:0] = {paths!r}
import torch, test_grpo, tiny, torch.distributed as dist
from policy import DTensor, named_weights
from run import leave_ranks, set_up_ranks
set_up_ranks()
full_tensor = DTensor.full_tensor
for k, (once, changes) in enumerate(test_grpo.WAYS):
    cfg = test_grpo.dataclasses.replace(test_grpo.PLAIN, **changes)
    policy = tiny.make_policy(cfg)
    policy.gathers_once = once
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.0)
    seen = test_grpo.watched_update(cfg, 1, test_grpo.make_groups(), policy, optimizer)
    assert seen == [False] + [once] * (len(seen) - 2) + [False]
    gradient = torch.cat([tiny.full(p.grad) for p in policy.parameters()])
    if dist.get_rank() == 0: torch.save(gradient, f"{out}/{{k}}.pt")
    seen = []
    DTensor.full_tensor = lambda tensor: seen.append(tensor.dtype) or full_tensor(tensor)
    whole, sent = (dict(named_weights(policy, dtype)) for dtype in ("float32", "bfloat16"))
    gathered = [seen.count(dtype) for dtype in (torch.float32, torch.bfloat16)]
    assert whole.keys() == sent.keys() and gathered == 2 * [len(whole)]
    assert all(weight.equal(whole[name].bfloat16()) for name, weight in sent.items())
leave_ranks()
"""
WAYS = [
    (True, {}),
    (True, {"micro_tokens": 30}),
    (False, {"micro_tokens": 30, "checkpoint_layers": True}),
    (True, {"micro_tokens": 30, "states": "node"}),
    (False, {"micro_tokens": 30, "states": "node"}),
]


@pytest.mark.parametrize("processes", [2, 4])
def test_gloo_processes_give_the_gradient_of_one(one_process, tmp_path, processes):
    """Those of two nodes, too, where each has a copy of the weights."""
    _, alone = one_update(PLAIN, make_groups())
    here, script = Path(__file__).parent, tmp_path / "many.py"
    script.write_text(MANY.format(paths=[str(here), str(here.parent)], out=tmp_path))
    finish_ranks(processes, [script], tmp_path / "log", per_node=processes // 2)
    for k in range(len(WAYS)):
        together = torch.load(tmp_path / f"{k}.pt")
        assert (alone - together).norm() / alone.norm() < 1e-5, WAYS[k]


class Letters:
    """As much of a tokenizer as a batch needs: a token a character, no chat."""

    chat_template = None

    def encode(self, text, **_):
        return list(text.encode())


PROBLEMS = [Problem(str(n), f"Write f{n}.", {"inputs": [[]], "outputs": [n]}) for n in range(9)]


def make_prompts(buffer, cfg=None):
    prompts = Prompts(cfg or Config(), PROBLEMS, Letters(), [])
    prompts.buffer = list(buffer)
    return prompts


def ask(n, task="t", step=1, **more):
    """A question about a program that no other question is about."""
    return Question(f"def f():\n    return {n}", [], "f", {"x": 1}, task, f"{step}/0/{n}", **more)


def questions_of(groups):
    return [group.task for group in groups if group.objective == "align"]


def test_the_newest_questions_go_first_and_none_stays():
    prompts = make_prompts(ask(n, step=s) for n, s in enumerate([1, 1, 2, 2, 2, 2, 3, 3]))
    seen = []
    for step in (3, 4, 5):
        groups = prompts.take(step, 8, {"align": 0.4})
        assert [g.index for g in groups] == list(range(8))
        seen.append({int(q.source.split("/")[2]) for q in questions_of(groups)})
    assert seen[0] > {6, 7} and seen[1] < {2, 3, 4, 5} and seen[2] == {0, 1}
    assert prompts.buffer == [] and prompts.position == 5 + 5 + 6


def test_shares_that_add_up_to_more_than_a_step_get_a_step():
    prompts = make_prompts(ask(n) for n in range(20))
    groups = prompts.take(1, 8, {"align": 1.8})
    assert len(groups) == 8 and prompts.position == 0 and len(prompts.buffer) == 20 - 8


def failed(*questions):
    """A group whose only program failed, and gave these questions."""
    sample = Sample(Response([1], [-1.0], "", True), Verdict("failed"), questions=list(questions))
    return Group(0, "code", PROBLEMS[0], "", [], [sample])


def test_what_was_asked_is_not_asked_again():
    prompts, question = make_prompts([]), ask(1)
    prompts.add_questions([failed(question), failed(question)])
    assert prompts.buffer == [question]
    assert questions_of(prompts.take(1, 8, {"align": 0.4})) == [question]
    prompts.add_questions([failed(question)])
    assert prompts.buffer == []


def test_a_question_with_too_long_a_prompt_is_left_out_and_of_too_many_the_oldest(monkeypatch):
    monkeypatch.setitem(Prompts.add_questions.__globals__, "BUFFER_SIZE", 2)
    prompts = make_prompts([], Config(max_prompt_tokens=400))
    long = ask("1" * 400)
    prompts.add_questions([failed(ask(1), long, ask(2), ask(3), long)])
    assert prompts.buffer == [ask(2), ask(3)]
    assert prompts.waiting() == {"align": {"buffer": 2, "too_long": 1}}
    prompts.add_questions([])  # it is counted in its own step
    assert prompts.waiting()["align"]["too_long"] == 0


def test_questions_of_a_step_are_about_different_problems_while_there_are_some():
    places = enumerate([("a", 1), ("b", 1), ("c", 3), ("c", 3), ("c", 2)])
    prompts = make_prompts(ask(n, task, step) for n, (task, step) in places)
    groups = prompts.take(4, 8, {"align": 0.4})
    assert sorted(q.task_id for q in questions_of(groups)) == ["a", "b", "c"]
    assert [q.task_id for q in prompts.buffer] == ["c", "c"]
    assert min(q.source_step for q in prompts.buffer) == 2  # of c, one of the newest was asked


def test_each_objective_gets_its_share_of_its_own_questions(monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "other", OBJECTIVES["align"]._replace(share=lambda cfg: 0.25))
    prompts = make_prompts([*map(ask, range(4)), *(ask(n, objective="other") for n in range(9))])
    groups = prompts.take(2, 8, shares(Config()))
    found = [group.objective for group in groups]
    assert [found.count(name) for name in ("code", "align", "other")] == [3, 3, 2]
    waiting = {name: counts["buffer"] for name, counts in prompts.waiting().items()}
    assert waiting == {"align": 1, "other": 7}
    assert all(
        group.objective == group.task.objective for group in groups if group.objective != "code"
    )


def test_a_checkpoint_of_the_prompts_goes_on_as_they_would():
    prompts = make_prompts(map(ask, range(5)))
    prompts.take(1, 8, {"align": 0.4})
    other = make_prompts([])
    assert other.restore(json.loads(json.dumps({"step": 1} | prompts.state()))) == 1
    for step in (2, 3):
        assert prompts.take(step, 8, {"align": 0.4}) == other.take(step, 8, {"align": 0.4})


def test_dapo_asks_another_question_for_a_flat_one(monkeypatch):
    """And takes another problem for a flat problem, or where no question is left."""
    rounds = []

    def rollout(cfg, step, groups, *_):
        rounds.append([(group.index, group.objective) for group in groups])
        return groups

    monkeypatch.setattr("train.rollout", rollout)
    monkeypatch.setattr("train.set_advantages", lambda cfg, groups: None)  # all flat

    def first(index, objective, advantage):
        sample = Sample(Response([1], [-1.0], "", True), None, advantage=advantage)
        return Group(index, objective, PROBLEMS[0], "", [], [sample])

    kinds = [("code", 0.0), ("align", 0.0), ("align", 1.0), ("code", 1.0)]
    groups = [first(index, *kind) for index, kind in enumerate(kinds)]
    prompts = make_prompts([ask(1), ask(2)])
    made = resample_flat(Config(algo="dapo"), 2, groups, prompts, None, None, None)
    assert [sorted(index for index, _ in groups) for groups in rounds] == [[4, 5], [6, 7], [8, 9]]
    kinds = [sorted(kind for _, kind in groups) for groups in rounds]
    assert kinds == [["align", "code"], ["align", "code"], ["code", "code"]]
    assert len(made) == 6 and prompts.buffer == [] and prompts.position == 4
