"""What TRL computes: losses and gradients of its GRPOTrainer on fixed numbers, as JSON.

    python tests/trl_oracle.py > tests/trl.json     # TRL 1.16.0 made the file that is there

TRL needs not be installed for the tests: they compare with the file.
"""

import collections
import json
import types

import torch

LENGTHS = [3, 7, 1, 5]
MAX_TOKENS = 8
ADVANTAGES = [1.2, -0.7, 0.4, -1.1]
CASES = {  # ours -> (TRL's loss_type, its level of importance sampling, clip_low, clip_high)
    "grpo": ("dapo", "token", 0.2, 0.2),
    "dr_grpo": ("dr_grpo", "token", 0.2, 0.2),
    "dapo": ("dapo", "token", 0.2, 0.28),
    "gspo": ("grpo", "sequence", 0.05, 0.08),
    "cispo": ("cispo", "token", 0.2, 0.3),
}


def numbers() -> tuple[torch.Tensor, ...]:
    """logp, old_logp and ref_logp of all tokens, (T,) each."""
    generator = torch.Generator().manual_seed(11)
    old = -3 * torch.rand(sum(LENGTHS), generator=generator)
    logp = old + 0.4 * torch.randn(sum(LENGTHS), generator=generator)
    return logp, old, old - 0.3 * torch.rand(sum(LENGTHS), generator=generator)


def padded(values: torch.Tensor) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(values.split(LENGTHS), batch_first=True)


def trl_loss(loss_type: str, level: str, low: float, high: float, beta: float) -> list:
    """[loss, gradient of each token's log-probability] as TRL has them."""
    from trl import GRPOTrainer

    logp, old, ref = numbers()
    logp.requires_grad_()
    mask = padded(torch.ones(sum(LENGTHS)))
    same = types.SimpleNamespace(
        num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x, sync_gradients=True
    )
    trainer = types.SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *a, **k: (padded(logp), 0 * mask, None),
        aux_loss_enabled=False, top_entropy_quantile=1.0, off_policy_mask_threshold=None,
        importance_sampling_level=level, loss_type=loss_type, beta=beta, epsilon_low=low,
        # TRL's cispo clips at epsilon_high, ours at 1 + clip_high
        epsilon_high=1 + high if loss_type == "cispo" else high,
        args=types.SimpleNamespace(
            delta=None, use_bias_correction_kl=False, steps_per_generation=1
        ),
        use_vllm=False, model=types.SimpleNamespace(training=True),
        current_gradient_accumulation_steps=1, max_completion_length=MAX_TOKENS,
        accelerator=same, _entropy_bonus_enabled=False,
        _metrics={"train": collections.defaultdict(list)},
    )  # fmt: skip
    inputs = {
        "prompt_ids": torch.zeros(len(LENGTHS), 1, dtype=torch.long),
        "prompt_mask": torch.ones(len(LENGTHS), 1),
        "completion_ids": mask.long(), "completion_mask": mask,
        "advantages": torch.tensor(ADVANTAGES), "old_per_token_logps": padded(old),
        "ref_per_token_logps": padded(ref), "num_items_in_batch": mask.sum(),
    }  # fmt: skip
    loss = GRPOTrainer._compute_loss(trainer, None, inputs)
    loss.backward()
    return [float(loss), logp.grad.tolist()]


if __name__ == "__main__":
    frozen = {name: trl_loss(*case, beta=0.0) for name, case in CASES.items()}
    frozen["grpo with k3"] = trl_loss(*CASES["grpo"], beta=0.1)
    print(json.dumps(frozen, indent=1))
