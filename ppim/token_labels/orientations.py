"""Which way round is a map's grid stored? The eight ways in which a grid can be turned and mirrored, and the way back.

A name says what was done to a map that lies on its photo as the photo is looked at (rows from top to bottom, each from
left to right) before it was stored:

    rows-first               nothing
    columns-first            rows and columns exchanged: stored[x, y] is the cell in column x of row y
    mirrored                 left and right exchanged
    upside-down              top and bottom exchanged
    turned-180               turned by half a turn
    turned-left              turned by a quarter turn, counter-clockwise
    turned-right             turned by a quarter turn, clockwise
    mirrored-columns-first   rows and columns exchanged, then turned by half a turn (mirrored about the other diagonal)

`rows-first` and `columns-first` are read as they are (`TOKEN_LABEL.ORIENTATION`); the others are converted first.
"""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # names alone are asked for where nothing is to wait for numpy
    import numpy as np

# how often a quarter turn to the left, after rows and columns are exchanged or not
_STEPS = {
    "rows-first": (False, 0),
    "columns-first": (True, 0),
    "mirrored": (True, 3),
    "upside-down": (True, 1),
    "turned-180": (False, 2),
    "turned-left": (False, 1),
    "turned-right": (False, 3),
    "mirrored-columns-first": (True, 2),
}
ORIENTATIONS = tuple(_STEPS)


def as_stored(array: np.ndarray, orientation: str) -> np.ndarray:
    """A view of an array [..., rows, columns] that lies on its photo, as `orientation` stores it.

    Raises:
        ValueError: an unknown orientation.
    """
    exchanged, quarters = _steps(orientation)
    return _turned(array.swapaxes(-2, -1) if exchanged else array, quarters)


def as_seen(array: np.ndarray, orientation: str) -> np.ndarray:
    """A view of an array stored in `orientation`, [..., rows, columns] as it lies on its photo: undoes `as_stored`.

    Raises:
        ValueError: an unknown orientation.
    """
    exchanged, quarters = _steps(orientation)
    back = _turned(array, 4 - quarters)
    return back.swapaxes(-2, -1) if exchanged else back


def _turned(array: np.ndarray, quarters: int) -> np.ndarray:
    for _ in range(quarters):
        array = array.swapaxes(-2, -1)[..., ::-1, :]
    return array


def _steps(orientation: str) -> tuple[bool, int]:
    if orientation not in _STEPS:
        raise ValueError(f"orientation wants one of {', '.join(ORIENTATIONS)}; got {orientation!r}")
    return _STEPS[orientation]
