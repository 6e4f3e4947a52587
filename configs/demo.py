"""SmolLM2-135M learns to write small functions, and to read its own, on two CPU cores.

What was tried and how it went stands in the README. Every key is explained by
`python train.py --help`.
"""

name = "demo"
model = "models/smollm2-135m"
problems = "basics"

steps = 40
prompts_per_step = 8
samples_per_prompt = 8
max_prompt_tokens = 640
max_tokens = 120
temperature = 0.8
stop = ["\n```\n"]  # the model likes to chat on after its program; those tokens teach nothing

align_ratio = 0.4
# Asked in one turn, a model of this size never gives an answer that parses; shown two worked
# examples as earlier turns, it mostly does. Their answers are made by a real trace.
align_examples = [
    (
        """
def count_big(nums):
    count = 0
    for n in nums:
        if n > 3:
            count += 1
    return count
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
    return best
""",
        "longest(['ab', 'tree', 'sun'])",
    ),
]

lr = 2e-5
warmup_steps = 2
micro_tokens = 1536

eval_every = 40
save_every = 20
