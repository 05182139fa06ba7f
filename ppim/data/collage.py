"""Pictures put together from photos of known classes, so that what lies where is known exactly.

A canvas of 128x96 shows one to four photos as square patches of 32 to 64 pixels at random places, over a ground of
photos whose phases were scrambled: colours and textures of photos without their objects. The class of a picture is that
of the patch of which the centred square shows most, which is what an evaluation sees. A picture is drawn from
(seed, split, index) alone; training and test pictures are made of different photos, and a training picture of the even
or the odd photos of the list, as its index is even or odd, so that a network that was trained on one half can label
pictures of photos it has never seen.

Files written by `write_collages`, for every split in the same tree `<class>/<index>`:

    data/{train,val}         the pictures, .jpg
    masks/{train,val}        what lies where, .png of palette indices: 0 ground, 1 + class
    labels/{train,val}       label maps of the whole picture, .npy, with a card
    labels_centre/train      label maps of the centred square alone, with a card
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ppim.data.images import ImageList
from ppim.data.masks import UNKNOWN, palette
from ppim.data.shapes import BACKGROUND, label_map_of
from ppim.geometry import HW, WH
from ppim.seeds import SPLITS, picture_rng
from ppim.token_labels.card import Reading, save_card
from ppim.token_labels.maps import write_map

CANVAS: WH = (128, 96)
GRID: HW = (12, 12)  # cells of a map
SIDES = (32, 64)  # least and greatest side of a patch, pixels
PATCHES = (1, 4)  # fewest and most photos
SCRAMBLED = 6  # patches of the ground, besides the one that fills it
MOST_CLASSES = UNKNOWN - 1  # what a mask's pixel of 8 bits can name besides the ground, 0, and what is not known
LEAST_SEEN = 512  # pixels of its patch that the centred square shows of a picture's class, half the smallest patch


class Collage(NamedTuple):
    """A picture and what lies where."""

    image: Image.Image  # RGB
    label: int  # class of the patch of which the centred square shows most
    owner: np.ndarray  # (H, W) int64: class of the patch a pixel belongs to, BACKGROUND where there is none


def scrambled(rng: np.random.Generator, photo: np.ndarray) -> np.ndarray:
    """A photo with random phases, the same for its three channels: its spectrum and colours without its shapes.

    Args:
        photo: (h, w, 3) uint8.

    Returns:
        the same shape, uint8.
    """
    height, width, _ = photo.shape
    # the phases of a real picture, so that the result is real
    phase = np.angle(np.fft.rfft2(rng.random((height, width))))[..., None]
    phase[0, 0] = 0
    spectrum = np.fft.rfft2(photo.astype(np.float64), axes=(0, 1)) * np.exp(1j * phase)
    mixed = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def draw_collage(rng: np.random.Generator, photos: ImageList) -> Collage:
    """One picture; draws are repeated until the centred square shows enough of a patch.

    Args:
        photos: to take patches and ground from.
    """
    while True:
        canvas, owner, patches = _ground(rng, photos), np.full(CANVAS[::-1], BACKGROUND, np.int64), []
        patch_at = np.full(CANVAS[::-1], -1, np.int64)
        for number in range(rng.integers(PATCHES[0], PATCHES[1] + 1)):
            index = int(rng.integers(len(photos)))
            box = _paste(rng, canvas, _photo(_Place(photos.full_path(index), photos, index)))
            owner[box], patch_at[box] = photos.labels[index], number
            patches.append(int(photos.labels[index]))
        left = (CANVAS[0] - CANVAS[1]) // 2
        seen = patch_at[:, left:left + CANVAS[1]]
        areas = np.bincount(seen[seen >= 0], minlength=len(patches))
        if areas.max() >= LEAST_SEEN:
            return Collage(Image.fromarray(canvas), patches[int(areas.argmax())], owner)


def write_collages(folder: str | Path, train: ImageList, test: ImageList, seed: int = 0, counts: HW = (6000, 2000),
                   ) -> None:
    """Draw `counts` (training, validation) pictures from the photos of `train` and of `test` and write them.

    Raises:
        ValueError: more classes than a mask can name, fewer photos than two halves need; nothing is written then.
    """
    if len(train.classes) > MOST_CLASSES:
        raise ValueError(f"{train.root}: {len(train.classes)} classes, wanted at most {MOST_CLASSES}, which is what "
                         "the pixels of a mask can name; take some of the class folders")
    if len(train) < 2:
        raise ValueError(f"{train.root}: {len(train)} photo, wanted at least 2, since even and odd pictures are made "
                         "of different ones; add photos")
    folder = Path(folder)
    origin = {"form": 1, "model": "ppim.data.collage", "seed": seed, "grid": list(GRID),
              "num_classes": len(train.classes)}
    for split, photos, count in zip(SPLITS, (train, test), counts):
        save_card(folder / "labels" / split, Reading(log_z=True), origin)
        for kind in ("data", "masks"):
            for name in photos.classes:
                (folder / kind / split / name).mkdir(parents=True, exist_ok=True)
        pools = _halves(photos) if split == SPLITS[0] else (photos,)
        for index in range(count):
            collage = draw_collage(picture_rng(seed, split, index), pools[index % len(pools)])
            _write(folder, split, f"{photos.classes[collage.label]}/{index:05d}", collage, len(photos.classes))
    save_card(folder / "labels_centre" / "train", Reading("centre-crop", 1.0, log_z=True), origin)


def _halves(photos: ImageList) -> tuple[ImageList, ImageList]:
    even, odd = (photos.pick(np.arange(first, len(photos), 2)) for first in (0, 1))
    return even, odd


def _write(folder: Path, split: str, name: str, collage: Collage, classes: int) -> None:
    collage.image.save(folder / "data" / split / f"{name}.jpg", quality=90, subsampling=0)
    mask = Image.fromarray((collage.owner + 1).astype(np.uint8), mode="P")
    mask.putpalette(palette(classes))
    mask.save(folder / "masks" / split / f"{name}.png")
    write_map(str(folder / "labels" / split / f"{name}.npy"), *label_map_of(collage.owner, GRID, classes))
    if split == SPLITS[0]:
        left = (CANVAS[0] - CANVAS[1]) // 2
        centre = collage.owner[:, left:left + CANVAS[1]]
        write_map(str(folder / "labels_centre" / split / f"{name}.npy"), *label_map_of(centre, GRID, classes))


def class_is_lost(collage: Collage, boxes: Sequence[tuple[int, int, int, int]]) -> np.ndarray:
    """(len(boxes),) bool: the crops (left, top, right, bottom) that show less of the picture's class than the least a
    picture shows of it."""
    mine = collage.owner == collage.label
    return np.array([mine[top:bottom, left:right].sum() < LEAST_SEEN for left, top, right, bottom in boxes])


def _ground(rng: np.random.Generator, photos: ImageList) -> np.ndarray:
    """The canvas (H, W, 3) uint8 before photos are put on it."""
    def one() -> np.ndarray:
        index = int(rng.integers(len(photos)))
        return scrambled(rng, _photo(_Place(photos.full_path(index), photos, index)))

    canvas = np.array(Image.fromarray(one()).resize(CANVAS, Image.Resampling.BICUBIC))
    for _ in range(SCRAMBLED):
        _paste(rng, canvas, one())
    return canvas


def _paste(rng: np.random.Generator, canvas: np.ndarray, photo: np.ndarray) -> tuple[slice, slice]:
    """Put a photo on the canvas, of a random side at a random place; where it lies."""
    side = int(rng.integers(SIDES[0], SIDES[1] + 1))
    height, width, _ = canvas.shape
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    box = slice(top, top + side), slice(left, left + side)
    canvas[box] = Image.fromarray(photo).resize((side, side), Image.Resampling.BICUBIC)
    return box


@dataclass(frozen=True)
class _Place:
    """A photo, known by its path, in tar files too."""

    path: str
    photos: ImageList = field(compare=False)
    index: int = field(compare=False)


@lru_cache(maxsize=70_000)
def _photo(place: _Place) -> np.ndarray:
    """(h, w, 3) uint8; kept, since every picture takes up to eleven."""
    return np.asarray(place.photos.photo(place.index))
