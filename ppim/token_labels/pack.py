"""How is a map read out of a pack? By one `pread` of its record, whose checksum stands for all that a map's values are
checked for when it is packed.

A pack (`ppim.token_labels.manifest`) may be read by forked processes and by threads: files are opened by the process
that reads them, and none has a position that two could move.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from ppim.geometry import WH
from ppim.index import Index, names_digest
from ppim.token_labels.card import WHOLE, Reading, check_reading
from ppim.token_labels.manifest import INDEX, read_manifest
from ppim.token_labels.maps import LabelMap, MapError, stem_of
from ppim.token_labels.record import as_array, is_sound
from ppim.token_labels.shards import look_over

_MOST_EXPECTED = 4096


class MapPack:
    """The label maps of a data set in a pack.

    Args:
        path: its folder; the others as of `ppim.token_labels.store.open_maps`.

    Raises:
        FileNotFoundError: a file of the pack is missing.
        ValueError: one is damaged or cut off, an id is beyond `num_classes`, an unknown frame or orientation.
    """

    def __init__(self, path: str, num_classes: int, reading: Reading = WHOLE, source: str = "default"):
        self.path, self.num_classes, self.reading, self.source = path, num_classes, reading, source
        self.manifest = read_manifest(path)
        self.digest = self.manifest.stems
        self._record, self._bytes = self.manifest.record, self.manifest.record.itemsize
        self._index = Index(Path(path) / INDEX)
        self._files: dict[int, object] = {}
        self._owner = os.getpid()
        self._expected: dict[str, int | None] = {}  # rows that were looked up already
        check_reading(reading)
        if self.manifest.highest_id >= num_classes:
            raise ValueError(f"{path}: class ids must lie in 0 .. {num_classes - 1}, this pack has some up to "
                             f"{self.manifest.highest_id}; is the number of classes that of the annotator?")
        if len(self._index) != self.manifest.maps:
            raise ValueError(f"{self._index.path}: {len(self._index)} stems for {self.manifest.maps} maps; it is of "
                             "another pack, pack the maps again")
        self._check_sizes()

    def __reduce__(self):
        return MapPack, (self.path, self.num_classes, self.reading, self.source)

    def __str__(self) -> str:
        return f"{self.path} (pack): {self.reading}, by {self.source}"

    def read(self, image_relative_path: str, photo_wh: WH) -> LabelMap:
        """The map of one image, whose photo is (width, height) pixels.

        Raises:
            FileNotFoundError: it has none. MapError: its record is damaged; the message names file, record and image.
        """
        values = self._values(image_relative_path)
        scores, ids = values["scores"].astype(np.float32), values["ids"].astype(np.int32)
        log_z = values["log_z"].astype(np.float32) if self.manifest.log_z else None
        if self.reading.orientation == "columns-first":
            scores, ids = scores.transpose(0, 2, 1), ids.transpose(0, 2, 1)
            log_z = log_z if log_z is None else log_z.T
        return LabelMap(scores, ids, log_z, self.reading.window(photo_wh))

    def expect(self, image_relative_path: str) -> None:
        """Have the system fetch the map of an image that will be read soon. Nothing is waited for, nothing raised."""
        stem = stem_of(image_relative_path)
        if len(self._expected) >= _MOST_EXPECTED:
            self._expected.clear()
        row = self._expected[stem] = self._row(stem)
        if row is not None and hasattr(os, "posix_fadvise"):  # a Mac has none
            shard, place = divmod(row, self.manifest.shard_maps)
            os.posix_fadvise(self._descriptor(shard), place * self._bytes, self._bytes, os.POSIX_FADV_WILLNEED)

    def array(self, stem: str) -> np.ndarray:
        """The map of that name as an array of the form of `ppim.token_labels.maps`. Raises what `read` raises."""
        return as_array(self._values(f"{stem}."))

    def missing(self, image_relative_paths: Iterable[str]) -> list[str]:
        """The images without a map, in their order; where images and maps are the same, none is looked up."""
        images = list(image_relative_paths)
        stems = {stem_of(image) for image in images}
        if len(stems) == self.manifest.maps and names_digest(ascending(stems)) == self.manifest.stems:
            return []
        return [image for image in images if self._index.find(stem_of(image)) is None]

    def stems(self) -> Iterator[str]:
        """The names of all maps, ascending."""
        return iter(self._index)

    def place(self, stem: str) -> str:
        """A map's name, which is all there is of it outside the pack."""
        return stem

    def form(self, image_relative_path: str) -> str:
        """Shape and dtypes of the maps, as text; they are the same for all."""
        planes = 3 if self.manifest.log_z else 2
        return f"{[planes, *self.manifest.shape]} float16, ids {np.dtype(self.manifest.ids)}"

    def damage(self, advance: Callable[[int], None] = lambda maps: None) -> list[str]:
        """What has changed since the pack was written: all of it is read, and compared with its digests.

        Args:
            advance: told the number of maps looked at since the last call.
        """
        found = []
        try:
            self._index.verify()
        except ValueError as error:
            found.append(str(error))
        for number, (name, digest) in enumerate(self.manifest.shards):
            first, count = self._extent(number)
            seen = look_over(Path(self.path) / name, self._record, self._index[first:first + count], advance)
            found += [self._damaged(first + place, self._index[first + place]) for place in seen.bad]
            if not seen.bad and seen.sha256 != digest:
                found.append(f"{Path(self.path) / name}: has changed since it was written; pack the maps again")
        return found

    def _values(self, image: str) -> np.void:
        """The record of an image."""
        stem = stem_of(image)
        row = self._row(stem)
        if row is None:
            raise FileNotFoundError(f"{self.path}: no label map of {stem} in this pack; make the missing ones and pack "
                                    "them all again, or correct the path of the pack or of the photos")
        shard, place = divmod(row, self.manifest.shard_maps)
        data = os.pread(self._descriptor(shard), self._bytes, place * self._bytes)
        if not is_sound(self._record, stem, data):
            raise MapError(self._damaged(row, stem))
        return np.frombuffer(data, self._record, 1)[0]

    def _row(self, stem: str) -> int | None:
        return self._expected[stem] if stem in self._expected else self._index.find(stem)

    def _descriptor(self, shard: int) -> int:
        if self._owner != os.getpid():
            self._files, self._owner = {}, os.getpid()
        file = self._files.get(shard)
        if file is None:
            file = self._files.setdefault(shard, open(Path(self.path) / self.manifest.shards[shard][0], "rb", 0))
        return file.fileno()

    def _extent(self, shard: int) -> tuple[int, int]:
        """The first record of a shard, and how many there are."""
        first = shard * self.manifest.shard_maps
        return first, min(self.manifest.shard_maps, self.manifest.maps - first)

    def _check_sizes(self) -> None:
        for number, (name, _) in enumerate(self.manifest.shards):
            path = Path(self.path) / name
            wanted, size = self._extent(number)[1] * self._bytes, path.stat().st_size
            if size != wanted:
                raise ValueError(f"{path}: wanted {wanted:,} bytes, got {size:,}; it was cut off or overwritten, copy "
                                 "it again or pack the maps again")

    def _damaged(self, row: int, stem: str) -> str:
        shard, place = divmod(row, self.manifest.shard_maps)
        return (f"{Path(self.path) / self.manifest.shards[shard][0]}: the map of {stem} (record {place}) is not what "
                "was written; copy this file again from where it is whole, or pack the maps again")


def ascending(stems: Iterable[str]) -> list[str]:
    """Stems in the order of their UTF-8 bytes."""
    return sorted(stems, key=lambda stem: stem.encode("utf-8", "surrogateescape"))
