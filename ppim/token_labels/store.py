"""Where the label maps of a data set lie and what of each photo they cover.

A folder mirrors the image folder: image `<class>/<name>.JPEG` has map `<class>/<name>.npy`.
"""
from __future__ import annotations

import os
from collections.abc import Iterable

from ppim.geometry import centre_window
from ppim.token_labels.maps import LabelMap, map_path, read_map

FRAMES = ("whole", "centre-crop")


class MapFolder:
    """One `.npy` per photo.

    Args:
        path: the folder; num_classes: C; orientation: see `maps.read_map`.
        frame: what the annotator saw of each photo: 'whole', or 'centre-crop' (short side resized, centre square cut).
        crop_pct: side of that square per resized short side, in (0, 1]; used with 'centre-crop'.

    Raises:
        FileNotFoundError: no such folder. ValueError: an unknown frame.
    """

    def __init__(self, path: str, num_classes: int, orientation: str = "rows-first", frame: str = "whole",
                 crop_pct: float = 1.0):
        if not os.path.isdir(path):
            raise FileNotFoundError(f"{path}: no such folder of label maps; generate them or correct the path")
        if frame not in FRAMES:
            raise ValueError(f"frame wants one of {', '.join(FRAMES)}; got {frame!r}")
        self.path, self.num_classes, self.orientation = str(path), num_classes, orientation
        self.frame, self.crop_pct = frame, crop_pct

    def read(self, image_relative_path: str, photo_size: tuple) -> LabelMap:
        """The map of one image; photo_size is (width, height). Raises what `maps.read_map` raises."""
        label_map = read_map(map_path(self.path, image_relative_path), self.num_classes, self.orientation)
        if self.frame == "whole":
            return label_map
        return label_map._replace(window=centre_window(photo_size, self.crop_pct))

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
