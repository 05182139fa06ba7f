"""How long does a step take on paper? The larger of what the host needs to start it and the GPU to do it."""
from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ppim.plan.gpus import Gpu
from ppim.plan.operators import Operator


class Assumed(NamedTuple):
    """What no datasheet says, and every plan states.

    Attributes:
        launch_us: microseconds that the host needs for one operator.
        peak_share: what large products reach of the GPU's peak; bandwidth_share: of its memory's.
        overlap: share of the all-reduce that the backward pass hides.
        network_gbs: GB/s of one direction between machines, for all GPUs of one together.
        per_node: GPUs of a machine.
        context_gb: memory that CUDA and cuDNN take.
    """

    launch_us: float = 15.0
    peak_share: float = 0.6
    bandwidth_share: float = 0.8
    overlap: float = 0.7
    network_gbs: float = 25.0
    per_node: int = 8
    context_gb: float = 1.5


def seconds_on(operator: Operator, gpu: Gpu, assumed: Assumed, half: str = "") -> float:
    """Seconds of one operator: of its products or of its bytes, whichever is more.

    Args:
        half: what half precision is in the recipe, "float16" or "bfloat16"; a trace has bfloat16 for both.
    """
    dtype = half if half and operator.dtype in ("float16", "bfloat16") else operator.dtype
    computing = 2 * operator.macs / (gpu.peak(dtype) * assumed.peak_share)
    return max(computing, operator.moved / (1e9 * gpu.bandwidth_gbs * assumed.bandwidth_share))


def gpu_seconds(operators: Iterable[Operator], gpu: Gpu, assumed: Assumed, half: str = "") -> float:
    """Seconds of all of them, one behind the other."""
    return sum(seconds_on(operator, gpu, assumed, half) for operator in operators)


def ring_seconds(size: float, gpus: int, gbs: float) -> float:
    """Seconds of a ring all-reduce of `size` bytes over links of `gbs` GB/s: each GPU sends 2 (n - 1) / n of it."""
    return 2 * (gpus - 1) / gpus * size / (1e9 * gbs)


def all_reduce_seconds(size: float, gpus: int, gpu: Gpu, assumed: Assumed) -> float:
    """Of the gradients of all GPUs; beyond one machine the ring is as fast as its slowest link."""
    beyond = gpus > assumed.per_node
    return ring_seconds(size, gpus, min(gpu.link_gbs, assumed.network_gbs) if beyond else gpu.link_gbs)
