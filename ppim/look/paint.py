"""What does a map look like on its photo? Pictures of the photo's own size, and sheets of several with captions."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from ppim.fonts import Font
from ppim.geometry import HW, Window
from ppim.look.place import cells, spread

# dark to bright, as matplotlib's inferno
HEAT = np.array([(0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39),
                 (252, 255, 164)], np.float64)
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0), (0, 114, 178),
           (166, 118, 29), (140, 107, 177), (102, 194, 165))
OTHERS = (154, 154, 154)
DIMMED = 0.35  # of its light, what the model was not shown keeps
INK, PAPER, QUIET = (28, 30, 33), (255, 255, 255), (106, 113, 120)


class Panel(NamedTuple):
    """A picture with a caption, and what the colours in it mean: (colour, name) each."""

    image: Image.Image
    caption: str
    legend: Sequence[tuple[tuple[int, int, int], str]] = ()


def heat(image: Image.Image, values: np.ndarray, window: Window) -> Image.Image:
    """A map over its photo, from dark where it is least to bright where it is most; the photo is dimmed outside.

    Args:
        image: RGB.
        values: (rows, columns) of any range.
        window: what of the photo they cover.
    """
    level, inside = spread(unit(values), window, image.size)
    colour = np.stack([np.interp(level, np.linspace(0, 1, len(HEAT)), HEAT[:, channel]) for channel in range(3)], -1)
    return _laid_over(image, colour, 0.25 + 0.5 * level, inside)


def classes(image: Image.Image, best: np.ndarray, sure: np.ndarray, window: Window,
            colours: Mapping[int, tuple[int, int, int]]) -> Image.Image:
    """The class of every token in colours, the stronger the surer, over its photo in grey; nothing where there is none
    (-1).

    Args:
        image: RGB. best, sure: (rows, columns), class and probability.
    """
    said, inside = cells(best, window, image.size)
    strength, _ = cells(np.where(best < 0, 0, 0.12 + 0.7 * np.asarray(sure, np.float64)), window, image.size)
    colour = np.zeros((*said.shape, 3))
    for number in np.unique(said[said >= 0]):
        colour[said == number] = colours.get(int(number), OTHERS)
    return _laid_over(image.convert("L"), colour, strength, inside)


def colours_of(best: np.ndarray, weight: np.ndarray | float = 1.0) -> dict[int, tuple[int, int, int]]:
    """A colour for each of the classes that most tokens show, the most frequent first.

    Args:
        best: class of each token, -1 for none. weight: what each counts.
    """
    shown = np.bincount(best[best >= 0].ravel(), np.broadcast_to(weight, best.shape)[best >= 0].ravel())
    order = [int(number) for number in np.argsort(-shown, kind="stable") if shown[number] > 0]
    return dict(zip(order, COLOURS))


def legend_of(best: np.ndarray, sure: np.ndarray, colours: Mapping[int, tuple[int, int, int]],
              name: Callable[[int], str]) -> list[tuple[tuple[int, int, int], str]]:
    """What the colours of `classes` mean: name, number of tokens, their mean probability."""
    found = []
    for number, colour in colours.items():
        mine = best == number
        found.append((colour, f"{name(number)}: {counted(int(mine.sum()))}, {100 * sure[mine].mean():.0f} %"))
    others = int(((best >= 0) & ~np.isin(best, list(colours))).sum())
    return [*found, (OTHERS, f"other classes: {counted(others)}")] if others else found


def counted(tokens: int) -> str:
    """A number of tokens in words."""
    return f"{tokens} token{'s' * (tokens != 1)}"


def outlined(image: Image.Image, points: np.ndarray) -> Image.Image:
    """The photo, dimmed but for what lies within an outline, (P, 2) in units of its sides; small ones enlarged."""
    image = _enlarged(image)
    corners = [(float(x) * image.width, float(y) * image.height) for x, y in points]
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    shown = _laid_over(image, np.zeros(3), np.zeros((image.height, image.width)), np.asarray(mask) > 0)
    ImageDraw.Draw(shown).line([*corners, corners[0]], fill=PAPER, width=max(2, max(image.size) // 160))
    return shown


def ruled(image: Image.Image, grid: HW) -> Image.Image:
    """A picture with lines between its tokens; small ones enlarged."""
    image, (rows, columns) = _enlarged(image), grid
    draw = ImageDraw.Draw(image)
    for row in range(1, rows):
        y = round(row * image.height / rows)
        draw.line([(0, y), (image.width, y)], fill=PAPER)
    for column in range(1, columns):
        x = round(column * image.width / columns)
        draw.line([(x, 0), (x, image.height)], fill=PAPER)
    return image


def sheet(title: str, panels: Sequence[Panel], side: int = 240, columns: int = 4) -> Image.Image:
    """Pictures side by side, each within a square of `side` pixels, with captions and what their colours mean."""
    columns = min(columns, len(panels))
    gap, line = 16, 19
    rows = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    shrunk = [[_within(panel.image, side) for panel in row] for row in rows]
    heights = [max(image.height + line * (1 + len(panel.legend)) for image, panel in zip(images, row)) + gap
               for images, row in zip(shrunk, rows)]
    said = [title, *(text for panel in panels for text in (panel.caption, *(name for _, name in panel.legend)))]
    large, middle, small = (Font(said, size) for size in (17, 13, 12))
    made = Image.new("RGB", (gap + columns * (side + gap), gap + 2 * line + sum(heights)), PAPER)
    draw, top = ImageDraw.Draw(made), gap + 2 * line
    _write(draw, (gap, gap), title, large, made.width - 2 * gap)
    for images, row, height in zip(shrunk, rows, heights):
        for place, (image, panel) in enumerate(zip(images, row)):
            left = gap + place * (side + gap)
            made.paste(image, (left, top))
            below = top + image.height + 3
            _write(draw, (left, below), panel.caption, middle, side)
            for number, (colour, text) in enumerate(panel.legend, 1):
                draw.rectangle([left, below + number * line + 3, left + 10, below + number * line + 13], fill=colour)
                _write(draw, (left + 16, below + number * line), text, small, side - 16, QUIET)
        top += height
    return made


def unit(values: np.ndarray) -> np.ndarray:
    """A map from 0 where it is least to 1 where it is most; all 0 where it is level."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros(values.shape)


def _laid_over(image: Image.Image, colour: np.ndarray, strength: np.ndarray, inside: np.ndarray) -> Image.Image:
    pixels = np.asarray(image.convert("RGB"), np.float64)
    mixed = pixels + strength[..., None] * (colour - pixels)
    return Image.fromarray(np.rint(np.where(inside[..., None], mixed, DIMMED * pixels)).astype(np.uint8))


def _within(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    how = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), how)


def _enlarged(image: Image.Image) -> Image.Image:
    """A copy in which lines of a pixel or two are thin."""
    times = max(1, round(320 / max(image.size)))
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, font: Font, width: int, colour=INK) -> None:
    """Text, cut short where there is no room for it."""
    draw.text(at, font.fitted(text, width), fill=colour, font=font.pillow)
