"""Where the label maps of a data set lie and what of each photo they cover.

A map belongs to the image whose path without its last suffix is the map's name, its stem. A folder mirrors the image
folder: image `<class>/<name>.JPEG` has map `<class>/<name>.npy`, of the stem `<class>/<name>`.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

from ppim.geometry import WH
from ppim.token_labels.card import WHOLE, Reading, check_reading
from ppim.token_labels.manifest import is_pack
from ppim.token_labels.maps import LabelMap, form_of, map_path, read_map, stems_below
from ppim.token_labels.pack import MapPack
from ppim.token_labels.shard_maps import MapShards, has_shard_maps


class Maps(Protocol):
    """The label maps of a data set, whatever they lie in; `open_maps` gives one."""

    path: str
    num_classes: int
    reading: Reading  # how the maps are to be read
    source: str  # who says so, for people
    digest: str | None  # of the names of all maps (`ppim.index.names_digest`), where it is known without a look at them

    def read(self, image_relative_path: str, photo_wh: WH) -> LabelMap:
        """The map of one image, whose photo is (width, height) pixels.

        Raises:
            FileNotFoundError: it has none. MapError: a map that cannot be trusted; the message names it.
        """

    def missing(self, image_relative_paths: Iterable[str]) -> list[str]:
        """The images without a map, in their order."""

    def stems(self) -> Iterator[str]:
        """The names of all maps, with forward slashes, in any order."""

    def place(self, stem: str) -> str:
        """Where the map of that name is (or would be), for people."""

    def form(self, image_relative_path: str) -> str:
        """Shape and dtype of an image's map, as text."""

    def damage(self, advance: Callable[[int], None] = ...) -> list[str]:
        """What of the store's own files has changed since it was written; `advance` is told the maps looked at."""


def open_maps(path: str | os.PathLike[str], num_classes: int, reading: Reading = WHOLE,
              source: str = "default") -> Maps:
    """The label maps in `path`, told apart by what lies there.

    Args:
        num_classes: C, the ids of all maps must lie below it.
        reading: how the maps are to be read; source: who says so, for people.

    Raises:
        FileNotFoundError: no such folder, or a file of a pack is missing.
        ValueError: an unknown frame or orientation, or a pack that is damaged.
    """
    kind = MapPack if is_pack(path) else MapShards if has_shard_maps(path) else MapFolder
    return kind(os.fspath(path), num_classes, reading, source)


def expect(maps: Maps, image_relative_path: str) -> None:
    """Say that the map of an image will be read soon, so that a disk can fetch it meanwhile."""
    if isinstance(maps, MapPack):
        maps.expect(image_relative_path)


def first_shared(image_relative_paths: Iterable[str]) -> tuple[str, str] | None:
    """The first two images that would share one map, because their names differ by the last suffix alone."""
    owner: dict[str, str] = {}
    for image in image_relative_paths:
        other = owner.setdefault(os.path.splitext(image)[0], image)
        if other != image:
            return other, image
    return None


def how_to_find(maps: str, root: str, missing: str) -> str:
    """What to do about images below `root` that have no map in the folder `maps`, the first of which is `missing`: maps
    of both splits that were made at one go lie in train/ and val/."""
    inside = os.path.join(maps, os.path.basename(root))
    if os.path.isfile(map_path(inside, missing)):
        return f"maps of them lie in {inside}: give that"
    return "`ppim labels make` writes those that are missing"


@dataclass(frozen=True)
class MapFolder:
    """One `.npy` per photo.

    Raises:
        FileNotFoundError: no such folder. ValueError: an unknown frame.
    """

    path: str
    num_classes: int
    reading: Reading = WHOLE  # how the maps are to be read
    source: str = "default"  # who says so, for people
    digest: ClassVar[None] = None

    def __post_init__(self):
        if not os.path.isdir(self.path):
            raise FileNotFoundError(f"{self.path}: no such folder of label maps; generate them or correct the path")
        check_reading(self.reading)

    def __str__(self) -> str:
        return f"{self.path}: {self.reading}, by {self.source}"

    def read(self, image_relative_path: str, photo_wh: WH) -> LabelMap:
        """The map of one image, whose photo is (width, height) pixels. Raises what `maps.read_map` raises."""
        label_map = read_map(map_path(self.path, image_relative_path), self.num_classes, self.reading.orientation)
        return label_map._replace(window=self.reading.window(photo_wh))

    def missing(self, image_relative_paths: Iterable[str]) -> list[str]:
        """The images without a map, in their order; each folder is listed once and no file is opened."""
        listed: dict[str, set[str]] = {}
        absent = []
        for image in image_relative_paths:
            folder, name = os.path.split(map_path(self.path, image))
            if folder not in listed:
                listed[folder] = {entry.name for entry in os.scandir(folder)} if os.path.isdir(folder) else set()
            if name not in listed[folder]:
                absent.append(image)
        return absent

    def stems(self) -> Iterator[str]:
        """The names of all maps, see `maps.stems_below`."""
        return stems_below(self.path)

    def place(self, stem: str) -> str:
        """The file of a map, relative to the folder."""
        return f"{stem}.npy"

    def form(self, image_relative_path: str) -> str:
        """Shape and dtype of the array in an image's file, as text."""
        return form_of(map_path(self.path, image_relative_path))

    def damage(self, advance: Callable[[int], None] = lambda maps: None) -> list[str]:
        """Nothing: a folder has no files but its maps, each of which is looked at when it is read."""
        return []
