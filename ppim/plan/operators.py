"""What does one operator of a traced step cost? Multiply-accumulates, bytes moved; and the step with recompute.

Plain numbers, no Paddle: `trace` reads operators from a program, `memory` and `roofline` add them up.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

# their results are their operands under another shape: nothing is moved, but the host starts them all the same
VIEWS = {"reshape", "flatten", "squeeze", "unsqueeze"}
# of the first operand they read what they write, and no more
_PICKS = {"slice", "gather", "gather_nd", "index_select", "strided_slice", "split", "unbind", "expand"}
# once for the statistics, once to use them
_TWICE = {"batch_norm", "batch_norm_grad", "half_batch_norm", "half_batch_norm_grad"}
ATTENTION, NORM, UNFOLD = "fused_attention", "half_batch_norm", "half_unfold"  # kernels that only GPUs have


class Value(NamedTuple):
    """What lies in memory: `key` tells it from others, views of one value share it."""

    key: int
    shape: tuple[int, ...]
    itemsize: int  # bytes
    dtype: str  # "float32", "bfloat16", ...

    @property
    def bytes(self) -> int:
        """Its size in memory."""
        return math.prod(self.shape) * self.itemsize


class Operator(NamedTuple):
    """One operator of a step, which the host starts once.

    Attributes:
        reads: operands whose numbers are looked at; writes: results.
        macs: multiply-accumulates of products; 0 of all else.
    """

    name: str
    reads: tuple[Value, ...]
    writes: tuple[Value, ...]
    macs: int = 0

    @property
    def is_view(self) -> bool:
        """Is nothing moved?"""
        return self.name.removesuffix("_grad") in VIEWS

    @property
    def moved(self) -> int:
        """Bytes read and written, each value once."""
        if self.is_view:
            return 0
        written = sum(value.bytes for value in self.writes)
        name = self.name.rstrip("_")
        if name in _PICKS:
            return 2 * written + sum(value.bytes for value in self.reads[1:])
        return written + sum({value.key: value.bytes for value in self.reads}.values()) * (1 + (name in _TWICE))

    @property
    def dtype(self) -> str:
        """What it computes with: the type of its first operand, or result."""
        return (self.reads or self.writes)[0].dtype if self.reads or self.writes else "float32"


def product_macs(name: str, operands: Sequence[tuple[int, ...]], results: Sequence[tuple[int, ...]],
                 transposed: bool = False) -> int:
    """Multiply-accumulates of an operator by the shapes of all its operands and of the results it was asked for.

    Args:
        transposed: of a product: its first operand is (..., K, M), not (..., M, K).
    """
    def summed() -> int:
        return operands[0][-2] if transposed else operands[0][-1]

    if name == "matmul":
        return math.prod(results[0]) * summed()
    if name == "matmul_grad":  # (x, y, gradient): for each of two gradients a product of the same size
        return len(results) * math.prod(operands[2]) * summed()
    if name == "conv2d":
        return math.prod(results[0]) * math.prod(operands[1][1:])
    if name == "conv2d_grad":  # (x, kernel, gradient)
        return len(results) * math.prod(operands[2]) * math.prod(operands[1][1:])
    if name == "conv2d_transpose":  # (x, kernel (I, O, h, w)): every value of x is spread over a window of all O
        return math.prod(operands[0]) * math.prod(operands[1][1:])
    if name == "conv2d_transpose_grad":
        return len(results) * math.prod(operands[0]) * math.prod(operands[1][1:])
    if name == ATTENTION:  # (B, N, H, D): queries with keys, weights with values
        batch, tokens, heads, width = operands[0]
        return 2 * batch * heads * tokens * tokens * width
    return 0


def with_recompute(operators: Sequence[Operator], first_backward: int, blocks: Sequence[tuple[int, int]],
                   ) -> list[Operator]:
    """The step in which only what enters and leaves a block is kept, and the rest is computed again on the way back.

    Args:
        operators: of the whole step; first_backward: where its backward pass begins.
        blocks: start and stop of each block's operators in the forward pass.
    """
    again: dict[int, list[Operator]] = {}  # what goes before which operator of the backward pass
    renamed: dict[int, int] = {}
    fresh = -1
    for start, stop in blocks:
        inside = {value.key for operator in operators[start:stop] for value in operator.writes}
        inside -= {value.key for operator in operators[:start] for value in operator.reads + operator.writes}
        leaving = inside & {value.key for operator in operators[stop:first_backward] for value in operator.reads}
        readers = [at for at in range(first_backward, len(operators))
                   if any(value.key in inside - leaving for value in operators[at].reads)]
        if not readers:
            continue
        own = {key: fresh - number for number, key in enumerate(sorted(inside))}
        fresh -= len(own)
        again.setdefault(readers[0], []).extend(_with_keys(operator, own) for operator in operators[start:stop])
        renamed.update({key: own[key] for key in inside - leaving})
    step = list(operators[:first_backward])
    for at in range(first_backward, len(operators)):
        step += [*again.get(at, ()), _with_keys(operators[at], renamed)]
    return step


def _with_keys(operator: Operator, keys: dict[int, int]) -> Operator:
    def named(values):
        return tuple(value._replace(key=keys.get(value.key, value.key)) for value in values)

    return operator._replace(reads=named(operator.reads), writes=named(operator.writes))
