"""Do two patterns over the cells of a photo go together, though one is made of classes and the other of colours, or of
other classes?

A pattern is a table (cells, columns), of each column its mean taken away. How well two of them go together is one
number from 0 to 1, the centred alignment of their kernels (arXiv 1905.00414): the same for any names of classes, larger
the more cells that are alike in the one are alike in the other.
"""
from __future__ import annotations

import numpy as np

from ppim.geometry import HW, Window
from ppim.token_labels.maps import LabelMap

_KEPT = 16  # columns of a map that are looked at, those that vary most
_POINTS = 4  # along a side of a cell, at which another map is read


def classes_of(scores: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """How much of each class every cell has.

    Args:
        scores, ids: (K, rows, columns) as of `LabelMap`.

    Returns:
        (rows, columns, at most 16) float64, shares of the classes that are kept anywhere.
    """
    _, rows, columns = scores.shape
    names, place = np.unique(ids, return_inverse=True)
    table = np.zeros((rows * columns, len(names)))
    table[np.arange(len(table)), place.reshape(len(scores), -1)] = scores.reshape(len(scores), -1)
    table = np.exp(table - table.max(axis=1, keepdims=True))
    table /= table.sum(axis=1, keepdims=True)
    if len(names) > _KEPT:
        table = table[:, np.argsort(-table.var(axis=0), kind="stable")[:_KEPT]]
    return table.reshape(rows, columns, -1)


def of_map(label_map: LabelMap) -> np.ndarray:
    """`classes_of` a map."""
    return classes_of(label_map.scores, label_map.ids)


def laid(table: np.ndarray, window: Window, hw: HW) -> np.ndarray:
    """What a table over a whole photo says of the cells of another grid.

    Args:
        table: (rows, columns, C) over the whole photo, bilinear between the centres of its cells.
        window: what of the photo the other grid covers; hw: its rows and columns.

    Returns:
        (hw[0], hw[1], C): the mean over each of its cells.
    """
    x0, y0, x1, y1 = window
    down, across = _reads(hw[0], y0, y1, table.shape[0]), _reads(hw[1], x0, x1, table.shape[1])
    # (rows, columns, C) -> (hw[0], columns, C) -> (C, hw[0], hw[1]) -> (hw[0], hw[1], C)
    return (np.tensordot(down, table, 1).transpose(2, 0, 1) @ across.T).transpose(1, 2, 0)


def _reads(count: int, start: float, stop: float, cells: int) -> np.ndarray:
    """(count, cells): what each of `cells` over a side counts in each of `count` parts of start .. stop."""
    at = start + (stop - start) * (np.arange(count * _POINTS) + 0.5) / (count * _POINTS)
    at = np.clip(at * cells - 0.5, 0, cells - 1)
    tent = np.maximum(1 - np.abs(at[:, None] - np.arange(cells)), 0)
    return tent.reshape(count, _POINTS, cells).mean(axis=1)


def centred(table: np.ndarray) -> np.ndarray:
    """(rows, columns, C) or (cells, C) -> the pattern (cells, C), scaled so that its kernel has length one; all zero
    where the table is level."""
    pattern = table.reshape(-1, table.shape[-1])
    pattern = pattern - pattern.mean(axis=0)
    length = np.linalg.norm(pattern.T @ pattern)
    return pattern / np.sqrt(length) if length > 1e-9 else np.zeros_like(pattern)


def together(one: np.ndarray, other: np.ndarray) -> float:
    """How well two patterns of the same cells, as `centred` gives them, go together: 0 .. 1."""
    return float(np.linalg.norm(one.T @ other) ** 2)
