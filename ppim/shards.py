"""How are records read out of tar files? At offsets of an index, so that any of them can be had at once.

A folder of tar files (shards) has an index of its records beside it (`data.manifest`): which file, where, how long.
"""
from __future__ import annotations

import io
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import BinaryIO

import numpy as np

from ppim.files import open_regular
from ppim.index import Index

_OPEN = 64  # files that are kept open


class Shards:
    """Records of tar files; a fork may go on with it, and so may several threads.

    Args:
        folder: where the tar files lie; index: records with fields `shard`, `at` and `bytes`; beside it lies
            `sources.index`, the files by number, with their stamps.
    """

    def __init__(self, folder: str, index: Index):
        self._folder, self._index = folder, index
        self._sources = Index(os.path.join(os.path.dirname(index.path), "sources.index"))
        self._opened = lru_cache(_OPEN)(self._open_shard)  # what falls out is closed once nobody reads it

    def __reduce__(self):
        return Shards, (self._folder, self._index)

    def file(self, row: int) -> str:
        """The name of the tar file that record `row` is in."""
        return self._sources[int(self._index.field("shard")[row])]

    def size(self, row: int) -> int:
        """Bytes of record `row`."""
        return int(self._index.field("bytes")[row])

    def open(self, row: int) -> BinaryIO:
        """The bytes of record `row`.

        Raises:
            FileNotFoundError: its tar file is gone. ValueError: that has changed since the index was made.
        """
        at, size = int(self._index.field("at")[row]), self.size(row)
        file = self._opened(int(self._index.field("shard")[row]))
        data = os.pread(file.fileno(), size, at)
        while len(data) < size and (more := os.pread(file.fileno(), size - len(data), at + len(data))):
            data += more
        return io.BytesIO(data)

    def in_order_of_reading(self, rows: Sequence[int]) -> list[int]:
        """Places in `rows` such that each tar file is read from its front to its end before the next."""
        rows = np.asarray(rows)
        return np.lexsort([self._index.field("at")[rows], self._index.field("shard")[rows]]).tolist()

    def starts(self, rows: np.ndarray | None = None) -> np.ndarray:
        """(tar files + 1,) int64: where the records of each begin among `rows`, ascending; None: among all."""
        field = self._index.field("shard")
        shards = field if rows is None else field[rows]
        return np.searchsorted(shards, np.arange(self._index.about["shards"] + 1, dtype=shards.dtype))

    def _open_shard(self, shard: int) -> BinaryIO:
        path = os.path.join(self._folder, self._sources[shard])
        file = open_regular(path)
        found = os.fstat(file.fileno())
        known = (self._sources.field("changed")[shard], self._sources.field("bytes")[shard])
        if (found.st_mtime_ns, found.st_size) != known:
            raise ValueError(f"{path}: has changed since it was indexed; run `ppim data index` again")
        return file
