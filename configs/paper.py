"""The paper's run (arXiv 2510.18471): Qwen2.5-Coder-7B-Instruct, 8 GPUs of 80 GB.

128 prompts a step, 8 samples each, 40 % of them alignment, two optimizer steps a rollout, PPO clip
0.2, k3 KL 0.001 in the loss, learning rate 1e-6. Give the training problems with --problems=FILE.

Sharded over 8 ranks, weights, gradients and AdamW's state take 14 GiB each. The numbers are the
paper's; how the tokens are packed is ours. It has not been run: no such machine was at hand.
"""

name = "paper"
model = "Qwen/Qwen2.5-Coder-7B-Instruct"

steps = 400
prompts_per_step = 128
samples_per_prompt = 8
max_prompt_tokens = 1024
max_tokens = 8192
temperature = 1.0

align_ratio = 0.4
format_bonus = 0.1  # as in the official code; the paper's own form is 0 and align_output = False
max_variables = 3

lr = 1e-6
optimizer_steps = 2
clip = [0.2, 0.2]
kl_coef = 0.001
tis_cap = 0.0

micro_tokens = 16384
checkpoint_layers = True
gpu_memory = 0.5
sandbox_workers = 8
save_every = 50
