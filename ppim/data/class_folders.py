"""When does a split of class folders appear that is unpacked here, and what does it hold?

What is in the making has a name that begins with a dot; a folder of its own name is complete.
"""
from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Counts(NamedTuple):
    """Of a split on disk."""

    images: int
    classes: int


def count(folder: Path) -> Counts:
    """What a split of class folders holds."""
    classes = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return Counts(sum(1 for path in classes for _ in path.iterdir()), len(classes))


def unfinished(folder: Path) -> Path:
    """Where a folder is made."""
    return folder.with_name(f".{folder.name}.part")


def put_in_place(folder: Path) -> None:
    """Name a folder as complete once the disk has its files, which is one wait for all of them."""
    os.sync()
    unfinished(folder).rename(folder)
