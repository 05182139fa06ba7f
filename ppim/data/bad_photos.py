"""What becomes of training photos that cannot be read, where a run is not to end with the first (DATA.ON_BAD skip)?

Another sample stands in for each, drawn by (seed, epoch, index), so that any number of workers and processes trains on
the same data; the photo is named once, and too many of them end the run all the same. Evaluation counts every image
and never leaves one out.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

TRIES = 20  # samples drawn to stand in for one
MOST = 0.01  # share of the training photos that may be bad ...
AT_LEAST = 10  # ... or this many, where the share is less


def first_readable(
    read: Callable[[int], Image.Image], length: int, index: int, rng: np.random.Generator
) -> tuple[int, Image.Image, list[str]]:
    """The first photo that can be read of `index` and those drawn to stand in: its index, itself, and what was wrong
    with each before it.

    Args:
        read: gives the photo of an index; length: how many there are.

    Raises:
        ValueError: `TRIES` of them in a row cannot be read, so the fault is hardly theirs; the last one's.
    """
    bad: list[str] = []
    for _ in range(TRIES):
        try:
            return index, read(index), bad
        except (ValueError, OSError) as error:
            bad.append(str(error))
        index = int(rng.integers(length))
    raise ValueError(f"{TRIES} photos in a row cannot be read, at last {bad[-1]}")


class BadPhotos:
    """Counts the photos that could not be read and tells of each once.

    Args:
        photos: training photos there are.
        tell: given a line for people, for each bad photo.
    """

    def __init__(self, photos: int, tell: Callable[[str], None]):
        self.allowed = max(AT_LEAST, int(MOST * photos))
        self.photos = photos
        self._tell = tell
        self._known: set[str] = set()

    def taken_out(self, batches: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The batches without their field `bad`, which is told.

        Raises:
            ValueError: more photos than allowed cannot be read.
        """
        for batch in batches:
            for fault in batch.pop("bad", ()):
                self._note(fault)
            yield batch

    def _note(self, fault: str) -> None:
        if fault in self._known:
            return
        self._known.add(fault)
        count = len(self._known)
        if count > self.allowed:
            raise ValueError(f"{count} of {self.photos} training photos cannot be read, DATA.ON_BAD skip allows "
                             f"{self.allowed}, the newest is {fault}; `ppim data check` lists all of them")
        self._tell(f"left out (DATA.ON_BAD skip), photo {count} of at most {self.allowed}: {fault}")
