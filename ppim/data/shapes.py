"""Pictures drawn by our own code, with label maps known exactly: the demo's and the tests' data.

A picture shows one dominant shape, smaller shapes of other classes and a blotchy ground, all in random colours; its
class is the dominant shape's. Every class covers the same range of areas, so neither colours nor their shares give the
class away. A picture is drawn from (seed, split, index) alone.

Files written by `write_dataset`: `data/{train,val}/<class>/<index>.jpg` and the label map of each picture,
`labels/{train,val}/<class>/<index>.npy`, in the form of `ppim.token_labels.maps`, with a card for each split.
"""
from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ppim.geometry import HW, WH, Window
from ppim.seeds import SPLITS, picture_rng
from ppim.token_labels.card import Reading, save_card
from ppim.token_labels.maps import write_map

BACKGROUND = -1
FLOOR = 0.01  # area share added to every class before the logarithm: an empty cell is uniform, a full one 0.92 sure


class Difficulty(NamedTuple):
    """How hard the pictures are. Areas are shares of the picture, colours lie in 0..255."""

    noise: float = 4.0  # standard deviation of the noise on every pixel
    contrast: float = 170.0  # least distance in RGB between a shape and the ground it covers
    texture: float = 15.0  # how far the colours of one surface stray from its mean
    turn: float = 10.0  # shapes are rotated by up to so many degrees either way
    distractors: tuple[int, int] = (2, 3)  # fewest and most
    main_area: tuple[float, float] = (0.18, 0.28)
    distractor_area: tuple[float, float] = (0.012, 0.025)


DEFAULT = Difficulty()


def _box(x, y, half_width, half_height):
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def _disc(x, y):
    return np.hypot(x, y) - 1


def _square(x, y):
    return _box(x, y, 0.8, 0.8)


def _triangle(x, y):
    return np.maximum(y, np.abs(x) * np.sqrt(0.75) - y * 0.5) - 0.5


def _ring(x, y):
    return np.abs(np.hypot(x, y) - 0.8) - 0.2


def _cross(x, y):
    return np.minimum(_box(x, y, 1, 0.3), _box(x, y, 0.3, 1))


def _star(x, y):
    # folded on one half of one point, whose edge runs from the tip (1, 0) to the inner corner
    radius, angle = np.hypot(x, y), np.pi / 5 - np.abs(np.arctan2(y, x) % (np.pi / 2.5) - np.pi / 5)
    inner_x, inner_y = 0.42 * np.cos(np.pi / 5), 0.42 * np.sin(np.pi / 5)
    across = np.array([inner_y, 1 - inner_x]) / np.hypot(inner_y, 1 - inner_x)
    return (radius * np.cos(angle) - 1) * across[0] + radius * np.sin(angle) * across[1]


def _crescent(x, y):
    return np.maximum(np.hypot(x, y) - 1, 0.85 - np.hypot(x - 0.5, y))


def _bars(x, y):
    return np.maximum(np.abs(x) - 0.9, np.minimum(np.abs(y), np.abs(np.abs(y) - 0.68)) - 0.2)


def _hourglass(x, y):
    return np.maximum(np.abs(x) - 0.9, (np.abs(y) - np.abs(x)) * np.sqrt(0.5))


def _hook(x, y):
    return np.minimum(_box(x + 0.6, y, 0.3, 0.9), _box(x, y - 0.6, 0.9, 0.3))


# class -> signed distance from its outline (negative inside) of points in units of the shape's own radius
SHAPES = {
    "bars": _bars,
    "crescent": _crescent,
    "cross": _cross,
    "disc": _disc,
    "hook": _hook,
    "hourglass": _hourglass,
    "ring": _ring,
    "square": _square,
    "star": _star,
    "triangle": _triangle,
}
CLASSES = tuple(SHAPES)  # in alphabetical order, so that ids are those of an image folder


@cache
def _unit_area(name: str) -> float:
    """Area of a shape of radius 1."""
    axis = (np.arange(512) + 0.5) / 512 * 4 - 2
    return float((SHAPES[name](axis[None, :], axis[:, None]) < 0).mean() * 16)


def _surface(rng, wh: WH, cells: HW, mean, spread) -> np.ndarray:
    """A smooth random texture of `wh` around the colour `mean`: (H, W, 3) float32, from `cells` of colours."""
    colours = np.clip(mean + rng.uniform(-spread, spread, (*cells, 3)), 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(colours).resize(wh, Image.Resampling.BICUBIC), dtype=np.float32)


def _distinct_colour(rng, other, contrast):
    """A random colour at least `contrast` from the colour `other`, or the farthest of 16."""
    colours = rng.uniform(0, 255, (16, 3))
    far = np.linalg.norm(colours - other, axis=1)
    return colours[np.argmax(far >= contrast) if (far >= contrast).any() else np.argmax(far)]


def _paint(rng, canvas, owner, name, area, look: Difficulty, window=(1.0, 1.0)) -> None:
    """Draw one shape covering about `area` (share of the picture) over what is there.

    Its place is random, most of it within the central `window` (shares of the picture's width and height).
    """
    height, width = owner.shape
    radius = np.sqrt(area * height * width / _unit_area(name))
    reach = np.maximum(np.array(window) / 2 - 0.8 * radius / np.array([width, height]), 0)
    centre = rng.uniform(0.5 - reach, 0.5 + reach) * (width, height)
    turn = np.radians(rng.uniform(-look.turn, look.turn))
    x, y = np.arange(width)[None, :] + 0.5 - centre[0], np.arange(height)[:, None] + 0.5 - centre[1]
    cos, sin = np.cos(turn) / radius, np.sin(turn) / radius
    distance = SHAPES[name](cos * x + sin * y, cos * y - sin * x) * radius
    inside = distance < 0
    if not inside.any():
        return
    colour = _distinct_colour(rng, canvas[inside].mean(axis=0), look.contrast)
    fill = _surface(rng, (width, height), (3, 3), colour, look.texture)
    cover = np.clip(0.5 - distance, 0, 1)[..., None].astype(np.float32)
    canvas += cover * (fill - canvas)
    owner[inside] = CLASSES.index(name)


