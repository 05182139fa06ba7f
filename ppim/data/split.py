"""Which photos are set aside for validation where the data has none?

A photo's own name decides, by a hash: photos that are added later move no other from one side to the other, and every
machine, process and command comes to the same split.
"""
from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import numpy as np

from ppim.data.datasets import SPLIT_FOLDERS, ImageList, validation_path


def has_validation(data_path: str) -> bool:
    """Has the data path validation images of its own: a list, a folder val/ or test/, or one beside train/?"""
    try:
        path = validation_path(data_path)
    except FileNotFoundError:
        return False
    own = [*SPLIT_FOLDERS["val"], "val_list.txt"]
    return path != data_path or any(os.path.exists(os.path.join(path, name)) for name in own)


def set_aside(images: ImageList, share: float) -> tuple[ImageList, ImageList]:
    """(training, validation): each photo goes to validation with probability `share`, which its path decides.

    Every class has at least one photo on each side: where all would fall on one, that with the nearest hash crosses.

    Args:
        images: all photos.
        share: in (0, 1).

    Raises:
        ValueError: a class has one photo only.
    """
    places = np.array([_place(path) for path in images.paths])
    chosen = places < share
    for label, name in enumerate(images.classes):
        rows = np.flatnonzero(images.labels == label)
        if len(rows) == 1:
            raise ValueError(
                f"{images.root}: class {name!r} has one photo ({images.paths[rows[0]]}), and training and validation "
                "want one each; add photos, or remove the class"
            )
        if len(rows) and not chosen[rows].any():
            chosen[rows[places[rows].argmin()]] = True
        elif len(rows) and chosen[rows].all():
            chosen[rows[places[rows].argmax()]] = False
    return _rows(images, ~chosen), _rows(images, chosen)


def as_list(images: ImageList) -> bytes:
    """The photos as a list that `{train,val}_list.txt` may hold, "path label" a line."""
    lines = (f"{path} {label}\n" for path, label in zip(images.paths, images.labels))
    return "".join(lines).encode("utf-8", "surrogateescape")


def _place(path: str) -> float:
    """A number in [0, 1) that the path alone decides."""
    return int.from_bytes(hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64


def _rows(images: ImageList, keep: np.ndarray) -> ImageList:
    rows = np.flatnonzero(keep)
    return replace(images, paths=[images.paths[row] for row in rows], labels=images.labels[rows])
