"""Each algorithm against its formula written a second time, in plain Python, and against TRL."""

import json
import math
from pathlib import Path

import pytest
import torch
import trl_oracle

from config import Config
from reward import long_penalty
from rollout import Group, Response, Sample
from train import (
    ALGORITHMS,
    kl_estimate,
    policy_loss,
    set_advantages,
    token_weights,
)

REWARDS = [0.0, 1.0, 0.25, 1.0, 0.0]
FROZEN = json.loads((Path(__file__).parent / "trl.json").read_text())


OURS = ("grpo", "dr_grpo", "dapo", "rloo", "gspo", "cispo")  # and reinforce++; a fork has more


def plain_advantages(algo: str, rewards: list[float]) -> list[float]:
    mean = sum(rewards) / len(rewards)
    std = math.sqrt(sum((r - mean) ** 2 for r in rewards) / (len(rewards) - 1))
    if algo == "rloo":  # against the mean of all others, one by one
        others = [(sum(rewards) - r) / (len(rewards) - 1) for r in rewards]
        return [r - other for r, other in zip(rewards, others, strict=True)]
    if algo == "dr_grpo":
        return [r - mean for r in rewards]
    return rewards if algo == "reinforce++" else [(r - mean) / (std + 1e-6) for r in rewards]


def plain_loss(algo: str, answers: list, low: float, high: float, cap: float, limit: int) -> float:
    """answers: per answer [(logp, old, mu, advantage), ...], one a token."""
    total, tokens = 0.0, sum(map(len, answers))
    for answer in answers:
        mean = sum(logp - old for logp, old, _, _ in answer) / len(answer)
        for logp, old, mu, advantage in answer:
            ratio = math.exp(mean if algo == "gspo" else logp - old)
            if algo == "cispo":
                gain = min(ratio, 1 + high) * advantage * logp
            elif advantage >= 0:
                gain = min(ratio, 1 + high) * advantage
            else:
                gain = max(ratio, 1 - low) * advantage
            gain *= min(math.exp(old - mu), cap) if cap else 1
            if algo == "dr_grpo":
                total -= gain / (len(answers) * limit)
            elif algo == "gspo":
                total -= gain / (len(answers) * len(answer))
            else:
                total -= gain / tokens
    return total


class Earned:
    """An outcome, as far as advantages go."""

    status = "failed"

    def __init__(self, reward: float) -> None:
        self.reward = reward


def advantages(algo: str, *groups: list[float], lengths=None, penalties=None) -> list[list[float]]:
    """Of groups with these rewards, by train.set_advantages."""
    made = []
    for index, rewards in enumerate(groups):
        samples = [Sample(Response([1], [-1.0], "", True), Earned(r)) for r in rewards]
        made.append(Group(index, "code", None, "", [1], samples))
    samples = [sample for group in made for sample in group.samples]
    for sample, n in zip(samples, lengths or [1] * len(samples), strict=True):
        sample.response.token_ids = [1] * n
    for sample, penalty in zip(samples, penalties or [0.0] * len(samples), strict=True):
        sample.penalty = penalty
    set_advantages(Config(algo=algo), made)
    return [[sample.advantage for sample in group.samples] for group in made]


@pytest.mark.parametrize("algo", OURS)
def test_advantages_equal_the_formula(algo):
    (ours,) = advantages(algo, REWARDS)
    assert ours == pytest.approx(plain_advantages(algo, REWARDS), rel=1e-5)


@pytest.mark.parametrize("algo", sorted(set(ALGORITHMS) - {"reinforce++"}))
@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 1 / 3])
def test_a_flat_group_has_exactly_zero_advantage(algo, value):
    assert advantages(algo, [value] * 7, REWARDS)[0] == [0.0] * 7


def test_reinforce_whitens_over_the_tokens_of_all_groups():
    lengths = [3, 1, 4, 1, 5, 2, 6]
    rewards = [*REWARDS, 0.5, 1.0]
    tokens = [r for r, n in zip(rewards, lengths, strict=True) for _ in range(n)]
    each = torch.tensor(tokens, dtype=torch.float64)
    expected = [(r - float(each.mean())) / float(each.std()) for r in rewards]
    ours = advantages("reinforce++", REWARDS, [0.5, 1.0], lengths=lengths)
    assert ours[0] + ours[1] == pytest.approx(expected, rel=1e-5)
    assert advantages("reinforce++", [1.0, 1.0], [1.0]) == [[0.0, 0.0], [0.0]]  # no 0 / 0


def test_dapo_calls_a_group_flat_by_its_rewards_whatever_its_lengths():
    penalties = [0.0, 0.0, -0.5] * 3  # the last answer of each group is too long
    wrong, right, mixed = advantages(
        "dapo", [0.0] * 3, [1.0] * 3, [0.0, 1.0, 0.0], penalties=penalties
    )
    assert not any(wrong) and not any(right)
    first, second, third = mixed
    assert third < first < 0 < second


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_a_step_in_which_nothing_was_judged_has_no_advantage(algo):
    assert advantages(algo, []) == [[]]


