"""What does a segmenter say of a picture of any size? Asked window by window, or of all of it at once."""
from __future__ import annotations

from collections.abc import Callable

import paddle
import paddle.nn.functional as F

from ppim.geometry import HW

Box = tuple[int, int, int, int]  # top, left, bottom, right in pixels


def windows(hw: HW, side: int, stride: int) -> list[Box]:
    """Squares of `side` pixels, `stride` apart, that cover a picture of `hw`; the last of a row or column is moved back
    into the picture, and where that is smaller than a square, the window is as small."""
    def starts(length: int) -> list[int]:
        count = max(length - side + stride - 1, 0) // stride + 1
        return [max(min(number * stride + side, length) - side, 0) for number in range(count)]

    height, width = hw
    return [(top, left, min(top + side, height), min(left + side, width))
            for top in starts(height) for left in starts(width)]


def slid(segmenter: Callable, picture: paddle.Tensor, side: int, stride: int, at_once: int) -> paddle.Tensor:
    """Logits (1, rows, h, w) of a normalised picture (1, 3, h, w): of every pixel the mean over the windows it lies in.

    Args:
        segmenter: (B, 3, h, w) -> (B, rows, h, w).
        side, stride: of the windows, in pixels.
        at_once: windows that go through the network together.
    """
    height, width = picture.shape[2:]
    boxes = windows((height, width), side, stride)
    total, seen = 0.0, paddle.zeros([1, 1, height, width])
    for first in range(0, len(boxes), at_once):
        some = boxes[first:first + at_once]
        crops = [picture[:, :, top:bottom, left:right] for top, left, bottom, right in some]
        for box, logits in zip(some, segmenter(paddle.concat(crops)).split(len(some))):
            top, left, bottom, right = box
            margins = [left, width - right, top, height - bottom]
            logits = logits.astype("float32")
            total = total + F.pad(logits, margins)
            seen = seen + F.pad(paddle.ones_like(logits[:, :1]), margins)
    return total / seen


def best_class(logits: paddle.Tensor, hw: HW, at_once: int = 16) -> paddle.Tensor:
    """(H, W) int64: the class of highest logit of each pixel, of logits (1, rows, h, w) resized to `hw`; of equals the
    first. `at_once` classes are resized together: a large photo of 150 classes would not fit otherwise."""
    best, where = None, None
    # asked for one row, Paddle reads at the edge instead of the middle; the middle of three is the middle of one
    size = [3 if side == 1 else side for side in hw]
    rows, columns = (slice(1, 2) if side == 1 else slice(side) for side in hw)
    for first in range(0, logits.shape[1], at_once):
        some = F.interpolate(logits[:, first:first + at_once], size=size, mode="bilinear", align_corners=False)[0]
        index = some.argmax(axis=0) + first
        value = some.max(axis=0)
        if best is None:
            best, where = value, index
        else:
            is_better = value > best
            best, where = paddle.where(is_better, value, best), paddle.where(is_better, index, where)
    return where[rows, columns]
