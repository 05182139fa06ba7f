"""Which learning rate at which moment? Pure functions of progress, measured in epochs (fractions count)."""
from __future__ import annotations

import math
from typing import NamedTuple

from yacs.config import CfgNode


class Schedule(NamedTuple):
    """Warm-up, decay and cool-down of the learning rate; durations in epochs.

    name: `cosine` is timm's and the LV-ViT recipe's (the cosine runs over all epochs, the warm-up covers its head),
    `warmupcosine` is PaddleViT's (the cosine starts where the warm-up ends and is cut off at `end`), `constant`, `poly`
    is MMSegmentation's (the rate falls from the first step on by `power`, and warm-up is a factor to it).
    """

    name: str
    base: float
    start: float
    end: float
    epochs: float
    warmup: float = 0.0
    power: float = 1.0

    def at(self, epoch: float) -> float:
        """The learning rate after `epoch` epochs; from `epochs` on it stays at `end` (`constant`: at `base`)."""
        if self.name == "poly":
            return self._poly(epoch)
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

    def _poly(self, epoch: float) -> float:
        if epoch >= self.epochs:  # where a power of zero would keep it up
            return self.end
        rate = self.end + (self.base - self.end) * (1 - epoch / self.epochs) ** self.power
        if epoch >= self.warmup:
            return rate
        first = self.start / self.base if self.base else 1.0
        return rate * (first + (1 - first) * epoch / self.warmup)


def _half_cosine(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def scaled_lr(base_lr: float, reference_batch: int | None, global_batch: int) -> float:
    """Linear scaling: `base_lr` is meant for `reference_batch` samples a step; None means it holds for any batch."""
    return base_lr if reference_batch is None else base_lr * global_batch / reference_batch


def schedule_of(config: CfgNode, global_batch: int) -> Schedule:
    """The learning-rate schedule, its rates scaled to the global batch: all of them, or the highest alone."""
    train = config.TRAIN
    scale = scaled_lr(1.0, train.LINEAR_SCALED_LR, global_batch)
    scale_of_ends = scale if train.SCALED_RATES == "all" else 1.0
    return Schedule(
        name=train.LR_SCHEDULER.NAME,
        base=train.BASE_LR * scale,
        start=train.WARMUP_START_LR * scale_of_ends,
        end=train.END_LR * scale_of_ends,
        epochs=train.NUM_EPOCHS,
        warmup=train.WARMUP_EPOCHS,
        power=train.LR_SCHEDULER.POWER,
    )
