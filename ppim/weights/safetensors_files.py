"""Files of safetensors: 8 bytes of header length, a JSON header, raw little-endian data; read without a copy, written
without one."""
from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_LONGEST_HEADER = 10_000_000  # of 100,000 arrays
_MOST_AXES = 32
_MOST_DIGITS = 19
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_DTYPES |= {"I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1"}


def open_safetensors(data) -> tuple[dict[str, np.ndarray], str]:
    """The arrays in an mmap of a file, as views of it (bfloat16 as uint16), and their layout, 'paddle' | 'torch'.

    Raises:
        ValueError: damaged, cut off, or of an unknown type.
    """
    header, start = _header(data, len(data))
    metadata = header.pop("__metadata__", {})
    state, places = {}, []
    for name, entry in header.items():
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"entry {name!r} has type {entry['dtype']}, wanted one of {[*_DTYPES]}")
        dtype, (begin, end) = np.dtype(_DTYPES[entry["dtype"]]), entry["data_offsets"]
        if len(entry["shape"]) > _MOST_AXES:
            raise ValueError(f"entry {name!r:.80} has {len(entry['shape'])} axes")
        count = math.prod(entry["shape"])
        if not 0 <= begin <= end <= len(data) - start or end - begin != count * dtype.itemsize:
            raise ValueError(f"damaged or cut off (the data of {name!r} is not all there)")
        state[name] = np.ndarray(entry["shape"], dtype, data, start + begin)
        places.append((begin, end, name))
    _check_apart(places)
    if "sha256" in metadata and metadata["sha256"] != digest(state, metadata):
        raise ValueError("has changed since it was written: the digest in its header is of another content")
    return state, "paddle" if metadata.get("layout") == "paddle" else "torch"


def digest(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """SHA-256 of names, types, shapes, values and what else `metadata` says: what `sha256` there is to be."""
    said = sorted((key, value) for key, value in metadata.items() if key != "sha256")
    found = hashlib.sha256(json.dumps(said, allow_nan=False).encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(json.dumps([name, array.dtype.str, list(array.shape)], allow_nan=False).encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return found.hexdigest()


def write_safetensors(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write {name: array} as the library would, but array by array without a copy of them all, from any thread without
    holding up the others, and with the mode that new files have here (the library's are its owner's alone).

    Raises:
        ValueError: an array of a type that the format lacks.
        OSError: the disk is full, or may not be written.
    """
    codes = {np.dtype(code): name for name, code in _DTYPES.items() if name != "BF16"}  # numpy has none
    header, end = {"__metadata__": dict(metadata)}, 0
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))  # which keeps each aligned
    for name in names:
        if arrays[name].dtype not in codes:
            raise ValueError(f"entry {name!r} has type {arrays[name].dtype}, which safetensors lack")
        start, end = end, end + arrays[name].nbytes
        header[name] = {"dtype": codes[arrays[name].dtype], "shape": list(arrays[name].shape),
                        "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8))


def _check_apart(places: list[tuple[int, int, str]]) -> None:
    """Every array has its own bytes, as the format has it: a file costs no more memory than its size says."""
    taken, owner = 0, ""
    for begin, end, name in sorted(places):
        if begin < taken:
            raise ValueError(f"damaged (the data of {owner!r:.80} and {name!r:.80} overlap)")
        taken, owner = end, name


def read_metadata(path: Path) -> dict[str, str]:
    """What a safetensors file says besides its arrays, {name: text}; {} of a file of another format.

    Raises:
        ValueError: damaged.
    """
    with path.open("rb") as file:
        start = file.read(9)
        if start[4:] != b"\0\0\0\0{":
            return {}
        size = path.stat().st_size
        try:
            header, _ = _header(start + file.read(min(int.from_bytes(start[:8], "little"), _LONGEST_HEADER)), size)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    metadata = header.get("__metadata__")
    said = metadata.items() if isinstance(metadata, dict) else ()
    return {name: text for name, text in said if isinstance(text, str)}


def _header(data, size: int) -> tuple[dict[str, Any], int]:
    """The header in the first bytes of a file of `size` bytes, and where it ends."""
    start = 8 + int.from_bytes(data[:8], "little")
    if start > min(size, _LONGEST_HEADER):
        raise ValueError("damaged or cut off (the header is not all there), or longer than 10 MB")
    # of bytes, json would guess the encoding
    return json.loads(data[8:start].decode("utf-8"), parse_int=_int), start


def _int(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)
