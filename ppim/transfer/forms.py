"""In which forms may label maps lie, and how is one map taken out of each?"""
from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Union

import numpy as np

from ppim.token_labels.manifest import MANIFEST, is_pack
from ppim.token_labels.maps import map_path, read_array, stems_below
from ppim.token_labels.pack import MapPack
from ppim.token_labels.record import UNKNOWN
from ppim.transfer.torch_maps import read_torch_map


@dataclass(frozen=True)
class FolderOf:
    """Label maps one a file, with one suffix.

    Args:
        suffix: '.npy' or '.pt'.
    """

    path: str
    suffix: str

    def stems(self) -> Iterator[str]:
        """The names of all maps, see `maps.stems_below`."""
        return stems_below(self.path, self.suffix)

    def place(self, stem: str) -> str:
        """The file of a map."""
        return map_path(self.path, f"{stem}.", self.suffix)

    def changed(self, stem: str) -> float:
        """When a map was changed last, in seconds."""
        return os.stat(self.place(stem)).st_mtime

    def array(self, stem: str) -> np.ndarray:
        """A map as it lies there, in its own dtype. Raises FileNotFoundError or MapError, which name the file."""
        return (read_array if self.suffix == ".npy" else read_torch_map)(self.place(stem))


@dataclass(frozen=True)
class Pack:
    """The label maps of a pack."""

    path: str

    def __post_init__(self):
        object.__setattr__(self, "_maps", MapPack(self.path, UNKNOWN))

    def __reduce__(self):
        return Pack, (self.path,)

    def stems(self) -> Iterator[str]:
        """The names of all maps."""
        return self._maps.stems()

    def place(self, stem: str) -> str:
        """A map, for people."""
        return f"{stem} of {self.path}"

    def changed(self, stem: str) -> float:
        """When the pack was written, in seconds."""
        return os.stat(Path(self.path) / MANIFEST).st_mtime

    def array(self, stem: str) -> np.ndarray:
        """A map as it lies in an `.npy` file. Raises MapError where its record is damaged."""
        return self._maps.array(stem)


Source = Union[FolderOf, Pack]


def open_source(path: str) -> Source:
    """The label maps in `path`, told apart by what lies there.

    Raises:
        FileNotFoundError: no such folder, or no maps in it. ValueError: maps of two forms, or a damaged pack.
    """
    if is_pack(path):
        return Pack(path)
    if not os.path.isdir(path):
        raise FileNotFoundError(f"{path}: no such folder of label maps; generate them or correct the path")
    there = [folder for folder in (FolderOf(path, ".npy"), FolderOf(path, ".pt"))
             if next(folder.stems(), None) is not None]
    if len(there) == 2:
        raise ValueError(f"{path}: wanted maps of one form, found .npy and .pt files; take one of them elsewhere")
    if not there:
        raise FileNotFoundError(f"{path}: no label maps there, neither .npy nor .pt files nor a pack")
    return there[0]

