"""What has somebody else's loader made? Samples of it in one `.npz`, to be audited: photos, views, targets of tokens.

    photos    (N,) text           paths relative to the folder of the photos
    targets   (N, rows, columns, C) numbers: the target of every token; or, of its largest classes only,
    ids, weights   (N, rows, columns, K) whole numbers and numbers: 0 where there are fewer than K
    boxes     (N, 4) numbers      what each view shows of its photo as it is stored, before it is mirrored
    convention                    text: `x0,y0,x1,y1` or `top,left,height,width`
    unit                          text: `pixels` of the photo, or `shares` of its sides
    flips     (N,) 0 or 1         is the view mirrored? (none, where left out)
    views     (N, h, w, 3) or (N, 3, h, w) uint8: the views themselves, where boxes are not known

`boxes` with `convention` and `unit`, or `views`. Rows of tokens run from top to bottom of the view, columns from left
to right. Nothing is unpickled.
"""
from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ppim.geometry import HW, WH

CONVENTIONS = ("x0,y0,x1,y1", "top,left,height,width")
UNITS = ("pixels", "shares")


class Foreign(NamedTuple):
    """Samples of a loader.

    Attributes:
        photos: paths, one a sample; grid: rows and columns of tokens.
        tables: (rows, columns, classes) float64 each, the shares of the classes that a sample's targets name.
        boxes: (N, 4) float64 as in the file, with convention and unit; None where views stand in for them.
        flips: (N,) bool. views: (N, h, w, 3) uint8, or None.
    """

    photos: list[str]
    grid: HW
    tables: list[np.ndarray]
    boxes: np.ndarray | None
    convention: str
    unit: str
    flips: np.ndarray
    views: np.ndarray | None


def read_foreign(path: str | os.PathLike[str]) -> Foreign:
    """Read and check such a file.

    Raises:
        FileNotFoundError: no such file. ValueError: anything that is missing or cannot be, by its name.
    """
    held = _arrays(path)
    if held.get("photos") is None or held["photos"].dtype.kind != "U" or held["photos"].ndim != 1:
        raise ValueError(f"{path}: wanted photos (N,), paths as text, got {_form(held, 'photos')}")
    photos = held["photos"].tolist()
    tables = _tables(path, held, len(photos))
    flips = held.get("flips", np.zeros(len(photos), bool))
    if flips.shape != (len(photos),) or not _are_numbers(flips):
        raise ValueError(f"{path}: wanted flips ({len(photos)},), 0 or 1, got {_form(held, 'flips')}")
    boxes, convention, unit, views = _places(path, held, len(photos))
    return Foreign(photos, tables[0].shape[:2] if tables else (0, 0), tables, boxes, convention, unit,
                   flips.astype(bool), views)


def _arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    try:
        file = np.load(path, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError("it is one array, as np.save writes it; np.savez keeps them by name")
        with file:
            return {name: file[name] for name in file.files}
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:  # zip, zlib and numpy's header, each in ways of its own
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{path}: wanted an .npz of plain arrays ({why:.300}); the documentation of label maps says "
                         "what to put into it") from None


def _are_numbers(array: np.ndarray) -> bool:
    """Finite ones; of text numpy cannot tell."""
    return array.dtype.kind in "biuf" and bool(np.isfinite(array).all())


def in_shares(box: np.ndarray, convention: str, unit: str, wh: WH) -> tuple[float, float, float, float]:
    """A box (4,) of a photo of `wh` as left, top, width, height in shares of the photo's sides.

    Raises:
        ValueError: it has no area, or lies outside of the photo by more than a hundredth of it.
    """
    a, b, c, d = (float(value) for value in box)
    left, top, width, height = (a, b, c - a, d - b) if convention == CONVENTIONS[0] else (b, a, d, c)
    if unit == "pixels":
        left, top, width, height = left / wh[0], top / wh[1], width / wh[0], height / wh[1]
    if width <= 0 or height <= 0 or min(left, top, 1 - left - width, 1 - top - height) < -0.01:
        raise ValueError(f"wanted a box within the photo, got left {left:.3g}, top {top:.3g}, width {width:.3g}, "
                         f"height {height:.3g} of its sides; are convention {convention} and unit {unit} meant?")
    return left, top, width, height


def _tables(path, held: Mapping[str, np.ndarray], count: int) -> list[np.ndarray]:
    if "targets" in held:
        targets = held["targets"]
        if targets.ndim != 4 or len(targets) != count or not _are_numbers(targets):
            raise ValueError(f"{path}: wanted targets ({count}, rows, columns, C), finite, got "
                             f"{_form(held, 'targets')}")
        return [np.asarray(sample, np.float64) for sample in targets]
    ids, weights = held.get("ids"), held.get("weights")
    if ids is None or weights is None or ids.ndim != 4 or ids.shape != weights.shape or len(ids) != count or (
            ids.dtype.kind not in "iu") or not _are_numbers(weights):
        raise ValueError(f"{path}: wanted targets ({count}, rows, columns, C), or ids and weights ({count}, rows, "
                         f"columns, K), whole numbers and finite ones; got ids {_form(held, 'ids')}, weights "
                         f"{_form(held, 'weights')}")
    return [_table(*sample) for sample in zip(ids, weights)]


def _table(ids: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(rows, columns, K) each -> (rows, columns, classes named anywhere)."""
    rows, columns, kept = ids.shape
    names, place = np.unique(ids, return_inverse=True)
    table = np.zeros((rows * columns, len(names)))
    np.add.at(table, (np.arange(rows * columns)[:, None], place.reshape(-1, kept)), weights.reshape(-1, kept))
    return table.reshape(rows, columns, -1)


def _places(path, held: Mapping[str, np.ndarray], count: int):
    """boxes, convention, unit, views."""
    if "boxes" in held:
        boxes, said = held["boxes"], {name: str(held.get(name, "")) for name in ("convention", "unit")}
        if boxes.shape != (count, 4) or not _are_numbers(boxes):
            raise ValueError(f"{path}: wanted boxes ({count}, 4), finite, got {_form(held, 'boxes')}")
        for name, allowed in (("convention", CONVENTIONS), ("unit", UNITS)):
            if said[name] not in allowed:
                raise ValueError(f"{path}: {name} wants one of {' or '.join(allowed)}, got {said[name]!r}")
        return np.asarray(boxes, np.float64), said["convention"], said["unit"], None
    views = held.get("views")
    if views is None or views.ndim != 4 or len(views) != count or views.dtype != np.uint8 or 3 not in (
            views.shape[1], views.shape[3]):
        raise ValueError(f"{path}: wanted boxes ({count}, 4) or views ({count}, h, w, 3) uint8, got boxes "
                         f"{_form(held, 'boxes')}, views {_form(held, 'views')}")
    return None, "", "", views if views.shape[3] == 3 else views.transpose(0, 2, 3, 1)


def _form(held: Mapping[str, np.ndarray], name: str) -> str:
    return f"{list(held[name].shape)} {held[name].dtype}" if name in held else "none"
