"""Shared fixtures: a tiny model that writes programs, and one process group for the session."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Models of two layers gain nothing from threads, which would wait for each other on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_problems(tmp_path_factory):
    import tiny

    return tiny.write_problems(tmp_path_factory.mktemp("problems") / "tiny.jsonl")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """Directory of a model that solves the tiny problems half the time."""
    import tiny

    return tiny.make_taught_directory(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def one_process():
    """torch.distributed with one gloo process, as train.py sets it up."""
    from run import leave_ranks, set_up_ranks

    yield set_up_ranks()
    leave_ranks()
