"""Where in the run are we? Micro-batches, optimizer steps and epochs converted into one another, once.

A micro-batch is one forward pass of all processes together; `accumulate` of them make an optimizer step. The stream of
micro-batches does not pause at the end of an epoch, so a step may take its last samples from the next one.
"""
from __future__ import annotations

import math
from typing import NamedTuple

from ppim.engine.checkpoint import State

LOGGED = 4  # digits of an epoch behind the point, in log.jsonl


class Steps(NamedTuple):
    """`per_epoch`: micro-batches in an epoch; `accumulate`: of them in an optimizer step; `epochs`: in the run."""

    per_epoch: int
    accumulate: int
    epochs: float

    @property
    def total(self) -> int:
        """Optimizer steps of the whole run."""
        return int(self.per_epoch * self.epochs) // self.accumulate

    def check(self) -> None:
        """Raises ValueError where the whole run is shorter than a step."""
        if not self.total:
            raise ValueError(f"a step takes TRAIN.ACCUM_ITER {self.accumulate} micro-batches, and the whole run of "
                             f"{self.epochs:g} epochs has {int(self.per_epoch * self.epochs)}: no step would be taken; "
                             "lower TRAIN.ACCUM_ITER or DATA.BATCH_SIZE, or raise TRAIN.NUM_EPOCHS")

    def epoch(self, step: int) -> float:
        """Epochs seen after `step` optimizer steps."""
        return step * self.accumulate / self.per_epoch

    def counted_now(self, step: int, epoch: float) -> int:
        """The number that a step has today which was logged as `step`, at this epoch: another where it was counted in
        batches of another size."""
        error = 0.5 * 10**-LOGGED
        if abs(self.epoch(step) - epoch) <= 2 * error:
            return step
        return math.ceil((epoch - error) * self.per_epoch / self.accumulate)

    def ends_epochs(self, step: int) -> range:
        """The epochs (1, 2, ...) completed by the step just made; the last step always completes one."""
        before, after = int(self.epoch(step - 1)), int(self.epoch(step))
        return range(before + 1, 1 + (max(after, before + 1) if step == self.total else after))


def resumed_micro_step(state: State, samples_per_micro: int, per_epoch: int, accumulate: int = 1) -> int:
    """The micro-batch to go on with, for a batch that may have another size than the one in the checkpoint.

    Args:
        state: of the checkpoint.
        samples_per_micro: samples of all processes in a micro-batch now; per_epoch: micro-batches in an epoch now;
            accumulate: micro-batches in an optimizer step now.

    Raises:
        ValueError: the samples seen are no whole number of the new micro-batches, or of the new steps.
    """
    if state.offset % samples_per_micro:
        raise ValueError(
            f"the checkpoint stopped {state.offset} samples into an epoch, which is no multiple of the "
            f"{samples_per_micro} samples that all processes read together now; keep DATA.BATCH_SIZE x processes as it "
            f"was ({state.samples_per_micro}), or resume from a checkpoint at the end of an epoch"
        )
    micro = state.epoch * per_epoch + state.offset // samples_per_micro
    if micro % accumulate:
        raise ValueError(
            f"the checkpoint stands at micro-batch {micro}, which is inside a step of TRAIN.ACCUM_ITER {accumulate}; "
            "resume with the TRAIN.ACCUM_ITER and DATA.BATCH_SIZE it was saved with"
        )
    return micro
