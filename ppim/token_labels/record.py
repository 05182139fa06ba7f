"""How does one label map lie in a pack? As a record: of the same size for all maps of the pack, with a checksum.

All numbers little-endian, nothing between them:

    ids      K * H * W uint16 or uint32, k by k, row by row, column by column, as in the map's array
    scores   K * H * W float16, in the same order
    log_z    H * W float16, where the maps have a log-sum-exp
    check    uint32: zlib's CRC-32 of the UTF-8 bytes of the map's stem, and then of all bytes of the record before it

With the stem in its checksum, a record that has come to stand for another photo is no more believed than a damaged one.
"""
from __future__ import annotations

import zlib

import numpy as np

from ppim.token_labels.maps import MapError, map_of_array

_CHECK_BYTES = 4
ID_DTYPES = ("<u2", "<u4")
UNKNOWN = 1 << 31  # as a number of classes: ids are int32 wherever they are read


def record_dtype(shape: tuple[int, int, int], ids: str, log_z: bool) -> np.dtype:
    """A record as numpy reads it.

    Args:
        shape: (K, H, W) as in the array of a map; ids: one of `ID_DTYPES`.
    """
    fields = [("ids", ids, shape), ("scores", "<f2", shape)]
    return np.dtype([*fields, *([("log_z", "<f2", shape[1:])] if log_z else []), ("check", "<u4")])


def encode(record: np.dtype, place: str, stem: str, array: np.ndarray, num_classes: int,
           round_scores: bool) -> tuple[bytes, float]:
    """A map as bytes of a record.

    Args:
        record: as of `record_dtype`; place: where the map is from, for messages.
        array: of the form of `ppim.token_labels.maps`, any dtype; num_classes: C, or `UNKNOWN`.
        round_scores: take the nearest half-precision number for each that is none, instead of refusing it.

    Returns:
        the bytes, and by how much a score or log-sum-exp was changed at most.

    Raises:
        MapError: a map that cannot be trusted, has another form, or would not come back as it was.
    """
    _check_form(record, place, array)
    map_of_array(place, array, num_classes)
    values = np.zeros((), record)
    values["ids"] = array[1]
    highest = int(array[1].max())
    if highest > np.iinfo(values["ids"].dtype).max:
        raise MapError(f"{place}: class id {highest} does not fit into {values['ids'].dtype}; say with "
                       "--classes how many classes there are")
    change = _put(place, values["scores"], array[0], round_scores)
    if "log_z" in record.names:
        if (array[2] != array[2, :1]).any():
            raise MapError(f"{place}: the log-sum-exps of one cell differ; wanted plane 2 the same for each of the K "
                           "classes, make this map again")
        change = max(change, _put(place, values["log_z"], array[2, 0], round_scores))
    return seal_record(stem, values.tobytes()[:-_CHECK_BYTES]), change


def seal_record(stem: str, data: bytes) -> bytes:
    """The bytes of a record without its checksum, and that of a map of this stem behind them."""
    return data + _check(stem, data).to_bytes(_CHECK_BYTES, "little")


def is_sound(record: np.dtype, stem: str, data: bytes) -> bool:
    """Are these the bytes of a record of that stem?"""
    if len(data) != record.itemsize:
        return False
    return _check(stem, memoryview(data)[:-_CHECK_BYTES]) == int.from_bytes(data[-_CHECK_BYTES:], "little")


def as_array(values: np.void) -> np.ndarray:
    """A record as the array that a map is in an `.npy` file, in float16 where that holds the ids, float32 otherwise."""
    planes = [values["scores"], values["ids"]]
    if "log_z" in values.dtype.names:
        planes.append(np.broadcast_to(values["log_z"], values["scores"].shape))
    return np.stack([plane.astype(np.float32) for plane in planes]).astype(
        np.float16 if values["ids"].max() < 2048 else np.float32)


def _check(stem: str, data) -> int:
    return zlib.crc32(data, zlib.crc32(stem.encode("utf-8", "surrogateescape")))


def _check_form(record: np.dtype, place: str, array: np.ndarray) -> None:
    planes = 3 if "log_z" in record.names else 2
    wanted = [planes, *record["ids"].shape]
    if list(array.shape) != wanted:
        raise MapError(f"{place}: wanted {wanted} as the first map of this pack has, got {list(array.shape)}; maps of "
                       "one pack have one shape: pack the others apart, or train from the folder as it is")


def _put(place: str, target: np.ndarray, exact: np.ndarray, round_scores: bool) -> float:
    """Write numbers into half precision; by how much one was changed at most."""
    with np.errstate(over="ignore"):
        target[...] = exact
    change = float(np.abs(target.astype(np.float64) - exact.astype(np.float64)).max())
    if not np.isfinite(change):
        raise MapError(f"{place}: {np.abs(exact).max():g} is beyond half precision, which a pack holds")
    if change and not round_scores:
        raise MapError(f"{place}: scores that are not exactly half-precision numbers, the nearest are up to "
                       f"{change:.2g} away; --round-scores packs those, the folder holds the exact ones")
    return change
