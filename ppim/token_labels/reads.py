"""What do the points at which a row reads a map tell: where do they lie, do they say anything, and how surely?"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ppim.geometry import HW
from ppim.token_labels.maps import LabelMap

_TIE = 1e-9  # of a half, which rounding must not decide


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


class Points(NamedTuple):
    """Rows that read cells at points: n of them at each of P, four where they read bilinearly."""

    cells: np.ndarray  # (n, P) flat indices
    shares: np.ndarray  # (n, P) float64, of a row's sum
    row: np.ndarray  # (P,)
    rows: int  # R

    @classmethod
    def read(cls, points: np.ndarray, weight: np.ndarray, row: np.ndarray, rows: int, map_hw: HW) -> Points:
        """Rows that average a map over points.

        Args:
            points: (P, 2) in the map's frame; weight: (P,) share of each point in its row (0 = does not count; a row
                without weight reads nothing); row: (P,) in 0 .. rows - 1.
        """
        cells, shares = bilinear(points, tuple(map_hw))
        shares *= weight
        return cls(cells, shares, row, rows)

    @property
    def covered(self) -> np.ndarray:
        """(R,): all that a row reads, 1 or 0."""
        return np.bincount(self.row, self.shares.sum(axis=0), self.rows)

    def mean(self, plane: np.ndarray) -> np.ndarray:
        """(h, w) -> (R,): what each row reads of it."""
        return np.bincount(self.row, (plane.ravel()[self.cells] * self.shares).sum(axis=0), self.rows)

    def sums(self, values: np.ndarray, slots: np.ndarray, count: int) -> np.ndarray:
        """(R, count): what each row reads of `values`, apart for each of `count` slots.

        Args:
            values: (K, h, w) float64; slots: (K, h, w) integers below `count`.
        """
        # (K, h, w) -> (cells, K) -> (n, P, K): where each read lands in the (R, count) table
        values, slots = (np.ascontiguousarray(one.reshape(len(one), -1).T) for one in (values, slots))
        keys = slots.take(self.cells, axis=0)
        keys += (self.row * count)[:, None]
        reads = values.take(self.cells, axis=0)
        reads *= self.shares[:, :, None]
        return np.bincount(keys.ravel(), reads.ravel(), self.rows * count).reshape(self.rows, count)


def blank_cells(label_map: LabelMap) -> np.ndarray:
    """(rows, columns) bool: the cells of which a map says nothing, all the classes it keeps having the same score, as
    in maps of masks and of drawn pictures where there is no object. One class alone always says something."""
    scores = label_map.scores
    return (scores.max(axis=0) == scores.min(axis=0)) & (len(scores) > 1)


def blank_rows(label_map: LabelMap, reads) -> np.ndarray:
    """(R,) bool: the rows of which the map says nothing, more than half of what they read being blank cells.

    Args:
        reads: `Points` or `axes.Axes`.
    """
    if len(label_map.scores) < 2:
        return np.zeros(len(reads.covered), bool)
    telling = (~blank_cells(label_map)).astype(np.float64)
    return reads.mean(telling) < (0.5 - _TIE) * reads.covered


def confidence(label_map: LabelMap, reads, num_classes: int) -> np.ndarray:
    """(R,) float32 in [1 / C, 1]: the probability of each cell's best class, averaged over what a row reads; what a
    row does not read is taken to be uniform, as in its target. `reads` as of `blank_rows`.
    """
    probs = np.exp(label_map.scores.astype(np.float64) - label_map.log_z)
    # half precision can bring the sum slightly above one, see `targets`
    total = probs.sum(axis=0)
    best = probs.max(axis=0) / (np.maximum(total, 1) if len(probs) < num_classes else total)
    return (reads.mean(best) + (1 - reads.covered) / num_classes).astype(np.float32)
