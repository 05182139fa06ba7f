"""Which samples does a process take, in which batches? Orders and shares of indices; no sample is touched here."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ppim.data.balance import balanced, occurrences
from ppim.seeds import order_rng


@dataclass(frozen=True)
class TrainBatches:
    """Which samples a rank takes at which micro-step, for a whole run: `start` .. `stop` across epochs, so that workers
    are started once and a run can go on at any micro-step.

    An epoch's order is a permutation keyed by (seed, epoch); `batch_size * world` consecutive entries are the global
    batch, the rest that does not fill one is dropped. Partners (2j, 2j + 1) of the global batch stay on one rank, so a
    rank may hold a few rows more or less than `batch_size` (`rows`).

    With `copies` > 1 (repeated augmentation, arXiv 1901.09335) each image stands `copies` times in the order, which is
    cut to its length: an epoch has as many samples as ever, of fewer images. The copies of an image meet in one global
    batch but never as partners.

    With `labels`, the class of each image, every class is drawn equally often (`balance.balanced`): an epoch has as
    many samples as ever, and an image that comes again in it is another copy, with a view of its own.

    Raises:
        ValueError: the images do not fill one global batch, or a rank would hold no row.
    """

    length: int
    batch_size: int
    seed: int
    stop: int
    start: int = 0
    rank: int = 0
    world: int = 1
    copies: int = 1
    labels: np.ndarray | None = None

    def __post_init__(self):
        if self.steps_per_epoch == 0:
            raise ValueError(f"{self.length} training images do not fill one batch of {self.batch_size} x {self.world} "
                             f"processes; set DATA.BATCH_SIZE to at most {self.length // self.world}")
        if len(range(*self.rows)) == 0:
            raise ValueError(f"DATA.BATCH_SIZE {self.batch_size} leaves process {self.rank} of {self.world} without "
                             "images, because pairs stay together; set it to 2 or more")

    @property
    def global_batch(self) -> int:
        """Samples of one micro-step, all ranks."""
        return self.batch_size * self.world

    @property
    def steps_per_epoch(self) -> int:
        """Micro-steps of one epoch."""
        return self.length // self.global_batch

    @property
    def rows(self) -> tuple[int, int]:
        """start, stop: this rank's rows of the global batch."""
        return rank_rows(self.global_batch, self.rank, self.world)

    def __len__(self) -> int:
        return self.stop - self.start

    def epoch_of(self, step: int) -> int:
        """The epoch a micro-step of the run belongs to."""
        return step // self.steps_per_epoch

    def order(self, epoch: int) -> np.ndarray:
        """(length, 2) int64: index and copy of the epoch's samples."""
        images = order_rng(self.seed, epoch).permutation(self.length)
        if self.labels is not None:
            images = balanced(self.labels, self.seed, epoch)[images]
        index = np.repeat(images, self.copies)[:self.length]
        copy = np.arange(self.length) % self.copies if self.labels is None else occurrences(index)
        return np.stack([index, copy], axis=1)

    def global_rows(self, order: np.ndarray, step: int) -> np.ndarray:
        """(global batch, 2): the samples of one micro-step, all ranks."""
        first = step % self.steps_per_epoch * self.global_batch
        rows = order[first:first + self.global_batch]
        # first copies first, so that neighbours are different images
        return np.concatenate([rows[copy::self.copies] for copy in range(self.copies)])

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        epoch, order = None, None
        for step in range(self.start, self.stop):
            if self.epoch_of(step) != epoch:
                epoch = self.epoch_of(step)
                order = self.order(epoch)
            mine = self.global_rows(order, step)[slice(*self.rows)]
            yield [(epoch, index, copy) for index, copy in mine.tolist()]


def rank_rows(global_batch: int, rank: int, world: int) -> tuple[int, int]:
    """start, stop: a rank's rows of the global batch, whole pairs; the odd one out goes to the last rank."""
    pairs = global_batch // 2
    stop = global_batch if rank == world - 1 else 2 * ((rank + 1) * pairs // world)
    return 2 * (rank * pairs // world), stop


class EvalBatches:
    """A rank's contiguous share of `length` images in batches, each image once over all ranks; a rank may get none."""

    def __init__(self, length: int, batch_size: int, *, rank: int = 0, world: int = 1):
        self.images = range(rank * length // world, (rank + 1) * length // world)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.images) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for first in range(0, len(self.images), self.batch_size):
            yield list(self.images[first:first + self.batch_size])
