"""How does a file appear? Whole or not at all: written beside its place, synced to the disk, renamed. And how is one
opened that somebody else has put there?"""
from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A file to be read, as bytes; what is no file is not opened, since a pipe or a device may never answer.

    Raises:
        FileNotFoundError: no such file. OSError: it may not be read.
        ValueError: a pipe, a socket, a device or a folder.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        what = next((name for test, name in _KINDS if test(mode)), "a device")
        raise ValueError(f"{os.fspath(path)} is {what}, wanted a file")
    return open(path, "rb")


def write_whole(path: str | Path, write: Callable[[Path], object], durable: bool = True) -> None:
    """Let `write` fill a file beside `path`, then put it in place in one step; its folder is made.

    Whoever reads `path` sees the old file or the new one; a crash leaves at most the unfinished `.<name>.<pid>`.

    Args:
        durable: wait for the disk, so that not even a power cut leaves less; False for files easily made again.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(beside)
        if durable:
            sync(beside)
        os.replace(beside, path)
    except OSError as error:
        if error.filename is None:  # a full disk does not say for which file
            raise type(error)(error.errno, f"cannot write, {error.strerror}", str(path)) from error
        raise
    finally:
        beside.unlink(missing_ok=True)
    if durable:
        sync(path.parent)


def leftovers(path: str | Path) -> list[Path]:
    """Unfinished files beside `path` that processes which were killed while they wrote it have left behind."""
    path = Path(path)
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9]+")
    return [found for found in path.parent.glob(".*") if name.fullmatch(found.name)]


def sync(path: str | Path) -> None:
    """Have the system put a file's bytes, or a folder's entries, on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: str | Path) -> str:
    """Hexadecimal digest of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
