"""Where is the order of an epoch kept, so that all the processes that read from it have one copy between them?

Of 14 million images an order is 56 MB. Each worker with one of its own would be the greatest thing in its memory; so
whoever comes to an epoch first works its order out, in memory without a name that those started later share.
"""
from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from ppim.data.workers import FORKS, nameless_file

SLOTS = 2  # orders that are kept: workers are a few batches apart, so two epochs may be in use
_NONE = -1
# samples of tar shards are mixed up among so many that come one behind the other (whole shards, so rather more)
WINDOW = 16_384


class SharedOrders:
    """Orders of epochs, worked out when they are first wanted; forks share them. One thread of a process at a time.

    Args:
        length: of an order; columns: numbers of each of its entries, all at most `length`.
        work_out: (epoch, array (columns, length) to be filled).
    """

    def __init__(self, length: int, columns: int, work_out: Callable[[int, np.ndarray], None]):
        self._work_out = work_out
        kind = np.min_scalar_type(length)
        size = 8 * SLOTS + SLOTS * columns * length * kind.itemsize
        self._file = nameless_file()
        os.ftruncate(self._file, size)
        memory = mmap.mmap(self._file, size)
        self._epochs = np.frombuffer(memory, np.int64, SLOTS)
        self._epochs[:] = _NONE
        self._orders = np.frombuffer(memory, kind, SLOTS * columns * length, 8 * SLOTS).reshape(SLOTS, columns, length)

    def __del__(self):
        os.close(self._file)

    def rows(self, epoch: int, places: slice | np.ndarray) -> np.ndarray:
        """(m, columns) int64: the entries at `places` of the order of an epoch."""
        slot = epoch % SLOTS
        with self._alone():
            if self._epochs[slot] != epoch:
                self._epochs[slot] = _NONE  # whoever is killed meanwhile leaves none
                self._work_out(epoch, self._orders[slot])
                self._epochs[slot] = epoch
            return self._orders[slot][:, places].T.astype(np.int64)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process is in here meanwhile; the system lets go for one that is killed."""
        if not FORKS:
            yield
            return
        import fcntl

        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)


def shuffled(rng: np.random.Generator, out: np.ndarray) -> None:
    """Fill (n,) integers with what `rng.permutation(n)` gives, whatever their type."""
    out[:] = np.arange(len(out), dtype=out.dtype)
    rng.shuffle(out)


def shuffled_shards(rng: np.random.Generator, starts: np.ndarray, out: np.ndarray) -> None:
    """Fill (n,) integers with all samples of shards: shards in any order, samples mixed up among those of a window.

    A window is as many whole shards as have `WINDOW` samples together, so that what is read within some thousand
    samples lies in few files.

    Args:
        starts: (shards + 1,) the first sample of each shard, and n.
    """
    begun = at = 0
    for shard in rng.permutation(len(starts) - 1).tolist():
        start, stop = int(starts[shard]), int(starts[shard + 1])
        out[at:at + stop - start] = np.arange(start, stop, dtype=out.dtype)
        at += stop - start
        if at - begun >= WINDOW:
            rng.shuffle(out[begun:at])
            begun = at
    rng.shuffle(out[begun:])
