"""How much memory does a step take on paper? What lives at each moment, and how many images that leaves room for."""
from __future__ import annotations

from collections.abc import Sequence

from ppim.plan.operators import Operator


def peak_bytes(operators: Sequence[Operator], kept: frozenset[int] = frozenset()) -> int:
    """The most that values made by these operators take at any moment.

    A value lives from the operator that makes it to the last that reads it; those in `kept`, the gradients of
    parameters, to the end. What nobody here makes (parameters, the batch) is not counted.
    """
    last = {value.key: at for at, operator in enumerate(operators) for value in operator.reads + operator.writes}
    dying: dict[int, list[int]] = {}
    for key, at in last.items():
        if key not in kept:
            dying.setdefault(at, []).append(key)
    sizes: dict[int, int] = {}
    outside: set[int] = set()
    live = peak = 0
    for at, operator in enumerate(operators):
        outside.update(value.key for value in operator.reads if value.key not in sizes)
        for value in operator.writes:
            if value.key not in sizes and value.key not in outside:
                sizes[value.key] = value.bytes
                live += value.bytes
        peak = max(peak, live)
        live -= sum(sizes.get(key, 0) for key in dying.get(at, ()))
    return peak


def state_bytes(trained: int, state: int, moments: int, averages: bool) -> dict[str, int]:
    """What training keeps, float32: weights, gradients, the optimizer's `moments` of each, the running average.

    Args:
        trained: values that are trained; state: those and statistics and fixed tables.
    """
    return {"weights": 4 * state, "gradients": 4 * trained, "moments": 4 * moments * trained,
            "average": 4 * state if averages else 0}


def largest_batch(per_image: float, fixed: float, available: float) -> int:
    """Images of a step that fit, 0 where none does; all in bytes, `fixed` whatever their number."""
    return max(0, int((available - fixed) // per_image))
