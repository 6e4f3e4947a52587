"""The seven algorithms, as pure functions: rewards -> advantages, log-probabilities -> loss.

    algo         advantage                      loss of a token, negated          mean over
    grpo         (r - mean) / std of the group  min(p A, clip(p) A)               tokens
    dr_grpo      r - mean                       the same                          n * max_tokens
    dapo         as grpo, long answers fined    the same; flat groups resampled   tokens
    rloo         r - mean of the others         the same                          tokens
    reinforce++  r whitened over all tokens     the same                          tokens
    gspo         as grpo                        p: exp(mean log p) of the answer  answers
    cispo        as grpo                        sg(min(p, cap)) A log pi          tokens

p is pi / pi_old; tokens and the n answers are those of the whole optimizer step, over all ranks and
micro-batches. Sources stand at the functions. Left out: critics, and entropy bonuses.
"""

import torch

LONG_SHARE = 0.2  # of max_tokens, where DAPO's penalty for long answers rises from 0 to 1


def group_advantages(rewards: torch.Tensor, algo: str = "grpo") -> torch.Tensor:
    """Rewards (G,) of one prompt's answers -> advantages (G,).

    grpo: arXiv 2402.03300, section 4.1.2; dr_grpo: 2503.20783, eq. 4; rloo: 2402.14740, eq. 5.
    A flat group teaches nothing: exactly zero, where rounding would divide noise by noise. Only
    reinforce++ (2501.03262) compares answers to all prompts: see whitening().
    """
    if algo == "reinforce++":
        return rewards
    if bool((rewards == rewards[0]).all()):
        return torch.zeros_like(rewards)
    centred = rewards - rewards.mean()
    if algo == "dr_grpo":
        return centred
    if algo == "rloo":
        return centred * len(rewards) / (len(rewards) - 1)
    return centred / (rewards.std() + 1e-6)


def whitening(count: float, total: float, squares: float) -> tuple[float, float]:
    """(mean, std) of A over all tokens, from their number, the sum of A and that of A squared.

    Each token counts with its answer's reward: arXiv 2501.03262, eq. 5.
    """
    mean = total / count
    variance = max(0.0, squares / count - mean**2) * count / max(1.0, count - 1)
    return mean, (variance + 1e-8) ** 0.5


def long_penalty(length: int, max_tokens: int) -> float:
    """DAPO's soft penalty, in [-1, 0], for an answer so long: arXiv 2503.14476, eq. 13."""
    room = LONG_SHARE * max_tokens
    return min(0.0, (max_tokens - room - length) / room)


def policy_loss(
    algo: str,
    logp: torch.Tensor,
    old_logp: torch.Tensor,
    sampler_logp: torch.Tensor,
    advantages: torch.Tensor,
    lengths: list[int],
    clip_low: float,
    clip_high: float,
    tis_cap: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of each token (N,) and where the clip holds the gradient back (N,), 0 or 1.

    logp, old_logp, sampler_logp, advantages: (N,) fp32, one answer after the other; lengths: tokens
    of each answer, N in all. The ratio pi / pi_old is clipped to [1 - clip_low, 1 + clip_high]:
    PPO, arXiv 1707.06347, eq. 7. gspo has one ratio an answer, exp(mean log ratio): 2507.18071,
    eq. 7. cispo caps the weight of log pi and lets every token teach: 2506.13585, eq. 4.

    The factor min(pi_old / mu, tis_cap), without gradient, corrects for a sampler mu that rounds
    otherwise than the trainer (truncated importance sampling); tis_cap 0 leaves it out.
    """
    log_ratio = logp - old_logp
    if algo == "gspo":
        means = [part.mean().expand(len(part)) for part in log_ratio.split(lengths)]
        log_ratio = torch.cat(means)
    ratio = log_ratio.exp()
    if algo == "cispo":
        clipped = (ratio > 1 + clip_high).float()
        loss = -ratio.clamp(max=1 + clip_high).detach() * advantages * logp
    else:
        gain, capped = ratio * advantages, ratio.clamp(1 - clip_low, 1 + clip_high) * advantages
        clipped = (capped < gain).float()
        loss = -torch.minimum(gain, capped)
    if tis_cap:
        loss = loss * (old_logp - sampler_logp).exp().clamp(max=tis_cap).detach()
    return loss, clipped


def token_weights(
    algo: str, lengths: list[int], tokens: int, sequences: int, max_tokens: int
) -> torch.Tensor:
    """What each token's loss is multiplied with; then micro-batches and ranks are summed.

    lengths: tokens of each answer of this micro-batch, N in all; tokens, sequences: of the
    optimizer step on all ranks. Returns (N,) fp32.
    """
    each = torch.tensor(lengths)
    if algo == "dr_grpo":
        weights = torch.full((len(lengths),), 1 / (sequences * max_tokens))
    elif algo == "gspo":
        weights = 1 / (sequences * each.float())
    else:
        weights = torch.full((len(lengths),), 1 / tokens)
    return weights.repeat_interleave(each)


def kl_estimate(logp: torch.Tensor, ref_logp: torch.Tensor, kind: str = "k3") -> torch.Tensor:
    """Schulman's estimates of KL(policy || reference), joschu.net/blog/kl-approx. (N,) each."""
    gap = ref_logp - logp
    if kind == "k1":
        return -gap
    return gap**2 / 2 if kind == "k2" else gap.exp() - gap - 1
