"""Is a file still what was written? A seal at its end tells; whoever does not know of seals reads past it.

A seal is a line behind all that the format needs: `ppim sha256 ` and the digest of every byte before that line. Pickles
and `.npy` files say themselves where they end, so `paddle.load` and `numpy.load` read a sealed file as any other.
"""
from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO

_MARK = b"\nppim sha256 "
SEAL_BYTES = len(_MARK) + 64 + 1


class _Sealing:
    """A file to write to, whose bytes are digested on the way."""

    def __init__(self, file: BinaryIO):
        self._file, self.digest = file, hashlib.sha256()

    def write(self, data) -> int:
        """As a file's."""
        self.digest.update(data)
        return self._file.write(data)


@contextlib.contextmanager
def sealed(path: str | os.PathLike[str]) -> Iterator[_Sealing]:
    """`with sealed(path) as file:` a new file that is written from its beginning to its end, and sealed then."""
    with open(path, "wb") as file:
        sealing = _Sealing(file)
        yield sealing
        file.write(_MARK + sealing.digest.hexdigest().encode() + b"\n")


def content_length(data) -> int:
    """How many bytes of a file's content (bytes or an mmap) come before its seal; all where it has none.

    Raises:
        ValueError: the seal is of another content.
    """
    end = len(data) - SEAL_BYTES
    if end < 0 or data[end:end + len(_MARK)] != _MARK:
        return len(data)
    with memoryview(data) as view, view[:end] as content:
        digest = hashlib.sha256(content).hexdigest()
    if data[end + len(_MARK):] != digest.encode() + b"\n":
        raise ValueError("has changed since it was written: the seal at its end is of another content")
    return end
