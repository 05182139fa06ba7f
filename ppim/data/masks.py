"""What lies where in a photo, by a mask of palette indices, and what of it a view's pixels and tokens show.

A mask is a PNG of the photo's size: 0 where nothing has a name, 1 + class elsewhere, 255 where it is not known.
"""
from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ppim.data.transforms import Operation, history
from ppim.files import open_regular
from ppim.geometry import HW, WH, trace

UNKNOWN = 255


def mask_path(folder: str, image_relative_path: str) -> str:
    """The mask of an image: the same path with the suffix .png."""
    return os.path.join(folder, os.path.splitext(image_relative_path)[0] + ".png")


def read_mask(path: str, classes: int) -> np.ndarray:
    """(H, W) uint8.

    Raises:
        FileNotFoundError: there is none. ValueError: no whole picture of indices, or an index beyond the classes.
    """
    try:
        with open_regular(path) as file, Image.open(file, formats=["PNG"]) as picture:
            mode, mask = picture.mode, np.array(picture)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such mask; every photo needs one, of the same path and with the suffix "
                                ".png") from None
    except Exception as error:  # Pillow raises OSError, SyntaxError, a bomb's own, ... on damaged files
        why = " ".join(str(error).replace(os.fspath(path), "it").split())
        raise ValueError(f"{path}: cannot be read as a PNG ({why:.200}); draw this mask again, or save it "
                         "anew") from None
    if mode not in ("P", "L"):
        raise ValueError(f"{path}: wanted a PNG of palette indices or of grey levels, got mode {mode}")
    beyond = mask[(mask > classes) & (mask != UNKNOWN)]
    if beyond.size:
        raise ValueError(f"{path}: wanted 0 (nothing), 1 .. {classes} (a class) and {UNKNOWN} (not known), got "
                         f"{beyond.max()}")
    return mask


def check_shape(where: str, drawn: WH, photo: str, wh: WH, exif: str) -> None:
    """Photos may have been scaled since, but for rounding; raise ValueError where they were cut or turned.

    Args:
        where: what was drawn, on a photo of `drawn` pixels (width, height); wh: of the photo, read with `exif`.
    """
    if abs(drawn[0] * wh[1] - drawn[1] * wh[0]) > max(*drawn, *wh):
        turn = ""
        if abs(drawn[0] * wh[0] - drawn[1] * wh[1]) <= max(*drawn, *wh):
            turn = f", it was drawn on the photo turned; take -o DATA.EXIF {'ignore' if exif == 'apply' else 'apply'}"
        raise ValueError(f"{where}: drawn on {drawn[0]} x {drawn[1]} pixels, {photo} has {wh[0]} x {wh[1]}, which is "
                         f"another shape{turn or '; give the photos it was drawn on'}")


def palette(classes: int) -> list[int]:
    """Black for index 0, then colours far apart, as a PNG's palette."""
    hues = np.arange(classes) * 0.618034 % 1
    colours = np.clip(np.abs((hues[:, None] * 6 + [0, 4, 2]) % 6 - 3) - 1, 0, 1) * 200 + 55
    return [0, 0, 0, *np.rint(colours).astype(int).ravel().tolist()]


def seen_through(mask: np.ndarray, ops: Sequence[Operation], view_hw: HW) -> np.ndarray:
    """(h, w) uint8: the mask at the centre of each of a view's pixels; UNKNOWN where it shows no photo.

    Args:
        ops: what was done to the photo to get the view of `view_hw` pixels.
    """
    rows, columns = view_hw
    y, x = np.mgrid[:rows, :columns]
    points = np.stack([(x.ravel() + 0.5) / columns, (y.ravel() + 0.5) / rows], axis=1)
    height, width = mask.shape
    points, inside = trace(points, history(ops, (width, height)))
    at = np.clip((points * (width, height)).astype(np.intp), 0, (width - 1, height - 1))
    return np.where(inside, mask[at[:, 1], at[:, 0]], UNKNOWN).astype(np.uint8).reshape(rows, columns)


def shares(seen: np.ndarray, grid: HW, classes: int) -> np.ndarray:
    """(rows, columns, 1 + classes) float32: what each token of a view shows, as shares of its known pixels; all zero
    where none is known.

    Args:
        seen: (h, w) as of `seen_through`; h and w are multiples of the grid's rows and columns.
    """
    rows, columns = grid
    height, width = seen.shape
    cells = seen.reshape(rows, height // rows, columns, width // columns)
    found = np.stack([(cells == index).sum(axis=(1, 3)) for index in range(1 + classes)], axis=-1)
    return (found / np.maximum(found.sum(axis=-1, keepdims=True), 1)).astype(np.float32)
