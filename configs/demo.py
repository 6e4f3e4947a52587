"""SmolLM2-135M learns to write small functions, and to read its own, on two CPU cores.

Every key is explained by `python train.py --help`; what was tried on the way to these values
is in docs/dead-ends.md.
"""

name = "demo"
model = "models/smollm2-135m"
problems = "basics"

steps = 30
prompts_per_step = 8
samples_per_prompt = 8
max_prompt_tokens = 640
temperature = 0.7  # at 1 a model of this size writes noise, and learns first to write less of it
max_tokens = 56  # of the right programs of a first run, 97 % are no longer
stop = ["\n```\n"]  # it likes to chat on after its program; those tokens teach nothing

align_ratio = 0.4
align_inputs = 6  # of a failed program with variables one cannot have enough at this size
# Asked in one turn, a model of this size never gives an answer that parses; shown worked examples
# as earlier turns, it mostly does. Their answers, of all kinds, are made by a real trace.
align_examples = [
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
def add_each(nums):
    result = []
    for n in nums:
        result.append(n + 2)
    return result
""",
        "add_each([4, 1])",
    ),
    ("def plural(word):\n    return word + 's'", "plural('cat')"),
]
timeout_s = 1.0  # its programs take microseconds, or for ever

lr = 2e-5
warmup_steps = 2
micro_tokens = 1024
checkpoint_layers = True  # a tenth more time for an update, and 1.1 GiB less
kv_cache_gb = 0.3

eval_every = 30
eval_temperature = 0.7  # the policy as it is trained
save_every = 10
