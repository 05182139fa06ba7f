"""Where the label maps of a data set lie and what of each photo they cover.

A folder mirrors the image folder: image `<class>/<name>.JPEG` has map `<class>/<name>.npy`.
"""
from __future__ import annotations

import os
from collections.abc import Iterable

from ppim.geometry import centre_window
from ppim.token_labels.card import FRAMES, WHOLE, Reading
from ppim.token_labels.maps import LabelMap, map_path, read_map


class MapFolder:
    """One `.npy` per photo.

    Args:
        path: the folder; num_classes: C; reading: how its maps are to be read.
        source: who says so, for people.

    Raises:
        FileNotFoundError: no such folder. ValueError: an unknown frame.
    """

    def __init__(self, path: str, num_classes: int, reading: Reading = WHOLE, source: str = "default"):
        if not os.path.isdir(path):
            raise FileNotFoundError(f"{path}: no such folder of label maps; generate them or correct the path")
        if reading.frame not in FRAMES:
            raise ValueError(f"frame wants one of {', '.join(FRAMES)}; got {reading.frame!r}")
        self.path, self.num_classes, self.reading, self.source = str(path), num_classes, reading, source

    def __str__(self) -> str:
        return f"{self.path}: {self.reading}, by {self.source}"

    def read(self, image_relative_path: str, photo_size: tuple) -> LabelMap:
        """The map of one image; photo_size is (width, height). Raises what `maps.read_map` raises."""
        label_map = read_map(map_path(self.path, image_relative_path), self.num_classes, self.reading.orientation)
        if self.reading.frame == "whole":
            return label_map
        return label_map._replace(window=centre_window(photo_size, self.reading.crop_pct))

    def missing(self, image_relative_paths: Iterable[str]) -> list[str]:
        """The images without a map, in their order; each folder is listed once and no file is opened."""
        listed: dict[str, set] = {}
        absent = []
        for image in image_relative_paths:
            folder, name = os.path.split(map_path(self.path, image))
            if folder not in listed:
                listed[folder] = {entry.name for entry in os.scandir(folder)} if os.path.isdir(folder) else set()
            if name not in listed[folder]:
                absent.append(image)
        return absent
