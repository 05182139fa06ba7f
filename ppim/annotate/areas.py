"""How much of every cell does each class cover, exactly? Areas of pixels and boxes, cut at the edges of cells.

Nothing is resampled: a pixel or a box that straddles cells counts in each with the area it has there. A point belongs
to one class at most. Where regions overlap it is that of the smaller one, which lies in front in most photos (a plate
on a table); of equally small ones that of the later.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ppim.annotate.write import Cells
from ppim.data.masks import UNKNOWN
from ppim.data.shapes import BACKGROUND, area_shares, map_of_shares
from ppim.geometry import HW, WH, Window


class Region(NamedTuple):
    """What lies somewhere in a photo."""

    label: int
    box: tuple[float, float, float, float]  # x0, y0, x1, y1 in pixels of the photo as it was annotated
    mask: np.ndarray | None = None  # (height, width) bool of that photo: its pixels; None: all of its box

    @property
    def area(self) -> float:
        """In pixels."""
        x0, y0, x1, y1 = self.box
        return max(x1 - x0, 0) * max(y1 - y0, 0) if self.mask is None else float(self.mask.sum())


def cells_of_mask(mask: np.ndarray, grid: HW, num_classes: int, top_k: int, window: Window) -> Cells:
    """The map of a mask (see `ppim.data.masks`). Pixels that are not known are left out of a cell's shares; a cell of
    nothing else is as one where there is nothing.
    """
    present = np.unique(mask)
    present = present[(present > 0) & (present != UNKNOWN)].astype(np.int64) - 1
    owner = np.where((mask == 0) | (mask == UNKNOWN), BACKGROUND,
                     np.searchsorted(present, mask.astype(np.int64) - 1))
    shares = area_shares(owner, grid, len(present), window)
    known = area_shares(np.where(mask == UNKNOWN, BACKGROUND, 0), grid, 1, window)
    return _map_of(shares / np.where(known > 0, known, 1), present, num_classes, top_k)


def cells_of_regions(regions: Sequence[Region], wh: WH, grid: HW, num_classes: int, top_k: int, window: Window,
                     ) -> Cells:
    """The map of regions of a photo of (width, height) pixels."""
    regions = sorted(regions, key=lambda region: -region.area)
    has_pixels = any(region.mask is not None for region in regions)
    x, y = (_edges(wh[axis], grid[1 - axis], window[axis::2], [region.box[axis::2] for region in regions], has_pixels)
            for axis in (0, 1))
    middle_x, middle_y = ((edges[1:] + edges[:-1]) / 2 for edges in (x, y))
    owner = np.full((len(middle_y), len(middle_x)), BACKGROUND, np.int64)
    present = np.array(sorted({region.label for region in regions}), np.int64)
    for label, (x0, y0, x1, y1), mask in regions:
        inside = ((middle_y >= y0) & (middle_y < y1))[:, None] & ((middle_x >= x0) & (middle_x < x1))[None]
        if mask is not None:
            inside = mask[middle_y.astype(np.intp)][:, middle_x.astype(np.intp)]
        owner[inside] = np.searchsorted(present, label)
    planes = owner[None] == np.arange(len(present))[:, None, None]
    shares = (_parts(y, wh[1], grid[0], window[1::2]) @ planes @ _parts(x, wh[0], grid[1], window[0::2]).T)
    return _map_of(shares, present, num_classes, top_k)


def _edges(side: int, cells: int, span: tuple[float, float], boxes: Sequence[tuple[float, float]], has_pixels: bool,
           ) -> np.ndarray:
    """Ascending: where anything begins or ends along one side of a photo, within what the cells cover of it."""
    start, stop = span[0] * side, span[1] * side
    edges = [np.linspace(start, stop, cells + 1), np.ravel(boxes).astype(np.float64)]
    if has_pixels:
        edges.append(np.arange(side + 1, dtype=np.float64))
    return np.unique(np.clip(np.concatenate(edges), start, stop))


def _parts(edges: np.ndarray, side: int, cells: int, span: tuple[float, float]) -> np.ndarray:
    """(cells, pieces): the share of each cell's side that each piece between two edges is; it lies in one cell."""
    start, stop = span[0] * side, span[1] * side
    middle, length = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    cell = np.minimum(((middle - start) / (stop - start) * cells).astype(np.intp), cells - 1)
    parts = np.zeros((cells, len(middle)))
    parts[cell, np.arange(len(middle))] = length * (cells / (stop - start))
    return parts


def _map_of(shares: np.ndarray, present: np.ndarray, num_classes: int, top_k: int) -> Cells:
    """The map of shares (P, rows, columns) of the classes `present`, ascending; where they are fewer than are kept, the
    first of the others follow, as if the shares of all classes were given."""
    absent = np.setdiff1d(np.arange(min(num_classes, top_k + len(present))), present)[:top_k]
    candidates = np.sort(np.concatenate([present, absent])).astype(np.int32)
    full = np.zeros((len(candidates), *shares.shape[1:]))
    full[np.searchsorted(candidates, present)] = shares
    scores, places, log_z = map_of_shares(full, num_classes, top_k)
    return scores, candidates[places], log_z
