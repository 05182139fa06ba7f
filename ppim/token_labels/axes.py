"""How is a map read where a view's axes are the map's? Rows and columns apart, as two small products.

Most views are crops, mirrored or moved. Bilinear reading at regular points is then a weight of each row of cells times
one of each column, for every token alike: sums over points become two products of matrices of some twenty rows. The
numbers are those of `reads.Points` but for the order in which they are added.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ppim.geometry import HW, Step, Window
from ppim.token_labels.reads import Points

_FEW = 96  # classes of a map up to which products are quicker than sums of what is read
_HALF = 0.5 - 1e-9  # which rounding must not decide
_EDGE = 1e-9  # of a view, where no point lies
_ALONE = 200_000  # multiplications up to which BLAS starts no threads, of which a loader has processes instead


class Axes(NamedTuple):
    """Weights of cells: token (i, j) reads y[i, r] * x[j, c] * share[i, j] of cell (r, c); the last of either axis is
    the class token."""

    y: np.ndarray  # (rows + 1, h) float64
    x: np.ndarray  # (columns + 1, w) float64
    share: np.ndarray  # (rows + 1, columns + 1) float64: of points over those that count, 0 where too few do
    whole: bool  # all points count, so every share is 1

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
        place = np.arange(0, height * width * count, count).reshape(height, width)
        table = np.bincount((slots + place).ravel(), values.ravel(), height * width * count).reshape(height, -1)
        most = max(1, _ALONE // self.y.size)
        parts = [self.y @ table[:, first:first + most] for first in range(0, width * count, most)]
        part = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        # (rows + 1, w * D) -> (rows + 1, w, D) -> (rows + 1, columns + 1, D)
        found = self.x @ part.reshape(-1, width, count)
        if not self.whole:
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
    mean: np.ndarray  # (G, L) float64: averages the points of a row or column, of which there are G
    every: np.ndarray  # (rows + 1, columns + 1) float64 ones


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
    layout = _Layout(np.concatenate(places), np.concatenate(axes), np.concatenate(tokens),
                     whose / whose.sum(axis=1, keepdims=True), np.ones((grid[0] + 1, grid[1] + 1)))
    for array in layout:
        array.setflags(write=False)
    return layout


class _Line(NamedTuple):
    """Where one coordinate of a view's points, 0 .. 1, lies in the map."""

    scale: float
    start: float  # cells = scale * point + start
    shown: tuple[float, float]  # points from here to there show photo
    inside: tuple[float, float]  # ... that the map covers


def _line(moves: Sequence[tuple[float, float]], window: tuple[float, float], cells: int) -> _Line:
    """One axis of a view.

    Args:
        moves: (a, c) of each step, whose point p shows point a * p + c; window: what the map covers.
    """
    scale, start, shown = 1.0, 0.0, (-math.inf, math.inf)
    for a, c in reversed(moves):
        scale, start = a * scale, a * start + c
        shown = _narrowed(shown, scale, start)
    inside = shown
    if window != (0, 1):
        first, last = window
        scale, start = scale / (last - first), (start - first) / (last - first)
        inside = _narrowed(shown, scale, start)
    return _Line(scale * cells, start * cells - 0.5, shown, inside)


def _narrowed(reach: tuple[float, float], scale: float, start: float) -> tuple[float, float]:
    """What of `reach` lies in the frame 0 .. 1 to which scale * point + start leads."""
    first, last = sorted((-start / scale, (1 - start) / scale))
    return max(reach[0], first), min(reach[1], last)


def _within(place: np.ndarray, axis: np.ndarray, reaches: Sequence[tuple[float, float]]) -> np.ndarray:
    """(L,) bool: which points lie in the reach of their axis."""
    reach = np.array(reaches)[axis]
    return (place >= reach[:, 0]) & (place <= reach[:, 1])


def along_axes(steps: Sequence[Step], window: Window, map_hw: HW, grid: HW, points: tuple[HW, HW],
               offset: tuple[float, float]) -> tuple[Axes, np.ndarray, np.ndarray]:
    """The fields of a `points.View` whose steps neither rotate nor shear.

    Args:
        points: (n_y, n_x) of a token and of the class token; the others as of `points.view_of`.
    """
    place, axis, is_token, mean, every = _layout(tuple(grid), *points)
    matrices = [step.matrix.tolist() for step in steps]
    lines = (_line([(d, f) for _, (_, d, f) in matrices], window[1::2], map_hw[0]),
             _line([(a, c) for (a, _, c), _ in matrices], window[::2], map_hw[1]))
    if any(offset):
        place = place + is_token * np.array(offset[::-1])[axis]
    # clamped to the outermost cell centres
    last = np.array(map_hw) - 1
    cells = place * np.array([line.scale for line in lines])[axis] + np.array([line.start for line in lines])[axis]
    cells = np.minimum(np.maximum(cells, 0), last[axis])
    hat = np.maximum(1 - np.abs(cells[:, None] - np.arange(last.max() + 1)), 0)
    share = labelled = shown = every
    rows = grid[0] + 1
    whole = not any(offset) and all(line.inside[0] < _EDGE and line.inside[1] > 1 - _EDGE for line in lines)
    if not whole:
        shown, inside = (_within(place, axis, reaches) for reaches in zip(*[line[2:] for line in lines]))
        hat *= inside[:, None]
        shown, labelled = (along[:rows, None] * along[rows:] for along in (mean @ shown, mean @ inside))
        share = np.where(labelled < _HALF, 0, 1 / np.maximum(labelled, _HALF))
    weights = mean @ hat
    reads = Axes(weights[:rows, :map_hw[0]], weights[rows:, :map_hw[1]], share, whole)
    return reads, _in_rows(labelled >= _HALF), _in_rows(shown >= _HALF)


def _in_rows(table: np.ndarray) -> np.ndarray:
    """(rows + 1, columns + 1, ...) -> (R, ...): the class token, then the tokens row by row."""
    return np.concatenate([table[-1, -1:], table[:-1, :-1].reshape(-1, *table.shape[2:])])
