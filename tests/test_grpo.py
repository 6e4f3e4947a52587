"""A whole update: its normaliser, its splits, ranks, flat groups, and the choice of a batch."""

import dataclasses
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch

from algorithms import group_advantages
from batch import Group, choose_batch, extend_buffer
from config import Config
from data import Problem
from policy import split_batch
from reward import Question, Score
from rollout import Response
from tools.rundir import State, sample_row
from train import resample_flat, set_advantages, subtract_kl, update


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
        group = Group(index, "", tokens(prompt))
        for n in lengths:
            logp = (-5 * torch.rand(n, generator=generator) - 3).tolist()
            group.responses.append(Response(tokens(n), logp, "", True))
        rewards = torch.full((3,), 0.5) if flat else torch.rand(3, generator=generator)
        group.advantages = group_advantages(rewards).tolist()
        groups.append(group)
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
        for response, advantage in zip(group.responses, group.advantages, strict=True):
            ids = torch.tensor([group.prompt_ids + response.token_ids])
            logp = torch.log_softmax(model(ids).logits[0, len(group.prompt_ids) - 1 : -1], dim=-1)
            total = total - advantage * logp.gather(-1, ids[0, len(group.prompt_ids) :, None]).sum()
            count += len(response.token_ids)
    (total / count).backward()
    reference = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert (ours - reference).norm() / reference.norm() < 1e-5


@pytest.mark.parametrize("micro_tokens", [1, 100, 10_000])
def test_gradient_does_not_depend_on_the_split_into_micro_batches(one_process, micro_tokens):
    _, whole = one_update(PLAIN, make_groups())
    cfg = Config(dtype="float32", grad_clip=1e9, tis_cap=0.0, micro_tokens=micro_tokens)
    _, split = one_update(cfg, make_groups())
    assert (whole - split).norm() / whole.norm() < 1e-5


def test_flat_groups_give_exactly_zero_gradient(one_process):
    stats, gradient = one_update(PLAIN, make_groups(flat=True))
    assert stats["grad_norm"] == 0 and not gradient.any()


def test_a_group_is_flat_by_its_rewards_whatever_its_advantages():
    """REINFORCE++ whitens over all groups, so a flat one has advantages there."""
    question = Question("", "", None, {"output": "1"})
    for rewards, flat in (([1.0, 1.0, 1.0], True), ([1.0, 0.0, 1.0], False)):
        group = make_groups()[0]
        group.question, group.rewards, group.programs = question, rewards, [None] * 3
        group.outcomes = [Score("wrong", 0.0, {}, [])] * 3
        assert sample_row(1, group, 0)["_flat"] is flat


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


def test_every_sampled_token_is_trained_the_last_one_too(one_process):
    """EOS is the last token of a finished answer; nothing is added to one that was cut."""
    groups = make_groups()
    batches = split_batch(PLAIN, groups, torch.device("cpu"))
    sent = []
    for batch in batches:
        sent += [part.tolist() for part in batch.pack.targets.split(batch.pack.lengths)]
    assert sorted(sent) == sorted(r.token_ids for g in groups for r in g.responses)
    assert sum(len(b.advantages) for b in batches) == sum(map(len, sent))
    assert all(torch.isfinite(b.sampler_logp).all() for b in batches)


def test_several_optimizer_steps_use_the_policy_that_sampled(one_process):
    """With two steps per rollout, the second step's ratio is taken to the old policy."""
    cfg = Config(
        dtype="float32", optimizer_steps=2, tis_cap=0.0, clip_low=0.01, clip_high=0.01, lr=0.5
    )
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


@pytest.mark.parametrize("algo", ["grpo", "dr_grpo", "rloo", "gspo", "cispo"])
def test_no_split_into_micro_batches_changes_the_gradient(one_process, algo):
    gradients = []
    for micro_tokens in (10, 60, 100_000):
        cfg = dataclasses.replace(PLAIN, algo=algo, micro_tokens=micro_tokens)
        gradients.append(one_update(cfg, make_groups())[1])
    for gradient in gradients[1:]:
        assert (gradient - gradients[0]).norm() / gradients[0].norm() < 1e-5


