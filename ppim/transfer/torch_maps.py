"""How is a label map read from, and written to, a file of PyTorch without PyTorch?

The published maps are one file a photo, `<class>/<name>.pt`: a tensor [2, K, H, W] in half precision, plane 0 scores,
plane 1 class ids. What is written is PyTorch's zip form, which `torch.load(..., weights_only=True)` reads.
"""
from __future__ import annotations

import io
import zipfile

import numpy as np

from ppim.files import open_regular
from ppim.token_labels.maps import MapError
from ppim.weights.pickles import TorchTensor
from ppim.weights.torch_files import is_legacy, open_legacy, open_zip

_LONGEST = 1 << 26  # bytes; a published map has 8,000
_STORAGES = {"f2": "HalfStorage", "f4": "FloatStorage", "f8": "DoubleStorage", "i2": "ShortStorage",
             "i4": "IntStorage", "i8": "LongStorage"}
_ALIGN = 64  # where PyTorch's writer begins a storage, so that it can be mapped into memory
_WHEN = (1980, 1, 1, 0, 0, 0)  # so that equal maps make equal files


def read_torch_map(path: str) -> np.ndarray:
    """The tensor of a `.pt` file as an array in its own dtype; nothing that the file says is run.

    Raises:
        FileNotFoundError: no such file.
        MapError: damaged, calling for code, or holding something else than one tensor; the message names the file.
    """
    try:
        with open_regular(path) as file:
            data = file.read(_LONGEST)
        if data[:2] == b"PK":
            value, storages = open_zip(data, io.BytesIO(data))
        elif is_legacy(data):
            value, storages = open_legacy(data)
        else:
            raise ValueError("wanted a file of torch.save, found another format or a damaged file")
        if not isinstance(value, TorchTensor):
            raise ValueError(f"wanted one tensor [2, K, H, W], got {_kind(value)}")
        if value.storage.dtype.lstrip("<|") not in _STORAGES:
            raise ValueError(f"wanted half, float, double, short, int or long, got a tensor of {value.storage.dtype}")
        return np.ascontiguousarray(storages.array(value))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no label map there") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        why = " ".join(str(error).replace(str(path), "it").split())
        raise MapError(f"{path}: not a label map of PyTorch ({why:.300}); fetch this file again") from None


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return f"a dict with the entries {', '.join(map(repr, list(value)[:4]))}"
    return f"a {type(value).__name__}"


def torch_bytes(array: np.ndarray, name: str = "archive") -> bytes:
    """A tensor as a file that `torch.load` reads.

    Args:
        array: half, float, double, short, int or long.
        name: of the folder inside the file.
    """
    values = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    name = name.encode("utf-8", "replace").decode()  # that of a file need not be text, in a zip it must be
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for member, data in (("data.pkl", _pickled(values)), ("byteorder", b"little"), ("data/0", values.tobytes()),
                             ("version", b"3\n")):
            info = zipfile.ZipInfo(f"{name}/{member}", _WHEN)
            begins = file.tell() + 30 + len(info.filename.encode()) + 4
            pad = -begins % _ALIGN
            info.extra = b"FB" + pad.to_bytes(2, "little") + b"Z" * pad  # as PyTorch's writer fills up
            archive.writestr(info, data)
    return file.getvalue()


def _pickled(values: np.ndarray) -> bytes:
    """`torch._utils._rebuild_tensor_v2(storage 0, offset 0, shape, strides, False, OrderedDict())`, in protocol 2."""
    strides = tuple(step // values.itemsize for step in values.strides)
    storage = b"ctorch\n" + _STORAGES[values.dtype.str[1:]].encode() + b"\n"
    return b"".join([
        b"\x80\x02", b"ctorch._utils\n_rebuild_tensor_v2\n", b"(",
        b"(", _text("storage"), storage, _text("0"), _text("cpu"), _number(values.size), b"tQ",
        _number(0), _numbers(values.shape), _numbers(strides), b"\x89", b"ccollections\nOrderedDict\n)R", b"tR.",
    ])


def _text(text: str) -> bytes:
    return b"X" + len(text).to_bytes(4, "little") + text.encode()


def _number(number: int) -> bytes:
    return b"J" + number.to_bytes(4, "little", signed=True)


def _numbers(numbers: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(_number, numbers)) + b"t"
