"""Models of known shapes with random weights, for timing without a network; peaks of GPUs."""

import statistics
import sys
import time
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

ROOT = Path(__file__).parent.parent
TOKENIZER = ROOT / "models" / "smollm2-135m"
KEYS = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
KEYS += ("num_key_value_heads", "vocab_size", "tie_word_embeddings")
SHAPES = {
    "smollm2-135m": (LlamaForCausalLM, LlamaConfig, (576, 1536, 30, 9, 3, 49_152, True)),
    "qwen2.5-0.5b": (Qwen2ForCausalLM, Qwen2Config, (896, 4864, 24, 14, 2, 151_936, True)),
    "qwen2.5-1.5b": (Qwen2ForCausalLM, Qwen2Config, (1536, 8960, 28, 12, 2, 151_936, True)),
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


def write_random_model(shape: str, directory: Path) -> None:
    """A directory as transformers and vLLM read it: random bf16 weights, the demo's tokenizer."""
    if not (TOKENIZER / "tokenizer.json").exists():
        sys.exit(
            f"error: no tokenizer in {TOKENIZER}; run `python tools/prepare.py {TOKENIZER}` first"
        )
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    kind, config, values = SHAPES[shape]
    special = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None}
    keys = dict(zip(KEYS, values, strict=True)) | special
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    model = kind(config(**keys, max_position_embeddings=32_768))
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


def peak_flops() -> tuple[float, str]:
    """(FLOP/s, where the figure comes from): a GPU's data sheet, a CPU's own matrix product."""
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        for part, peak in PEAKS.items():
            if part in name:
                return peak, f"the data sheet of {name}"
    return matmul_flops(), "a bf16 matrix product, measured"


def matmul_flops() -> float:
    """How fast this machine multiplies bf16 matrices just now, FLOP/s: large matrices on a GPU, on
    a CPU such as the demo's model has."""
    on_gpu = torch.cuda.is_available()
    m, n, k = (8192,) * 3 if on_gpu else (1024, 576, 1536)
    device = "cuda" if on_gpu else "cpu"
    a, b = (torch.ones(rows, k, dtype=torch.bfloat16, device=device) for rows in (m, n))
    seconds = []
    for _ in range(200):
        start = time.perf_counter()
        float((a @ b.T)[0, 0])  # waits for the result
        seconds.append(time.perf_counter() - start)
    return 2 * m * n * k / statistics.median(seconds)
