"""How are things timed so that a busy machine does not decide? In turns, and compared round by round."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

Seconds = dict[str, np.ndarray]


class Ratio(NamedTuple):
    """How many times as much; `low` and `high` enclose the median with a probability of 95 % or more."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"


def take_turns(actions: Mapping[str, Callable[[], object]], rounds: int,
               clock: Callable[[], float] = time.perf_counter,
               others: Mapping[str, Callable[[], float]] | None = None) -> Seconds:
    """Seconds of each action in each of `rounds`, (rounds,) by name; a round before them, for settling in, is dropped.

    Args:
        clock: `time.process_time` counts this process alone, on however many threads.
        others: what takes its turn as well and gives its seconds itself.
    """
    def timed(action: Callable[[], object]) -> float:
        start = clock()
        action()
        return clock() - start

    ways = {**{name: partial(timed, action) for name, action in actions.items()}, **(others or {})}
    found = [[way() for way in ways.values()] for _ in range(rounds + 1)]
    return dict(zip(ways, np.array(found[1:]).T))


def times_as_fast(seconds: np.ndarray, other: np.ndarray) -> Ratio:
    """How many times as fast as the `other` of the same round something is."""
    return median_of(other / seconds)


def median_of(values: Sequence[float]) -> Ratio:
    """The median, with the interval that order gives: no value need be of any distribution."""
    ordered = np.sort(np.asarray(values, np.float64))
    beyond = _left_out(len(ordered))
    return Ratio(float(np.median(ordered)), float(ordered[beyond]), float(ordered[len(ordered) - 1 - beyond]))


def _left_out(count: int, level: float = 0.05) -> int:
    """How many of `count` values may be left out at either end: so many that the rest misses the median in at most a
    share `level` of all cases; none where that cannot be had."""
    chance, beyond = 0.0, -1
    while True:
        chance += math.comb(count, beyond + 1) / 2**count
        if 2 * chance > level or beyond + 1 > (count - 1) // 2:
            return max(beyond, 0)
        beyond += 1


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """p of seconds = c * size ** p, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
