"""Which part of a photo is trained on, how large and in which colours? Drawn first, then applied to photo and mask.

The steps are those of MMSegmentation's pipeline for ADE20K: resized by a random factor, a random crop of which no class
takes too much, a flip, distorted colours, filled up with the mean colour where the photo is smaller than the crop.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from ppim.geometry import WH
from ppim.segment.figures import IGNORED

TRIES = 10  # crops that are drawn for one in which no class takes too much
BRIGHTER, STRONGER, TURNED = 32, 0.5, 18  # greatest changes: levels, a factor around 1, the hue in double degrees
_HUES = 180

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels


class Crops(NamedTuple):
    """How views are drawn.

    Attributes:
        side: of the square that is seen, pixels.
        scale: (long, short) sides in pixels that a resized photo fits into, before the random factor.
        factors: least and greatest of that factor.
        most: share of the known pixels of a crop that one class may have, if a draw finds such a crop; 1: any.
        hflip: probability of a mirrored view.
        distort: are colours distorted?
        fill: colour of what lies beyond the photo.
    """

    side: int
    scale: tuple[int, int] = (2048, 512)
    factors: tuple[float, float] = (0.5, 2.0)
    most: float = 0.75
    hflip: float = 0.5
    distort: bool = True
    fill: tuple[int, ...] = (124, 116, 104)


class Colours(NamedTuple):
    """What is done to colours: levels are added, then (or last, with `contrast_last`) spread by a factor around 0, then
    saturation is multiplied and the hue turned by so many of 180 parts; neutral values change nothing."""

    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: int = 0
    contrast_last: bool = False


class View(NamedTuple):
    """A square of `side` pixels out of a photo resized to `wh`: the box, which may be smaller, lies in its top left."""

    wh: WH
    box: Box
    side: int
    flip: bool = False
    colours: Colours = Colours()
    fill: tuple[int, ...] = (124, 116, 104)


def fitted(wh: WH, scale: Sequence[float]) -> WH:
    """(width, height) of a photo of `wh`, resized with its sides' ratio until it just fits into (long, short) sides."""
    factor = min(max(scale) / max(wh), min(scale) / min(wh))
    return max(1, int(wh[0] * factor + 0.5)), max(1, int(wh[1] * factor + 0.5))


def draw_view(rng: np.random.Generator, labels: np.ndarray, crops: Crops) -> View:
    """The view of one sample.

    Args:
        labels: (H, W) uint8, classes of the photo's pixels, or IGNORED.
    """
    factor = rng.uniform(*crops.factors)
    wh = fitted((labels.shape[1], labels.shape[0]), [int(side * factor) for side in crops.scale])
    box = _draw_box(rng, labels, wh, crops)
    flip = bool(rng.random() < crops.hflip)
    colours = _draw_colours(rng) if crops.distort else Colours()
    return View(wh, box, crops.side, flip, colours, crops.fill)


def _draw_box(rng: np.random.Generator, labels: np.ndarray, wh: WH, crops: Crops) -> Box:
    def one() -> Box:
        left, top = (int(rng.integers(max(length - crops.side, 0) + 1)) for length in wh)
        return left, top, min(left + crops.side, wh[0]), min(top + crops.side, wh[1])

    box = one()
    if crops.most >= 1:
        return box
    resized = _resized_labels(labels, wh)
    for _ in range(TRIES):
        left, top, right, bottom = box
        counts = np.bincount(resized[top:bottom, left:right].ravel(), minlength=IGNORED + 1)[:IGNORED]
        if np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < crops.most:
            break
        box = one()
    return box


def _draw_colours(rng: np.random.Generator) -> Colours:
    def maybe(low: float, high: float, neutral: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < 0.5 else neutral

    brightness = maybe(-BRIGHTER, BRIGHTER, 0.0)
    contrast_last = bool(rng.random() < 0.5)
    contrast, saturation = (maybe(1 - STRONGER, 1 + STRONGER, 1.0) for _ in range(2))
    hue = int(rng.integers(-TURNED, TURNED)) if rng.random() < 0.5 else 0
    return Colours(brightness, contrast, saturation, hue, contrast_last)


def photo_seen(view: View, photo: Image.Image) -> Image.Image:
    """What the view shows of an RGB photo, of `view.side` pixels a side."""
    shown = photo.resize(view.wh, Image.Resampling.BILINEAR).crop(view.box)
    if view.flip:
        shown = shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    canvas = Image.new("RGB", (view.side, view.side), view.fill)
    canvas.paste(coloured(shown, view.colours), (0, 0))
    return canvas


def labels_seen(view: View, labels: np.ndarray) -> np.ndarray:
    """(side, side) uint8: the classes (H, W) of a photo's pixels at the centres of the view's; IGNORED beyond them."""
    left, top, right, bottom = view.box
    shown = _resized_labels(labels, view.wh)[top:bottom, left:right]
    canvas = np.full((view.side, view.side), IGNORED, np.uint8)
    canvas[:bottom - top, :right - left] = shown[:, ::-1] if view.flip else shown
    return canvas


def coloured(photo: Image.Image, colours: Colours) -> Image.Image:
    """An RGB photo in other colours."""
    if colours.brightness:
        photo = photo.point(_levels(1.0, colours.brightness) * 3)
    if colours.contrast != 1 and not colours.contrast_last:
        photo = photo.point(_levels(colours.contrast, 0.0) * 3)
    if colours.saturation != 1 or colours.hue:
        turned = (np.arange(256) + round(256 * colours.hue / _HUES)) % 256
        same = list(range(256))
        photo = photo.convert("HSV").point([*turned.tolist(), *_levels(colours.saturation, 0.0), *same]).convert("RGB")
    if colours.contrast != 1 and colours.contrast_last:
        photo = photo.point(_levels(colours.contrast, 0.0) * 3)
    return photo


def _levels(factor: float, added: float) -> list[int]:
    return np.clip(np.arange(256) * factor + added, 0, 255).astype(int).tolist()


def _resized_labels(labels: np.ndarray, wh: WH) -> np.ndarray:
    return np.asarray(Image.fromarray(labels).resize(wh, Image.Resampling.NEAREST))
