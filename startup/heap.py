"""The heap of a process that computes on a CPU."""

import ctypes
import os


def tune_heap() -> None:
    """Three settings, to be made before torch computes.

    glibc returns large freed blocks at once, and a step then spends an eighth of its time on
    faulting the same pages in again; so it keeps them until return_freed_memory() of run.py. Only
    the largest, such as slices of logits, it returns: kept, they left holes, and the peak of a 0.5B
    model grew by 7 % in twelve steps, now by 3 % in 24. torch keeps a compiled kernel for each of
    the last 1024 shapes, small blocks all over the heap between which large ones no longer fit;
    every pack has its own shapes, and 128 are enough as long as attention has few (EDGE in
    policy.py).
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
    if hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for option, value in ((-3, 32 << 20), (-1, 2**31 - 1)):  # M_MMAP and M_TRIM_THRESHOLD
            libc.mallopt(option, value)
