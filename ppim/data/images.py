"""What is a list of images? Paths, labels and names of classes; and how is one of its photos opened?"""
from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from typing import BinaryIO

import numpy as np
from PIL import Image

from ppim.data.photos import read_photo
from ppim.files import open_regular
from ppim.index import Index, Picked
from ppim.shards import Shards

_BLOCK = 1 << 20  # paths or labels that are taken in hand at once
_WALKED, _OF_MORE = 1 << 21, 50_000


@dataclass(frozen=True)
class ImageList:
    """The images of one split; its length is their number (so not a NamedTuple, whose length is its fields').

    Of a manifest, paths and labels are mapped: nothing of their size is held by this process or copied by a fork.
    """

    root: str
    paths: Sequence[str]  # relative to root, with forward slashes; a list, an `Index` or some of one
    labels: np.ndarray  # (n,) int64, positions in `classes`
    classes: list[str]
    skipped: Mapping[str, int] = field(default_factory=dict)  # files that are no images by their suffix: how many
    numbered: bool = False  # the classes come from a list of numbers and have no names but those
    shards: Shards | None = None  # where the photos are, if not in files of their own

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes; () where they have none."""
        return () if self.numbered else tuple(self.classes)

    @property
    def stems(self) -> str | None:
        """SHA-256 of all stems (`index.names_digest`), as a manifest says; None: not known, or two images share one."""
        return self.paths.about["stems"] if isinstance(self.paths, Index) else None

    def full_path(self, index: int) -> str:
        """Where image `index` lies, for people too; of shards, `shard.tar/path`, which cannot be opened."""
        inside = self.shards.file(self._row(index)) if self.shards else ""
        return os.path.join(self.root, inside, self.paths[index])

    def open(self, index: int) -> BinaryIO:
        """The bytes of image `index`. Raises as `files.open_regular`; ValueError where a shard has changed."""
        return self.shards.open(self._row(index)) if self.shards else open_regular(self.full_path(index))

    def photo(self, index: int, exif: str = "ignore") -> Image.Image:
        """Image `index`, decoded; arguments and errors as of `photos.read_photo`."""
        return read_photo(self.full_path(index), exif, partial(self.open, index))

    def size(self, index: int) -> int:
        """Bytes of image `index`; -1 for what is no file, which is told of where photos are read."""
        if self.shards:
            return self.shards.size(self._row(index))
        path = self.full_path(index)
        return os.path.getsize(path) if os.path.isfile(path) else -1

    def in_order_of_reading(self, indices: Sequence[int]) -> Sequence[int]:
        """Places in `indices`, in the order in which the images are best read: of shards from front to end."""
        if not self.shards:
            return range(len(indices))
        return self.shards.in_order_of_reading([self._row(index) for index in indices])

    def shard_starts(self) -> np.ndarray | None:
        """(shards + 1,) where the images of each shard begin; None where they lie in files of their own."""
        if not self.shards:
            return None
        return self.shards.starts(self.paths.rows if isinstance(self.paths, Picked) else None)

    def pick(self, rows: np.ndarray) -> ImageList:
        """Only the images at `rows`, (m,) integers, in that order."""
        if isinstance(self.paths, list):
            paths = [self.paths[row] for row in rows.tolist()]
        else:
            whole, of = (self.paths.whole, self.paths.rows) if isinstance(self.paths, Picked) else (self.paths, None)
            least = np.min_scalar_type(len(whole))
            paths = Picked(whole, (rows if of is None else of[rows]).astype(least))
        return replace(self, paths=paths, labels=self.labels[rows])

    def counts(self, least: int = 0) -> np.ndarray:
        """(classes,) int64: the photos of each class; of `least` classes at least."""
        found = np.zeros(max(least, len(self.classes)), np.int64)
        for first in range(0, len(self), _BLOCK):
            found += np.bincount(self.labels[first:first + _BLOCK], minlength=len(found))
        return found

    @cached_property
    def checksum(self) -> int:
        """CRC-32 of paths, with line feeds between, and labels: equal where the images are."""
        return _checksum_of_paths(self.paths) ^ _checksum_of_labels(self.labels)

    def _row(self, index: int) -> int:
        """The place in the manifest."""
        return int(self.paths.rows[index]) if isinstance(self.paths, Picked) else index


def walked(length: int) -> range:
    """The places of images that are looked at one by one at a start: all, up to two million, else 50,000 of them."""
    return range(length) if length <= _WALKED else range(0, length, length // _OF_MORE)


def _checksum_of_paths(paths: Sequence[str]) -> int:
    if isinstance(paths, Index):
        return paths.about["checksum"]
    found, names = 0, iter(paths)
    while block := list(islice(names, _BLOCK)):
        found = joined_checksum(block, found)
    return found


def joined_checksum(block: Sequence[str], before: int) -> int:
    """CRC-32 of paths with line feeds between, where `before` is that of those that came before; 0: none."""
    text = "\n".join(block).encode("utf-8", "surrogateescape")
    return zlib.crc32(b"\n" + text if before else text, before)


def _checksum_of_labels(labels: np.ndarray) -> int:
    found = 0
    for first in range(0, len(labels), _BLOCK):
        found = zlib.crc32(labels[first:first + _BLOCK].tobytes(), found)
    return found
