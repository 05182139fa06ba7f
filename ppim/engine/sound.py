"""May a step be taken, and may what came of it be saved? Only where all numbers are finite, here and in all processes.

A step whose loss, gradients or BatchNorm statistics are not finite is left out: everything stays as it was before. A
finite loss alone proves little, because ReLU makes 0 of NaN on a CPU, and because it is the loss of the weights before
the step. So before anything is saved or evaluated, the new weights must show that one more step could be taken.
"""
from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence

import paddle

from ppim.engine.distributed import statistics_of
from ppim.engine.optimizer import state_by_structured_names
from ppim.engine.run import Run
from ppim.objective.objective import LossTerms
from ppim.paddle_compat import all_finite

_NAMED = 3  # files or tensors that a message names at most

Batch = dict[str, paddle.Tensor]


class Guard:
    """Watches over the numbers of a run: `begin_step`, `note` for each micro-batch, `allows_step`; `check` before what
    is written."""

    def __init__(self, run: Run):
        self._run = run
        self._statistics = statistics_of(run.state.model)
        self._parameters = [p for p in run.state.model.parameters() if not p.stop_gradient]
        self._kept: list[paddle.Tensor] = []
        self._parts: list[tuple[paddle.Tensor, LossTerms]] = []  # of each micro-batch: which samples, and their loss
        self._newest: Batch | None = None
        self._sound: Batch | None = None  # the last from which a step was taken

    def begin_step(self) -> None:
        """Keep what a forward pass changes."""
        self._kept = [value.detach().clone() for value in self._statistics]
        self._parts.clear()

    def note(self, batch: Batch, terms: LossTerms) -> None:
        """The model has been walked through and back with a micro-batch."""
        self._newest = batch
        self._parts.append((batch["index"], terms))

    def allows_step(self) -> bool:
        """May the step be taken? If not, there are no gradients afterwards, all else is as it was at `begin_step`, and
        loss scaling has heard of it. The device is asked, and so waited for.

        Raises:
            FloatingPointError: it is the last of TRAIN.MAX_BAD_STEPS in a row that may not.
        """
        run, meter = self._run, self._run.meter
        losses_are, all_are = self._are_finite([terms.total for _, terms in self._parts])
        if all_are:
            meter.terms.extend(terms for _, terms in self._parts)
            meter.left_out_in_a_row = 0
            self._sound = self._newest
            return True
        self._undo()
        meter.left_out += 1
        # gradients that are too large for the loss scale are to be expected, and a smaller scale helps
        if not losses_are or run.state.loss_scale <= 1:
            meter.left_out_in_a_row += 1
        if meter.left_out_in_a_row >= run.config.TRAIN.MAX_BAD_STEPS:
            raise FloatingPointError(self._too_many())
        run.state.scaler.back_off()
        return False

    def check(self) -> None:
        """See to it that what is about to be saved or evaluated is finite, and that training can go on from it: the
        model is walked through and back with the last batch once more, which changes nothing.

        Raises:
            FloatingPointError: it is not, or cannot, in this process or another.
        """
        run, state = self._run, self._run.state
        optimizer = state_by_structured_names(state.optimizer, state.model)
        average = state.ema.state_dict() if state.ema else {}
        broken = [*not_finite(state.model.state_dict()), *not_finite(optimizer),
                  *(f"{name} (running average)" for name in not_finite(average))]
        if not run.world.every(paddle.full([1], int(not broken), "int32"))[0]:
            what = f"it has led to numbers that are not finite, in {_few(broken) or 'the state of another process'}"
            raise FloatingPointError(self._message(state.step, what, *self._worst()))
        # what the newest step was left out for may lie in its batch alone
        batch = self._sound or self._newest
        carries_on, loss = self._would_take_step(batch)
        if not carries_on:
            what = "with the weights it has led to, loss or gradients are not finite"
            raise FloatingPointError(self._message(state.step, what, batch["index"], loss))

    @paddle.no_grad()
    def _are_finite(self, losses: Sequence[paddle.Tensor]) -> tuple[bool, bool]:
        """The losses; and losses, gradients and statistics together: in all processes."""
        losses = paddle.stack([loss.detach().reshape([]) for loss in losses])
        numbers = paddle.isfinite(paddle.concat([losses, *(value.flatten() for value in self._statistics)]))
        gradients = all_finite([p.grad for p in self._parameters if p.grad is not None])
        flags = paddle.stack([numbers[:len(losses)].all(), paddle.logical_and(numbers.all(), gradients)])
        losses_are, all_are = self._run.world.every(flags.astype("int32"))
        return losses_are, all_are

    def _would_take_step(self, batch: Batch) -> tuple[bool, paddle.Tensor]:
        """Could a step be taken with this batch? And its loss."""
        state = self._run.state
        self._kept = [value.detach().clone() for value in self._statistics]
        with contextlib.nullcontext() if self._run.world.size == 1 else state.forward.no_sync():
            terms = state.forward(batch)
            terms.total.backward()
        _, all_are = self._are_finite([terms.total])
        self._undo()
        return all_are, terms.total.detach()

    @paddle.no_grad()
    def _undo(self) -> None:
        for value, kept in zip(self._statistics, self._kept):
            paddle.assign(kept, value)
        self._run.state.optimizer.clear_grad(set_to_zero=False)

    def _too_many(self) -> str:
        run = self._run
        what = (f"{run.meter.left_out_in_a_row} steps in a row (TRAIN.MAX_BAD_STEPS) were left out, this one last, "
                "because loss, gradients or BatchNorm statistics were not finite")
        return self._message(run.state.step + 1, what, *self._worst())

    def _worst(self) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Samples and loss of the first micro-batch of the newest step whose loss is not finite, or of its last."""
        bad = [(index, terms.total) for index, terms in self._parts if not math.isfinite(terms.total.item())]
        return bad[0] if bad else (self._parts[-1][0], self._parts[-1][1].total)

    def _message(self, step: int, what: str, index: paddle.Tensor, loss: paddle.Tensor) -> str:
        run = self._run
        paths = [run.train.images.paths[number] for number in index.tolist()]
        return (
            f"step {step} (epoch {run.steps.epoch(step):.2f}, learning rate {run.state.optimizer.get_lr():.3g}, loss "
            f"scale {run.state.loss_scale:g}): {what}. The loss of the batch of process {run.world.rank} is "
            f"{loss.item():.4g}, its files are {_few(paths)}. Nothing of this was saved: look at these files, lower "
            "TRAIN.BASE_LR, set TRAIN.GRAD_CLIP or switch AMP off, then go on with --resume")


@paddle.no_grad()
def not_finite(tensors: Mapping[str, paddle.Tensor]) -> list[str]:
    """The names of those that hold NaN or an infinity."""
    finite = [paddle.isfinite(value).all() for value in tensors.values()]
    return [name for name, is_finite in zip(tensors, paddle.stack(finite).tolist()) if not is_finite] if finite else []


def _few(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
