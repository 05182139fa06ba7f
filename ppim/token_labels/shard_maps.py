"""Label maps that lie in tar shards beside their photos, found by an index of their stems."""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import BinaryIO

from ppim.geometry import WH
from ppim.index import Index
from ppim.shards import Shards
from ppim.token_labels.card import WHOLE, Reading
from ppim.token_labels.maps import LabelMap, form_of, read_map, stem_of

_INDEX = os.path.join(".ppim-index", "maps.index")


def has_shard_maps(path: str | os.PathLike[str]) -> bool:
    """Are there tar shards with label maps in a folder, that `ppim data index` has seen?"""
    return os.path.isfile(os.path.join(path, _INDEX))


class MapShards:
    """The `.npy` members of tar shards; see `store.Maps`. Their card lies beside the shards.

    Raises:
        FileNotFoundError: no index. ValueError: a damaged one.
    """

    def __init__(self, path: str, num_classes: int, reading: Reading = WHOLE, source: str = "default"):
        self.path, self.num_classes, self.reading, self.source = path, num_classes, reading, source
        self._index = Index(os.path.join(path, _INDEX))
        self._shards = Shards(path, self._index)

    def __str__(self) -> str:
        return f"{self.path}: {self.reading}, by {self.source}"

    @property
    def digest(self) -> str:
        """SHA-256 of all stems, see `index.names_digest`."""
        return self._index.about["stems"]

    def read(self, image_relative_path: str, photo_wh: WH) -> LabelMap:
        """The map of one image, whose photo is (width, height) pixels. Raises what `maps.read_map` raises."""
        stem = stem_of(image_relative_path)
        label_map = read_map(os.path.join(self.path, f"{stem}.npy"), self.num_classes, self.reading.orientation,
                             partial(self._open, stem))
        return label_map._replace(window=self.reading.window(photo_wh))

    def missing(self, image_relative_paths: Iterable[str]) -> list[str]:
        """The images without a map, in their order."""
        return [image for image in image_relative_paths if self._index.find(stem_of(image)) is None]

    def stems(self) -> Iterator[str]:
        """The names of all maps, ascending."""
        return iter(self._index)

    def place(self, stem: str) -> str:
        """The tar file and the member."""
        row = self._index.find(stem)
        return f"{stem}.npy" if row is None else f"{self._shards.file(row)}/{stem}.npy"

    def form(self, image_relative_path: str) -> str:
        """Shape and dtype of an image's array, as text."""
        stem = stem_of(image_relative_path)
        return form_of(self.place(stem), partial(self._open, stem))

    def damage(self, advance: Callable[[int], None] = lambda maps: None) -> list[str]:
        """What of the index has changed since it was written; of the tar files `ppim data index --check` tells."""
        try:
            self._index.verify()
        except ValueError as error:
            return [str(error)]
        advance(len(self._index))
        return []

    def _open(self, stem: str) -> BinaryIO:
        row = self._index.find(stem)
        if row is None:
            raise FileNotFoundError(f"no map of {stem} in the tar files of {self.path}")
        return self._shards.open(row)
