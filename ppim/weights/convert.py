"""PyTorch's layout -> ours and back, by the type of the layer each array belongs to, never by its shape.

A square Linear weight passes every shape check untransposed and is garbage all the same.
"""
from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

_BATCH_NORM = {"running_mean": "_mean", "running_var": "_variance"}


def from_torch(model: nn.Layer, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`state`, already under the model's layer names, with Paddle's layout and BatchNorm names.

    Linear weights are transposed (as views), BatchNorm's counters dropped. Names of no layer pass unchanged.
    """
    layers = dict(model.named_sublayers())
    converted = {}
    for name, array in state.items():
        layer_name, _, part = name.rpartition(".")
        layer = layers.get(layer_name)
        if isinstance(layer, nn.Linear) and part == "weight":
            array = array.T
        elif isinstance(layer, nn.layer.norm._BatchNormBase):
            if part == "num_batches_tracked":
                continue
            name = f"{layer_name}.{_BATCH_NORM.get(part, part)}"
        converted[name] = array
    return converted


def to_torch(model: nn.Layer, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `from_torch`: our names and layout -> PyTorch's. BatchNorm's counters come back as zeros."""
    layers = dict(model.named_sublayers())
    theirs = {ours: name for name, ours in _BATCH_NORM.items()}
    converted = {}
    for name, array in state.items():
        layer_name, _, part = name.rpartition(".")
        layer = layers.get(layer_name)
        if isinstance(layer, nn.Linear) and part == "weight":
            array = np.ascontiguousarray(array.T)
        elif isinstance(layer, nn.layer.norm._BatchNormBase):
            name = f"{layer_name}.{theirs.get(part, part)}"
            if part == "_variance":
                converted[f"{layer_name}.num_batches_tracked"] = np.zeros((), np.int64)
        converted[name] = array
    return converted


def resize_position(table: np.ndarray, extra: int, grid: tuple[int, int]) -> np.ndarray:
    """A position table (1, extra + n * n, C) for another grid: (1, extra + rows * columns, C), bicubic.

    The first `extra` tokens have no place on the grid and are kept as they are.

    Raises:
        ValueError: what is left without the extra tokens is no square.
    """
    side = round(max(0, table.shape[1] - extra) ** 0.5)
    if table.ndim != 3 or side < 1 or side * side != table.shape[1] - extra:
        raise ValueError(f"wanted a position table of shape (1, {extra} + n * n, C), got {list(table.shape)}")
    # (1, n * n, C) -> (1, C, n, n)
    cells = paddle.to_tensor(np.ascontiguousarray(table[:, extra:], dtype=np.float32))
    cells = cells.reshape([1, side, side, -1]).transpose([0, 3, 1, 2])
    cells = F.interpolate(cells, size=list(grid), mode="bicubic", align_corners=False)
    # (1, C, rows, columns) -> (1, rows * columns, C)
    cells = cells.flatten(2).transpose([0, 2, 1]).numpy()
    return np.concatenate([table[:, :extra], cells], axis=1)
