"""One path for one process and many: gloo on CPUs, NCCL on GPUs, under torchrun or without it."""

import ctypes
import os
import socket
import sys

import torch
import torch.distributed as dist


def set_up_ranks() -> torch.device:
    """Join the process group of torchrun, or make one of a single process. Returns the device."""
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    if "RANK" not in os.environ:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            os.environ |= alone | {"MASTER_PORT": str(free.getsockname()[1])}
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", device_id=device)
        return device
    dist.init_process_group("gloo")
    keep_freed_memory()
    return torch.device("cpu")


def keep_freed_memory() -> None:
    """Tell glibc to keep freed blocks, where there is glibc. It returns large ones to the kernel,
    and a training step then spends an eighth of its time on faulting the same pages in again."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option, value in ((-4, 0), (-1, 2**31 - 1)):  # M_MMAP_MAX, M_TRIM_THRESHOLD
            libc.mallopt(option, value)


def return_freed_memory() -> None:
    """Give what is free back to the kernel, now and then: it gets spread so thin over the heap that
    the process grows. Faulting it in again costs a step of the demo 3 s, so not after each."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def leave_ranks() -> None:
    """Leave the process group; where vLLM ran, it does so itself when the process ends."""
    if dist.is_initialized() and "vllm" not in sys.modules:
        dist.destroy_process_group()


def gather(item: object) -> list:
    """`item` of every rank, in rank order, on every rank."""
    items: list = [None] * dist.get_world_size()
    dist.all_gather_object(items, item)
    return items


def all_reduce(tensor: torch.Tensor) -> torch.Tensor:
    """Sum over ranks, in place."""
    if dist.get_world_size() > 1:
        dist.all_reduce(tensor)
    return tensor
