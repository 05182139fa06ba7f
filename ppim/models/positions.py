"""How does a table of positions fit another grid of tokens? Resized, bicubic, and kept as long as the table stays."""
from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F

from ppim.models.operators import eager_on_cpu

_MOST = 8  # sizes whose tables are kept


def resized(table: paddle.Tensor, first: int, old: tuple[int, int], new: tuple[int, int]) -> paddle.Tensor:
    """A table (1, first + rows * columns, C) of the grid `old` for the grid `new`, bicubic without smoothing, as in
    DeiT's code; what belongs to the `first` tokens is as it was. Gradients reach the table."""
    cells = table[:, first:].transpose([0, 2, 1]).reshape([1, -1, *old])
    if 1 in new:  # Paddle then reads at the edge instead of the middle
        rows, columns = (paddle.to_tensor(_weights(*sides)) for sides in zip(old, new))
        cells = paddle.matmul(paddle.matmul(rows, cells), columns, transpose_y=True)
    else:
        cells = F.interpolate(cells, size=list(new), mode="bicubic", align_corners=False)
    # (1, C, rows, columns) -> (1, rows * columns, C)
    cells = cells.flatten(2).transpose([0, 2, 1])
    return paddle.concat([table[:, :first], cells], axis=1) if first else cells


def _weights(old: int, new: int) -> np.ndarray:
    """(new, old) float32: how much each of `old` cells counts in each of `new`; cubic with a = -0.75, beyond the edge
    is the edge."""
    matrix = np.zeros((new, old), np.float32)
    for place in range(new):
        at = (place + 0.5) * old / new - 0.5
        for tap in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
            t = abs(at - tap)
            weight = (1.25 * t - 2.25) * t * t + 1 if t <= 1 else -0.75 * (((t - 5) * t + 8) * t - 4)
            matrix[place, min(max(tap, 0), old - 1)] += weight
    return matrix


class Kept:
    """Tables resized before, by grid; each holds as long as its table has every value that it was made of.

    On a CPU alone, where resizing costs more than looking whether anything has changed, and where no gradient is asked
    for: Paddle does not tell when a parameter is written to.
    """

    def __init__(self):
        self._known: dict[tuple[int, int], tuple[np.ndarray, paddle.Tensor]] = {}

    def resized(self, table: paddle.Tensor, first: int, old: tuple[int, int], new: tuple[int, int]) -> paddle.Tensor:
        """As the function `resized`."""
        if not eager_on_cpu() or paddle.is_grad_enabled():
            return resized(table, first, old, new)
        now = table.numpy()
        if new in self._known and np.array_equal(self._known[new][0], now):
            return self._known[new][1]
        if len(self._known) == _MOST:
            self._known.pop(next(iter(self._known)))
        found = resized(table, first, old, new)
        self._known[new] = now.copy(), found
        return found
