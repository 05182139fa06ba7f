"""State dicts -> files."""
from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle

from ppim.files import write_whole
from ppim.seal import sealed
from ppim.weights.card import as_metadata, write_beside
from ppim.weights.safetensors_files import digest, write_safetensors


def _array_of(value) -> np.ndarray:
    if isinstance(value, paddle.Tensor):
        # numpy would show bfloat16 as meaningless uint16
        value = (value.astype("float32") if value.dtype == paddle.bfloat16 else value).numpy()
    return np.asarray(value, order="C")


def save_state(state: Mapping, path, layout: str = "paddle", card: Mapping[str, Any] | None = None) -> None:
    """Write {name: tensor or array} to `path`.

    `*.safetensors` carries the layout in its metadata; any other name gets a plain pickle of {name: array}, which
    `paddle.load` reads too. Both carry a digest, so that `read_state` refuses what has changed since. A crash leaves
    the old file or none, never a part.

    Args:
        layout: of `state`, `paddle` or `torch`; the latter has a place only in safetensors, which say so.
        card: what the weights are to say of themselves, see `ppim.weights.card`.
    Raises:
        ValueError: PyTorch's layout for another format.
    """
    arrays = {name: _array_of(value) for name, value in state.items()}
    if os.fspath(path).endswith(".safetensors"):
        metadata = {**({"layout": "paddle"} if layout == "paddle" else {"format": "pt"}), **as_metadata(card)}
        metadata["sha256"] = digest(arrays, metadata)
        write_whole(path, lambda file: write_safetensors(file, arrays, metadata))
    elif layout != "paddle":
        raise ValueError(f"weights in PyTorch's layout are written as .safetensors, got {path}")
    else:
        write_beside(path, card, lambda: write_whole(path, lambda file: _dump(arrays, file)))


def _dump(arrays: dict[str, np.ndarray], path) -> None:
    with sealed(path) as file:
        pickle.dump(arrays, file, protocol=4)
