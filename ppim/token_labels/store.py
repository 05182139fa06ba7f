"""Where the label maps of a data set lie and what of each photo they cover.

A folder mirrors the image folder: image `<class>/<name>.JPEG` has map `<class>/<name>.npy`.
"""
from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from ppim.geometry import WH, centre_window
from ppim.token_labels.card import FRAMES, WHOLE, Reading
from ppim.token_labels.maps import LabelMap, map_path, read_map


def first_shared(image_relative_paths: Iterable[str]) -> tuple[str, str] | None:
    """The first two images that would share one map, because their names differ by the last suffix alone."""
    owner: dict[str, str] = {}
    for image in image_relative_paths:
        other = owner.setdefault(os.path.splitext(image)[0], image)
        if other != image:
            return other, image
    return None


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

    def __post_init__(self):
        if not os.path.isdir(self.path):
            raise FileNotFoundError(f"{self.path}: no such folder of label maps; generate them or correct the path")
        if self.reading.frame not in FRAMES:
            raise ValueError(f"frame wants one of {', '.join(FRAMES)}; got {self.reading.frame!r}")

    def __str__(self) -> str:
        return f"{self.path}: {self.reading}, by {self.source}"

    def read(self, image_relative_path: str, photo_wh: WH) -> LabelMap:
        """The map of one image, whose photo is (width, height) pixels. Raises what `maps.read_map` raises."""
        label_map = read_map(map_path(self.path, image_relative_path), self.num_classes, self.reading.orientation)
        if self.reading.frame == "whole":
            return label_map
        return label_map._replace(window=centre_window(photo_wh, self.reading.crop_pct))

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
