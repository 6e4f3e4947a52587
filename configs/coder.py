"""Qwen2.5-Coder-0.5B-Instruct, of the paper's family, on two CPU cores: make coder.

Without questions (--align_ratio=0 --seed=0), samples of its programs that pass go from 0.50, the
mean of steps 1 to 3, to 0.95, of steps 28 to 30, in 32 minutes; greedily it passes 77.6 % of the
held-out problems, and 67.3 % before. With questions it passes 56.1 % of HumanEval, before 47.6, and
of the held-out problems as many as before (docs/evidence.md has all).
"""

name = "coder"
model = "models/qwen2.5-coder-0.5b"
problems = "basics-hard"

steps = 30
prompts_per_step = 8
samples_per_prompt = 8
max_prompt_tokens = 640
temperature = 0.8
max_tokens = 160
# It goes on behind its program: it explains, or learns to test, until half of its tokens are spent.
stop = ["\n```\n", "\n# Test", "\n# Example"]

align_ratio = 0.4
align_inputs = 2
# At 0.1 it learned in twenty steps to list what a loop does, until it was cut; it earned 0.02 then.
format_bonus = 0.5
align_examples = [  # of the form of an answer, and of each kind of value
    (
        """
def steps_to_one(n):
    count = 0
    while n > 1:
        n = n // 2 if n % 2 == 0 else n - 1
        count += 1
    return count
""",
        "steps_to_one(6)",
    ),
    (
        """
def longest(words):
    best = ''
    for word in words:
        if len(word) > len(best):
            best = word
    return [best, len(best)]
""",
        "longest(['an', 'apple'])",
    ),
]
timeout_s = 1.0

lr = 3e-6  # at 1e-5 its programs break in ten steps (docs/dead-ends.md)
warmup_steps = 5
micro_tokens = 2048
checkpoint_layers = True  # a tenth more time for an update, and gigabytes less
kv_cache_gb = 0.5

eval_tasks = ["basics-hard", "basics-hard-trace", "basics-hard-output"]
eval_every = 30
save_every = 10  # a checkpoint has 6 GB
