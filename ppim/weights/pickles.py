"""Pickles of arrays and tensors, read without running anything they say.

A pickle is a program. Before it runs, `scan` looks over every step: only those that spell out plain data are known,
what a step claims to hold must lie within the file, memo slots must be near, and nothing may be nested or shared so
deeply that merely hashing it would take for ever. Then Python's own unpickler runs it with a list of names that stand
for a few harmless functions of this file; any other name is refused. Tensors of PyTorch come out as descriptions of
where their values are (`TorchTensor`), because the values lie elsewhere in the file.
"""
from __future__ import annotations

import pickle
import pickletools
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

_MOST_NESTED = 200
_MOST_SHARED = 10_000_000  # values a tuple would hold if everything shared in it were written out
_LONGEST_LINE = 4096
_DATA = (
    "NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES "
    "BINBYTES8 SHORT_BINUNICODE BINUNICODE BINUNICODE8 EMPTY_TUPLE EMPTY_LIST EMPTY_DICT EMPTY_SET GLOBAL".split()
)
_TAKES = {  # steps that pop a fixed number of values and push one
    "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "APPEND": 2, "SETITEM": 3, "STACK_GLOBAL": 2, "REDUCE": 2, "NEWOBJ": 2,
    "BUILD": 2, "BINPERSID": 1,
}  # fmt: skip
_TO_MARK = {"TUPLE": 0, "DICT": 0, "LIST": 0, "FROZENSET": 0, "APPENDS": 1, "SETITEMS": 1, "ADDITEMS": 1}
_MEMO = ("BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET")
_STEPS = {
    op.code.encode("latin1"): op
    for op in pickletools.opcodes
    if op.name in {"PROTO", "FRAME", "STOP", "MARK", *_DATA, *_TAKES, *_TO_MARK, *_MEMO}
}


class TorchStorage(NamedTuple):
    """A storage by its key: values of one type, somewhere else in the file."""

    dtype: str
    key: str
    count: int


class TorchTensor(NamedTuple):
    """A view of a storage, in values."""

    storage: TorchStorage
    offset: int
    shape: tuple
    strides: tuple

    def array(self, values: np.ndarray) -> np.ndarray:
        """The tensor, given the values of its storage (or at least as many as it uses)."""
        numbers = (self.offset, *self.shape, *self.strides)
        if len(self.shape) != len(self.strides) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ValueError(f"a tensor of shape {self.shape} with strides {self.strides}")
        count = int(np.prod(self.shape, dtype=object)) if self.shape else 1
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides)) if count else 0
        if count > len(values) or (count and last >= len(values)):
            raise ValueError(f"a tensor of shape {self.shape} beyond its {len(values)} values")
        strides = tuple(step * values.itemsize for step in self.strides)
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides, writeable=False)


class Inert:
    """Stands for whatever is in a file besides tensors, command lines for instance, and keeps nothing of it."""

    def __init__(self, *args):
        pass

    def __setstate__(self, state):
        pass

    def __setitem__(self, key, value):
        pass

    def append(self, value):
        pass

    def extend(self, values):
        pass


class _Dtype:
    """Stands for numpy.dtype: numbers only, the byte order is all a file may set."""

    def __init__(self, code, align=False, copy=False):
        if not isinstance(code, str) or len(code) > 4 or np.dtype(code).kind not in "biuf":
            raise pickle.UnpicklingError(f"values of type {code!r:.40}")
        self.value = np.dtype(code)

    def __setstate__(self, state):
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class Array:
    """Stands for numpy.ndarray: the values are a view of the bytes in the pickle, as many as the shape says."""

    value: np.ndarray

    def __setstate__(self, state):
        _, shape, dtype, fortran, data = state
        data = data.encode("latin1") if isinstance(data, str) else data
        self.value = np.frombuffer(data, dtype.value).reshape(shape, order="F" if fortran else "C")


def _reconstruct(kind, shape, typecode):
    return Array()


def _scalar(dtype, data):
    array = Array()
    array.__setstate__((1, (), dtype, False, data))
    return array


def _encode(text, encoding):
    """How protocol 2 spells bytes; only ever with latin1."""
    return text.encode("latin1")


def _torch_tensor(storage, offset, shape, strides, *_):
    return TorchTensor(storage, offset, tuple(shape), tuple(strides))


def _torch_parameter(tensor, *_):
    return tensor


def _inert(*_):
    return Inert()


_TORCH_TYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "<u2",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "|i1", "ByteStorage": "|u1",
    "BoolStorage": "|b1",
}  # fmt: skip
_NUMPY = {
    "_reconstruct": _reconstruct,
    "scalar": _scalar,
}
_INERT = (
    "argparse Namespace", "collections Counter", "collections defaultdict", "pathlib Path", "pathlib PosixPath",
    "pathlib PurePosixPath", "pathlib WindowsPath", "pathlib PureWindowsPath", "torch device", "builtins object",
    "__builtin__ object", "builtins set", "__builtin__ set", "builtins dict", "__builtin__ dict", "builtins list",
    "__builtin__ list", "builtins int", "builtins float", "builtins bool", "builtins str", "yacs.config CfgNode",
    *(f"torch {kind}" for kind in ("float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64")),
)  # fmt: skip
_ALLOWED = {
    **{f"numpy.{core}.multiarray {name}": it for core in ("core", "_core") for name, it in _NUMPY.items()},
    "numpy ndarray": Array,
    "numpy dtype": _Dtype,
    "collections OrderedDict": OrderedDict,
    "builtins tuple": tuple,
    "__builtin__ tuple": tuple,
    "torch Size": tuple,
    "_codecs encode": _encode,
    "torch._utils _rebuild_tensor": _torch_tensor,
    "torch._utils _rebuild_tensor_v2": _torch_tensor,
    "torch._utils _rebuild_parameter": _torch_parameter,
    "torch.nn.parameter Parameter": _torch_parameter,
    "copy_reg _reconstructor": _inert,
    "copyreg _reconstructor": _inert,
    **{f"torch {name}": dtype for name, dtype in _TORCH_TYPES.items()},
    **dict.fromkeys(_INERT, Inert),
}


