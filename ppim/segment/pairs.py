"""Which photos have which masks, and what are their classes called?

Either as ADE20K lies there, `images/{training,validation}` and `annotations/{training,validation}`, or photos in
`train` and `val`, in folders as deep as one likes, and masks under the same names in `train` and `val` of another
folder. What a mask says stands in `ppim.data.masks`.
"""
from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppim.data.classes import read_names
from ppim.data.datasets import images_below
from ppim.data.images import ImageList
from ppim.data.masks import UNKNOWN, mask_path, read_mask
from ppim.data.photos import SUFFIXES
from ppim.geometry import WH
from ppim.segment.figures import IGNORED

ADE20K = {"train": "training", "val": "validation"}
NAMES = "objectInfo150.txt"  # beside ADE20K's folders
GROUND = "ground"  # what the row of unnamed pixels is called
_MOST = 254  # classes that a mask of bytes can name


class Places(NamedTuple):
    """Where a split's photos and masks are."""

    photos: Path
    masks: Path


def places_of(data_path: str, masks: str, split: str) -> Places:
    """The folders of a split, train or val.

    Args:
        masks: folder with train/ and val/; '' for ADE20K's layout.

    Raises:
        FileNotFoundError: one of them does not exist.
    """
    root = Path(data_path)
    if masks:
        found = Places(root / split, Path(masks) / split)
    else:
        found = Places(root / "images" / ADE20K[split], root / "annotations" / ADE20K[split])
    for folder in found:
        if not folder.is_dir():
            wanted = "DATA.DATA_PATH with train/ and val/ and SEGMENT.MASKS with both" if masks else (
                "ADE20K's images/ and annotations/ in DATA.DATA_PATH, or SEGMENT.MASKS, a folder of masks")
            raise FileNotFoundError(f"{folder}: no such folder; wanted {wanted}")
    return found


def photos_of(places: Places, names: Sequence[str]) -> ImageList:
    """The photos of a split, sorted, each with its mask there; `names` are the classes of a pixel.

    Raises:
        FileNotFoundError: no photos, or one without a mask. ValueError: two photos that share one.
    """
    paths = photos_below(places.photos)
    if not paths:
        raise FileNotFoundError(f"{places.photos}: no photos there ({' '.join(SUFFIXES)})")
    masks = [mask_path(str(places.masks), path) for path in paths]
    missing = [path for path, mask in zip(paths, masks) if not os.path.isfile(mask)]
    if missing:
        raise FileNotFoundError(f"{len(missing)} of {len(paths)} photos in {places.photos} have no mask in "
                                f"{places.masks}, the first is {missing[0]}; wanted a PNG under the same name")
    if len(set(masks)) < len(masks):
        double = next(mask for number, mask in enumerate(sorted(masks)[1:]) if mask == sorted(masks)[number])
        raise ValueError(f"{double} would be the mask of two photos in {places.photos}; rename one of them and its "
                         "mask")
    return ImageList(str(places.photos), paths, np.zeros(len(paths), np.int64), list(names))


def photos_below(folder: Path) -> list[str]:
    """Paths of the photos in a folder and all below it, relative, with forward slashes, sorted; links are followed.

    Raises:
        OSError: a folder that cannot be read, or a link back to one through which it was reached.
    """
    return [path.removeprefix("./") for path in images_below(str(folder), ".", Counter())]


def names_of(data_path: str, listed: str | None, rows: int | None, ground: bool) -> list[str]:
    """What the rows of the head are called: the ground first, where it counts as a class, then the classes of masks.

    Args:
        listed: MODEL.CLASSES, a file with a name a line; None: ADE20K's own list, the folders that the training photos
            lie in, or numbers, whichever is there.
        rows: MODEL.NUM_CLASSES, or None.
        ground: SEGMENT.GROUND is class.

    Raises:
        FileNotFoundError, ValueError: nobody says what the classes are, or more than one does, and not alike.
    """
    named = [GROUND] * ground + _class_names(Path(data_path), listed, None if rows is None else rows - ground)
    if rows is not None and len(named) != rows:
        raise ValueError(f"{data_path} has {len(named)} classes{' with the ground' * ground}, MODEL.NUM_CLASSES is "
                         f"{rows}; leave the key out, or correct it")
    if len(named) > _MOST:
        raise ValueError(f"{data_path} has {len(named)} classes, a mask can name {_MOST}")
    return named


def _class_names(root: Path, listed: str | None, count: int | None) -> list[str]:
    if listed:
        return list(read_names(listed))
    if (root / NAMES).is_file():
        lines = (root / NAMES).read_text(encoding="utf-8", errors="replace").splitlines()[1:]
        return [line.split("\t")[-1].strip() for line in lines if line.strip()]
    if (root / "train").is_dir():
        folders = sorted(entry.name for entry in (root / "train").iterdir()
                         if entry.is_dir() and not entry.name.startswith("."))
        if folders:
            return folders
    if count is None:
        raise ValueError(f"{root}: nobody says what the classes of the masks are called; give --classes FILE, a name a "
                         "line, or their number, -o MODEL.NUM_CLASSES N")
    return [f"class {number}" for number in range(1, count + 1)]


def labels_of(path: str, rows: int, ground: bool, wh: WH) -> np.ndarray:
    """(H, W) uint8: the row of each pixel of a mask, or IGNORED.

    Args:
        rows: of the head; ground: is the first of them that of pixels without a name? Else those are IGNORED.
        wh: (width, height) of the photo.

    Raises:
        FileNotFoundError, ValueError: no mask that fits the photo.
    """
    mask = read_mask(path, rows - ground)
    if mask.shape != wh[::-1]:
        raise ValueError(f"{path}: wanted the photo's size {wh[0]}x{wh[1]} (w x h), got "
                         f"{mask.shape[1]}x{mask.shape[0]}; a mask lies on its photo pixel by pixel")
    if ground:
        return mask  # UNKNOWN is IGNORED
    return np.where((mask == 0) | (mask == UNKNOWN), IGNORED, mask - 1).astype(np.uint8)
