"""The shared-prompt pass equals the plain one, sequence by sequence, gradients included."""

import pytest
import tiny
import torch

from config import UserError
from policy import answer_logprobs, common_prefix, load_policy, micro_batches

GENERATOR = torch.Generator().manual_seed(7)


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
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_shared_prompts_equal_plain_passes_in_value_and_gradient(case, temperature):
    prompt_lengths, answer_lengths = CASES[case]
    beginning = tokens(6) if "shared" in case else []
    prompts = [beginning + tokens(n) for n in prompt_lengths]
    answers = [[tokens(n) for n in group] for group in answer_lengths]
    model = tiny.make_model(512, 0).eval()
    weights = torch.randn(sum(map(sum, answer_lengths)), generator=GENERATOR)
    gradients = []
    values = []
    for function, attention in ((plain_logprobs, "sdpa"), (answer_logprobs, "grouped")):
        model.set_attn_implementation(attention)
        model.zero_grad()
        logp = function(model, prompts, answers, temperature)
        (logp * weights).sum().backward()
        values.append(logp.detach())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert torch.allclose(values[0], values[1], atol=1e-5)
    error = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
    assert error < 1e-5


def test_common_prefix_leaves_every_prompt_a_token():
    assert common_prefix([[1, 2, 3, 4], [1, 2, 5], [1, 2, 3]]) == 2
    assert common_prefix([[1, 2], [1, 2, 3]]) == 1
    assert common_prefix([[1, 2], [1, 2]]) == 1
    assert common_prefix([[1, 2], [3]]) == 0
    assert common_prefix([[1, 2, 3]]) == 0


def test_micro_batches_cover_every_group_once_within_the_budget():
    prompts = [tokens(n) for n in (5, 50, 7, 30, 5)]
    answers = [[tokens(n) for n in group] for group in ([9, 2], [1, 1], [40, 3], [6, 6], [8, 8])]
    parts = micro_batches(prompts, answers, max_tokens=120)
    assert sorted(i for part in parts for i in part) == list(range(5))
    assert len(parts) > 1
    for part in parts:
        width = max(len(prompts[i]) for i in part)
        total = len(part) * width + sum(len(a) for i in part for a in answers[i])
        assert len(part) == 1 or (total <= 120 and width <= 2 * min(len(prompts[i]) for i in part))


def test_broken_model_directory_is_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"not a tensor file")
    with pytest.raises(UserError, match="cannot load the model") as caught:
        load_policy(str(tmp_path), torch.device("cpu"))
    assert "\n" not in str(caught.value)
