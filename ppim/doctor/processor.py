"""How fast should this processor multiply matrices, and is it?"""
from __future__ import annotations

from typing import NamedTuple

from ppim.checks.finding import Finding, fine, unknown

# float32 operations per cycle and core, with two units for fused products, as most processors of a kind have
_WIDTHS = (({"avx512f"}, "AVX-512", 64), ({"avx2", "fma"}, "AVX2", 32), ({"avx"}, "AVX", 16), ({"sse2"}, "SSE", 8))
_SLOW = 0.15  # of the peak: below it, kernels are too narrow or the cores are not ours


class Processor(NamedTuple):
    """What Linux tells: `cores` are those with units of their own among all that it counts as `processors`."""

    model: str
    vector: str
    per_cycle: int
    gigahertz: float
    cores: int
    processors: int

    def peak(self, threads: int) -> float:
        """GFLOP/s of so many threads, each on a core of its own as long as there are some."""
        return min(threads, self.cores) * self.gigahertz * self.per_cycle


def described(cpuinfo: str) -> Processor | None:
    """/proc/cpuinfo, read; None where it does not tell enough, as on anything but x86."""
    blocks = [dict(line.split(":", 1) for line in block.splitlines() if ":" in line)
              for block in cpuinfo.split("\n\n") if block.strip()]
    blocks = [{key.strip(): value.strip() for key, value in block.items()} for block in blocks]
    if not blocks or not {"flags", "cpu MHz"} <= set(blocks[0]):
        return None
    able = set(blocks[0]["flags"].split())
    vector, per_cycle = next(((name, count) for needed, name, count in _WIDTHS if needed <= able), ("", 0))
    if not per_cycle:
        return None
    cores = {(block.get("physical id"), block.get("core id", number)) for number, block in enumerate(blocks)}
    fastest = max(float(block["cpu MHz"]) for block in blocks)
    return Processor(blocks[0].get("model name", "x86"), vector, per_cycle, fastest / 1000, len(cores), len(blocks))


def speed(processor: Processor | None, gigaflops: float | None, threads: int, load: float, mkl: str | None) -> Finding:
    """Is the measured speed what its kind should reach?

    Args:
        gigaflops: of float32 products, measured; load: of the machine, processes; mkl: MKL_DEBUG_CPU_TYPE.
    """
    check = "matrix products"
    if gigaflops is None:
        return unknown(check, "not measured, as Paddle did not answer")
    if processor is None:
        return unknown(check, f"{gigaflops:.0f} GFLOP/s; what this processor should reach is not known here")
    peak = processor.peak(threads)
    seen = (f"{gigaflops:.0f} GFLOP/s on {threads} threads, {100 * gigaflops / peak:.0f} % of {peak:.0f} by arithmetic "
            f"({min(threads, processor.cores)} cores x {processor.gigahertz:.1f} GHz x {processor.per_cycle}, "
            f"{processor.vector})")
    if gigaflops >= _SLOW * peak:
        return fine(check, seen)
    if load > processor.processors:
        return Finding(check, "warning", f"{seen}; the load is {load:.0f} on {processor.processors} processors, so "
                       "others compute as well: ask again when they have ended")
    told = f"MKL_DEBUG_CPU_TYPE is {mkl}" if mkl else "MKL_DEBUG_CPU_TYPE is not set"
    return Finding(check, "warning", f"{seen}; {told}: leave it to ppim, which knows what to set; look whether "
                   "a container or a power plan slows the cores down")