class _Unpickler(pickle.Unpickler):
    """Knows the names of the list above and no others."""

    def find_class(self, module, name):
        allowed = _ALLOWED.get(f"{module} {name}")
        if allowed is None:
            raise pickle.UnpicklingError(f"a call of {module}.{name}")
        return allowed

    def persistent_load(self, pid):
        kind, dtype, key, _, count = pid[:5]
        if kind != "storage" or dtype not in _TORCH_TYPES.values() or not isinstance(key, str):
            raise pickle.UnpicklingError("a reference to something that is not a storage")
        if len(pid) > 5 and pid[5] is not None:
            raise pickle.UnpicklingError("a storage inside another")
        return TorchStorage(dtype, key, int(count))


class _Size(NamedTuple):
    """How deep a value is nested, and how many values it is with everything shared written out."""

    depth: int = 0
    values: int = 1


def _holding(parts: list[_Size]) -> _Size:
    size = _Size(1 + max((p.depth for p in parts), default=0), 1 + sum(p.values for p in parts))
    if size.depth > _MOST_NESTED or size.values > _MOST_SHARED:
        raise ValueError("values nested or shared beyond what weights need")
    return size


def scan(data, start: int = 0) -> int:
    """Look over the pickle that begins at `start` of `data` (bytes or mmap) without running it.

    Returns:
        The position behind it.
    Raises:
        ValueError: a step that weights do not need, or one that does not fit the file.
    """
    position, count = start, 0
    stack: list[_Size] = []
    marks: list[int] = []
    memo: dict[int, _Size] = {}
    while True:
        op = _STEPS.get(data[position : position + 1])
        if op is None:
            raise ValueError(_unknown_step(data, position))
        position, count = position + 1, count + 1
        end = position + _argument_length(op, data, position)
        if end > len(data):
            raise ValueError(f"damaged or cut off (step {op.name} at byte {position - 1} goes beyond the end)")
        name, floor = op.name, marks[-1] if marks else 0
        if name == "STOP":
            if len(stack) != 1 or marks:
                raise ValueError("damaged (it ends with other than one value)")
            return end
        if name == "MARK":
            marks.append(len(stack))
        elif name in _DATA:
            stack.append(_Size())
        elif name in _TAKES:
            taken = _TAKES[name]
            if len(stack) - floor < taken:
                raise ValueError(f"damaged (step {name} at byte {position - 1} lacks values)")
            stack[-taken:] = [_holding(stack[-taken:])]
        elif name in _TO_MARK:
            kept = _TO_MARK[name]
            if not marks or marks[-1] < kept + (marks[-2] if len(marks) > 1 else 0):
                raise ValueError(f"damaged (step {name} at byte {position - 1} lacks values)")
            stack[marks.pop() - kept :] = [_holding(stack[floor - kept :])]
        elif name in _MEMO:
            slot = len(memo) if name == "MEMOIZE" else int.from_bytes(data[position:end], "little")
            if name.endswith("GET"):
                if slot not in memo:
                    raise ValueError(f"damaged (memo slot {slot} is empty)")
                stack.append(memo[slot])
            elif slot > count or len(stack) <= floor:
                raise ValueError(f"damaged (memo slot {slot} at byte {position - 1})")
            else:
                memo[slot] = stack[-1]
        position = end


def _unknown_step(data, position: int) -> str:
    if position >= len(data):
        return "damaged or cut off (no end)"
    names = {op.code.encode("latin1"): op.name for op in pickletools.opcodes}
    return f"wanted plain arrays, found a step {names.get(data[position:position + 1], 'unknown')} at byte {position}"


def _argument_length(op, data, position: int) -> int:
    if op.arg is None:
        return 0
    if op.arg.n >= 0:
        return op.arg.n
    if op.arg.n == pickletools.UP_TO_NEWLINE:  # of the known steps only GLOBAL, which has two lines
        first = data.find(b"\n", position, position + _LONGEST_LINE)
        second = data.find(b"\n", first + 1, first + _LONGEST_LINE)
        return len(data) if first < 0 or second < 0 else second + 1 - position
    width = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT8U: 8}.get(op.arg.n, 4)
    return width + int.from_bytes(data[position : position + width], "little")


def run(file):
    """The value of a pickle that `scan` has passed, read from a binary file.

    Raises:
        ValueError: it calls for something that is not on the list, or is damaged.
    """
    try:
        return _Unpickler(file, encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise ValueError(f"wanted plain arrays, found {error}") from error
    except Exception as error:  # a damaged pickle may fail in any way
        raise ValueError(f"damaged or cut off ({error!s:.200})") from error
