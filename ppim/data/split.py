"""Which photos are set aside for validation where the data has none?

A photo's own name decides, by a hash: photos that are added later move no other from one side to the other, and every
machine, process and command comes to the same split.
"""
from __future__ import annotations

import hashlib
import os

import numpy as np

from ppim.data.datasets import SPLIT_FOLDERS, validation_path
from ppim.data.images import ImageList


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
    places = np.fromiter(map(_place, images.paths), np.float64, len(images))
    chosen, counts = places < share, images.counts()
    if (counts == 1).any():
        label = int(np.flatnonzero(counts == 1)[0])
        raise ValueError(
            f"{images.root}: class {images.classes[label]!r} has one photo "
            f"({images.paths[int(np.flatnonzero(images.labels == label)[0])]}), and training and validation want one "
            "each; add photos, or remove the class"
        )
    taken = np.bincount(images.labels[chosen], minlength=len(counts))
    for label in np.flatnonzero((counts > 0) & ((taken == 0) | (taken == counts))).tolist():
        rows = np.flatnonzero(images.labels == label)
        if taken[label] == 0:
            chosen[rows[places[rows].argmin()]] = True
        else:
            chosen[rows[places[rows].argmax()]] = False
    return images.pick(np.flatnonzero(~chosen)), images.pick(np.flatnonzero(chosen))


def as_list(images: ImageList) -> bytes:
    """The photos as a list that `{train,val}_list.txt` may hold, "path label" a line."""
    lines = (f"{path} {label}\n" for path, label in zip(images.paths, images.labels))
    return "".join(lines).encode("utf-8", "surrogateescape")


def _place(path: str) -> float:
    """A number in [0, 1) that the path alone decides."""
    return int.from_bytes(hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
