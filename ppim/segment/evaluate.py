"""How good is a segmenter? Each photo asked once over all processes, its pixels counted in one table of integers."""
from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import paddle
from paddle import nn

from ppim.models.base import evaluating
from ppim.objective.pixels import normalise
from ppim.segment.figures import confusion_of
from ppim.segment.sliding import best_class, slid


class Asking(NamedTuple):
    """How a segmenter is asked.

    Attributes:
        mode: `slide` a window of `side` pixels in steps of `stride`, or look at the `whole` photo at once.
        at_once: windows that go through the network together.
        mean, std: of pixel values in [0, 1], per channel.
        amp: `paddle.amp.auto_cast` arguments, or None.
    """

    mode: str
    side: int
    stride: int
    at_once: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    amp: dict[str, Any] | None = None

    def logits(self, model: nn.Layer, image: paddle.Tensor) -> paddle.Tensor:
        """(1, rows, h, w) float32 of a picture (1, 3, h, w) uint8."""
        with paddle.amp.auto_cast(**(self.amp or {"enable": False})):
            picture = normalise(image, self.mean, self.std)
            if self.mode == "slide":
                return slid(model, picture, self.side, self.stride, self.at_once)
            return model(picture).astype("float32")


class Counted(NamedTuple):
    """What one process has counted: pixels by what they show and what was said (rows, rows) int64, photos, those with
    logits that were not finite, and whether it was left before the end."""

    confusion: np.ndarray
    photos: int
    broken: int
    is_cut: bool


@paddle.no_grad()
def counted(model: nn.Layer, batches: Iterable[dict[str, paddle.Tensor]], asking: Asking,
            cut: Callable[[], bool] = lambda: False) -> Counted:
    """Count this process's share of the photos.

    Args:
        batches: of one photo: image (1, 3, h, w) uint8, and mask (1, H, W) uint8, of the photo's own size.
        cut: asked after each photo; whether to leave it at that.
    """
    rows = model.num_classes
    confusion, photos, broken = np.zeros((rows, rows), np.int64), 0, 0
    with evaluating(model):
        for batch in batches:
            logits, labels = asking.logits(model, batch["image"]), batch["mask"][0].numpy()
            confusion += confusion_of(labels, best_class(logits, labels.shape).numpy(), rows)
            broken += not paddle.isfinite(logits).all().item()
            photos += 1
            if cut():
                return Counted(confusion, photos, broken, True)
    return Counted(confusion, photos, broken, False)
