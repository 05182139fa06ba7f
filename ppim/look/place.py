"""Where does a map of tokens lie on its photo? Numbers of the grid become numbers of pixels."""
from __future__ import annotations

import numpy as np

from ppim.geometry import WH, Window


def spread(values: np.ndarray, window: Window, wh: WH) -> tuple[np.ndarray, np.ndarray]:
    """A map over a photo, bilinear between the centres of its tokens and level beyond the outermost.

    Args:
        values: (rows, columns).
        window: what of the photo the map covers.
        wh: (width, height) of the photo in pixels.
    Returns:
        (height, width) float64; and which pixels lie in the window, (height, width) bool.
    """
    down, is_down = _steps(values.shape[0], window[1], window[3], wh[1])
    across, is_across = _steps(values.shape[1], window[0], window[2], wh[0])
    return _tent(down, values.shape[0]) @ values @ _tent(across, values.shape[1]).T, is_down[:, None] & is_across


def cells(values: np.ndarray, window: Window, wh: WH) -> tuple[np.ndarray, np.ndarray]:
    """As `spread`, but every pixel has the value of the token it lies in; of any type."""
    down, is_down = _steps(values.shape[0], window[1], window[3], wh[1])
    across, is_across = _steps(values.shape[1], window[0], window[2], wh[0])
    rows = np.clip(down.astype(np.intp), 0, values.shape[0] - 1)
    columns = np.clip(across.astype(np.intp), 0, values.shape[1] - 1)
    return values[rows[:, None], columns], is_down[:, None] & is_across


def _steps(count: int, start: float, stop: float, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """The centres of `pixels` in units of the `count` tokens between `start` and `stop`, and whether they lie there."""
    at = ((np.arange(pixels) + 0.5) / pixels - start) / (stop - start)
    return at * count, (at >= 0) & (at <= 1)


def _tent(at: np.ndarray, count: int) -> np.ndarray:
    """(pixels, count): the share of each token's centre in every pixel."""
    at = np.clip(at - 0.5, 0, count - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(count)), 0)
