"""What can this machine do at most? Products, copies in memory, decoding of photos."""
from __future__ import annotations

import io
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import paddle
from PIL import Image

from ppim.bench.rounds import take_turns
from ppim.bench.row import Row

_PHOTO = (500, 375)  # (width, height) of ImageNet's usual photo
_SIDE = 1536  # of the matrices
_COPIED = 1 << 27  # bytes


class Machine(NamedTuple):
    """Limits, medians: float32 products in FLOP/s on this process's threads, bytes/s copied, photos/s decoded by one
    core."""

    products: float
    copies: float
    decodes: float

    def rows(self) -> list[Row]:
        """The same as lines."""
        return [Row("machine", f"float32 products of {_SIDE} x {_SIDE}", self.products / 1e9, "GFLOP/s"),
                Row("machine", "memory, read and written", self.copies / 1e9, "GB/s"),
                Row("machine", "photos decoded from memory, one core", self.decodes, "/s")]


def measure(rounds: int, photos: Sequence[bytes]) -> Machine:
    """What this process can do.

    Args:
        photos: that are decoded, as files.
    """
    rng = np.random.default_rng(0)
    one, other = (paddle.to_tensor(rng.normal(0, 1, (_SIDE, _SIDE)).astype(np.float32)) for _ in range(2))
    source, target = np.ones(_COPIED // 8), np.empty(_COPIED // 8)
    seconds = {name: float(np.median(found)) for name, found in take_turns({
        "products": lambda: paddle.matmul(one, other).sum().item(),
        "copies": lambda: np.copyto(target, source),
    }, rounds).items()}
    # as samples are: what one core does, however busy the others are
    decodes = take_turns({"decodes": lambda: [decoded(photo) for photo in photos]}, rounds, time.process_time)
    seconds |= {name: float(np.median(found)) for name, found in decodes.items()}
    return Machine(2 * _SIDE**3 / seconds["products"], 2 * _COPIED / seconds["copies"],
                   len(photos) / seconds["decodes"])


def decoded(photo: bytes) -> np.ndarray:
    """(h, w, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(photo)).convert("RGB"))


def drawn_jpeg(seed: int) -> bytes:
    """A JPEG that is about as hard to decode as a photo: soft shapes, fine grain; about 100 kB."""
    rng = np.random.default_rng(seed)
    width, height = _PHOTO
    soft = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize(_PHOTO, Image.Resampling.BICUBIC)
    grain = Image.fromarray(rng.integers(0, 256, (height // 2, width // 2, 3), dtype=np.uint8)).resize(_PHOTO)
    written = io.BytesIO()
    Image.blend(soft, grain, 0.22).save(written, "JPEG", quality=90)
    return written.getvalue()
