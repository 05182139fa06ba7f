"""Which file operations does a program do, and how is one of them made to go wrong? Python's side of file_faults.c."""
from __future__ import annotations

import ctypes
import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("file_faults.c")
KINDS = {  # kind: (error, does it stay?)
    "kill": (0, False),  # half of what is written, then SIGKILL
    "power": (0, False),  # the same, and whatever was not synced is zeros afterwards
    "full": (errno.ENOSPC, True),  # the disk is full from here on
    "error": (errno.EIO, False),  # the disk fails once
}


class Fault(NamedTuple):
    """What goes wrong, one of KINDS, and at which operation, as a list names it."""

    kind: str
    at: str


class Done(NamedTuple):
    """An operation that was listed."""

    name: str  # what, path and number
    inode: int  # of the open file, or 0
    size: int  # of that file before
    here: bool  # did a fault strike?


def why_not() -> str | None:
    """What this machine lacks for injecting faults; None where nothing."""
    if os.uname().sysname != "Linux":
        return "faults are injected on Linux alone"
    return None if shutil.which("cc") else "no C compiler (cc), with which the injector is built"


def build(folder: Path) -> Path:
    """Compile the injector into `folder`."""
    library = folder / "file_faults.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl", "-lpthread"], check=True)
    return library


def environment(library: Path, root: Path, listed: Path, fault: Fault | None) -> dict[str, str]:
    """What a fresh process needs in its environment to be struck by `fault` below `root`."""
    error, stays = KINDS[fault.kind] if fault else (0, False)
    found = {"LD_PRELOAD": str(library), "FAULT_ROOT": str(root), "FAULT_LIST": str(listed),
             "FAULT_AT": fault.at if fault else "", "FAULT_ERRNO": str(error)}
    return {**found, "FAULT_STICKY": "1"} if stays else found


def arm(root: Path, listed: Path, fault: Fault | None) -> None:
    """The same for this process, which was started with the injector."""
    error, stays = KINDS[fault.kind] if fault else (0, False)
    words = (str(root), str(listed), fault.at if fault else "")
    ctypes.CDLL(None).fault_arm(*(os.fsencode(word) for word in words), error, int(stays))


def read_list(listed: Path) -> list[Done]:
    """The operations a process has done, in order; the one that struck may be its last."""
    if not listed.exists():
        return []
    rows = [line.split("\t") for line in os.fsdecode(listed.read_bytes()).splitlines()]
    return [Done(name, int(inode), int(size), here == "here") for name, inode, size, here in rows]


def lose_unsynced(root: Path, done: list[Done]) -> list[str]:
    """Make zeros of all bytes below `root` that were written and not synced, as a power cut may; the files it met."""
    synced: dict[int, int] = {}
    dirty: set[int] = set()
    for name, inode, size, here in done:
        what = name.split(" ", 1)[0]
        if what in ("write", "ftruncate"):
            # an inode may have belonged to a file before
            synced[inode] = min(synced.get(inode, 0 if size == 0 else size), size)
            dirty.add(inode)
        elif what == "sync" and not here:
            dirty.clear()
        elif what == "fsync" and not here:
            synced[inode] = size
            dirty.discard(inode)
    lost = []
    for path in sorted(root.rglob("*")):
        about = path.lstat()
        if path.is_file() and about.st_ino in dirty and about.st_size > synced[about.st_ino]:
            with path.open("r+b") as file:
                file.seek(synced[about.st_ino])
                file.write(bytes(about.st_size - synced[about.st_ino]))
            lost.append(path.relative_to(root).as_posix())
    return lost
