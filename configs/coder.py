"""Qwen2.5-Coder-0.5B-Instruct, of the paper's family, learns to write programs of a screen and to
read its own, on two CPU cores and 16 GiB of memory: make coder.

docs/evidence.md says how these values were chosen.
"""

name = "coder"
model = "models/qwen2.5-coder-0.5b"
problems = "basics-hard"

steps = 100
prompts_per_step = 8
samples_per_prompt = 8
max_prompt_tokens = 640
temperature = 0.8
max_tokens = 160
stop = ["\n```\n"]  # it explains its program afterwards, unless it is stopped

align_ratio = 0.4
align_inputs = 2
align_examples = [  # of the form of an answer, and of each kind of value
    (
        """
def count_big(nums):
    result = 0
    for n in nums:
        if n > 3:
            result += 1
    return result
""",
        "count_big([5, 1, 9])",
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

lr = 2e-6
warmup_steps = 5
micro_tokens = 2048
checkpoint_layers = True  # a tenth more time for an update, and gigabytes less
kv_cache_gb = 0.5

eval_tasks = ["basics-hard", "basics-hard-trace", "basics-hard-output"]
eval_every = 50
save_every = 25  # a checkpoint has 6 GB
