"""SmolLM2-135M learns to write small functions, and to read its own, on two CPU cores.

Every key is explained by `python train.py --help`; what was tried on the way to these values
stands in the README.
"""

name = "demo"
model = "models/smollm2-135m"
problems = "basics"

steps = 40
prompts_per_step = 8
samples_per_prompt = 8
max_prompt_tokens = 640
max_tokens = 80
temperature = 0.7  # at 1, a model of this size writes nonsense: 5 % of its programs pass
stop = ["\n```\n"]  # it likes to chat on after its program; those tokens teach nothing

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

lr = 1e-5  # 3e-5 collapsed: after 20 steps all samples of a group were alike
warmup_steps = 2
micro_tokens = 3072

eval_every = 20
eval_n = 2
eval_temperature = 0.6
save_every = 20
