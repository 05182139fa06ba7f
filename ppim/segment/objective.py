"""Segmenter and loss as one layer: from a batch to the terms of the loss."""
from __future__ import annotations

import math
from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.objective.objective import LossTerms
from ppim.objective.pixels import normalise
from ppim.segment.figures import IGNORED
from ppim.segment.heads import resized
from ppim.segment.network import Segmenter


class SegmentObjective(nn.Layer):
    """Cross entropy of UperNet's head plus `auxiliary_weight` times that of the small head.

    Args:
        mean, std: of pixel values in [0, 1], per channel.
        amp: `paddle.amp.auto_cast` arguments for the forward pass, or None; losses are always float32.
    """

    def __init__(self, model: Segmenter, auxiliary_weight: float, mean, std, amp: dict[str, Any] | None = None):
        super().__init__()
        self.model, self.auxiliary_weight, self.mean, self.std, self.amp = model, auxiliary_weight, mean, std, amp

    def __call__(self, *inputs) -> LossTerms:
        return LossTerms(*super().__call__(*inputs))

    def forward(self, batch: dict[str, paddle.Tensor]) -> LossTerms:
        """`batch`: image (B, 3, h, w) uint8, mask (B, h, w) uint8. The second term is the main head's, the third the
        small head's."""
        with paddle.amp.auto_cast(**(self.amp or {"enable": False})):
            main, auxiliary = self.model.taught(normalise(batch["image"], self.mean, self.std))
        labels = batch["mask"].astype("int64")
        main, auxiliary = pixel_loss(main, labels), pixel_loss(auxiliary, labels)
        return LossTerms(main + self.auxiliary_weight * auxiliary, main, auxiliary)


def pixel_loss(logits: paddle.Tensor, labels: paddle.Tensor) -> paddle.Tensor:
    """Cross entropy of logits (B, rows, h', w'), resized to the labels (B, h, w) int64: the sum over the known pixels
    divided by the number of all, as in MMSegmentation, so that the mean over crops of one size is the mean over any
    number of processes."""
    logits = resized(logits.astype("float32"), labels.shape[1:])
    loss = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum", axis=1)
    return loss / math.prod(labels.shape)
