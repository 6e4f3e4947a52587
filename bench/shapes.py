"""Models of known shapes with random weights, for timing without a network; peaks of GPUs; sums of
the memory that an update takes.

    python bench/shapes.py     # prints the tables of docs/gpus.md
"""

import itertools
import statistics
import sys
import time
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from policy import HEAD_TOKENS  # noqa: E402

TOKENIZER = ROOT / "models" / "smollm2-135m"
KEYS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
KEYS += ("num_key_value_heads", "vocab_size", "tie_word_embeddings")
SHAPES = {
    "tiny": (LlamaForCausalLM, LlamaConfig, (64, 128, 2, 2, 1, 640, True)),
    "smollm2-135m": (LlamaForCausalLM, LlamaConfig, (576, 1536, 30, 9, 3, 49_152, True)),
    "qwen2.5-0.5b": (Qwen2ForCausalLM, Qwen2Config, (896, 4864, 24, 14, 2, 151_936, True)),
    "qwen2.5-1.5b": (Qwen2ForCausalLM, Qwen2Config, (1536, 8960, 28, 12, 2, 151_936, True)),
    "qwen2.5-3b": (Qwen2ForCausalLM, Qwen2Config, (2048, 11_008, 36, 16, 2, 151_936, True)),
    "qwen2.5-7b": (Qwen2ForCausalLM, Qwen2Config, (3584, 18_944, 28, 28, 4, 152_064, False)),
}
# Dense bf16 peaks from the vendors' data sheets, FLOP/s.
PEAKS = {
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "4090": 165e12,
}


# ------------------------------------------------------------------------------- models
def model_config(shape: str, **more: object):
    _, config, values = SHAPES[shape]
    return config(**dict(zip(KEYS, values, strict=True)), **more)


def demo_tokenizer():
    if not (TOKENIZER / "tokenizer.json").exists():
        sys.exit(
            f"error: no tokenizer in {TOKENIZER}; run `python tools/prepare.py {TOKENIZER}` first"
        )
    return AutoTokenizer.from_pretrained(TOKENIZER)


def write_random_model(shape: str, directory: Path, tokenizer, device: str = "cpu") -> None:
    """A directory as transformers and vLLM read it: random bf16 weights, drawn on `device`."""
    special = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = SHAPES[shape][0](model_config(shape, max_position_embeddings=32_768, **special))
    torch.set_default_dtype(default)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def parameters(model_config) -> tuple[int, int]:
    """(weights that every token meets in a matrix product, weights of the head) of a model."""
    c = model_config
    head_size = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    attention = 2 * c.hidden_size * head_size * (c.num_attention_heads + c.num_key_value_heads)
    mlp = 3 * c.hidden_size * c.intermediate_size
    return c.num_hidden_layers * (attention + mlp), c.hidden_size * c.vocab_size


# ------------------------------------------------------------------------------- speed
def peak_flops() -> tuple[float, str]:
    """(FLOP/s, where the figure comes from): a GPU's data sheet, a CPU's own matrix product."""
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        for part, peak in PEAKS.items():
            if part in name:
                return peak, f"the data sheet of {name}"
    return matmul_flops(), "a bf16 matrix product, measured"


def matmul_flops(repeats: int = 200) -> float:
    """How fast this machine multiplies bf16 matrices just now, FLOP/s: large matrices on a GPU, on
    a CPU such as the demo's model has. They are random: a GPU multiplies equal numbers faster."""
    on_gpu = torch.cuda.is_available()
    m, n, k = (8192,) * 3 if on_gpu else (1024, 576, 1536)
    device = "cuda" if on_gpu else "cpu"
    a, b = (torch.randn(rows, k, device=device).bfloat16() for rows in (m, n))
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        float((a @ b.T)[0, 0])  # waits for the result
        seconds.append(time.perf_counter() - start)
    return 2 * m * n * k / statistics.median(seconds)


# ------------------------------------------------------------------------------- memory
# GB in a card's name -> GiB that torch finds there.
CARDS = {24: 23.5, 40: 39.4, 80: 79.1, 141: 139.8}
# What neither sum counts: CUDA's context, NCCL's buffers, what vLLM keeps while it sleeps, holes
# between the allocator's blocks. An assumption.
REST = 3.0
CACHE = 2.0  # keys and values without which sampling makes no sense, GiB


