"""The files of a model: where they are, and whether they name what the trainer would send.

A tensor that is trained and not sent would leave the sampler stale for ever, so each sync compares
names, and so does the start, before anything is sampled. Some checkpoints hold more than a causal
language model has: eyes, or layers that predict several tokens at once. transformers lists what it
leaves aside, and only that may be missing.
"""

import json
import re
from pathlib import Path

from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion

from config import UserError, whole_text
from policy import own_tensors

TIED = {"lm_head.weight"}  # absent where it is the embedding itself
WEIGHTS = "model*.safetensors"  # and not the consolidated copy that some repositories hold, too


def model_directory(model: str) -> str:
    """The local directory of `model`; a hub name is downloaded. Raises UserError."""
    path = Path(model)
    if not path.is_dir():
        if path.is_absolute() or model.startswith(("./", "models/", "out/")) or "/" not in model:
            hint = (
                "run `python tools/prepare.py models/smollm2-135m`, or give a directory or hub name"
            )
            raise UserError(f"model directory {model} does not exist; {hint}")
        from huggingface_hub import snapshot_download

        try:
            patterns = ["*.json", WEIGHTS, "*.txt", "*.jinja", "*.model"]
            path = Path(snapshot_download(model, allow_patterns=patterns))
        except Exception as error:  # the hub's client has a dozen exceptions of its own
            why = whole_text(error)
            raise UserError(f"cannot download model {model} from the hub: {why}") from error
    if not (path / "config.json").exists() or not list(path.glob(WEIGHTS)):
        raise UserError(f"model directory {path} holds no config.json or no {WEIGHTS}")
    return str(path)


def checkpoint_names(directory: str) -> set[str]:
    """Names of all tensors in the weights of `directory`, read from the headers of the files."""
    names: set[str] = set()
    for path in Path(directory).glob(WEIGHTS):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        names |= header.keys() - {"__metadata__"}
    return names


def expected_names(directory: str) -> set[str]:
    """Those of them that a sync must bring."""
    kind = AutoModelForCausalLM._model_mapping[type(AutoConfig.from_pretrained(directory))]
    aside = kind._keys_to_ignore_on_load_unexpected or []
    return {n for n in checkpoint_names(directory) if not any(re.search(a, n) for a in aside)}


def check_names(sent: set[str], expected: set[str]) -> None:
    """A sync that forgets a tensor would leave the sampler stale for ever: stop the run."""
    missing, unknown = sorted(expected - sent - TIED), sorted(sent - expected - TIED)
    if missing or unknown:
        raise RuntimeError(
            "weight sync: the trainer and the checkpoint disagree on tensor names; "
            f"missing {missing[:3]}, unknown {unknown[:3]}"
        )


def check_own_names(model: PreTrainedModel, directory: str) -> None:
    """Raises UserError if `model` would send tensors that the checkpoint has not, or none for one
    that it has. On the meta device, so that nothing is computed."""
    sent: set[str] = set()
    for name, tensor in own_tensors(model).items():
        sent |= revert_weight_conversion(model, {name: tensor.to("meta")}).keys()
    if differ := sorted((sent ^ expected_names(directory)) - TIED):
        raise UserError(
            f"{directory}: trainer and checkpoint disagree on {len(differ)} names of tensors, such "
            f"as {differ[0]}, so that no sampler could be given its weights; use another model"
        )