def draw_picture(rng: np.random.Generator, wh: WH = (64, 48), difficulty: Difficulty = DEFAULT, class_id=None):
    """Draw one picture.

    Args:
        rng: every random choice comes from here.
        wh: (width, height) in pixels.
        difficulty: see `Difficulty`.
        class_id: class of the dominant shape, in [0, len(CLASSES)); drawn when None.

    Returns:
        (PIL RGB image, class id, owner (H, W) int64: class of the shape whose outline holds the pixel's centre,
        BACKGROUND where there is none).
    """
    width, height = wh
    class_id = int(rng.integers(len(CLASSES))) if class_id is None else class_id
    others = [name for name in CLASSES if name != CLASSES[class_id]]
    count = rng.integers(difficulty.distractors[0], difficulty.distractors[1] + 1)

    canvas = _surface(rng, wh, (4, 5), rng.uniform(0, 255, 3), 2 * difficulty.texture)
    owner = np.full((height, width), BACKGROUND, dtype=np.int64)
    for name in rng.choice(others, count, replace=False):
        _paint(rng, canvas, owner, str(name), rng.uniform(*difficulty.distractor_area), difficulty)
    # the dominant shape stays where a centre crop of an evaluation sees it
    square = (min(width, height) / width, min(width, height) / height)
    _paint(rng, canvas, owner, CLASSES[class_id], rng.uniform(*difficulty.main_area), difficulty, square)
    canvas += rng.normal(0, difficulty.noise, canvas.shape)
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8)), class_id, owner


def _overlap(pixels: int, cells: int, start: float = 0.0, stop: float = 1.0) -> np.ndarray:
    """(cells, pixels) float64: the share of each cell's side that each pixel covers; a pixel may straddle two cells.

    Args:
        start, stop: where the cells begin and end, in [0, 1] of the pixels.
    """
    length = (stop - start) * pixels
    edges = start * pixels + np.arange(cells + 1)[:, None] * (length / cells)
    left = np.arange(pixels)[None, :]
    covered = np.minimum(edges[1:], left + 1) - np.maximum(edges[:-1], left)
    return np.maximum(covered, 0) * (cells / length)


def area_shares(owner: np.ndarray, grid: HW, num_classes: int = len(CLASSES), window: Window = (0.0, 0.0, 1.0, 1.0),
                ) -> np.ndarray:
    """Share of each cell's area that each class covers: (C, rows, columns) float64; the rest is background.

    Args:
        owner: (H, W) class per pixel, BACKGROUND for none.
        grid: (rows, columns) of the map; need not divide the picture.
        window: x0, y0, x1, y1, what the cells cover of the picture, unit coordinates.
    """
    (height, width), (x0, y0, x1, y1) = owner.shape, window
    planes = owner[None] == np.arange(num_classes)[:, None, None]
    return _overlap(height, grid[0], y0, y1) @ planes @ _overlap(width, grid[1], x0, x1).T


def label_map_of(owner: np.ndarray, grid: HW, num_classes: int = len(CLASSES), top_k: int = 5):
    """The label map of a picture: per cell, score_c = log(1 + share_c / FLOOR) of the `top_k` largest shares.

    A class absent from a cell scores 0, the very score readers give a class that is not listed, so nothing is lost as
    long as a cell shows no more than `top_k` classes, and the softmax is (FLOOR + share_c) / (C * FLOOR + covered
    share). A cell of pure background is uniform over the classes: there is no class "background".

    Returns:
        (scores (K, rows, columns) float32, ids (K, rows, columns) int32, log_z (rows, columns) float32): log_z is the
        log-sum-exp over all classes.
    """
    return map_of_shares(area_shares(owner, grid, num_classes), num_classes, top_k)


def map_of_shares(shares: np.ndarray, num_classes: int, top_k: int = 5):
    """The same, of shares (C, rows, columns) that are known; of the first classes, where the others have none."""
    ids = np.argsort(-shares, axis=0, kind="stable")[:top_k]
    scores = np.log1p(np.take_along_axis(shares, ids, axis=0) / FLOOR)
    log_z = np.log(num_classes + shares.sum(axis=0) / FLOOR)
    return scores.astype(np.float32), ids.astype(np.int32), log_z.astype(np.float32)


def write_dataset(folder, seed=0, train=2000, val=500, wh: WH = (64, 48), grid: HW = (9, 12),
                  difficulty=DEFAULT) -> None:
    """Draw `train` + `val` pictures, classes in equal numbers, and write them with their label maps under `folder`."""
    folder = Path(folder)
    origin = {"form": 1, "model": "ppim.data.shapes", "seed": seed, "grid": list(grid), "num_classes": len(CLASSES)}
    for split, count in zip(SPLITS, (train, val)):
        save_card(folder / "labels" / split, Reading(log_z=True), origin)
        for name in CLASSES:
            (folder / "data" / split / name).mkdir(parents=True, exist_ok=True)
            (folder / "labels" / split / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            image, class_id, owner = draw_picture(
                picture_rng(seed, split, index), wh, difficulty, index % len(CLASSES)
            )
            where = Path(split) / CLASSES[class_id] / f"{index:05d}"
            image.save(folder / "data" / where.with_suffix(".jpg"), quality=95, subsampling=0)
            write_map(str(folder / "labels" / where.with_suffix(".npy")), *label_map_of(owner, grid))
