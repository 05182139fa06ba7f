"""How does a confusion matrix look? With names and numbers where there is room, else as a map of coloured dots."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from ppim.fonts import Font

READABLE = 40  # classes whose names and numbers are shown
_CELL, _TEXT, _EDGE = 36, 13, 12  # pixels
_MAP, _DOTS = 1000, 250  # pixels of a map's side, and dots: smaller ones cannot be seen
_MOST_NAME = 220  # pixels
_GROUND, _INK, _LINE = (255, 255, 255), (28, 30, 33), (226, 229, 232)
_RIGHT, _WRONG = np.array([11, 102, 195.0]), np.array([200, 60, 20.0])


def draw(counts: np.ndarray, names: Sequence[str], title: str) -> Image.Image:
    """A picture of a confusion matrix: truth from top to bottom, what was said from left to right.

    Blue is right, red is wrong; the darker, the larger a share of its class (by the square root, so that few show). In
    a map of dots red is the darker, the nearer to the most frequent mistake, and of more than 250 classes a dot stands
    for several that are neighbours.

    Args:
        counts: (n, m) integers, of which the first n columns are the rows' own classes.
        names: of the m columns.
    """
    many = len(counts) > READABLE
    font = Font([*names, title, "0123456789,"], _TEXT)
    return _map(counts, title, font) if many else _table(counts, names, title, font)


def _colours(counts: np.ndarray) -> np.ndarray:
    """(n, m, 3) uint8, by shares of the rows."""
    return _inked(counts / np.maximum(counts.sum(1, keepdims=True), 1))


def _inked(shares: np.ndarray) -> np.ndarray:
    ink = np.where(np.eye(*shares.shape, dtype=bool)[..., None], _RIGHT, _WRONG)
    return np.rint(255 - np.sqrt(shares)[..., None] * (255 - ink)).astype(np.uint8)


def _dots(counts: np.ndarray) -> tuple[np.ndarray, int]:
    """(n, m, 3) uint8, and how many classes a dot stands for."""
    each = -(-len(counts) // _DOTS)
    rows, columns = (np.arange(0, length, each) for length in counts.shape)
    sums = np.add.reduceat(np.add.reduceat(counts, rows, 0), columns, 1)
    images, own = np.maximum(sums.sum(1, keepdims=True), 1), np.eye(*sums.shape, dtype=bool)
    right, wrong = np.add.reduceat(np.diagonal(counts), rows)[:, None] / images, np.where(own, 0, sums / images)
    return _inked(np.where(own, right, wrong / max(wrong.max(), 1e-9))), each


def _table(counts: np.ndarray, names: Sequence[str], title: str, font: Font) -> Image.Image:
    shown = [font.fitted(name, _MOST_NAME) for name in names]
    beside = round(max(font.pillow.getlength(name) for name in shown)) + 2 * _EDGE
    top, (height, width) = beside + 4 * _TEXT, counts.shape
    wide = max(beside + width * _CELL + _EDGE, round(font.pillow.getlength(font.shown(title))) + 2 * _EDGE)
    picture = Image.new("RGB", (wide, top + height * _CELL + _EDGE), _GROUND)
    pen = ImageDraw.Draw(picture)
    pen.text((_EDGE, _EDGE), font.shown(title), _INK, font.pillow)
    for place, name in enumerate(shown):
        _upright(picture, name, beside + place * _CELL, top - 6, font)
    colours = _colours(counts)
    for row in range(height):
        middle = top + (row + 0.5) * _CELL
        pen.text((beside - 8, middle), shown[row], _INK, font.pillow, anchor="rm")
        for column in range(width):
            left, above = beside + column * _CELL, top + row * _CELL
            colour = tuple(colours[row, column].tolist())
            pen.rectangle((left, above, left + _CELL, above + _CELL), colour, _LINE)
            if counts[row, column]:
                ink = _GROUND if sum(colour) < 420 else _INK
                pen.text((left + _CELL / 2, middle), str(counts[row, column]), ink, font.pillow, anchor="mm")
    return picture


def _upright(picture: Image.Image, name: str, left: int, bottom: int, font: Font) -> None:
    """A name from bottom to top over a column."""
    length = max(1, round(font.pillow.getlength(name)) + 2)
    written = Image.new("RGB", (length, _CELL), _GROUND)
    ImageDraw.Draw(written).text((0, _CELL / 2), name, _INK, font.pillow, anchor="lm")
    picture.paste(written.rotate(90, expand=True), (left, bottom - length))


def _map(counts: np.ndarray, title: str, font: Font) -> Image.Image:
    colours, each = _dots(counts)
    dot = _MAP // max(colours.shape[:2])
    dots = Image.fromarray(colours).resize((colours.shape[1] * dot, colours.shape[0] * dot), Image.Resampling.NEAREST)
    title += f"; a dot: {each} classes" * (each > 1)
    beside, top = 60, 5 * _TEXT
    wide = max(beside + dots.width + 2 * _EDGE, round(font.pillow.getlength(font.shown(title))) + 2 * _EDGE)
    picture = Image.new("RGB", (wide, top + dots.height + 2 * _EDGE), _GROUND)
    pen = ImageDraw.Draw(picture)
    pen.text((_EDGE, _EDGE), font.shown(title), _INK, font.pillow)
    picture.paste(dots, (beside, top))
    pen.rectangle((beside - 1, top - 1, beside + dots.width, top + dots.height), None, _LINE)
    step = next(step for step in (10, 20, 50, 100, 200, 500, 1000, 10**9) if len(counts) / step <= 10)
    for number in range(0, len(counts), step):
        at = (number / each + 0.5) * dot
        pen.text((beside - 8, top + at), str(number), _INK, font.pillow, anchor="rm")
        pen.text((beside + at, top - 6), str(number), _INK, font.pillow, anchor="ms")
    return picture
