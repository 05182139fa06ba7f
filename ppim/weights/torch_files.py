"""Files of PyTorch, read without PyTorch: a pickle that says what there is, and storages with the values.

- zip, since PyTorch 1.6, whatever its suffix (`.pth`, `.pt`, `.pth.tar`, `.tar`): members `<name>/data.pkl` and
  `<name>/data/<key>`, stored uncompressed.
- legacy: five pickles in a row (a magic number, a version, the machine, the value, the storages' keys), then every
  storage as its length and its values.
"""
from __future__ import annotations

import encodings.cp437  # noqa: F401  zipfile's codec for old names; imported here so that no file decides what is
import zipfile
from typing import Any, NamedTuple

import numpy as np

from ppim.weights import pickles
from ppim.weights.pickles import TorchStorage, TorchTensor

_LEGACY_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # the number of the first pickle, and its end


def _values(data, storage: TorchStorage, position: int, room: int, order: str) -> np.ndarray:
    dtype = np.dtype(storage.dtype).newbyteorder(order)
    if not 0 <= storage.count * dtype.itemsize <= room or position + room > len(data):
        raise ValueError(f"damaged or cut off (storage {storage.key:.40} is not all there)")
    return np.ndarray(storage.count, dtype, data, position)


class ZipStorages:
    """The storages of a zip file, by key; values are views of `data` (an mmap of the file)."""

    def __init__(self, data, archive: zipfile.ZipFile):
        self.data = data
        self.members = {}
        for info in archive.infolist():
            if info.filename.endswith("/data.pkl"):
                self.root = info.filename[: -len("data.pkl")]
            self.members[info.filename] = info
        order = self.members.get(f"{self.root}byteorder")
        self.order = ">" if order is not None and bytes(data[slice(*self._place(order))]) == b"big" else "<"

    def _place(self, info: zipfile.ZipInfo) -> tuple[int, int]:
        """Where a member's bytes begin and end; the central directory does not say, its local header does."""
        at = info.header_offset
        header = self.data[at : at + 30]
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size or len(header) < 30:
            raise ValueError(f"member {info.filename:.80} is compressed, which PyTorch's are not, or damaged")
        start = at + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        if start + info.file_size > len(self.data):
            raise ValueError(f"damaged or cut off (member {info.filename:.80} is not all there)")
        return start, start + info.file_size

    def pickle(self) -> object:
        """The value of the pickle that lies beside the storages."""
        start, _ = self._place(self.members[f"{self.root}data.pkl"])
        return pickles.run_at(self.data, start)[0]

    def array(self, tensor: TorchTensor) -> np.ndarray:
        """A tensor of the file, a view of `data`."""
        info = self.members.get(f"{self.root}data/{tensor.storage.key}")
        if info is None:
            raise ValueError(f"damaged (storage {tensor.storage.key:.40} is missing)")
        start, end = self._place(info)
        return tensor.array(_values(self.data, tensor.storage, start, end - start, self.order))


def open_zip(data, file) -> tuple[object, ZipStorages]:
    """The value of a zip file (an mmap of it, and the file itself) and its storages.

    Raises:
        ValueError: damaged, or not PyTorch's.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
        raise ValueError(f"damaged or cut off ({error})") from error
    names = archive.namelist()
    if sum(name.endswith("/data.pkl") for name in names) != 1 or len(set(names)) != len(names):
        raise ValueError("a zip file that PyTorch did not write")
    storages = ZipStorages(data, archive)
    return storages.pickle(), storages


class LegacyStorages(NamedTuple):
    """The storages behind the pickles of a legacy file; values are views of `data` (an mmap of it)."""

    data: Any
    places: dict[TorchStorage, int]  # where the values of each begin
    order: str  # of their bytes, '<' or '>'

    def array(self, tensor: TorchTensor) -> np.ndarray:
        """A tensor of the file, a view of `data`."""
        if tensor.storage not in self.places:
            raise ValueError(f"damaged (storage {tensor.storage.key:.40} is missing)")
        room = tensor.storage.count * np.dtype(tensor.storage.dtype).itemsize
        return tensor.array(_values(self.data, tensor.storage, self.places[tensor.storage], room, self.order))


def is_legacy(data) -> bool:
    """Does a file that begins with a pickle begin with PyTorch's magic number?"""
    return data.find(_LEGACY_MAGIC, 0, 32) > 0


def open_legacy(data) -> tuple[object, LegacyStorages]:
    """The value of a legacy file (an mmap of it) and its storages.

    Raises:
        ValueError: damaged, or of another version.
    """
    version, _, at = pickles.run_at(data, data.find(_LEGACY_MAGIC) + len(_LEGACY_MAGIC))
    machine, _, at = pickles.run_at(data, at)
    value, storages, at = pickles.run_at(data, at)
    keys, _, at = pickles.run_at(data, at)
    if version != 1001 or not isinstance(machine, dict) or not isinstance(keys, list):
        raise ValueError("a legacy PyTorch file of an unknown version")
    order = "<" if machine.get("little_endian", True) else ">"
    places = {}
    for key in keys:
        storage = storages.get(key)
        count = int.from_bytes(data[at : at + 8], "little" if order == "<" else "big")
        if storage is None or storage.count != count:
            raise ValueError("damaged or cut off (a storage is not all there)")
        places[storage] = at + 8
        at += 8 + count * np.dtype(storage.dtype).itemsize
    return value, LegacyStorages(data, places, order)
