"""Is this ImageNet-C: a folder for each corruption, in it a folder for each severity, in that the class folders?"""
from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from ppim.data.datasets import find_images
from ppim.data.images import ImageList

# The fifteen of the benchmark, and the four that were set aside for development.
CORRUPTIONS = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow",
    "frost", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
    "speckle_noise", "gaussian_blur", "spatter", "saturate",
)
_SEVERITIES = tuple("12345")


def corrupted_folders(data_path: str) -> list[tuple[str, str]]:
    """(corruption, severity) of the folders there are; empty where this is another data set."""
    return [(corruption, severity) for corruption in CORRUPTIONS for severity in _SEVERITIES
            if os.path.isdir(os.path.join(data_path, corruption, severity))]


def corrupted_images(data_path: str) -> ImageList:
    """The images of all corruptions and severities, one after the other, of the classes of all of them.

    Raises:
        ValueError: a folder is none of class folders.
    """
    parts = [(f"{corruption}/{severity}", find_images(os.path.join(data_path, corruption, severity), "val"))
             for corruption, severity in corrupted_folders(data_path)]
    classes = sorted({name for _, part in parts for name in part.classes})
    place = {name: number for number, name in enumerate(classes)}
    labels = [np.array([place[name] for name in part.classes], np.int64)[part.labels] for _, part in parts]
    paths = [f"{head}/{path}" for head, part in parts for path in part.paths]
    return ImageList(data_path, paths, np.concatenate(labels), classes)


def groups(paths: Sequence[str]) -> np.ndarray:
    """(n,) text: `corruption/severity` of every path."""
    return np.array(["/".join(path.split("/", 2)[:2]) for path in paths])