@pytest.mark.parametrize("algo", ["reinforce++", "grpo"])
def test_a_kl_in_the_reward_moves_advantages_as_the_formula_says(one_process, algo):
    cfg = dataclasses.replace(PLAIN, algo=algo, kl_coef=0.5, kl_in="reward", kl_estimator="k1")
    model, reference = tiny.make_model(512, 0).eval(), tiny.make_model(512, 0, seed=1).eval()
    groups = make_groups()
    for number, group in enumerate(groups):
        group.rewards, group.penalties = [0.0, 1.0, number / 4], [0.0] * 3
    total = subtract_kl(cfg, groups, tiny.make_policy(cfg), tiny.make_policy(cfg, seed=1))
    taken = sum(penalty for group in groups for penalty in group.penalties)
    assert total and total * cfg.kl_coef == pytest.approx(taken)
    returns, weights = [], []
    for group in groups:
        for response, reward in zip(group.responses, group.rewards, strict=True):
            ids = torch.tensor([group.prompt_ids + response.token_ids])
            both = []
            for one in (model, reference):
                logits = one(ids).logits[0, len(group.prompt_ids) - 1 : -1]
                chosen = ids[0, len(group.prompt_ids) :, None]
                both.append(logits.log_softmax(-1).gather(-1, chosen).sum().item())
            returns.append(reward - 0.5 * (both[0] - both[1]))
            weights.append(len(response.token_ids))
    expected = torch.tensor(returns, dtype=torch.float64)
    if algo == "reinforce++":
        each = expected.repeat_interleave(torch.tensor(weights))
        expected = (expected - each.mean()) / each.std()
    else:
        rows = expected.view(4, 3)
        expected = ((rows - rows.mean(1, True)) / rows.std(1, keepdim=True)).flatten()
    ours = [a for group in groups for a in group.advantages]
    assert ours == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-3)


def test_without_weight_for_code_only_alignment_has_advantages(one_process):
    def advantages(weight):
        groups = make_groups()
        for group in groups[:2]:
            group.problem = Problem("t", "", {})
        for group in groups:
            group.rewards, group.penalties = [0.0, 1.0, 0.0], [0.0] * 3
        set_advantages(dataclasses.replace(PLAIN, code_weight=weight), groups)
        return [group.advantages for group in groups]

    plain, alone = advantages(1.0), advantages(0.0)
    assert all(any(row) for row in plain)
    assert not any(any(row) for row in alone[:2])
    assert alone[2:] == plain[2:]


def test_dapo_calls_a_group_flat_by_its_rewards_whatever_its_lengths(one_process):
    wrong, right, mixed = make_groups()[:3]
    wrong.rewards, right.rewards, mixed.rewards = [0.0] * 3, [1.0] * 3, [0.0, 1.0, 0.0]
    for group in (wrong, right, mixed):
        group.penalties = [0.0, 0.0, 0.5]  # the last answer is too long
    set_advantages(dataclasses.replace(PLAIN, algo="dapo"), [wrong, right, mixed])
    assert not any(wrong.advantages) and not any(right.advantages)
    first, second, third = mixed.advantages
    assert third < first < 0 < second


TWO = """
import sys; sys.path[:0] = {paths!r}
import torch, test_grpo, tiny, torch.distributed as dist
from ranks import leave_ranks, set_up_ranks
set_up_ranks()
rank = dist.get_rank()
cfg = test_grpo.dataclasses.replace(test_grpo.PLAIN, **{changes!r})
_, gradient = test_grpo.one_update(cfg, test_grpo.make_groups())
if rank == 0: torch.save(gradient, {out!r})
leave_ranks()
"""


@pytest.mark.parametrize(
    "processes, changes",
    [(2, {}), (4, {}), (2, {"checkpoint_layers": True, "micro_tokens": 30})],
    ids=["2", "4", "2, layers checkpointed"],
)
def test_gloo_processes_give_the_gradient_of_one(one_process, tmp_path, processes, changes):
    _, alone = one_update(PLAIN, make_groups())
    here = Path(__file__).parent
    script, out = tmp_path / "two.py", tmp_path / "gradient.pt"
    paths = [str(here), str(here.parent)]
    script.write_text(TWO.format(paths=paths, out=str(out), changes=changes))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command.append(f"--nproc_per_node={processes}")
    environment = tiny.environment(TMPDIR=str(tmp_path))  # torchrun leaves its logs there
    subprocess.run([*command, str(script)], check=True, env=environment, timeout=300)
    both = torch.load(out)
    assert (alone - both).norm() / alone.norm() < 1e-5


class Letters:
    """As much of a tokenizer as a batch needs: a token a character, no chat."""

    chat_template = None

    def encode(self, text, **_):
        return list(text.encode())


def test_the_newest_questions_go_first_and_none_stays():
    asked = [
        Question(f"def f():\n    return {n}", [], "f", {"x": 1}, "t", f"{step}/0/{n}")
        for n, step in enumerate([1, 1, 2, 2, 2, 2, 3, 3])
    ]
    problems = [Problem(str(n), f"Write f{n}.", {"inputs": [[]], "outputs": [n]}) for n in range(9)]
    cfg = Config()
    state, seen = State(buffer=list(asked)), []
    for step in (3, 4, 5):
        state.step = step
        groups = choose_batch(cfg, state, problems, [], Letters(), 8, 3)
        assert [g.index for g in groups] == list(range(8))
        seen.append({int(g.question.source.split("/")[2]) for g in groups if g.question})
    assert seen[0] > {6, 7} and seen[1] < {2, 3, 4, 5} and seen[2] == {0, 1}
    assert state.buffer == [] and state.position == 5 + 5 + 6


