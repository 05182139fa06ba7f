"""How does a file appear? Whole or not at all: written beside its place, synced to the disk, renamed. And how is one
opened that somebody else has put there, found below a folder, or its name printed?"""
from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))
_LONGEST_NAME = 255 - len("..4194304")  # bytes; a file system allows 255, a process has a number of seven digits


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


def walk_through(folder: str, what: str, onerror: Callable[[OSError], object] | None = None,
                 ) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk` from a folder on, through links too; names that begin with a dot are passed over.

    Args:
        what: is looked for, in words.

    Raises:
        OSError: a link back to a folder through which it was reached.
    """
    for here, inside, names in os.walk(folder, onerror=onerror, followlinks=True):
        if os.path.islink(here) and _leads_back(here, folder):
            raise OSError(f"{here}: a link back to a folder above it, so that its {what} would come again and again; "
                          "remove it")
        inside[:] = [name for name in inside if name[0] != "."]
        yield here, inside, [name for name in names if name[0] != "."]


def _leads_back(link: str, folder: str) -> bool:
    """Does a link that was reached from `folder` on lead to a folder on the way to it, or to one above such a folder?
    """
    target = os.path.realpath(link)
    # of the way as it was gone: through another link this one may lead back to where that one lies
    way = [os.path.dirname(link), *(os.path.join(folder, above) for above in Path(link).relative_to(folder).parents)]
    return any(Path(os.path.realpath(above)).is_relative_to(target) for above in way)


def write_whole(path: str | Path, write: Callable[[Path], object], durable: bool = True) -> None:
    """Let `write` fill a file beside `path`, then put it in place in one step; its folder is made.

    Whoever reads `path` sees the old file or the new one; a crash leaves at most the unfinished `.<name>.<pid>`. Where
    `path` is a link, so does what it leads to; a pipe or a device is written to as it is.

    Args:
        durable: wait for the disk, so that not even a power cut leaves less; False for files easily made again.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file():  # asked before the link is followed: those of /proc lead to no path
        with _named(path):
            write(path)
        return
    path = _led_to(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{_hidden(path.name)}.{os.getpid()}")
    try:
        with _named(path):
            write(beside)
            if durable:
                sync(beside)
            os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    if durable:
        sync(path.parent)


def leftovers(path: str | Path) -> list[Path]:
    """Unfinished files beside `path` that processes which were killed while they wrote it have left behind."""
    path = _led_to(Path(path))
    name = re.compile(rf"{re.escape(_hidden(path.name))}\.[0-9]+")
    return [found for found in path.parent.glob(".*") if name.fullmatch(found.name)]


def _led_to(path: Path) -> Path:
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _hidden(name: str) -> str:
    """What an unfinished file is called before the number of its process, for which a long name leaves no room."""
    encoded = os.fsencode(name)
    return f".{name}" if len(encoded) <= _LONGEST_NAME else f".{hashlib.sha256(encoded).hexdigest()}"


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """A full disk does not say for which file."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise type(error)(error.errno, f"cannot write, {error.strerror}", str(path)) from error
        raise


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


def printable(name: str) -> str:
    """A file's name where it can be printed; what is no text in it becomes a question mark in a box."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
