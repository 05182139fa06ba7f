"""A label map: for each cell of a coarse grid over a photo, the K best classes of an annotator and their scores.

On disk a map is one `.npy` array per photo:

    [2, K, H, W]   the published form: plane 0 raw scores (logits), plane 1 class ids
    [3, K, H, W]   our own form: plane 2 is the annotator's log-sum-exp over all its classes in that cell, the same for
                   each k, so exp(score - log_z) is a probability; `array[:2]` is the published form

The array has one dtype for all: float16 (ids are exact below 2048 only, beyond it is refused), float32, float64,
int16 or int32. H runs along the photo's height ('rows-first'); files written the other way are read with
orientation 'columns-first'. The published set: K = 5, H = W = 18, float16 (arXiv 2104.10858). Maps that we write are
sealed (`ppim.seal`), so that one that has changed since is refused.
"""
from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import BinaryIO, NamedTuple

import numpy as np

from ppim.files import open_regular, walk_through, write_whole
from ppim.geometry import Window
from ppim.seal import SEAL_BYTES, content_length, sealed

ORIENTATIONS = ("rows-first", "columns-first")
HALF_EXACT = 2048
_MOST_HEADER = 1 << 16  # bytes read at once: all of a usual map
DTYPES = ("f2", "f4", "f8", "i2", "i4")


class MapError(ValueError):
    """A label map that cannot be trusted; the message names the file."""


class LabelMap(NamedTuple):
    """One photo's map, rows first. Ids are distinct within a cell."""

    scores: np.ndarray  # (K, rows, columns) float32 logits
    ids: np.ndarray  # (K, rows, columns) int32
    log_z: np.ndarray | None = None  # (rows, columns) float32; None where the file has none
    window: Window = (0.0, 0.0, 1.0, 1.0)  # x0, y0, x1, y1: what the map covers of the photo, unit coordinates


def map_path(folder: str, image_relative_path: str, suffix: str = ".npy") -> str:
    """The map's file of an image: only the image's last suffix is cut, sub-folders are kept."""
    return os.path.join(folder, os.path.splitext(image_relative_path)[0] + suffix)


def stem_of(image_relative_path: str) -> str:
    """The name of an image's map: its path without the last suffix."""
    return os.path.normpath(os.path.splitext(image_relative_path)[0])


def stems_below(folder: str, suffix: str = ".npy") -> Iterator[str]:
    """The names of the maps in a folder and in those in it, with forward slashes, in any order. Links are followed, no
    file is opened, and names that begin with a dot are passed over, as those of photos are.

    Raises:
        OSError: a link back to a folder through which it was reached.
    """
    for here, _, files in walk_through(folder, "maps"):
        head = os.path.relpath(here, folder)
        for name in files:
            if name.endswith(suffix):
                yield os.path.normpath(os.path.join(head, name[:-len(suffix)])).replace(os.sep, "/")


