"""Targets exactly as the released token-labeling code computes them, for runs that must repeat it.

It differs from `targets.token_targets` in three ways, each kept on purpose and pinned by reference numbers:

- augmentations move the map itself, nearest cell, in cells: matrices act on cell indices (so a rotation turns about
  index W/2, half a cell off the centre, and a non-square photo is sheared and turned as if it were square); an index
  of half is rounded up; what comes from beyond the outermost cell centres keeps the id of the border, with score 0
- x and y of the crop box are exchanged on the way into ROI-align
- the box is widened to at least one cell

Published maps are square (18x18); on others, shares of the map's own sides are used.
"""
from __future__ import annotations

import math
from typing import Any

import numpy as np

from ppim.geometry import HW, WHOLE, Step, trace
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.points import view_points
from ppim.token_labels.reads import Points, blank_rows
from ppim.token_labels.targets import SparseTargets, read_targets, split_class

Move = tuple[Any, ...]  # (name,) or (name, value) of `warp`


def _index_matrix(name: str, value: float, rows: int, columns: int) -> tuple[float, ...]:
    """(a, b, c, d, e, f): cell (x, y) of the warped map shows cell (ax + by + c, dx + ey + f)."""
    if name == "rotate":
        cos, sin = math.cos(math.radians(value)), math.sin(math.radians(value))
        x, y = columns / 2, rows / 2
        return cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y
    if name == "shear_x":
        return 1, value, 0, 0, 1, 0
    if name == "shear_y":
        return 1, 0, 0, value, 1, 0
    if name == "translate_x_rel":
        return 1, 0, value * columns, 0, 1, 0
    if name == "translate_y_rel":
        return 1, 0, 0, 0, 1, value * rows
    raise ValueError(f"no released label operation {name!r}; there are hflip, rotate, shear_x, shear_y, "
                     "translate_x_rel, translate_y_rel")


def warp(label_map: LabelMap, name: str, value: float = 0.0) -> LabelMap:
    """The map after one released operation.

    Args:
        name: 'hflip', 'rotate' (degrees), 'shear_x', 'shear_y' (factor), 'translate_x_rel' or 'translate_y_rel'
            (share of the side).
    """
    scores, ids = label_map.scores, label_map.ids
    if name == "hflip":
        return label_map._replace(scores=scores[:, :, ::-1], ids=ids[:, :, ::-1])
    rows, columns = scores.shape[1:]
    a, b, c, d, e, f = _index_matrix(name, value, rows, columns)
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    x, y = a * x + b * y + c, d * x + e * y + f
    inside = (x >= 0) & (x <= columns - 1) & (y >= 0) & (y <= rows - 1)
    x = np.clip(np.floor(x + 0.5), 0, columns - 1).astype(np.intp)
    y = np.clip(np.floor(y + 0.5), 0, rows - 1).astype(np.intp)
    return label_map._replace(scores=np.where(inside, scores[:, y, x], np.float32(0)), ids=ids[:, y, x])


def released_targets(label_map: LabelMap, ops: list[Move], crop: tuple[float, ...], grid: HW, num_classes: int, *,
                     smoothing: float = 0.1, blank: str = "uniform") -> tuple[SparseTargets, SparseTargets]:
    """Targets of the class token (R = 1) and of the tokens (R = rows * columns).

    Args:
        ops: in the order applied, for instance [('hflip',), ('rotate', 9.0)].
        crop: (top, left, height, width) as shares of the photo.
        grid: (rows, columns) of tokens.
        blank: as of `targets.token_targets`; the released code has nothing of the kind.
    """
    for op in ops:
        label_map = warp(label_map, *op)
    shape = label_map.scores.shape[1:]
    top, left, height, width = crop
    # The exchange: the box's vertical extent is read along x, its horizontal one along y.
    box = Step(np.array([[max(height, 1 / shape[1]), 0, top], [0, max(width, 1 / shape[0]), left]], np.float64))
    points, row, asked = view_points([box], WHOLE, shape, grid)
    points, _ = trace(points, [box])
    reads = Points.read(points, 1 / asked[row], row, len(asked), shape)
    found = read_targets(label_map, reads, num_classes, smoothing, "released")
    if blank == "ignore":
        found.const[1:, 2][blank_rows(label_map, reads)[1:]] = 0
    return split_class(found)
