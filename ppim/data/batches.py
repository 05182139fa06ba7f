"""Which samples does a process take, in which batches? Orders and shares of indices; no sample is touched here."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ppim.data.balance import balanced, occurrences
from ppim.data.orders import SharedOrders, shuffled, shuffled_shards
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
    batch, but in one of at least 3 x `copies` never as partners.

    With `labels`, the class of each image, every class is drawn equally often (`balance.balanced`): an epoch has as
    many samples as ever, and an image that comes again in it is another copy, with a view of its own.

    With `shards`, where the images of each tar shard begin (and their number behind), an epoch goes through the shards
    in an order of its own and mixes up samples of few at a time (`orders.shuffled_shards`). Classes drawn equally often
    are drawn from everywhere.

    Orders are kept once for this process and those it starts later, in the smallest integers that do.

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
    shards: np.ndarray | None = None
    _orders: SharedOrders = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        if self.steps_per_epoch == 0:
            most = self.length // self.world
            raise ValueError(f"{self.length} training images do not fill one batch of {self.batch_size} x {self.world} "
                             f"processes; set DATA.BATCH_SIZE to at most {most}" if most else
                             f"{self.length} training images are fewer than the {self.world} processes; start fewer")
        if len(range(*self.rows)) == 0:
            raise ValueError(f"DATA.BATCH_SIZE {self.batch_size} leaves process {self.rank} of {self.world} without "
                             "images, because pairs stay together; set it to 2 or more")
        columns = 1 if self.labels is None else 2
        work_out = partial(_work_out, self.seed, self.labels, self.shards, self.copies)
        object.__setattr__(self, "_orders", SharedOrders(self.length, columns, work_out))

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
        return self._some(epoch, 0, self.length)

    def _some(self, epoch: int, first: int, stop: int) -> np.ndarray:
        """(stop - first, 2) int64 of the order of an epoch."""
        if self.labels is not None:
            return self._orders.rows(epoch, slice(first, stop))
        places = np.arange(first, stop)
        index = self._orders.rows(epoch, places // self.copies if self.copies > 1 else slice(first, stop))
        return np.concatenate([index, places[:, None] % self.copies], axis=1)

    def global_rows(self, step: int) -> np.ndarray:
        """(global batch, 2) int64: index and copy of the samples of one micro-step, all ranks."""
        first = step % self.steps_per_epoch * self.global_batch
        rows = self._some(self.epoch_of(step), first, first + self.global_batch)
        # first copies first, so that neighbours are different images
        return np.concatenate([rows[copy::self.copies] for copy in range(self.copies)])

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        for step in range(self.start, self.stop):
            epoch, mine = self.epoch_of(step), self.global_rows(step)[slice(*self.rows)]
            yield [(epoch, index, copy) for index, copy in mine.tolist()]


def _work_out(seed: int, labels: np.ndarray | None, shards: np.ndarray | None, copies: int, epoch: int,
              out: np.ndarray) -> None:
    """Fill (1, length) with an order of images, each of which stands for all its copies; with `labels` (2, length) with
    images and copies."""
    rng = order_rng(seed, epoch)
    if labels is None and shards is not None:
        shuffled_shards(rng, shards, out[0])
        return
    shuffled(rng, out[0])
    if labels is not None:
        out[0] = np.repeat(balanced(labels, seed, epoch)[out[0]], copies)[:len(labels)]
        out[1] = occurrences(out[0].astype(np.int64))


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
