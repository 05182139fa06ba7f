"""What is left to the device once a batch has left the workers: normalising, erasing and mixing pixels, without a host
sync.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import paddle

from ppim.geometry import HW
from ppim.mixing import Mixed
from ppim.paddle_compat import given


def normalise(image: paddle.Tensor, mean: Sequence[float], std: Sequence[float]) -> paddle.Tensor:
    """uint8 (B, 3, H, W) -> float32 (x - 255 mean) / (255 std), mean and std of pixel values in [0, 1]."""
    # a tensor made before a graph is traced cannot be part of it
    channels = _channels_at_hand if paddle.in_dynamic_mode() else _channels
    return (image.astype("float32") - channels(tuple(mean))) / channels(tuple(std))


@lru_cache(maxsize=8)
def _channels_at_hand(values: tuple[float, ...]) -> paddle.Tensor:
    """`_channels`, copied to the device once."""
    return _channels(values)


def _channels(values: tuple[float, ...]) -> paddle.Tensor:
    """255 * values as (1, 3, 1, 1)."""
    return (255.0 * paddle.to_tensor(values, "float64")).astype("float32").reshape([1, len(values), 1, 1])


def erase(x: paddle.Tensor, erase_at: paddle.Tensor, erase_value: paddle.Tensor) -> paddle.Tensor:
    """Random erasing of a batch with values drawn beforehand.

    Args:
        x: (B, 3, H, W) float32, normalised.
        erase_at: (E,) int64 flat positions into (B * H * W), none twice.
        erase_value: (E, 3) float32; NaN keeps what is there (the filler of a batch in which nothing is erased).
    """
    channels, plane = x.shape[1], x.shape[2] * x.shape[3]
    image, pixel = erase_at // plane, erase_at % plane
    # (E, 3) -> (E * 3,): positions in the flat batch, whose layout is image, channel, pixel
    at = (image * channels * plane + pixel).unsqueeze(-1) + paddle.arange(channels, dtype="int64") * plane
    at = at.flatten()
    flat, value = x.flatten(), erase_value.flatten()
    value = paddle.where(paddle.isnan(value), paddle.gather(flat, at), value)
    # (B * 3 * H * W,) -> (B, 3, H, W)
    return paddle.scatter(flat, at, value, overwrite=True).reshape(x.shape)


def exchange_cells(x: paddle.Tensor, owner: paddle.Tensor, grid: HW) -> paddle.Tensor:
    """(B, 3, H, W) pictures, the pixels of each token replaced by those of its owner's: MixToken for whoever looks at
    pixels.

    Args:
        owner: (B * N,) int64, see `mixing.Mixed`; grid: (rows, columns) of the N tokens, which divide H and W.
    """
    (rows, columns), (channels, height, width) = grid, x.shape[1:]
    cell = [channels, height // rows, width // columns]
    # (B, 3, rows, h, columns, w) -> (B, rows, columns, 3, h, w) -> (B * N, 3 * h * w)
    cells = x.reshape([-1, channels, rows, cell[1], columns, cell[2]]).transpose([0, 2, 4, 1, 3, 5])
    cells = paddle.gather(cells.reshape([-1, cell[0] * cell[1] * cell[2]]), owner)
    return cells.reshape([-1, rows, columns, *cell]).transpose([0, 3, 1, 4, 2, 5]).reshape(x.shape)


def mix_pixels(x: paddle.Tensor, mixed: Mixed) -> paddle.Tensor:
    """(B, 3, H, W) pictures -> `blend` of each and the rest of its partner, inside its box the partner alone.

    Args:
        mixed: tensors; without `blend` the pictures stay what they are.
    """
    if not given(mixed.blend):
        return x
    other, blend = paddle.index_select(x, mixed.partner), mixed.blend.reshape([-1, 1, 1, 1]).astype(x.dtype)
    top, left, bottom, right = mixed.pixel_box.reshape([-1, 4, 1, 1, 1]).unbind(1)
    row, column = paddle.arange(x.shape[2]).unsqueeze(1), paddle.arange(x.shape[3])
    # (B, 1, H, 1) & (B, 1, 1, W) -> (B, 1, H, W)
    inside = ((row >= top) & (row < bottom)) & ((column >= left) & (column < right))
    return paddle.where(inside, other, x * blend + other * (1 - blend))
