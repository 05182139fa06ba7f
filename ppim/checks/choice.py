"""Which of several explanations fits best, photo by photo, and which others could still be the right one?

One is named only where it is better than every other one by a sign test over photos and by a bootstrap of the mean.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

FEWEST = 16  # photos
CHANCE = 1e-3  # of naming a wrong one by chance, over all that are tried
_DRAWS = 2000  # of the bootstrap


class Choice(NamedTuple):
    """What a table of fits says.

    Attributes:
        best: the explanation of the largest mean; mean: that of each one.
        open: those that could as well be right, the likeliest first.
        rival: the first of them, or else the one that comes nearest. margin: by how much the best is better; low, high:
            an interval of that over photos (99 %); p: of a sign test against the rival, times the number of others.
        fits: does the best fit at all, beyond chance?
    """

    best: int
    mean: np.ndarray
    open: list[int]
    rival: int
    margin: float
    low: float
    high: float
    p: float
    fits: bool


def choose(fits: np.ndarray, better: float, least: float) -> Choice:
    """Weigh explanations.

    Args:
        fits: (photos, explanations), at least two of these: how well each fits, less what is chance.
        better: times as large as another's must the best one's mean be. least: below it, a mean says nothing.
    """
    photos, count = fits.shape
    mean = fits.mean(axis=0)
    order = np.argsort(-mean, kind="stable")
    best, share = int(order[0]), CHANCE / (count - 1)
    lead = fits[:, [best]] - fits
    draws = np.random.default_rng(photos).integers(0, photos, (_DRAWS, photos))
    drawn = np.stack([lead[:, one][draws].mean(axis=1) for one in range(count)], axis=1)  # (_DRAWS, explanations)
    p = np.array([sign_test(lead[:, one]) for one in range(count)])
    could_be = [int(one) for one in order[1:]
                if p[one] > share or drawn[:, one].min() <= 0 or mean[best] <= better * mean[one]]
    rival = (could_be or [int(order[1])])[0]
    low, high = np.quantile(drawn[:, rival], (0.005, 0.995))
    own = fits[:, best]
    return Choice(best, mean, could_be, rival, float(lead[:, rival].mean()), float(low), float(high),
                  min(1.0, float(p[rival]) * (count - 1)), bool(own.mean() >= least and sign_test(own) <= share))


def sign_test(differences: np.ndarray) -> float:
    """The probability that as many of the differences (n,) are above zero by chance; those that are zero do not count.
    """
    counted = differences[np.abs(differences) > 1e-12]
    n, above = len(counted), int((counted > 0).sum())
    return sum(math.comb(n, k) for k in range(above, n + 1)) / 2**n if n else 1.0
