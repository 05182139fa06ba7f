"""What do the points at which a row reads a map tell: where do they lie, do they say anything, and how surely?"""
from __future__ import annotations

import numpy as np

from ppim.geometry import HW
from ppim.token_labels.maps import LabelMap


def bilinear(points: np.ndarray, map_hw: HW) -> tuple[np.ndarray, np.ndarray]:
    """Cells and shares of points in the map's frame, clamped to the outermost cell centres.

    Returns:
        cells (4, P) flat indices and shares (4, P), which sum to one over the four.
    """
    rows, columns = map_hw
    x = np.clip(points[:, 0] * columns - 0.5, 0, columns - 1)
    y = np.clip(points[:, 1] * rows - 0.5, 0, rows - 1)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, bottom = np.minimum(left + 1, columns - 1), np.minimum(top + 1, rows - 1)
    x, y = x - left, y - top
    top, bottom = top * columns, bottom * columns
    cells = np.stack([top + left, top + right, bottom + left, bottom + right])
    low = x * y
    return cells, np.stack([1 - x - y + low, x - low, y - low, low])


def blank_rows(label_map: LabelMap, points: np.ndarray, weight: np.ndarray, row: np.ndarray, rows: int) -> np.ndarray:
    """(rows,) bool: the rows of which the map says nothing, more than half of what they read being blank cells.

    A cell is blank where all the classes it keeps have the same score: maps of masks and of drawn pictures are, where
    there is no object. Arguments as of `targets.sample_map`.
    """
    scores = label_map.scores
    if len(scores) < 2:
        return np.zeros(rows, bool)
    telling = (scores.max(axis=0) > scores.min(axis=0)).ravel()
    cells, shares = bilinear(points, scores.shape[1:])
    told = np.bincount(row, (telling[cells] * shares).sum(axis=0) * weight, minlength=rows)
    return told < 0.5 * np.bincount(row, weight, minlength=rows)


def confidence(label_map: LabelMap, points: np.ndarray, weight: np.ndarray, row: np.ndarray, rows: int,
               num_classes: int) -> np.ndarray:
    """(rows,) float32 in [1 / C, 1]: the probability of each cell's best class, averaged over what a row reads; what a
    row does not read is taken to be uniform, as in its target. Arguments as of `targets.sample_map`.
    """
    kept = len(label_map.scores)
    probs = np.exp(label_map.scores.reshape(kept, -1).astype(np.float64) - label_map.log_z.reshape(-1))
    # half precision can bring the sum slightly above one, see `targets`
    total = probs.sum(axis=0)
    best = probs.max(axis=0) / (np.maximum(total, 1) if kept < num_classes else total)
    cells, shares = bilinear(points, label_map.scores.shape[1:])
    read = np.bincount(row, (best[cells] * shares).sum(axis=0) * weight, minlength=rows)
    return (read + (1 - np.bincount(row, weight, minlength=rows)) / num_classes).astype(np.float32)
