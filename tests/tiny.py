"""A language model small enough for tests that still writes programs, right and wrong ones.

A two-layer Llama with a 512-token vocabulary, fitted in some seconds to a handful of answers, so
that the end-to-end tests see real rewards, failed programs, questions and gradients, not noise.
"""

import json
import os
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.distributed.tensor import DTensor
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from config import CODE_TEMPLATE, Config
from policy import Policy
from problems.problem import Question, question_messages
from startup.model import shard

CHAT = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
PROBLEMS = [
    {
        "task_id": f"tiny/{k}",
        "prompt": f"Write f(x): x plus {k}.",
        "tests": {"inputs": [[1], [5]], "outputs": [1 + k, 5 + k], "fn_name": "f"},
    }
    for k in range(4)
]
PROGRAM = "```python\ndef f(x):\n    y = x + {}\n    return y\n```"


def environment(**more: str) -> dict[str, str]:
    """This process's environment without the process group that it may be in."""
    own = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    return {k: v for k, v in os.environ.items() if k not in own} | more


def write_problems(path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in PROBLEMS))
    return path


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = [p["prompt"] for p in PROBLEMS] + [PROGRAM, "y = 3\noutput = 3\nThe call is `f(1)`."]
    tokenizer.train_from_iterator(text, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    fast.pad_token = fast.eos_token
    fast.chat_template = CHAT
    return fast


def make_model(vocabulary: int, eos: int, seed: int = 0, **more) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=16_384,
        tie_word_embeddings=True,
        eos_token_id=eos,
        pad_token_id=eos,
        bos_token_id=None,
        **more,
    )
    return LlamaForCausalLM(config)


def make_policy(cfg: Config, seed: int = 0) -> Policy:
    """make_model as train.py has it; needs a process group."""
    model = make_model(512, 0, seed).eval()
    model.set_attn_implementation("packed")
    return shard(cfg, Policy(model, cfg.temperature, torch.device("cpu")), cfg.states)


def full(tensor: torch.Tensor) -> torch.Tensor:
    """A sharded tensor whole, flat."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).flatten()


def make_directory(
    path: Path, examples: list[tuple[list[dict], list[str]]] | None = None, **more
) -> Path:
    """Save a tiny model and tokenizer; with `examples` (chat, possible answers), fit it to them.
    more: of the model's config."""
    tokenizer = make_tokenizer()
    model = make_model(512, tokenizer.eos_token_id, **more)
    if examples:
        fit(model, tokenizer, examples)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    AutoTokenizer.from_pretrained(path)  # it must load by its directory alone
    return path


def fit(model: LlamaForCausalLM, tokenizer, examples: list, steps: int = 220) -> None:
    """Teach every answer of every chat as equally likely."""
    rows = []
    for messages, answers in examples:
        prompt = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=False
        )
        rows += [(prompt, [*tokenizer.encode(a), tokenizer.eos_token_id]) for a in answers]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    rng = random.Random(0)
    for _ in range(steps):
        batch = rng.sample(rows, min(12, len(rows)))
        width = max(len(p) + len(a) for p, a in batch)
        ids = torch.full((len(batch), width), tokenizer.eos_token_id)
        labels = torch.full((len(batch), width), -100)
        for i, (p, a) in enumerate(batch):
            ids[i, : len(p) + len(a)] = torch.tensor(p + a)
            labels[i, len(p) : len(p) + len(a)] = torch.tensor(a)
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def make_taught_directory(path: Path) -> Path:
    """A model that solves PROBLEMS half the time, and knows what an answer to a question is."""
    examples = []
    for k, problem in enumerate(PROBLEMS):
        text = CODE_TEMPLATE.format(prompt=problem["prompt"])
        answers = [PROGRAM.format(n) for n in (k, k, k + 1, k + 2)]
        examples.append(([{"role": "user", "content": text}], answers))
    for n in range(6):
        program = PROGRAM.format(n).split("\n", 1)[1].rsplit("\n", 1)[0]
        question = Question(program, [1], "f", {"y": 1 + n, "output": 1 + n})
        chat = question_messages(question, Config(), [])
        examples.append((chat, [f"y = {m}\noutput = {m}" for m in (1 + n, 2 + n, 7)]))
    return make_directory(path, examples)
