"""How well are pixels named? Counted in one table of integers, from which all figures follow (numpy)."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

IGNORED = 255  # of a pixel's class: not taught, not counted


class Segmented(NamedTuple):
    """Figures of a segmentation in percent, `count` the photos.

    `iou` and `accuracy` are by class: intersection over union, and the share of a class's pixels that were found; None
    for a class that has no pixels (and, of `iou`, was never said). `miou` and `macc` are means over the others, `aacc`
    is the share of all pixels. `broken`: photos of which a logit was not finite.
    """

    miou: float
    macc: float
    aacc: float
    count: int
    iou: dict[str, float | None]
    accuracy: dict[str, float | None]
    broken: int = 0

    @property
    def is_sound(self) -> bool:
        """Were all logits finite?"""
        return not self.broken

    def as_dict(self) -> dict[str, object]:
        """What was measured, by name."""
        return self._asdict()

    def parts(self) -> list[tuple[str, int]]:
        """What is said of it in a line, piece by piece, with how soon each is left out where room is short."""
        return [(f"  mIoU {self.miou:.2f}", 0), (f"  mAcc {self.macc:.2f}", 5), (f"  aAcc {self.aacc:.2f}", 4),
                (f"  on {self.count} images", 6)]

    def table(self) -> list[str]:
        """A line for each class."""
        def shown(value: float | None) -> str:
            return "     -" if value is None else f"{value:6.2f}"

        return [f"{name:<28} IoU {shown(self.iou[name])}  accuracy {shown(self.accuracy[name])}" for name in self.iou]

    def __str__(self) -> str:
        return "".join(text for text, _ in self.parts()).strip()


def confusion_of(labels: np.ndarray, said: np.ndarray, rows: int) -> np.ndarray:
    """(rows, rows) int64: pixels by what they show and what was said of them; those that show IGNORED are left out.

    Args:
        labels, said: integers of one shape, classes 0 .. rows - 1, or IGNORED in `labels`.
    """
    known = labels != IGNORED
    pairs = labels[known].astype(np.int64) * rows + said[known].astype(np.int64)
    return np.bincount(pairs, minlength=rows * rows).reshape(rows, rows)


class NothingCounted(ValueError):
    """No pixel of what was looked at has a class."""


def figures_of(confusion: np.ndarray, names: Sequence[str], count: int, broken: int = 0) -> Segmented:
    """The figures of a table as of `confusion_of`, of the classes called `names`.

    Raises:
        NothingCounted: no pixel was counted.
    """
    right, shown, said = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    if not shown.sum():
        raise NothingCounted("no pixel of the validation masks has a class; look at SEGMENT.MASKS and SEGMENT.GROUND")
    iou = _shares(right, shown + said - right)
    accuracy = _shares(right, shown)
    return Segmented(
        _mean(iou), _mean(accuracy), 100.0 * int(right.sum()) / int(shown.sum()), count, dict(zip(names, iou)),
        dict(zip(names, accuracy)), broken,
    )


def _shares(part: np.ndarray, whole: np.ndarray) -> list[float | None]:
    return [100.0 * p / w if w else None for p, w in zip(part.tolist(), whole.tolist())]


def _mean(values: Sequence[float | None]) -> float:
    there = [value for value in values if value is not None]
    return sum(there) / len(there)
