"""Where does a point of a training view come from in its photo? The one convention of coordinates.

Continuous coordinates (x, y), origin top-left, the unit is the side of the frame: every frame is [0, 1] x [0, 1], and
pixel (or map cell) i of n covers [i/n, (i+1)/n]. A view's history is a list of steps in the order in which they were
applied to the photo. A step is an affine matrix that looks the way resampling looks: from a point of its output frame
to the point of its input frame that is shown there. Resizing moves nothing in these coordinates and is not a step.

Matrices compose, but what leaves a frame is lost: rotating and rotating back leaves grey corners. So a point counts
only where it lies inside the input frame of every step. A size `wh` is (width, height), as in PIL, `hw` is (height,
width). Only numpy.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

WH = tuple[int, int]  # width, height of a picture in pixels
HW = tuple[int, int]  # height, width; of a grid its rows, columns
Window = tuple[float, float, float, float]  # x0, y0, x1, y1 of a part of a photo in its unit coordinates
WHOLE: Window = (0.0, 0.0, 1.0, 1.0)


class Step(NamedTuple):
    """One geometric operation: `matrix` (2, 3) float64, output point -> input point, each in units of its own frame."""

    matrix: np.ndarray


def from_pixels(matrix: Sequence[float], wh: WH, out_wh: WH | None = None) -> Step:
    """The step of a PIL `AFFINE` 6-tuple, which maps continuous output pixels to continuous input pixels.

    Args:
        matrix: (a, b, c, d, e, f); output point (x, y) shows input point (ax + by + c, dx + ey + f), in pixels.
        wh: (width, height) of the input; out_wh: of the output, the same where it is None.
    """
    a, b, c, d, e, f = matrix
    width, height = wh
    out_width, out_height = out_wh or wh
    return Step(np.array([[a * out_width, b * out_height, c], [d * out_width, e * out_height, f]], np.float64)
                / [[width], [height]])


def crop(left: float, top: float, width: float, height: float, wh: WH) -> Step:
    """A box of a frame of `wh`, in pixels; the box becomes the output frame."""
    return from_pixels((1, 0, left, 0, 1, top), wh, (width, height))


def hflip() -> Step:
    """Left and right exchanged."""
    return Step(np.array([[-1, 0, 1], [0, 1, 0]], np.float64))


def rotate(degrees: float, wh: WH) -> Step:
    """Counter-clockwise by `degrees` about the centre, as `PIL.Image.rotate` without expansion."""
    width, height = wh
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = width / 2, height / 2
    return from_pixels((cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y), wh)


def shear_x(factor: float, wh: WH) -> Step:
    """Output (x, y) shows input (x + factor * y, y), in pixels."""
    return from_pixels((1, factor, 0, 0, 1, 0), wh)


def shear_y(factor: float, wh: WH) -> Step:
    """Output (x, y) shows input (x, y + factor * x), in pixels."""
    return from_pixels((1, 0, 0, factor, 1, 0), wh)


def translate(dx: float, dy: float) -> Step:
    """Output (x, y) shows input (x + dx, y + dy), in fractions of the sides: a positive dx moves the picture left."""
    return Step(np.array([[1, 0, dx], [0, 1, dy]], np.float64))


def centre_window(wh: WH, crop_pct: float) -> Window:
    """What of a photo is seen after resizing its short side and cutting the centre square.

    Args:
        wh: (width, height) of the photo.
        crop_pct: side of the square per resized short side, in (0, 1].

    Returns:
        x0, y0, x1, y1 in unit coordinates of the photo (the resize's rounding to whole pixels is left out).
    """
    if not 0 < crop_pct <= 1:
        raise ValueError(f"crop_pct wants a share of the short side in (0, 1], got {crop_pct}")
    width, height = wh
    x, y = crop_pct * min(wh) / width / 2, crop_pct * min(wh) / height / 2
    return 0.5 - x, 0.5 - y, 0.5 + x, 0.5 + y


def trace(points: np.ndarray, steps: Sequence[Step]) -> tuple[np.ndarray, np.ndarray]:
    """Points of the final view, followed back to the photo.

    Args:
        points: (P, 2) as (x, y) in the frame of the last step's output.
        steps: the history, in the order applied to the photo.

    Returns:
        points (P, 2) in the photo's frame, and inside (P,) bool: within the input frame of every step.
    """
    # (P, 2) -> (2, P): long rows are what numpy is quick at
    xy = np.asarray(points, np.float64).T
    inside = np.ones(xy.shape[1], bool)
    for step in reversed(steps):
        xy = step.matrix[:, :2] @ xy + step.matrix[:, 2:]
        within = (xy >= 0) & (xy <= 1)
        inside &= within[0] & within[1]
    return xy.T, inside
