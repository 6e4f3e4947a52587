"""A 1.5B coder model on one machine with 8 GPUs.

    torchrun --nproc_per_node=8 train.py configs/small.py --problems=FILE.jsonl

Weights, gradients and AdamW's state are sharded: 3 GiB on each of 8 GPUs, 23 GiB on one. vLLM
sleeps while the trainer works. On cards of less than 40 GB add --checkpoint_layers, or
--micro_tokens=2048.
"""

name = "small"
model = "Qwen/Qwen2.5-Coder-1.5B-Instruct"
problems = "basics"

steps = 200
prompts_per_step = 64
samples_per_prompt = 8
max_prompt_tokens = 1024
max_tokens = 1024

align_ratio = 0.4

lr = 1e-6
warmup_steps = 5
micro_tokens = 8192

gpu_memory = 0.5
sandbox_workers = 8
eval_every = 50
save_every = 50
