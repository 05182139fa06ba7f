"""Weight files -> {name: array}, without running anything a file says.

Two formats, told apart by content, never by name:
- `.pdparams`: a pickle of {name: array} or {name: (name, array)}, perhaps with Paddle's table of generated names.
  `paddle.load` would run any code inside; here only the few steps that spell out plain arrays are understood.
- safetensors: 8 bytes of header length, a JSON header, raw little-endian data. Memory-mapped, not copied.
"""
from __future__ import annotations

import json
import math
import mmap
import os
import pickle
import pickletools
from collections import OrderedDict

import numpy as np

NAME_TABLE = "StructuredToParameterName@@"
_MAX_HEADER = 100_000_000
_SAFETENSORS_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2",
    "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_OPCODES = set(
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT "
    "BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES BINBYTES8 SHORT_BINUNICODE BINUNICODE "
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT DICT SETITEM SETITEMS "
    "BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD".split()
)


class _Dtype:
    """Stands in for numpy.dtype: numbers only, the byte order is all a file may set."""

    def __init__(self, code, align=False, copy=False):
        self.value = np.dtype(code)
        if self.value.kind not in "biuf":
            raise pickle.UnpicklingError(f"values of type {self.value}")

    def __setstate__(self, state):
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class _Array:
    """Stands in for numpy.ndarray: the values are a view of the bytes in the file, as many as the shape says."""

    def __setstate__(self, state):
        _, shape, dtype, fortran, data = state
        data = data.encode("latin1") if isinstance(data, str) else data
        self.value = np.frombuffer(data, dtype.value).reshape(shape, order="F" if fortran else "C")


def _reconstruct(kind, shape, typecode):
    return _Array()


def _scalar(dtype, data):
    array = _Array()
    array.__setstate__((1, (), dtype, False, data))
    return array


def _encode(text, encoding):
    """How protocol 2 spells bytes; only ever with latin1."""
    return text.encode("latin1")


_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "tuple"): tuple,
    ("__builtin__", "tuple"): tuple,
    ("_codecs", "encode"): _encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Knows the calls that rebuild arrays and nothing else."""

    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"a call of {module}.{name}")
        return _ALLOWED[module, name]


def find_weights(path) -> str:
    """The file meant by `path`, which may lack its suffix.

    Raises:
        FileNotFoundError: there is none.
    """
    for candidate in (path, f"{path}.pdparams", f"{path}.safetensors"):
        if os.path.isfile(candidate):
            return candidate
    raise FileNotFoundError(f"no weights at {path} (nor with .pdparams or .safetensors added)")


def _from_bf16(array: np.ndarray) -> np.ndarray:
    """bfloat16, which numpy only knows as uint16, as float32; other arrays as they are."""
    if array.dtype != np.uint16:
        return array
    return (array.astype(np.uint32) << 16).view(np.float32)


def _array_of(name: str, value) -> np.ndarray:
    if isinstance(value, tuple) and len(value) == 2:
        value = value[1]
    if not isinstance(value, _Array):
        raise ValueError(f"entry {name!r} is a {type(value).__name__}, wanted an array")
    return _from_bf16(value.value)


def _check_opcodes(file) -> None:
    """Look over a pickle before running it: only known steps, and no memo slot beyond the file's own length."""
    for opcode, argument, position in pickletools.genops(file):
        if opcode.name not in _OPCODES or (opcode.name == "LONG_BINPUT" and argument > position):
            raise pickle.UnpicklingError(f"a step {opcode.name} at byte {position}")


def _read_pickle(path: str) -> dict[str, np.ndarray]:
    with open(path, "rb") as file:
        try:
            _check_opcodes(file)
            file.seek(0)
            state = _ArrayUnpickler(file, encoding="latin1").load()
        except pickle.UnpicklingError as error:
            raise ValueError(f"wanted plain arrays, found {error}") from error
        except Exception as error:  # a damaged pickle may fail in any way
            raise ValueError(f"damaged or cut off ({error})") from error
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ValueError("wanted a dict from names to arrays")
    return {name: _array_of(name, value) for name, value in state.items() if name != NAME_TABLE}


def _read_safetensors(path: str) -> tuple[dict[str, np.ndarray], str]:
    with open(path, "rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start = 8 + int.from_bytes(data[:8], "little")
    if start > min(len(data), _MAX_HEADER):
        raise ValueError("damaged or cut off (the header is not all there)")
    header = json.loads(data[8:start])
    layout = header.pop("__metadata__", {}).get("layout")
    state = {}
    for name, entry in header.items():
        if entry["dtype"] not in _SAFETENSORS_DTYPES:
            raise ValueError(f"entry {name!r} has type {entry['dtype']}, wanted one of {[*_SAFETENSORS_DTYPES]}")
        dtype, (begin, end) = np.dtype(_SAFETENSORS_DTYPES[entry["dtype"]]), entry["data_offsets"]
        count = math.prod(entry["shape"])
        if not 0 <= begin <= end <= len(data) - start or end - begin != count * dtype.itemsize:
            raise ValueError(f"damaged or cut off (the data of {name!r} is not all there)")
        state[name] = _from_bf16(np.frombuffer(data, dtype, count, start + begin).reshape(entry["shape"]))
    return state, "paddle" if layout == "paddle" else "torch"


def read_state(path) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of a weights file and their layout.

    Args:
        path: with or without `.pdparams` / `.safetensors`.
    Returns:
        ({name: array}, layout): 'paddle' (a Linear weight is (in, out)) for `.pdparams` and for safetensors whose
        metadata say so, else 'torch' ((out, in)). Arrays may be read-only; bfloat16 comes as float32.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, cut off, of another format, or holding more than plain arrays.
    """
    path = find_weights(os.fspath(path))
    with open(path, "rb") as file:
        head = file.read(9)
    try:
        if head[:1] == b"\x80":
            return _read_pickle(path), "paddle"
        if head[8:] == b"{":
            return _read_safetensors(path)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error
    if head[:2] == b"PK":
        raise ValueError(f"{path}: a PyTorch file; save its state dict as safetensors with PyTorch and load that")
    raise ValueError(f"{path}: neither .pdparams nor safetensors, or cut off")
