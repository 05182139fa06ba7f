"""Which numbers may be typed behind a flag? Types for argparse, which names the flag that has another."""
from __future__ import annotations

import argparse
import math
from typing import NamedTuple

from ppim.config.row import Bounds


class Number(NamedTuple):
    """Reads a number as it was typed: `type=` of an argument."""

    kind: type  # int or float
    bounds: Bounds

    def __call__(self, typed: str) -> float:
        try:
            number = self.kind(typed)
        except ValueError:
            raise argparse.ArgumentTypeError(f"wants a {'whole ' * (self.kind is int)}number, got {typed!r}") from None
        if not (math.isfinite(number) and self.bounds.hold(number)):
            raise argparse.ArgumentTypeError(f"wants {self.bounds}; got {typed}")
        return number


COUNT = Number(int, Bounds(least=1))
FROM_ZERO = Number(int, Bounds(least=0))
ABOVE_ZERO = Number(float, Bounds(above=0))
SHARE = Number(float, Bounds(above=0, most=1))
