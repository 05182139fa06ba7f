"""When does a run end before its last step, as a normal end? When its hours are over, or when nothing gets better.

All processes know it after the same step: evaluations are the same everywhere, and of time they ask one another, after
each step, where TRAIN.MAX_HOURS is set. How many evaluations have passed since the best, and how many seconds, is kept
in the checkpoint, so that it counts over all starts of a run.
"""
from __future__ import annotations

import time
from typing import TYPE_CHECKING

import paddle

if TYPE_CHECKING:
    from ppim.engine.run import Run


class Clock:
    """Seconds of training.

    Args:
        counts: False for a run that has all the time it takes, whose checkpoints are the same however fast it is.

    Attributes:
        before: seconds of earlier starts of the run, as far as they were counted.
    """

    def __init__(self, counts: bool):
        self.before = 0.0
        self._counts, self._since = counts, time.monotonic()

    @property
    def seconds(self) -> float:
        """So far, all starts together."""
        return self.before + (time.monotonic() - self._since if self._counts else 0.0)


class Ending:
    """Watches for an early end of a run: asked with `is_reached` between steps, told by `step_is_done`.

    Args:
        run: as it is about to train on; hours that earlier starts have used up count.
    """

    def __init__(self, run: Run):
        self._run = run
        if run.config.TRAIN.MAX_HOURS:
            run.world.barrier_if_impatient()  # the main process may have been writing
        self._time_is_up = self._ask()

    def step_is_done(self) -> bool:
        """Is this the step in which the hours are over? A collective where TRAIN.MAX_HOURS is set: every process asks
        after each step."""
        self._time_is_up = self._ask()
        return self._time_is_up

    @property
    def is_reached(self) -> bool:
        """Has the run to end here, before its last step?"""
        return self._run.state.step < self._run.last and (self._time_is_up or self._is_stale)

    @property
    def _is_stale(self) -> bool:
        limit = self._run.config.TRAIN.EARLY_STOP
        return bool(limit) and self._run.state.stale >= limit

    def _ask(self) -> bool:
        hours, world = self._run.config.TRAIN.MAX_HOURS, self._run.world
        if not hours:
            return False
        is_left = self._run.state.clock.seconds < 3600 * hours
        return not world.every(paddle.full([1], int(is_left), "int32"))[0]

    def evaluated(self, is_better: bool) -> None:
        """An evaluation has found a better best, or has not. A collective where TRAIN.EARLY_STOP is set: the main
        process counts, which alone reads and writes what the best is."""
        state, world = self._run.state, self._run.world
        state.stale = 0 if is_better else state.stale + 1
        if self._run.config.TRAIN.EARLY_STOP:
            (state.stale,) = world.all_sum([state.stale if world.is_main else 0], "int64")

    def __str__(self) -> str:
        state, train = self._run.state, self._run.config.TRAIN
        if self._time_is_up:
            return (f"ends early, after step {state.step}: {state.clock.seconds / 3600:.3g} hours of training are over "
                    f"(TRAIN.MAX_HOURS {train.MAX_HOURS:g})")
        return (f"ends early, after step {state.step}: no better best, evaluations in a row {state.stale} "
                f"(TRAIN.EARLY_STOP {train.EARLY_STOP})")

    def further(self) -> list[str]:
        """Key and value with which `run` would train on."""
        state, train = self._run.state, self._run.config.TRAIN
        if self._time_is_up:
            return ["TRAIN.MAX_HOURS", f"{1.5 * max(train.MAX_HOURS, state.clock.seconds / 3600):.4g}"]
        return ["TRAIN.EARLY_STOP", str(state.stale + train.EARLY_STOP)]