def test_an_algorithm_brings_its_own_clip():
    clips = {"dapo": (0.2, 0.28), "gspo": (3e-4, 4e-4), "cispo": (1.0, 4.0)}
    for algo in (*OURS, "reinforce++"):
        assert ALGORITHMS[algo].clip == clips.get(algo, (0.2, 0.2))
    one = torch.ones(1)
    for algo, held in (("grpo", 1.0), ("dapo", 0.0)):  # a ratio of 1.25
        logp = torch.tensor([math.log(1.25)])
        assert policy_loss(algo, logp, 0 * one, 0 * one, one, [1])[1].tolist() == [held]
        assert policy_loss(algo, logp, 0 * one, 0 * one, one, [1], (0.2, 0.1))[1].tolist() == [1]


@pytest.mark.parametrize("algo", ALGORITHMS)
@pytest.mark.parametrize("cap", [0.0, 2.0])
def test_loss_equals_the_formula(algo, cap):
    generator = torch.Generator().manual_seed(0)
    lengths = [5, 1, 30, 12]
    logp, old, mu, advantages = torch.randn(4, sum(lengths), generator=generator)
    loss, held = policy_loss(algo, logp, old, mu, advantages, lengths, (0.2, 0.28), cap)
    weights = token_weights(algo, lengths, sum(lengths), len(lengths), 40)
    rows = list(zip(*(x.tolist() for x in (logp, old, mu, advantages)), strict=True))
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    answers = [rows[start : start + n] for start, n in zip(starts, lengths, strict=True)]
    expected = plain_loss(algo, answers, 0.2, 0.28, cap, 40)
    assert float((loss * weights).sum()) == pytest.approx(expected, rel=1e-5)
    assert 0 < held.mean() < 1


@pytest.mark.parametrize("name", FROZEN)
def test_loss_and_gradient_equal_trls(name):
    algo, lengths = name.partition(" ")[0], trl_oracle.LENGTHS
    _, _, low, high = trl_oracle.CASES[algo]
    logp, old, ref = trl_oracle.numbers()
    logp.requires_grad_()
    each = torch.tensor(lengths)
    advantages = torch.tensor(trl_oracle.ADVANTAGES).repeat_interleave(each)
    loss, _ = policy_loss(algo, logp, old, old, advantages, lengths, (low, high), 2.0)
    if "k3" in name:
        loss = loss + 0.1 * kl_estimate(logp, ref)
    args = algo, lengths, sum(lengths), len(lengths), trl_oracle.MAX_TOKENS
    total = (loss * token_weights(*args)).sum()
    total.backward()
    assert total.item() == pytest.approx(FROZEN[name][0], rel=1e-5)
    assert logp.grad.tolist() == pytest.approx(FROZEN[name][1], rel=1e-4, abs=1e-8)


def test_held_tokens_get_no_gradient_and_the_weight_none_either():
    logp = torch.tensor([0.5, -0.5, 0.0], requires_grad=True)
    old, mu = torch.zeros(3), torch.tensor([0.0, 0.0, -3.0])
    advantages = torch.tensor([1.0, -1.0, 1.0])
    loss, held = policy_loss("grpo", logp, old, mu, advantages, [3], (0.2, 0.2), 2.0)
    loss.sum().backward()
    assert held.tolist() == [1, 1, 0]
    assert logp.grad.tolist() == [0, 0, -2]  # the third: weight exp(3) capped at 2


def test_cispo_teaches_what_the_others_hold_back():
    logp = torch.tensor([0.5], requires_grad=True)
    one, zero = torch.ones(1), torch.zeros(1)
    loss, held = policy_loss("cispo", logp, zero, zero, one, [1], (0.2, 0.2), 0.0)
    loss.sum().backward()
    assert held.tolist() == [1] and logp.grad.tolist() == pytest.approx([-1.2])


def test_the_kl_estimate_is_k3_and_agrees_with_the_true_divergence():
    logp, gaps = torch.tensor([-1.0, -2.0, -3.0]), [0.5, -0.5, 2.0]
    estimate = kl_estimate(logp, logp + torch.tensor(gaps)).tolist()
    assert estimate == pytest.approx([math.exp(d) - d - 1 for d in gaps])
    generator = torch.Generator().manual_seed(0)
    policy, reference = torch.randn(2, 6, generator=generator).log_softmax(-1)
    true = float((policy.exp() * (policy - reference)).sum())
    drawn = torch.multinomial(policy.exp(), 200_000, replacement=True, generator=generator)
    assert float(kl_estimate(policy[drawn], reference[drawn]).mean()) == pytest.approx(
        true, rel=0.02
    )


def test_the_penalty_for_long_answers_is_dapos():
    # 16384 + 4096 tokens in the paper: none up to 16384, -1 at 20480
    for length, penalty in [(1, 0), (16384, 0), (18432, -0.5), (20480, -1)]:
        assert long_penalty(length, 20480) == pytest.approx(penalty)
