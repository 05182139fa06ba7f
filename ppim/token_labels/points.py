"""Where do the tokens of a view read their map? At regular points, as adaptive, aligned ROI-align does.

The class token is one token that covers the whole view; it is row 0, the tokens are the rows behind it.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ppim.geometry import HW, WHOLE, Step, Window, trace
from ppim.token_labels.axes import Axes, along_axes
from ppim.token_labels.reads import Points


class View(NamedTuple):
    """How the rows of a view read a map of R rows."""

    reads: Axes | Points  # which cells, and how much of each
    labelled: np.ndarray  # (R,) bool: at least half of its points show photo that the map covers
    shown: np.ndarray  # (R,) bool: at least half of its points show photo


@lru_cache(maxsize=1024)
def _layout(grid: HW, per_token: HW, per_class: HW) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sampling points of the class token (row 0) and of all tokens (rows 1 ..), in the view's frame.

    Args:
        grid: (rows, columns) of tokens; per_token, per_class: points per token as (n_y, n_x).

    Returns:
        points (P, 2), the row of each point (P,) and the number of points of each row (R,).
    """
    points, row = [], []
    for (rows, columns), (n_y, n_x), first in (((1, 1), per_class, 0), (grid, per_token, 1)):
        y, x = np.mgrid[:rows * n_y, :columns * n_x]
        points.append(np.stack([(x.ravel() + 0.5) / (columns * n_x), (y.ravel() + 0.5) / (rows * n_y)]))
        row.append(first + ((y // n_y) * columns + x // n_x).ravel())
    # (2, P) -> (P, 2), kept as long rows in memory
    points, row = np.concatenate(points, axis=1).T, np.concatenate(row)
    count = np.bincount(row)
    for array in (points, row, count):
        array.setflags(write=False)
    return points, row, count


def points_per_token(steps: Sequence[Step], window: Window, map_hw: HW, grid: HW) -> tuple[HW, HW]:
    """(n_y, n_x) of a token and of the class token: their sides in map cells along their own axes, rounded up (adaptive
    ROI-align)."""
    a, b, c, d = 1.0, 0.0, 0.0, 1.0
    for step in steps:
        (e, f, _), (g, h, _) = step.matrix.tolist()
        a, b, c, d = a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h
    x0, y0, x1, y1 = window
    cells_x, cells_y = map_hw[1] / (x1 - x0), map_hw[0] / (y1 - y0)
    side_x, side_y = math.hypot(a * cells_x, c * cells_y), math.hypot(b * cells_x, d * cells_y)
    # Rounding noise of a side of exactly 2 cells must not ask for 3 points.
    per_token, per_class = ((max(1, math.ceil(side_y / rows - 1e-4)), max(1, math.ceil(side_x / columns - 1e-4)))
                            for rows, columns in (grid, (1, 1)))
    return per_token, per_class


def view_points(steps: Sequence[Step], window: Window, map_hw: HW, grid: HW,
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a map is read for the class token (row 0) and the tokens (rows 1 ..) of a view.

    Returns:
        points (P, 2) in the view's frame, the row of each point (P,) and the number of points of each row (R,).
    """
    return _layout(tuple(grid), *points_per_token(steps, window, map_hw, grid))


def view_of(steps: Sequence[Step], window: Window, map_hw: HW, grid: HW, offset: tuple[float, float]) -> View:
    """How the class token and the tokens of a view read a map.

    Args:
        steps: the view's history (`ppim.geometry`); window: what of the photo the map covers; map_hw: its cells.
        grid: (rows, columns) of tokens; offset: (x, y) in sides of the view by which the tokens, but not the class
            token, look beside themselves.
    """
    if all(step.matrix[0, 1] == 0 == step.matrix[1, 0] for step in steps):
        return View(*along_axes(steps, window, map_hw, grid, points_per_token(steps, window, map_hw, grid), offset))
    points, row, asked = view_points(steps, window, map_hw, grid)
    if any(offset):
        points = points + (row > 0)[:, None] * np.asarray(offset)
    points, inside = trace(points, steps)
    shown = labelled = np.bincount(row, inside)
    if window != WHOLE:
        x0, y0, x1, y1 = window
        points = (points - (x0, y0)) / (x1 - x0, y1 - y0)
        inside &= ((points >= 0) & (points <= 1)).all(axis=1)
        labelled = np.bincount(row, inside)
    share = np.where(2 * labelled >= asked, 1 / np.maximum(labelled, 1), 0)
    return View(Points.read(points, inside * share[row], row, len(asked), map_hw), share > 0, 2 * shown >= asked)
