"""Which learning rate at which moment? Pure functions of progress, measured in epochs (fractions count)."""
from __future__ import annotations

import math
from typing import NamedTuple


class Schedule(NamedTuple):
    """Warm-up, decay and cool-down of the learning rate; durations in epochs.

    name: `cosine` is timm's and the LV-ViT recipe's (the cosine runs over all epochs, the warm-up covers its head),
    `warmupcosine` is PaddleViT's (the cosine starts where the warm-up ends and is cut off at `end`), `constant`.
    """

    name: str
    base: float
    start: float
    end: float
    epochs: float
    warmup: float = 0.0

    def at(self, epoch: float) -> float:
        """The learning rate after `epoch` epochs; from `epochs` on it stays at `end` (`constant`: at `base`)."""
        if epoch < self.warmup:
            return self.start + (self.base - self.start) * epoch / self.warmup
        if self.name == "constant":
            return self.base
        if epoch >= self.epochs:
            return self.end
        if self.name == "warmupcosine":
            progress = (epoch - self.warmup) / (self.epochs - self.warmup)
            return max(self.end, self.base * _half_cosine(progress))
        return self.end + (self.base - self.end) * _half_cosine(epoch / self.epochs)


def _half_cosine(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def scaled_lr(base_lr: float, reference_batch: int | None, global_batch: int) -> float:
    """Linear scaling: `base_lr` is meant for `reference_batch` samples a step; None means it holds for any batch."""
    return base_lr if reference_batch is None else base_lr * global_batch / reference_batch
