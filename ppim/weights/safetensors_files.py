"""Files of safetensors: 8 bytes of header length, a JSON header, raw little-endian data, mapped and not copied."""
from __future__ import annotations

import json
import math

import numpy as np

_MAX_HEADER = 100_000_000
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip


def open_safetensors(data) -> tuple[dict[str, np.ndarray], str]:
    """The arrays in an mmap of a file, as views of it (bfloat16 as uint16), and their layout, 'paddle' | 'torch'.

    Raises:
        ValueError: damaged, cut off, or of an unknown type.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    if start > min(len(data), _MAX_HEADER):
        raise ValueError("damaged or cut off (the header is not all there)")
    header = json.loads(data[8:start].decode("utf-8"))  # of bytes, json would guess the encoding
    layout = header.pop("__metadata__", {}).get("layout")
    state = {}
    for name, entry in header.items():
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"entry {name!r} has type {entry['dtype']}, wanted one of {[*_DTYPES]}")
        dtype, (begin, end) = np.dtype(_DTYPES[entry["dtype"]]), entry["data_offsets"]
        count = math.prod(entry["shape"])
        if not 0 <= begin <= end <= len(data) - start or end - begin != count * dtype.itemsize:
            raise ValueError(f"damaged or cut off (the data of {name!r} is not all there)")
        state[name] = np.frombuffer(data, dtype, count, start + begin).reshape(entry["shape"])
    return state, "paddle" if layout == "paddle" else "torch"
