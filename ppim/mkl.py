"""Which instructions may Paddle's MKL use on this processor? Told before the first matrix product.

Paddle's packages bring an MKL of 2019, which asks who made the processor before it asks what the processor can do: on
any but Intel's it takes kernels of plain SSE. `MKL_DEBUG_CPU_TYPE` names the kernels to take instead. It is read with
the first product, so it works after `import paddle` too. Measured in docs/en/performance.md; newer MKLs ignore it.
"""
from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

VARIABLE = "MKL_DEBUG_CPU_TYPE"

_MISTRUSTED = ("AuthenticAMD", "HygonGenuine")
# What MKL's kernels use, best first: those it has for Skylake-X, then those for Haswell.
_KERNELS = {
    "7": {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma"},
    "5": {"avx2", "fma"},
}


def kernels(cpuinfo: str) -> str | None:
    """The value of `MKL_DEBUG_CPU_TYPE` that a processor needs, by Linux's description of it; None: it needs none."""
    described = {}
    for line in cpuinfo.split("\n\n", 1)[0].splitlines():  # the first of the processors, which are alike
        key, _, value = line.partition(":")
        described[key.strip()] = value.strip()
    if described.get("vendor_id") not in _MISTRUSTED:
        return None
    able = set(described.get("flags", "").split())
    return next((name for name, needed in _KERNELS.items() if needed <= able), None)


def set_before_products(env: MutableMapping[str, str], cpuinfo: str) -> None:
    """Set the variable where the processor needs it; one that is set already is the user's and stays."""
    wanted = kernels(cpuinfo)
    if wanted is not None:
        env.setdefault(VARIABLE, wanted)


def answer_alike(env: MutableMapping[str, str] = os.environ) -> None:
    """Have MKL give the same bits for any number of threads, from the first product of this process on; what the user
    has set stays. For results that are kept; it costs next to nothing."""
    env.setdefault("MKL_CBWR", "AUTO,STRICT")


def describe_processor() -> str:
    """Linux's description of the processor; empty elsewhere."""
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
