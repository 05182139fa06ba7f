"""What has a model answered of every image? One row each, from which everything else is counted."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

MOST = 5  # answers kept of an image


class Answers(NamedTuple):
    """Of n images in their order the K most probable classes; K is 5, or all classes where there are fewer."""

    truth: np.ndarray  # (n,) int64, rows of the head
    rows: np.ndarray  # (n, K) int64, the most probable first
    shares: np.ndarray  # (n, K) float64, their probabilities
    share_of_truth: np.ndarray  # (n,) float64

    @property
    def said(self) -> np.ndarray:
        """(n,) int64: the most probable class."""
        return self.rows[:, 0]

    @property
    def right(self) -> np.ndarray:
        """(n,) bool."""
        return self.said == self.truth

    def worst(self, most: int) -> list[int]:
        """The images that are wrong with the highest probability, the worst first, of equals in their order."""
        wrong = np.flatnonzero(~self.right)
        return wrong[np.argsort(-self.shares[wrong, 0], kind="stable")][:most].tolist()


def as_table(answers: Answers) -> np.ndarray:
    """(n, 2 + 2K) float64, which keeps every row's number."""
    return np.column_stack([answers.truth, answers.share_of_truth, answers.rows, answers.shares]).astype(np.float64)


def from_table(table: np.ndarray) -> Answers:
    """What `as_table` has made a table of."""
    most = (table.shape[1] - 2) // 2
    return Answers(table[:, 0].astype(np.int64), table[:, 2:2 + most].astype(np.int64), table[:, 2 + most:],
                   table[:, 1])
