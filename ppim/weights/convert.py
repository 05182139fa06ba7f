"""PyTorch's layout -> ours and back, by the type of the layer each array belongs to, never by its shape.

A square Linear weight passes every shape check untransposed and is garbage all the same.
"""
from __future__ import annotations

import re

import numpy as np
import paddle
from paddle import nn

from ppim.models.positions import resized

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
    for pattern, original in getattr(model, "original_names", ()):
        converted = {re.sub(pattern, original, name): array for name, array in converted.items()}
    return converted


def resize_position(
    table: np.ndarray, extra: int, grid: tuple[int, int], old: tuple[int, int] | None = None,
) -> np.ndarray:
    """A position table (1, extra + N, C) for another grid: (1, extra + rows * columns, C), bicubic.

    The first `extra` tokens have no place on the grid and are kept as they are. A table (1, n, m, C) stays one of that
    kind: (1, rows, columns, C).

    Args:
        old: (rows, columns) of the N tokens; None: a square.

    Raises:
        ValueError: what is left without the extra tokens is no such grid.
    """
    if table.ndim == 4 and table.shape[0] == 1 and not extra:
        flat = table.reshape(1, -1, table.shape[3])
        return resize_position(flat, 0, grid, table.shape[1:3]).reshape(1, *grid, table.shape[3])
    side = round(max(0, table.shape[1] - extra) ** 0.5)
    rows, columns = old or (side, side)
    if table.ndim != 3 or side < 1 or rows * columns != table.shape[1] - extra:
        wanted = f"{rows} * {columns}" if old else "n * n"
        raise ValueError(f"wanted a position table of shape (1, {extra} + {wanted}, C), got {list(table.shape)}")
    cells = paddle.to_tensor(np.ascontiguousarray(table[:, extra:], dtype=np.float32))
    return np.concatenate([table[:, :extra], resized(cells, 0, (rows, columns), grid).numpy()], axis=1)
