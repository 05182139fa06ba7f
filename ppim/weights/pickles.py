"""Pickles of arrays and tensors, read without running anything they say.

Once `scan` has passed a pickle, Python's own unpickler runs it with a list of names that stand for a few functions of
this file; any other name is refused. None of those functions copies what it is handed: arrays and tensors come out as
descriptions (`Array`, `TorchTensor`), so that a pickle which uses one large value many times costs no more than its
own size, and what is not wanted of it is never looked at.
"""
from __future__ import annotations

import io
import math
import pickle
from typing import NamedTuple

import numpy as np

from ppim.weights.scan import scan

_MOST_AXES = 32


def _sizes(sizes) -> tuple[int, ...]:
    """A shape or strides, if that is what it is."""
    if not isinstance(sizes, tuple) or len(sizes) > _MOST_AXES or not all(type(n) is int and n >= 0 for n in sizes):
        raise ValueError("damaged (a shape or strides that are none)")
    return sizes


class TorchStorage(NamedTuple):
    """A storage by its key: values of one type, somewhere else in the file."""

    dtype: str
    key: str
    count: int


class TorchTensor(NamedTuple):
    """A view of a storage, in values."""

    storage: TorchStorage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, values: np.ndarray) -> np.ndarray:
        """The tensor, given the values of its storage (or at least as many as it uses)."""
        shape, strides, (offset,) = _sizes(self.shape), _sizes(self.strides), _sizes((self.offset,))
        if len(shape) != len(strides):
            raise ValueError(f"a tensor of shape {shape} with strides {strides}")
        count = math.prod(shape)
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides)) if count else 0
        if count > len(values) or (count and last >= len(values)):
            raise ValueError(f"a tensor of shape {shape} beyond its {len(values)} values")
        strides = tuple(step * values.itemsize for step in strides) if count else None
        return np.ndarray(shape, values.dtype, values, offset * values.itemsize if count else 0, strides)


class Inert:
    """Stands for whatever is in a file besides tensors, command lines for instance, and keeps nothing of it."""

    def _ignore(self, *args):
        pass

    __init__ = __setstate__ = __setitem__ = append = extend = _ignore


class _Dict(dict):
    """Stands for collections.OrderedDict; what a file would set on it besides its entries is not kept."""

    __slots__ = ()

    def __setstate__(self, state):
        pass


class _Dtype:
    """Stands for numpy.dtype: numbers only, the byte order is all a file may set."""

    __slots__ = ("code", "order")

    def __init__(self, code, align=False, copy=False):
        self.code, self.order = code, "="

    def __setstate__(self, state):
        self.order = state[1]

    def numpy(self) -> np.dtype:
        if self.code not in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"):
            raise ValueError("an array of other things than numbers")
        return np.dtype(self.code).newbyteorder(self.order if self.order in ("<", ">") else "=")


class Array:
    """Stands for numpy.ndarray: a shape, a type, and the bytes of the values."""

    __slots__ = ("state",)

    def __setstate__(self, state):
        self.state = state

    def array(self) -> np.ndarray:
        """The array, a view of the bytes in the pickle."""
        _, shape, dtype, fortran, data = self.state
        data = data.encode("latin1") if isinstance(data, str) else data
        if not isinstance(dtype, _Dtype) or not isinstance(data, (bytes, bytearray)):
            raise ValueError("an array of other things than numbers")
        dtype = dtype.numpy()
        if math.prod(_sizes(shape)) * dtype.itemsize != len(data):
            raise ValueError(f"damaged or cut off (an array of shape {shape} with {len(data)} bytes)")
        return np.ndarray(shape, dtype, data, order="F" if fortran is True else "C")


def _reconstruct(kind, shape, typecode):
    return Array()


def _array(shape, dtype, fortran, data):
    array = Array()
    array.state = 1, shape, dtype, fortran, data
    return array


def _scalar(dtype, data):
    return _array((), dtype, False, data)


def _from_buffer(data, dtype, shape, order):
    return _array(shape, dtype, order == "F", data)


def _encode(text, encoding):
    """How protocol 2 spells bytes, only ever with latin1; `Array.array` encodes what it needs."""
    return text


def _tuple(items):
    if not isinstance(items, tuple):
        raise pickle.UnpicklingError("a tuple of something else")
    return items


