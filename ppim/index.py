"""Names and what is known of each, in one file that is mapped into memory, not read: how is it written and looked up?

The file, all numbers little-endian; every part after the names begins at a multiple of 64 bytes, zeros between:

    16 bytes             `ppim index 1`, three spaces, a line feed
    names                their UTF-8 bytes, one behind the other with nothing between, in the order they were written
    starts               n + 1 numbers, uint32 or uint64: where in `names` each name begins; the last one is its length
    fields               one array of n numbers each
    JSON (UTF-8)         {"count": n, "ascending": are names in strictly ascending order of their bytes?,
                         "names": {"at": offset in the file, "bytes"}, "starts": {"at", "dtype"},
                         "fields": {name: {"at", "dtype" such as "<u4"}}, "about": whatever the writer says}
    8 bytes              the length of that JSON, uint64
    seal                 see `ppim.seal`: a digest of everything before it

Bytes of a name that are no UTF-8 are kept as they are (Python's surrogateescape).
"""
from __future__ import annotations

import hashlib
import json
import mmap
import operator
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO

import numpy as np

from ppim.files import open_regular, write_whole
from ppim.seal import SEAL_BYTES, content_length, sealed
from ppim.strict_json import dumps

_HEAD = b"ppim index 1   \n"
_ALIGN = 64
_BLOCK = 1 << 16  # names, or numbers, that are taken in hand at once


def write_index(path: str | os.PathLike[str], names: Iterable[str], fields: Mapping[str, np.ndarray],
                about: Mapping[str, Any]) -> None:
    """The file `path`, which appears whole or not at all. Names are asked for once and may come out of a generator.

    Args:
        names: n names, in the order they are to have; `Index.find` wants them ascending by their UTF-8 bytes.
        fields: (n,) integers, floats or booleans each, by name; about: what JSON can hold, NaN and infinities become
            null. Both are looked at once the names have ended, so that a generator of names may fill them on its way.

    Raises:
        ValueError: a field that has not one number for each name. OSError: the file cannot be written.
    """
    def write(beside: os.PathLike[str]) -> None:
        with sealed(beside) as file:
            _write(_Counting(file), names, fields, about)

    write_whole(path, write)


class _Counting:
    """A file to write to that knows how much was written."""

    def __init__(self, file: Any):
        self._file, self.at = file, 0

    def write(self, data: Any) -> None:
        self.at += self._file.write(data)

    def align(self) -> int:
        """Where the next part begins."""
        self.write(bytes(-self.at % _ALIGN))
        return self.at


