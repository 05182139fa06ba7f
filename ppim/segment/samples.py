"""Samples of photos with masks, as the loader asks for them: pictures (3, h, w) and classes (h, w), numpy uint8."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ppim.data.images import ImageList
from ppim.data.making import Samples
from ppim.data.masks import mask_path
from ppim.data.transforms import to_array
from ppim.seeds import sample_rng
from ppim.segment.pairs import labels_of
from ppim.segment.view import Crops, View, draw_view, fitted, labels_seen, photo_seen


@dataclass(frozen=True)
class Pairs(Samples):
    """Photos and what their pixels show."""

    images: ImageList
    masks: str  # folder of masks, under the photos' names
    ground: bool  # see `pairs.labels_of`
    exif: str = "ignore"  # see `read_photo`

    maps = None  # there are no label maps of tokens
    on_bad = "raise"

    def __len__(self) -> int:
        return len(self.images)

    def pair(self, index: int) -> tuple[Image.Image, np.ndarray]:
        """Photo `index`, RGB, and the rows (H, W) uint8 of its pixels, or IGNORED."""
        photo = self.images.photo(index, self.exif)
        path = mask_path(self.masks, self.images.paths[index])
        return photo, labels_of(path, len(self.images.classes), self.ground, photo.size)


@dataclass(frozen=True)
class TrainPairs(Pairs):
    """Training samples by (epoch, index, copy): a sample depends on those and the seed alone."""

    crops: Crops = Crops(512)
    seed: int = 0  # of the run

    def path(self, key: tuple[int, int, int]) -> str:
        """The image file of a sample."""
        return self.images.full_path(key[1])

    def view(self, key: tuple[int, int, int]) -> tuple[Image.Image, np.ndarray, View]:
        """The photo and the labels that a sample is made of, and its view of both."""
        photo, labels = self.pair(key[1])
        return photo, labels, draw_view(sample_rng(self.seed, *key), labels, self.crops)

    def __getitem__(self, key: tuple[int, int, int]) -> dict[str, Any]:
        photo, labels, view = self.view(key)
        return {"image": to_array(photo_seen(view, photo)), "mask": labels_seen(view, labels),
                "index": np.int64(key[1])}


@dataclass(frozen=True)
class EvalPairs(Pairs):
    """Evaluation samples by index: the whole photo, resized to fit `scale`, and its labels at their own size."""

    scale: tuple[int, int] = (2048, 512)  # long, short side in pixels

    def path(self, index: int) -> str:
        """The image file of a sample."""
        return self.images.full_path(index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        photo, labels = self.pair(index)
        shown = photo.resize(fitted(photo.size, self.scale), Image.Resampling.BILINEAR)
        return {"image": to_array(shown), "mask": labels, "index": np.int64(index)}