def memory(
    shape: str, world: int = 1, micro_tokens: int = 8192, checkpoint_layers: bool = False,
    states: str = "ranks", head_tokens: int = HEAD_TOKENS["cuda"],
) -> dict[str, float]:  # fmt: skip
    """GiB that one of `world` GPUs needs for an update, in four terms; bytes a number in brackets.

    "states": fp32 weights [4], gradients [4] and AdamW's moments [8], a share of each.
    "gathered": embedding and head [2], their gradient [2] and its sum over ranks [4]; two layers
    [2]; a slice of logits, twice as fp32 [4 + 4] and as bf16 [2]. Where it gathers_once (see
    shard()): all weights [2], and the gradients of other ranks' shares [4].
    "kept": what a micro-batch keeps for the backward pass. A layer keeps of each token: the input
    of both norms in fp32 [4] and twice in bf16 [2 + 2]; query and its attention's result [2 + 2];
    keys and values [2 + 2], which on average stand twice in what the kernel is given; in the MLP
    gate, its activation, up and their product [2 each]. With checkpoint_layers: the input of each
    layer [2], and the above of one layer.
    "weights": those of the sampler [2], which sleep meanwhile and are in no sum.
    """
    c = model_config(shape)
    body, head = parameters(c)
    tables = head if c.tie_word_embeddings else 2 * head
    size = c.hidden_size // c.num_attention_heads
    layer = 16 * c.hidden_size + 8 * c.intermediate_size
    layer += 4 * size * (c.num_attention_heads + 2 * c.num_key_value_heads)
    layers = c.num_hidden_layers
    kept = layers * 2 * c.hidden_size + layer if checkpoint_layers else layers * layer
    gathered = 8 * tables + 2 * 2 * body / layers + 10 * head_tokens * c.vocab_size
    if states != "cpu" and not checkpoint_layers:
        gathered += 2 * body * (1 - 2 / layers) + 4 * (body + tables) * (1 - 1 / world)
    resting = 0 if states == "cpu" else 16 * (body + tables) / world
    terms = {"states": resting, "gathered": gathered, "kept": kept * micro_tokens}
    return {k: b / 2**30 for k, b in (terms | {"weights": 2 * (body + tables)}).items()}


def update_gb(**options: object) -> float:
    terms = memory(**options)
    return terms["states"] + terms["gathered"] + terms["kept"]


def sampler_share(card: int, shape: str, world: int, states: str) -> float:
    """The largest gpu_memory: what is left beside fp32 weights and moments, in twentieths; 0 where
    the sampler's weights and a small cache find no room."""
    terms = memory(shape, world, states=states)
    left = CARDS[card] - 12 / 16 * terms["states"] - REST
    share = min(0.9, int(left / CARDS[card] * 20) / 20)
    return share if share * CARDS[card] >= terms["weights"] + CACHE else 0.0


LADDER = {  # from what costs nothing to what costs most
    "A": {},
    "B": {"micro_tokens": 2048},
    "C": {"checkpoint_layers": True},
    "D": {"checkpoint_layers": True, "states": "cpu"},
}


def fitting(card: int, shape: str, world: int) -> str:
    """The first rung of the LADDER with which a model trains on a card, and gpu_memory; or "no"."""
    for rung, options in LADDER.items():
        fits = update_gb(shape=shape, world=world, **options) + REST <= CARDS[card]
        share = sampler_share(card, shape, world, options.get("states", "ranks"))
        if fits and share:
            return f"{rung} {share}"
    return "no"


def tables() -> str:
    """Two: the terms of an update in GiB, and how each model fits each card."""
    shapes = [shape for shape in SHAPES if shape.startswith("qwen")]
    lines = ["| model | states | gathered | with C | kept | with C | sampler's weights |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for shape in shapes:
        terms, less = memory(shape), memory(shape, checkpoint_layers=True)
        figures = [terms["states"], *(t[k] for k in ("gathered", "kept") for t in (terms, less))]
        cells = [f"{figure:.1f}" for figure in [*figures, terms["weights"]]]
        lines.append(f"| {title(shape)} | {' | '.join(cells)} |")
    lines += ["", "| model | GPUs | " + " | ".join(f"{card} GB" for card in CARDS) + " |"]
    lines += ["|---|---|" + "---|" * len(CARDS)]
    for shape, world in itertools.product(shapes, (1, 8)):
        cells = [fitting(card, shape, world) for card in CARDS]
        lines.append(f"| {title(shape)} | {world} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def title(shape: str) -> str:
    return shape.replace("qwen", "Qwen").replace("b", "B")


if __name__ == "__main__":
    print(tables(), end="")
