"""What is one line of a benchmark?"""
from __future__ import annotations

from typing import NamedTuple

from ppim.bench.rounds import Ratio


class Row(NamedTuple):
    """What was measured.

    Attributes:
        group, what: of which part, and of it what.
        value, unit: the median.
        share: of what this machine can do at most of it, 0 .. 1; None where there is no such figure.
        ratio: how many times as fast as what `beside` names, of the same rounds.
    """

    group: str
    what: str
    value: float
    unit: str
    share: float | None = None
    ratio: Ratio | None = None
    beside: str = ""
