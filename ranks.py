"""One path for one process and many: gloo on CPUs, NCCL on GPUs, under torchrun or without it."""

import os
import random
import socket
import sys
import time
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist

from config import UserError, first_line
from tools.memory import tune_heap

meeting: dict = {}  # the gloo group of gather(), and its patience: set once


def set_up_ranks(timeout_s: float = 1800) -> torch.device:
    """Join the process group of torchrun, or make one of a single process. Returns the device.

    timeout_s: how long ranks wait for each other in gather().
    """
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    if "RANK" not in os.environ:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            os.environ |= alone | {"MASTER_PORT": str(free.getsockname()[1])}
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
        # gloo is for what rests in main memory: objects, and with --offload the weights
        dist.init_process_group("cpu:gloo,cuda:nccl", device_id=device)
    else:
        device = torch.device("cpu")
        dist.init_process_group("gloo")
        tune_heap()
    # Only rank 0 learns who is missing, and torchrun ends everybody once one rank fails: the
    # others, who go by the timeout of the group, outlast it, even where it comes last.
    meeting["patience"] = timedelta(seconds=timeout_s)
    meeting["group"] = dist.new_group(backend="gloo", timeout=3 * meeting["patience"])
    return device


def leave_ranks() -> None:
    """Leave the process group; where vLLM ran, it does so itself when the process ends.

    A thread of gloo may still hold the tensors of the last collective, and if Python ends before it
    lets go of them, the process aborts.
    """
    time.sleep(0.3)
    if dist.is_initialized() and "vllm" not in sys.modules:
        dist.destroy_process_group()


def gather(item: object, task: str = "its work") -> list:
    """`item` of every rank, in rank order, on every rank.

    What ranks wait for may take long (sampling, judging, saving), so they wait here, outside of
    NCCL, and not for ever: raises UserError that names the ranks which did not come.
    """
    if dist.get_world_size() == 1:
        return [item]
    try:
        dist.monitored_barrier(meeting["group"], meeting["patience"], wait_all_ranks=True)
    except RuntimeError as error:
        raise UserError(
            f"{task} took too long on some rank: {first_line(error)}; give a larger "
            "--rank_timeout_s if it may"
        ) from error
    items: list = [None] * dist.get_world_size()
    dist.all_gather_object(items, item, group=meeting["group"])
    return items


def generators() -> dict:
    """States of this rank's global generators. Nothing here draws from them; a fork may."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_generators(states: dict) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"])