@lru_cache(maxsize=64)
def _parse_header(header: bytes) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, dtype and Fortran order of an `.npy` header; files of one set share it, so it is parsed once."""
    stream = io.BytesIO(header)
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(stream)
    return shape, dtype, fortran


def read_array(path: str, opened: Callable[[], BinaryIO] | None = None) -> np.ndarray:
    """The array of an `.npy` file as it lies there, in its own dtype; pickles are never unpacked; `opened`: see
    `read_map`.

    Raises:
        FileNotFoundError: no such file. MapError: any damage; the message names the file.
    """
    try:
        with opened() if opened else open_regular(path) as stream:
            data = stream.read(_MOST_HEADER)
            # the length of the header stands in two bytes (version 1) or four (later versions) behind the magic
            start = 10 + int.from_bytes(data[8:10], "little") if data[6:7] == b"\x01" else \
                12 + int.from_bytes(data[8:12], "little")
            shape, dtype, fortran = _parse_header(data[:start])
            size = stream.seek(0, os.SEEK_END)
            stream.seek(len(data))
            if dtype.str[1:] not in DTYPES:
                raise MapError(f"{path}: wanted a map of dtype float16, float32, float64, int16 or int32, got {dtype}")
            count = math.prod(shape)
            end = start + dtype.itemsize * count
            if size not in (end, end + SEAL_BYTES):
                raise MapError(f"{path}: the header promises {shape} of {dtype}, the file holds {size - start} bytes "
                               "of it; it was cut off or overwritten, generate this map again")
            data += stream.read(size - len(data))
        if content_length(data) != end:
            raise ValueError(f"{size - end} bytes too many at its end")
        array = np.frombuffer(data, dtype, count, start)
        return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no label map there; maps lie beside one another as <class>/<image>.npy, "
                                "generate the missing ones or correct the folder's path") from None
    except MapError:
        raise
    except Exception as error:  # numpy parses the header as Python, which fails in as many ways as there are
        why = " ".join(f"{type(error).__name__}: {error}".replace(str(path), "it").split())
        raise MapError(f"{path}: not a whole .npy file ({why:.300}); generate this map again") from None


def form_of(path: str, opened: Callable[[], BinaryIO] | None = None) -> str:
    """Shape and dtype of the array of an `.npy` file, as text; `opened`: see `read_map`."""
    with opened() if opened else open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    return f"{list(shape)} {dtype}"


def check_map(path: str, scores: np.ndarray, raw_ids: np.ndarray, ids: np.ndarray, num_classes: int,
              log_z: np.ndarray | None = None) -> None:
    """Refuse values that no annotator writes. `raw_ids` is what the file holds, `ids` the same as whole numbers.

    Raises:
        MapError: scores or log-sum-exps not finite, ids broken, out of range or twice in a cell, or all is zero, which
            a photo that shows nothing has only where there is one class.
    """
    if not np.isfinite(scores).all():
        raise MapError(f"{path}: {np.count_nonzero(~np.isfinite(scores))} of {scores.size} scores are not finite")
    low, high = raw_ids.min().item(), raw_ids.max().item()
    if not (low >= 0 and high < num_classes):
        raise MapError(f"{path}: class ids must lie in 0 .. {num_classes - 1}, got {low} .. {high}; is the number of "
                       "classes that of the annotator?")
    # 2049 is read as 2048, so an id of 2048 in half precision is a true one only where no larger class exists.
    if raw_ids.dtype.str[1:] == "f2" and high >= HALF_EXACT and num_classes > HALF_EXACT + 1:
        raise MapError(f"{path}: half precision holds class ids exactly only below {HALF_EXACT}, got {high}; "
                       "write this map as float32")
    if raw_ids.dtype.kind == "f" and (raw_ids != ids).any():
        raise MapError(f"{path}: class ids must be whole numbers, got {raw_ids[raw_ids != ids][0]}; are the planes "
                       "(scores first, ids second) exchanged?")
    if not scores.any() and not ids.any() and (log_z is None or (num_classes > 1 and not log_z.any())):
        raise MapError(f"{path}: all zero, so it was never written; generate this map again")
    ordered = np.sort(ids, axis=0)
    if (ordered[1:] == ordered[:-1]).any():
        raise MapError(f"{path}: one class stands twice in a cell; wanted the K best classes, each once")
    if log_z is not None and not np.isfinite(log_z).all():
        raise MapError(f"{path}: {np.count_nonzero(~np.isfinite(log_z))} of {log_z.size} log-sum-exps are not finite")


def map_of_array(path: str, array: np.ndarray, num_classes: int, orientation: str = "rows-first") -> LabelMap:
    """The map that an array of the form at the head of this file is, checked.

    Args:
        path: where it is from, for messages.
        num_classes: C, ids must lie below it.
        orientation: 'rows-first' for [.., K, H, W] arrays, 'columns-first' for [.., K, W, H].

    Raises:
        MapError: what is wrong with it. ValueError: another orientation.
    """
    if orientation not in ORIENTATIONS:
        raise ValueError(f"orientation wants one of {', '.join(ORIENTATIONS)}; got {orientation!r}")
    if array.ndim != 4 or array.shape[0] not in (2, 3) or 0 in array.shape:
        raise MapError(f"{path}: wanted [2, K, H, W] (scores, class ids) or [3, K, H, W] (and log-sum-exp), "
                       f"got shape {list(array.shape)}")
    if orientation == "columns-first":
        # (P, K, W, H) -> (P, K, H, W)
        array = array.transpose(0, 1, 3, 2)
    # What is not a number gets some id here; the check below looks at what the file holds and refuses it.
    with np.errstate(invalid="ignore", over="ignore"):
        scores, ids = array[0].astype(np.float32), array[1].astype(np.int32)
    if array.shape[0] == 2:
        check_map(path, scores, array[1], ids, num_classes)
        return LabelMap(scores, ids)
    with np.errstate(over="ignore"):
        log_z = array[2, 0].astype(np.float32)
    check_map(path, scores, array[1], ids, num_classes, log_z)
    return LabelMap(scores, ids, log_z)


def read_map(path: str, num_classes: int, orientation: str = "rows-first",
             opened: Callable[[], BinaryIO] | None = None) -> LabelMap:
    """Read and check one map.

    Args:
        path: the `.npy` file.
        num_classes: C, ids must lie below it.
        orientation: 'rows-first' for [.., K, H, W] files, 'columns-first' for [.., K, W, H].
        opened: opens the map, where `path` but says to people which it is.

    Raises:
        FileNotFoundError: no such file. MapError: anything else that is wrong with it, path in the message.
        ValueError: another orientation.
    """
    return map_of_array(path, read_array(path, opened), num_classes, orientation)


def write_map(path: str, scores: np.ndarray, ids: np.ndarray, log_z: np.ndarray | None = None) -> None:
    """Write one map, rows first; half precision where that holds the ids exactly, float32 otherwise.

    Args:
        path: the `.npy` file; its folder is made. It appears whole or not at all.
        scores: (K, rows, columns) logits; ids: (K, rows, columns) whole numbers; log_z: (rows, columns) or None.

    Raises:
        MapError: what could not be read back.
    """
    ids, shape = np.asarray(ids), np.shape(scores)
    if len(shape) != 3 or 0 in shape or ids.shape != shape:
        raise MapError(f"{path}: wanted scores and ids of one shape (K, rows, columns), got {shape} and {ids.shape}")
    if log_z is not None and np.shape(log_z) != shape[1:]:
        raise MapError(f"{path}: wanted a log-sum-exp of every cell, {shape[1:]}, got {np.shape(log_z)}")
    planes = [scores, ids] if log_z is None else [scores, ids, np.broadcast_to(log_z, shape)]
    with np.errstate(over="ignore"):  # what half precision cannot hold is refused below
        array = np.stack(planes).astype(np.float16 if ids.max() < HALF_EXACT else np.float32)
    written = None if log_z is None else array[2, 0].astype(np.float32)
    check_map(path, array[0].astype(np.float32), ids, ids.astype(np.int32), int(ids.max()) + 1, written)
    save_array(path, array)


def save_array(path: str, array: np.ndarray) -> None:
    """Write an array of the form at the head of this file as it is, sealed; its folder is made."""
    def save(beside) -> None:
        with sealed(beside) as file:
            np.lib.format.write_array(file, array, allow_pickle=False)

    write_whole(path, save, durable=False)