def _ordered_dict():
    return _Dict()


def _torch_tensor(storage, offset, shape, strides, *_):
    return TorchTensor(storage, offset, shape, strides)


def _torch_parameter(tensor, *_):
    return tensor


class _Call:
    """A function that a file may call, and do nothing else with."""

    __slots__ = ("function",)

    def __init__(self, function):
        self.function = function

    def __call__(self, *args):
        return self.function(*args)

    def __setstate__(self, state):
        raise pickle.UnpicklingError("a change to a function")


_TORCH_TYPES = {"DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "<u2"}
_TORCH_TYPES |= {"LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "|i1"}
_TORCH_TYPES |= {"ByteStorage": "|u1", "BoolStorage": "|b1"}
_CALLS = {
    **{f"numpy.{core}.multiarray _reconstruct": _reconstruct for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric _frombuffer": _from_buffer for core in ("core", "_core")},
    "numpy dtype": _Dtype,
    "collections OrderedDict": _ordered_dict,
    "builtins tuple": _tuple,
    "__builtin__ tuple": _tuple,
    "torch Size": _tuple,
    "_codecs encode": _encode,
    "torch._utils _rebuild_tensor": _torch_tensor,
    "torch._utils _rebuild_tensor_v2": _torch_tensor,
    "torch._utils _rebuild_parameter": _torch_parameter,
    "torch._utils _rebuild_parameter_with_state": _torch_parameter,
    "torch.nn.parameter Parameter": _torch_parameter,
    "copy_reg _reconstructor": Inert,
    "copyreg _reconstructor": Inert,
}
_INERT = {
    "argparse": "Namespace",
    "builtins": "object set frozenset dict list int float bool str complex",
    "__builtin__": "object set frozenset dict list",
    "collections": "Counter defaultdict deque",
    "datetime": "timedelta",
    "numpy": "ndarray",
    "pathlib": "Path PosixPath PurePosixPath WindowsPath PureWindowsPath",
    "torch": "device float16 float32 float64 bfloat16 int8 int16 int32 int64",
    "yacs.config": "CfgNode",
}
_ALLOWED = {
    **{name: _Call(function) for name, function in _CALLS.items()},
    **{f"torch {name}": dtype for name, dtype in _TORCH_TYPES.items()},
    **{f"{module} {name}": Inert for module, names in _INERT.items() for name in names.split()},
}


class _Unpickler(pickle.Unpickler):
    """Knows the names of the list above and no others; notes the storages that are spoken of."""

    def __init__(self, file):
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, TorchStorage] = {}

    def find_class(self, module, name):
        allowed = _ALLOWED.get(f"{module} {name}")
        if allowed is None:
            raise pickle.UnpicklingError(f"a call of {module:.80}.{name:.80}")
        return allowed

    def persistent_load(self, pid):
        kind, dtype, key, _, count = pid[:5]
        if kind != "storage" or dtype not in _TORCH_TYPES.values() or not isinstance(key, str):
            raise pickle.UnpicklingError("a reference to something that is not a storage")
        if type(count) is not int or (len(pid) > 5 and pid[5] is not None):
            raise pickle.UnpicklingError("a storage inside another")
        storage = TorchStorage(dtype, key, count)
        if self.storages.setdefault(key, storage) != storage:
            raise pickle.UnpicklingError(f"two storages under one key {key:.40}")
        return storage


def run(file) -> tuple[object, dict[str, TorchStorage]]:
    """The value of a pickle that `scan` has passed, read from a binary file, and the storages it speaks of, by key.

    Raises:
        ValueError: it calls for something that is not on the list, or is damaged.
    """
    unpickler = _Unpickler(file)
    try:
        return unpickler.load(), unpickler.storages
    except pickle.UnpicklingError as error:
        raise ValueError(f"wanted plain arrays, found {error}") from error
    except Exception as error:  # a damaged pickle may fail in any way
        raise ValueError(f"damaged or cut off ({error!s:.200})") from error


def run_at(data, start: int = 0) -> tuple[object, dict[str, TorchStorage], int]:
    """Look over the pickle at `start` of `data` (bytes or mmap), then run it: its value, the storages it speaks of, and
    the position behind it. Raises what `scan` and `run` raise."""
    end = scan(data, start)
    return (*run(io.BytesIO(data[start:end])), end)
