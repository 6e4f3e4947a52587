"""Checkpoints are read as data.

A run directory that somebody else wrote may hold anything. torch keeps the list of tensors, and
what is no tensor, in pickles, and reads them so that they may call any function. Here they may name
what a checkpoint of ours is made of and nothing else.
"""

import contextlib
import io
import pickle
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint._traverse import set_element
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta
from torch.distributed.checkpoint.planner import ReadItem

from config import UserError, first_line

METADATA = "torch.distributed.checkpoint.metadata"
KNOWN = {(METADATA, name) for name in ("Metadata", "MetadataIndex", "StorageMeta")}
KNOWN |= {(METADATA, name) for name in ("BytesStorageMetadata", "ChunkStorageMetadata")}
KNOWN |= {(METADATA, name) for name in ("TensorStorageMetadata", "TensorProperties")}
KNOWN |= {(METADATA, "_MEM_FORMAT_ENCODING"), ("torch.serialization", "_get_layout")}
KNOWN |= {("torch.distributed.checkpoint.filesystem", "_StorageInfo"), ("torch", "Size")}
KNOWN |= {("pathlib", name) for name in ("Path", "PosixPath", "PurePosixPath")}


class Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) in KNOWN:
            return super().find_class(module, name)
        if module == "torch" and isinstance(kind := getattr(torch, name, None), torch.dtype):
            return kind
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint of ours does")


class Reader(dcp.FileSystemReader):
    def read_metadata(self, *args: object, **kwargs: object) -> Metadata:
        with (Path(self.path) / ".metadata").open("rb") as file:
            metadata = Plain(file).load()
        metadata.storage_meta = metadata.storage_meta or StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


class Planner(DefaultLoadPlanner):
    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        place = self.mappings[read_item.dest_index.fqn]
        set_element(self.original_state_dict, place, torch.load(value, weights_only=True))


def load_checkpoint(state: dict, path: Path) -> None:
    """Fill the tensors and numbers of `state` from a checkpoint. Raises UserError."""
    with readable(path):
        dcp.load(state, storage_reader=Reader(path), planner=Planner())


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (CheckpointException, pickle.UnpicklingError, OSError) as error:
        why = first_line(cause(error))
        raise UserError(
            f"cannot read the checkpoint {path} ({why}); resume only a run that you, "
            "or somebody whom you trust, trained"
        ) from error


def cause(error: BaseException) -> BaseException:
    """What went wrong on the first of the ranks whose errors torch has put together."""
    failed = isinstance(error, CheckpointException)
    return next(iter(error.failures.values()))[0] if failed else error
