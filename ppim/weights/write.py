"""State dicts -> files that are there whole or not at all: written beside, synced, renamed."""
from __future__ import annotations

import os
import pickle
from collections.abc import Mapping

import numpy as np
import paddle
import safetensors.numpy


def _array_of(value) -> np.ndarray:
    if isinstance(value, paddle.Tensor):
        # numpy would show bfloat16 as meaningless uint16
        value = (value.astype("float32") if value.dtype == paddle.bfloat16 else value).numpy()
    return np.asarray(value, order="C")


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_state(state: Mapping, path) -> None:
    """Write {name: tensor or array}, in Paddle's layout, to `path`.

    `*.safetensors` carries the layout in its metadata; any other name gets a plain pickle of {name: array}, which
    `paddle.load` reads too. A crash leaves the old file or none, never a part.
    """
    path = os.fspath(path)
    beside = f"{path}.{os.getpid()}.tmp"
    arrays = {name: _array_of(value) for name, value in state.items()}
    try:
        if path.endswith(".safetensors"):
            safetensors.numpy.save_file(arrays, beside, metadata={"layout": "paddle"})
        else:
            with open(beside, "wb") as file:
                pickle.dump(arrays, file, protocol=4)
        _sync(beside)
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.remove(beside)
        raise
    _sync(os.path.dirname(os.path.abspath(path)))
