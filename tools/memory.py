"""Memory of a run: the heap on CPUs, and a watch over what sampler and trainer take in turns.

Left out: a record of who holds which tensor; torch.cuda.memory._record_memory_history has it.
"""

import ctypes
import os
import resource
from collections.abc import Callable

import torch

SETTLE = 3  # steps in which memory may still grow: caches, compiled graphs, AdamW's moments
GROWTH = 0.05  # of the GPU: what may be missing after that


def tune_heap() -> None:
    """Two settings for CPUs, to be made before torch computes.

    Where there is glibc, it is told to keep freed blocks until return_freed_memory. It returns the
    large at once, and a step then spends an eighth of its time on faulting the same pages in again.

    Every pack has its own shapes, and torch keeps the kernels of the last 1024 of them, small
    blocks all over the heap between which large ones no longer fit: 128 are enough.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option, value in ((-4, 0), (-1, 2**31 - 1)):  # M_MMAP_MAX, M_TRIM_THRESHOLD
            libc.mallopt(option, value)


def return_freed_memory() -> None:
    """Give what is free in the heap back to the kernel. After each pack: else the next, of other
    shapes, finds no hole that fits, and the process grows: the demo to 5.7 GiB instead of 4.9."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def peak_gb() -> float:
    """Peak of what torch allocated on the GPU (a sampler that sleeps counts as if awake), or of
    this process's resident memory, GiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # from KiB


def gpu_memory() -> tuple[float, float, float, float] | None:
    """(free, all) of this rank's GPU, whoever uses it, and what torch has allocated: (now, at most
    since the last call). All in GiB; None without a GPU."""
    if not torch.cuda.is_available():
        return None
    torch.cuda.empty_cache()  # what the allocator keeps for later is free, too
    allocated = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    return tuple(n / 2**30 for n in (*torch.cuda.mem_get_info(), *allocated))


class MemoryWatch:
    """Free GPU memory at the same moments of every step, which should be the same every time.

    vLLM and the trainer take turns on one GPU. What either fails to give back is missing from then
    on, in every step a little more, until a step far into the run fails: better to stop before.
    """

    def __init__(self, measure: Callable[[], tuple[float, ...] | None] = gpu_memory) -> None:
        self.measure = measure
        self.free: dict[str, float] = {}  # GiB, by moment, of the latest step
        self.looks: dict[str, int] = {}
        self.least: dict[str, float] = {}  # of the steps until all had settled
        self.used = self.allocated = self.most = 0.0  # at the latest look; at most in between
        self.advice: str | None = None  # what to tell the user when memory goes missing

    def look(self, moment: str) -> None:
        """Measure, and compare with the first steps. Nothing without a GPU."""
        found = self.measure()
        if found is None:
            return
        free, total, allocated, most = found
        # torch counts a sleeping sampler as if it were awake, so only what was added since counts.
        self.most = max(self.most, total - free, self.used + most - self.allocated)
        self.used, self.allocated = total - free, allocated
        self.free[moment] = free
        self.looks[moment] = self.looks.get(moment, 0) + 1
        if self.looks[moment] <= SETTLE:
            self.least[moment] = min(free, self.least.get(moment, free))
        elif free < self.least[moment] - GROWTH * total:
            self.advice = (
                f"GPU memory goes missing: {moment}, {free:.1f} GiB are free, and "
                f"{self.least[moment]:.1f} GiB were in the first steps; the checkpoint is saved, "
                "so go on with --resume, which starts with all of it, and if it goes again, "
                "give a lower --gpu_memory or see what else runs on this GPU"
            )

    def peak_gb(self) -> float:
        """Most memory of the GPU in use so far, by whomever; without one, of this process. GiB."""
        return self.most or peak_gb()
