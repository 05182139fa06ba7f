"""Weight files -> {name: array}, without running anything a file says.

Formats are told apart by content, never by name: Paddle's pickles, PyTorch's zip and legacy files, safetensors. What
training left around the weights (optimizer, schedule, arguments) is stepped over.
"""
from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from ppim.seal import content_length
from ppim.weights import pickles
from ppim.weights.pickles import Array, TorchTensor
from ppim.weights.run_folders import weights_in
from ppim.weights.safetensors_files import open_safetensors
from ppim.weights.scan import scan
from ppim.weights.torch_files import is_legacy, open_legacy, open_zip

NAME_TABLE = "StructuredToParameterName@@"  # Paddle's generated names, beside the weights
_AVERAGED = ("state_dict_ema", "model_ema")
_RAW = ("state_dict", "model", "net")
_MOST_SHARING = 4
WHICH = ("auto", "raw", "ema")


class Weights(NamedTuple):
    """What a file holds.

    Attributes:
        state: arrays by the file's own names, perhaps read-only; bfloat16 comes as float32.
        layout: 'paddle' (a Linear weight is (in, out)) or 'torch' ((out, in)).
        part: the entry of the file the weights stood in, '' where they are all there is.
    """

    state: dict[str, np.ndarray]
    layout: str
    part: str = ""

    @property
    def is_averaged(self) -> bool:
        """Does the file say that these are the running average of the weights?"""
        return self.part in _AVERAGED


def find_weights(path, which: str = "auto") -> str:
    """The file meant by `path`, which may lack its suffix, or be the folder of a run or of a checkpoint.

    Raises:
        FileNotFoundError: there is none.
        ValueError: the folder has no running average, and `which` asks for it.
    """
    for candidate in _candidates(path):
        if os.path.isfile(candidate):
            return candidate
    if os.path.isdir(path):
        return str(weights_in(path, which)[0])
    raise FileNotFoundError(f"no weights at {path} (nor with .pdparams or .safetensors added)")


def is_weights_file(path) -> bool:
    """Is a single file meant by `path`, with or without its suffix, and no folder?"""
    return any(map(os.path.isfile, _candidates(path)))


def located(path, which: str) -> tuple[str, str]:
    """The file meant by `path`, as it was given, or a folder's; and `which` weights to take of it: of a folder's files
    the one that was asked for has been found then. Raises as `find_weights`; ValueError: another `which`."""
    if which not in WHICH:
        raise ValueError(f"which wants one of {', '.join(WHICH)}; got {which!r}")
    return (path, which) if is_weights_file(path) else (find_weights(path, which), "auto")


def _candidates(path) -> tuple[str, ...]:
    return path, f"{path}.pdparams", f"{path}.safetensors"


def read_state(path, which: str = "auto") -> Weights:
    """The weights in a file of any of the formats.

    Args:
        path: with or without `.pdparams` / `.safetensors`; or a folder, see `find_weights`.
        which: of a file or folder with raw and averaged weights, `raw` or `ema`; `auto` prefers the average.
    Raises:
        FileNotFoundError: no such file.
        ValueError: damaged, cut off, of another format, calling for code, or without the weights asked for.
    """
    path, which = located(path, which)
    path = find_weights(os.fspath(path))
    with open(path, "rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return _read(file, data, which)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError) as error:
            raise ValueError(f"{path}: {' '.join(str(error).split()):.1000}") from error


def _read(file, data, which: str) -> Weights:
    if data[4:9] == b"\0\0\0\0{":
        state, layout = open_safetensors(data)
        return Weights(_limited(state.items(), len(data)), layout)
    if data[:2] == b"PK":
        tree, storages = open_zip(data, file)
    elif data[:1] == b"\x80" and is_legacy(data):
        tree, storages = open_legacy(data)
    elif data[:1] == b"\x80":
        content_length(data)
        scan(data)
        file.seek(0)
        (tree, _), storages = pickles.run(file), None
    else:
        raise ValueError("wanted weights of Paddle, PyTorch or safetensors, found another format or a damaged file")
    entries, part = _unwrap(tree, which)
    arrays = ((name, _array(name, value, storages)) for name, value in entries.items() if name != NAME_TABLE)
    return Weights(_limited(arrays, len(data)), "torch" if storages else "paddle", part)


def _limited(arrays: Iterable[tuple[str, np.ndarray]], file_size: int) -> dict[str, np.ndarray]:
    """The arrays by name, bfloat16 as float32. A file may hand out one storage again and again, but not without end."""
    state, left = {}, _MOST_SHARING * file_size
    for name, array in arrays:
        left -= array.nbytes * (2 if array.dtype == np.uint16 else 1)
        if left < 0:
            raise ValueError(f"arrays of more than {_MOST_SHARING} times the size of the file")
        state[name] = array
    return {name: _from_bf16(array) for name, array in state.items()}  # all counted before any is widened


def _unwrap(tree, which: str) -> tuple[dict[str, Any], str]:
    """The dict of weights inside what training saved around it, and the name of its entry."""
    if not isinstance(tree, dict) or not all(isinstance(name, str) for name in tree):
        raise ValueError("wanted a dict from names to arrays")
    parts = {"auto": _AVERAGED + _RAW, "ema": _AVERAGED, "raw": _RAW}[which]
    for part in parts:
        if isinstance(tree.get(part), dict) and tree[part]:
            return _unwrap(tree[part], "raw")[0], part
    if which == "ema":
        raise ValueError(f"no averaged weights inside (entries {', '.join(map(repr, list(tree)[:6]))}, wanted one of "
                         f"{' and '.join(_AVERAGED)}); ask for the raw ones")
    return tree, ""


def _array(name: str, value, storages) -> np.ndarray:
    if isinstance(value, tuple) and len(value) == 2:  # Paddle's (generated name, array)
        value = value[1]
    if isinstance(value, TorchTensor) and storages:
        return storages.array(value)
    if not isinstance(value, Array):
        raise ValueError(f"entry {name!r} is a {type(value).__name__}, wanted an array")
    return value.array()


def _from_bf16(array: np.ndarray) -> np.ndarray:
    """bfloat16, which numpy only knows as uint16, as float32; other arrays as they are."""
    if array.dtype != np.uint16:
        return array
    wide = array.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)