def test_a_program_without_variables_gives_no_question():
    program, state = "def f(x):\n    return x", State(step=1)
    asked = [
        Question(program, [n], "f", target, "t", f"1/0/{n}")
        for n, target in enumerate([{"output": 1}, {"x": 1, "output": 1}, {"x": 1}])
    ]
    extend_buffer(Config(), state, [Group(0, "", [], questions=asked)], [], Letters())
    assert state.buffer == asked[1:]


def test_what_was_asked_is_not_asked_again():
    question = Question("def f():\n    return 1", [], "f", {"x": 1}, "t", "1/0/0")
    cfg, state = Config(), State(step=1)
    problems = [Problem(str(n), f"Write f{n}.", {"inputs": [[]], "outputs": [n]}) for n in range(9)]
    failed = Group(0, "", [], problems[0], questions=[question])
    extend_buffer(cfg, state, [failed, failed], [], Letters())
    assert state.buffer == [question]
    choose_batch(cfg, state, problems, [], Letters(), 8, 3)
    extend_buffer(cfg, state, [failed], [], Letters())
    assert state.buffer == []


def test_questions_of_a_step_are_about_different_problems_while_there_are_some():
    asked = [
        Question(f"def f():\n    return {n}", [], "f", {"x": 1, "output": 1}, task, f"{step}/0/{n}")
        for n, (task, step) in enumerate([("a", 1), ("b", 1), ("c", 3), ("c", 3), ("c", 2)])
    ]
    problems = [Problem(str(n), f"Write f{n}.", {"inputs": [[]], "outputs": [n]}) for n in range(9)]
    cfg = Config()
    state = State(buffer=list(asked), step=4)
    groups = choose_batch(cfg, state, problems, [], Letters(), 8, 3)
    assert sorted(g.question.task_id for g in groups if g.question) == ["a", "b", "c"]
    assert [q.task_id for q in state.buffer] == ["c", "c"]
    assert min(q.source_step for q in state.buffer) == 2  # of c, one of the newest was asked


def test_questions_that_one_value_would_answer_may_be_asked_last():
    """Only on demand, and 1 and True are two values."""
    targets = [{"x": 1, "output": 2}, {"x": 1, "output": True}, {"x": 1, "output": 1}, {"x": 1}]
    asked = [
        Question(f"def f():\n    return {n}", [], "f", target, f"t{n}", f"{n + 1}/0/0")
        for n, target in enumerate(targets)
    ]
    problems = [Problem(str(n), f"Write f{n}.", {"inputs": [[]], "outputs": [n]}) for n in range(9)]
    for varied, left in ((False, ["t0", "t1"]), (True, ["t2", "t3"])):
        cfg = Config(align_varied=varied)
        state = State(buffer=list(asked), step=5)
        groups = choose_batch(cfg, state, problems, [], Letters(), 8, 2)
        assert sum(bool(g.question) for g in groups) == 2
        assert [q.task_id for q in state.buffer] == left


def test_dapo_asks_another_question_for_a_flat_one(monkeypatch):
    """And takes another problem for a flat problem, or where no question is left."""
    asked = [Question("def f():\n    return 1", [n], "f", {"x": 1}, "t", "1/0/0") for n in range(2)]
    problems = [Problem(str(n), f"Write f{n}.", {"inputs": [[]], "outputs": [n]}) for n in range(9)]
    rounds = []

    def rollout(cfg, step, groups, *_):
        for group in groups:
            group.advantages = [0.0, 0.0]
        rounds.append([(group.index, group.objective) for group in groups])
        return groups

    monkeypatch.setattr("train.rollout", rollout)
    first = [
        Group(0, "", [], problems[0], advantages=[0.0, 0.0]),
        Group(1, "", [], question=asked[0], advantages=[0.0, 0.0]),
        Group(2, "", [], question=asked[0], advantages=[1.0, -1.0]),
        Group(3, "", [], problems[0], advantages=[1.0, -1.0]),
    ]
    cfg, state = Config(resample_rounds=3), State(step=2, buffer=list(asked))
    made = resample_flat(cfg, state, first, problems, [], Letters(), None, None, None)
    assert [sorted(index for index, _ in groups) for groups in rounds] == [[4, 5], [6, 7], [8, 9]]
    kinds = [sorted(kind for _, kind in groups) for groups in rounds]
    assert kinds == [["align", "code"], ["align", "code"], ["code", "code"]]
    assert len(made) == 6 and state.buffer == [] and state.position == 4
