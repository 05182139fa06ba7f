"""Keep freed memory at hand: on a CPU, giving it back to the system costs more than many an operation.

A tensor of tens of megabytes is mapped anew at every allocation and unmapped when freed, so each of its pages is
faulted in and zeroed again in every step. Told not to, glibc reuses them: a training step of the small LV-ViT for
CIFAR-10 took 1.15 s instead of 1.40 s on 2 cores. A program's peak stays its peak.
"""
from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Tell the C library's allocator not to return memory to the system; False where it is not glibc's."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl has none
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, 2**31 - 1))
