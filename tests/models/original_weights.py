"""Which weights and images were reference numbers computed with? Drawn by their names and shapes.

The recipe is that of the README beside the numbers of the original code; timm's are computed with the same
(tools/compare_with_timm.py). Activations keep a deviation near 1, so do factors of layer scale.
"""
from __future__ import annotations

import zlib

import numpy as np

_cache: dict = {}


def _noise(text: str, shape) -> np.ndarray:
    seed = zlib.crc32(("shared" + text).encode())
    return np.random.RandomState(seed).standard_normal(tuple(shape)).astype(np.float32)


def original_array(name: str, shape) -> np.ndarray:
    """The array `name` of PyTorch shape `shape`."""
    n = _noise(name, shape)
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(n)
    if name.endswith("running_mean"):
        return 0.1 * n
    if len(shape) == 1:
        return 1 + 0.1 * n if name.endswith((".weight", ".gamma")) else 0.1 * n
    if name in ("cls_token", "pos_embed", "dist_token", "reg_token", "register_tokens"):
        return 0.1 * n
    return n / np.sqrt(np.float32(np.prod(shape[1:])))


def original_state(shapes: dict) -> dict[str, np.ndarray]:
    """A whole PyTorch-layout state; arrays that the previous call made too are used again."""
    state = {}
    for name, shape in shapes.items():
        if not name.endswith("num_batches_tracked"):
            key = name, tuple(shape)
            state[name] = _cache[key] if key in _cache else original_array(name, shape)
    _cache.clear()
    _cache.update({(name, array.shape): array for name, array in state.items()})
    return state


def original_images(batch: int, height: int, width: int | None = None) -> np.ndarray:
    """(batch, 3, height, width) float32, square without a width."""
    size = f"{height}" if width in (None, height) else f"{height}x{width}"
    return _noise(f"input{size}", (batch, 3, height, width or height))
