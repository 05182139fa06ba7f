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
_HALF = 0.5 - 1e-9  # which rounding must not decide
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
    """Points along one axis, first those of G - 1 tokens, then those of the class token; either ascend."""

    place: np.ndarray  # (L,) in sides of the view
    owner: np.ndarray  # (L,) int: whose a point is, 0 .. G - 1
    part: np.ndarray  # (L,) one over the points of its owner
    ends: np.ndarray  # (4,) the first and the last point of either
    ones: np.ndarray  # (G,)


@lru_cache(maxsize=1024)
def _layout(tokens: int, per_token: int, per_class: int) -> _Layout:
    count = tokens * per_token
    place = np.concatenate([(np.arange(count) + 0.5) / count, (np.arange(per_class) + 0.5) / per_class])
    owner = np.concatenate([np.arange(count) // per_token, np.full(per_class, tokens)])
    layout = _Layout(place, owner, np.where(owner < tokens, 1 / per_token, 1 / per_class),
                     np.array([0, count - 1, count, count + per_class - 1]), np.ones(tokens + 1))
    for array in layout:
        array.setflags(write=False)
    return layout


class _Line(NamedTuple):
    """What is read along one axis."""

    weights: np.ndarray  # (G, cells) float64: the share of each cell, of the points that count
    shown: np.ndarray  # (G,) the share of points that show photo
    inside: np.ndarray  # (G,) ... that the map covers
    whole: bool  # all of them


def _line(layout: _Layout, moves: Sequence[tuple[float, float]], window: tuple[float, float] | None, cells: int,
          offset: float) -> _Line:
    """One axis of a view.

    Args:
        moves: (a, c) of each step, whose point p shows point a * p + c; window: what the map covers, None for all.
    """
    groups = len(layout.ones)
    place = layout.place + (layout.owner < groups - 1) * offset if offset else layout.place
    shown = None  # all
    for a, c in reversed(moves):
        place = place * a + c
        shown = _also_within(shown, place, layout)
    inside = shown
    if window:
        first, last = window
        place = (place - first) / (last - first)
        inside = _also_within(shown, place, layout)
    # clamped to the outermost cell centres
    place = np.minimum(np.maximum(place * cells - 0.5, 0), cells - 1)
    low = place.astype(np.intp)
    part = layout.part if inside is None else layout.part * inside
    high = (place - low) * part
    # the last cell of a row has nothing above it, so that what comes behind it is nothing
    at = layout.owner * cells + low
    weights = np.bincount(np.concatenate([at, at + 1]), np.concatenate([part - high, high]), groups * cells + 1)
    return _Line(weights[:-1].reshape(groups, cells), _shares(shown, layout), _shares(inside, layout), inside is None)


def _also_within(counted: np.ndarray | None, place: np.ndarray, layout: _Layout) -> np.ndarray | None:
    """(L,) bool: which of the points that counted lie within 0 .. 1 too; None: all."""
    ends = place[layout.ends].tolist()
    if min(ends) >= 0 and max(ends) <= 1:
        return counted
    within = (place >= 0) & (place <= 1)
    return within if counted is None else counted & within


def _shares(counted: np.ndarray | None, layout: _Layout) -> np.ndarray:
    """(G,): how much of the points of each counts."""
    return layout.ones if counted is None else np.bincount(layout.owner, layout.part * counted)


def along_axes(steps: Sequence[Step], window: Window, map_hw: HW, grid: HW, points: tuple[HW, HW],
               offset: tuple[float, float]) -> tuple[Axes, np.ndarray, np.ndarray]:
    """The fields of a `points.View` whose steps neither rotate nor shear.

    Args:
        points: (n_y, n_x) of a token and of the class token; the others as of `points.view_of`.
    """
    matrices = [step.matrix.tolist() for step in steps]
    moves = [(d, f) for _, (_, d, f) in matrices], [(a, c) for (a, _, c), _ in matrices]
    covered = (None, None) if window == WHOLE else (window[1::2], window[::2])
    y, x = map(_line, (_layout(*counts) for counts in zip(grid, *points)), moves, covered, map_hw, offset[::-1])
    if y.whole and x.whole:
        table, every = _all(tuple(grid))
        return Axes(y.weights, x.weights, table, True), every, every
    labelled, shown = y.inside[:, None] * x.inside, y.shown[:, None] * x.shown
    share = np.where(labelled < _HALF, 0, 1 / np.maximum(labelled, _HALF))
    reads = Axes(y.weights, x.weights, share, False)
    return reads, _in_rows(labelled >= _HALF), _in_rows(shown >= _HALF)


@lru_cache(maxsize=64)
def _all(grid: HW) -> tuple[np.ndarray, np.ndarray]:
    """(rows + 1, columns + 1) ones, and as many True as there are rows of targets."""
    found = np.ones((grid[0] + 1, grid[1] + 1)), np.ones(1 + grid[0] * grid[1], bool)
    for array in found:
        array.setflags(write=False)
    return found


def _in_rows(table: np.ndarray) -> np.ndarray:
    """(rows + 1, columns + 1, ...) -> (R, ...): the class token, then the tokens row by row."""
    return np.concatenate([table[-1, -1:], table[:-1, :-1].reshape(-1, *table.shape[2:])])
