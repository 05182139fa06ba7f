"""State dicts -> files."""
from __future__ import annotations

import os
import pickle
from collections.abc import Mapping

import numpy as np
import paddle
import safetensors.numpy

from ppim.files import write_whole


def _array_of(value) -> np.ndarray:
    if isinstance(value, paddle.Tensor):
        # numpy would show bfloat16 as meaningless uint16
        value = (value.astype("float32") if value.dtype == paddle.bfloat16 else value).numpy()
    return np.asarray(value, order="C")


def save_state(state: Mapping, path) -> None:
    """Write {name: tensor or array}, in Paddle's layout, to `path`.

    `*.safetensors` carries the layout in its metadata; any other name gets a plain pickle of {name: array}, which
    `paddle.load` reads too. A crash leaves the old file or none, never a part.
    """
    arrays = {name: _array_of(value) for name, value in state.items()}
    if os.fspath(path).endswith(".safetensors"):
        write_whole(path, lambda file: safetensors.numpy.save_file(arrays, file, metadata={"layout": "paddle"}))
    else:
        write_whole(path, lambda file: _dump(arrays, file))


def _dump(arrays: dict[str, np.ndarray], path) -> None:
    with open(path, "wb") as file:
        pickle.dump(arrays, file, protocol=4)
