"""Which photos are meant by the paths that were typed? Files, folders, patterns, and `-` for a list on stdin."""
from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import BinaryIO, NamedTuple

from ppim.data.datasets import images_below
from ppim.data.photos import SUFFIXES

STDIN = "-"


class Meant(NamedTuple):
    """A photo's path as it was typed or found, or, with `error`, what was typed and why no photo is meant by it."""

    path: str
    error: str = ""


def meant(typed: Iterable[str | os.PathLike[str]], stdin: BinaryIO | None = None) -> list[Meant]:
    """The photos, in the order typed; of a folder and of a pattern sorted by path.

    A file is taken whatever its suffix, of a folder (with those inside it) and of a pattern (`*`, `?`, `[a-z]`, `**`)
    what has a suffix of an image and is not hidden. A path that is not there is a photo that cannot be read.

    Args:
        stdin: for `-`: one path a line; None: the process' own.

    Raises:
        ValueError: nothing at all is typed.
    """
    found = [photo for one in typed for photo in _of_one(os.fspath(one), stdin)]
    if not found:
        raise ValueError("no photo is named; give files, folders, patterns, or - and their paths on stdin")
    return found


def _of_one(typed: str, stdin: BinaryIO | None) -> Sequence[Meant]:
    if typed == STDIN:
        own = sys.stdin.buffer if sys.stdin else ()  # it may be closed
        lines = (line.rstrip(b"\r\n") for line in stdin or own)
        return [photo for line in lines if line for photo in _of_path(os.fsdecode(line))]
    return _of_path(typed)


def _of_path(typed: str) -> Sequence[Meant]:
    if os.path.isdir(typed):
        return _of_folder(typed)
    if os.path.lexists(typed) or not glob.has_magic(typed):
        return [Meant(typed)]
    matched = sorted(glob.glob(typed, recursive=True))
    photos = [Meant(path) for path in matched if path.lower().endswith(SUFFIXES) and not os.path.isdir(path)]
    folders = [] if "**" in typed else [path for path in matched if os.path.isdir(path)]
    photos = sorted([*photos, *(photo for folder in folders for photo in _of_folder(folder) if not photo.error)])
    return photos or [Meant(typed, f"{typed}: no image has such a path (looked for {' '.join(SUFFIXES)})")]


def _of_folder(folder: str) -> Sequence[Meant]:
    head = folder.rstrip("/") or "/"
    try:
        found = images_below(folder, head, Counter())
    except OSError as error:
        return [Meant(folder, str(error))]
    return [Meant(path) for path in found] or [
        Meant(folder, f"{folder}: no image in this folder or below (looked for {' '.join(SUFFIXES)})")]
