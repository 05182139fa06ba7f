"""How is a map read where a view's axes are the map's? Rows and columns apart, as two small products.

Most views are crops, mirrored or moved. Bilinear reading at regular points is then a weight of each row of cells times
one of each column, for every token alike: sums over points become two products of matrices of some twenty rows. The
numbers are those of `reads.Points` but for the order in which they are added.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ppim.geometry import HW, WHOLE, Step, Window
from ppim.token_labels.reads import Points

_FEW = 96  # classes of a map up to which products are quicker than sums of what is read


class Axes(NamedTuple):
    """Weights of cells: token (i, j) reads y[i, r] * x[j, c] * share[i, j] of cell (r, c); the last of either axis is
    the class token."""

    y: np.ndarray  # (rows + 1, h) float64
    x: np.ndarray  # (columns + 1, w) float64
    share: np.ndarray  # (rows + 1, columns + 1) float64: one over the points that count, 0 where too few do

    @property
    def covered(self) -> np.ndarray:
        """(R,): all that a row reads, 1 or 0."""
        return _in_rows(np.sign(self.share))

    def mean(self, plane: np.ndarray) -> np.ndarray:
        """(h, w) -> (R,): what each row reads of it."""
        return _in_rows(self.y @ plane @ self.x.T * self.share)

    def sums(self, values: np.ndarray, slots: np.ndarray, count: int) -> np.ndarray:
        """(R, count): what each row reads of `values`, apart for each of `count` slots.

        Args:
            values: (K, h, w) float64; slots: (K, h, w) integers below `count`.
        """
        if count > _FEW:
            return self._as_points().sums(values, slots, count)
        height, width = slots.shape[1:]
        place = (np.arange(width) * height + np.arange(height)[:, None]) * count
        table = np.bincount((slots + place).ravel(), values.ravel(), height * width * count)
        # (w, h, D) -> (w, rows + 1, D) -> (rows + 1, columns + 1, D)
        found = self.x @ (self.y @ table.reshape(width, height, count)).transpose(1, 0, 2)
        found *= self.share[:, :, None]
        return _in_rows(found)

    def _as_points(self) -> Points:
        """The same, cell by cell."""
        (i, r), (j, c) = np.nonzero(self.y), np.nonzero(self.x)
        rows, columns = (side - 1 for side in self.share.shape)
        row = np.where((i < rows)[:, None] & (j < columns), 1 + i[:, None] * columns + j, 0)
        shares = (self.y[i, r][:, None] * self.x[j, c]) * self.share[i[:, None], j]
        # what a row of tokens and the column of the class token have in common is nobody's
        kept = (i < rows)[:, None] == (j < columns)
        cells = r[:, None] * self.x.shape[1] + c
        return Points(cells[kept][None], shares[kept][None], row[kept], 1 + rows * columns)


class _Layout(NamedTuple):
    """Points of both axes, y before x, of each first those of the tokens, then those of the class token."""

    place: np.ndarray  # (L,) in sides of the view
    axis: np.ndarray  # (L,) int: 0 along y, 1 along x
    is_token: np.ndarray  # (L,) bool
    whose: np.ndarray  # (G, L) float64: 1 where a point belongs to a row or column, of which there are G
    count: np.ndarray  # (G,) points of each


@lru_cache(maxsize=1024)
def _layout(grid: HW, per_token: HW, per_class: HW) -> _Layout:
    places, axes, tokens, owner, first = [], [], [], [], 0
    for axis, (tokens_here, n, whole) in enumerate(zip(grid, per_token, per_class)):
        places += [(np.arange(tokens_here * n) + 0.5) / (tokens_here * n), (np.arange(whole) + 0.5) / whole]
        owner += [first + np.arange(tokens_here * n) // n, np.full(whole, first + tokens_here)]
        axes.append(np.full(tokens_here * n + whole, axis))
        tokens += [np.ones(tokens_here * n, bool), np.zeros(whole, bool)]
        first += tokens_here + 1
    whose = (np.arange(first)[:, None] == np.concatenate(owner)).astype(np.float64)
    layout = _Layout(np.concatenate(places), np.concatenate(axes), np.concatenate(tokens), whose, whose.sum(axis=1))
    for array in layout:
        array.setflags(write=False)
    return layout


def along_axes(steps: Sequence[Step], window: Window, map_hw: HW, grid: HW, points: tuple[HW, HW],
               offset: tuple[float, float]) -> tuple[Axes, np.ndarray, np.ndarray]:
    """The fields of a `points.View` whose steps neither rotate nor shear.

    Args:
        points: (n_y, n_x) of a token and of the class token; the others as of `points.view_of`.
    """
    place, axis, is_token, whose, count = _layout(tuple(grid), *points)
    if any(offset):
        place = place + is_token * np.array(offset[::-1])[axis]
    shown = np.ones(len(place), bool)
    for step in reversed(steps):
        (a, _, c), (_, d, f) = step.matrix.tolist()
        place = place * np.array((d, a))[axis] + np.array((f, c))[axis]
        shown = shown & (place >= 0) & (place <= 1)
    if window != WHOLE:
        x0, y0, x1, y1 = window
        place = (place - np.array((y0, x0))[axis]) / np.array((y1 - y0, x1 - x0))[axis]
    inside = shown & (place >= 0) & (place <= 1)
    size = np.array(map_hw)[axis]
    # clamped to the outermost cell centres
    place = np.minimum(np.maximum(place * size - 0.5, 0), size - 1)
    hat = np.maximum(1 - np.abs(place[:, None] - np.arange(max(map_hw))), 0)
    weights = whose @ (hat * inside[:, None])
    rows = grid[0] + 1
    shown, labelled, asked = (along[:rows, None] * along[rows:] for along in (whose @ shown, whose @ inside, count))
    enough = 2 * labelled >= asked
    share = np.where(enough, 1 / np.maximum(labelled, 1), 0)
    reads = Axes(weights[:rows, :map_hw[0]], weights[rows:, :map_hw[1]], share)
    return reads, _in_rows(enough), _in_rows(2 * shown >= asked)


def _in_rows(table: np.ndarray) -> np.ndarray:
    """(rows + 1, columns + 1, ...) -> (R, ...): the class token, then the tokens row by row."""
    return np.concatenate([table[-1, -1:], table[:-1, :-1].reshape(-1, *table.shape[2:])])