def _write(file: _Counting, names: Iterable[str], fields: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    file.write(_HEAD)
    with tempfile.TemporaryFile() as lengths:  # as many as there are names: too many to be held in memory
        count, ascending = _write_names(file, lengths, names)
        header = {"count": count, "ascending": ascending, "names": {"at": len(_HEAD), "bytes": file.at - len(_HEAD)}}
        kind = np.dtype("<u4" if header["names"]["bytes"] < 2**32 else "<u8")
        header["starts"] = {"at": file.align(), "dtype": kind.str}
        _write_starts(file, lengths, kind)
    header["fields"] = {}
    for name, field in fields.items():
        field = np.asarray(field)
        if field.shape != (count,) or field.dtype.kind not in "biuf":
            raise ValueError(f"field {name!r} wants one number for each of {count} names, got {field.dtype} of shape "
                             f"{field.shape}")
        kind = field.dtype.newbyteorder("<")
        header["fields"][name] = {"at": file.align(), "dtype": kind.str}
        for first in range(0, count, _BLOCK):
            file.write(field[first:first + _BLOCK].astype(kind).tobytes())
    text = dumps({**header, "about": dict(about)}).encode()
    file.align()
    file.write(text)
    file.write(len(text).to_bytes(8, "little"))


def _write_names(file: _Counting, lengths: BinaryIO, names: Iterable[str]) -> tuple[int, bool]:
    """How many there are, and whether they ascend."""
    count, ascending, names, last = 0, True, iter(names), []
    while block := [name.encode("utf-8", "surrogateescape") for name in islice(names, _BLOCK)]:
        file.write(b"".join(block))
        lengths.write(np.fromiter(map(len, block), np.uint64, len(block)).tobytes())
        last += block
        ascending = ascending and all(map(operator.lt, last, last[1:]))
        count, last = count + len(block), block[-1:]
    return count, ascending


def _write_starts(file: _Counting, lengths: BinaryIO, kind: np.dtype) -> None:
    lengths.seek(0)
    start = np.uint64(0)
    while block := lengths.read(8 * _BLOCK):
        ends = start + np.cumsum(np.frombuffer(block, np.uint64), dtype=np.uint64)
        file.write(np.concatenate([[start], ends[:-1]]).astype(kind).tobytes())
        start = ends[-1]
    file.write(start.astype(kind).tobytes())


class Index(Sequence):
    """The names of an index file, as a sequence, and their fields. What is looked at is paged in; nothing grows with n,
    neither here nor in a fork. It can be pickled: its path is.

    Args:
        path: a file of `write_index`.

    Raises:
        FileNotFoundError: no such file. ValueError: it is none, or damaged so that its parts cannot be found; what
        else may have changed, `verify` tells.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = os.fspath(path)
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(len(_HEAD)) != _HEAD:
                raise ValueError(f"{self.path}: no index of this version; make it anew")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            header, end = _read_header(self._map, size)
            self._count, self.ascending, self.about = header["count"], header["ascending"], header["about"]
            self._names_at, names_bytes = header["names"]["at"], header["names"]["bytes"]
            self._starts = self._array(header["starts"], self._count + 1, end)
            self._fields = {name: self._array(where, self._count, end) for name, where in header["fields"].items()}
            if (int(self._starts[0]), int(self._starts[-1])) != (0, names_bytes) or self._names_at + names_bytes > end:
                raise ValueError("names")
        except (LookupError, TypeError, AttributeError, ValueError, OverflowError):
            raise ValueError(f"{self.path}: cut off or damaged; make it anew") from None

    def __reduce__(self):
        return Index, (self.path,)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place):
        """The name at `place`; a slice gives a list of them."""
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(self._count))]
        at = range(self._count)[place]  # counts from the end as lists do, and raises as they do
        return self._bytes(at).decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        for first in range(0, self._count, _BLOCK):
            starts = self._starts[first:first + _BLOCK + 1].astype(np.int64)
            base = self._names_at + int(starts[0])
            block = self._map[base:self._names_at + int(starts[-1])]
            ends = (starts - starts[0]).tolist()
            for start, stop in zip(ends, ends[1:]):
                yield block[start:stop].decode("utf-8", "surrogateescape")

    def field(self, name: str) -> np.ndarray:
        """(n,) read-only, a window on the file. Raises KeyError where there is no such field."""
        return self._fields[name]

    def fields(self) -> dict[str, np.ndarray]:
        """All fields by name."""
        return dict(self._fields)

    def find(self, name: str) -> int | None:
        """The place of a name, by halving; None where it is not there.

        Raises:
            ValueError: the names do not ascend.
        """
        if not self.ascending:
            raise ValueError(f"{self.path}: its names were not written in ascending order, so none can be looked up")
        wanted = name.encode("utf-8", "surrogateescape")
        low, high = 0, self._count
        while low < high:
            middle = (low + high) // 2
            if self._bytes(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < self._count and self._bytes(low) == wanted else None

    def verify(self) -> None:
        """Read all of it and compare with its digest.

        Raises:
            ValueError: it has changed since it was written.
        """
        try:
            if content_length(self._map) == len(self._map):
                raise ValueError("has no seal at its end")
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}; make it anew") from None

    def _bytes(self, at: int) -> bytes:
        return self._map[self._names_at + int(self._starts[at]):self._names_at + int(self._starts[at + 1])]

    def _array(self, where: Mapping[str, Any], count: int, end: int) -> np.ndarray:
        kind = np.dtype(where["dtype"])
        if kind.kind not in "biuf" or where["at"] < 0 or where["at"] + count * kind.itemsize > end:
            raise ValueError("beyond the end")
        return np.frombuffer(self._map, kind, count, where["at"])


def _read_header(data: mmap.mmap, size: int) -> tuple[dict[str, Any], int]:
    """The JSON of the file, and where it begins."""
    end = size - SEAL_BYTES - 8
    length = int.from_bytes(data[max(0, end):max(0, end) + 8], "little")
    if end - length < len(_HEAD):
        raise ValueError("no header")
    return json.loads(data[end - length:end]), end - length


class Picked(Sequence):
    """Some of a sequence's entries in an order of their own, without a copy of any.

    Args:
        whole: the sequence; rows: (n,) places in it.
    """

    def __init__(self, whole: Sequence[str], rows: np.ndarray):
        self.whole, self.rows = whole, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place):
        """The entry at `place`; a slice gives a list of them."""
        if isinstance(place, slice):
            return [self.whole[row] for row in self.rows[place].tolist()]
        return self.whole[int(self.rows[place])]


def names_digest(names: Iterable[str]) -> str:
    """SHA-256 (hexadecimal) of names in ascending order of their UTF-8 bytes, with a line feed between two.

    Raises:
        ValueError: a name that does not come behind the one before it, or comes twice.
    """
    digest, before = hashlib.sha256(), None
    for name in names:
        now = name.encode("utf-8", "surrogateescape")
        if before is not None:
            if not before < now:
                raise ValueError(f"{name!r} comes twice" if before == now else
                                 f"names want to ascend, {name!r} comes behind {os.fsdecode(before)!r}")
            digest.update(b"\n")
        digest.update(now)
        before = now
    return digest.hexdigest()
