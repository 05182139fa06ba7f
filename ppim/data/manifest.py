"""What was once written down of a data set (`ppim data index`), and is that still so?

Beside the images of a split, in `.ppim-index/` of its folder (of `train_list.txt`: in `.ppim-index/train_list/`), lie
index files (`ppim.index`):

    images.index     the images in the order of `find_images`: paths; fields `label` int64 and `bytes`, the file's; of
                     tar shards also `shard`, `at` (where the photo begins in it), see `ppim.data.shards`
    sources.index    what that was made of, by name from the place on: the folders (a list: itself; shards: themselves)
                     with `changed`, their time stamps in ns, and `bytes`, of files
    maps.index       of tar shards with label maps: their stems in ascending order; `shard`, `at`, `bytes`

`images.index` says about itself: `kind` ("folders", "list", "shards"), `classes`, `numbered`, `skipped`, `inside` (what
of the data path belongs to the root), `checksum` (CRC-32 of all paths with line feeds between), `stems` (SHA-256 of all
stems, see `index.names_digest`; null where two images share one), and `sources`, the seal of the file it goes with.

A file that comes, goes or is renamed changes the stamp of its folder, which costs one look a folder to see. What that
cannot show: a file written anew under its name. `ppim data index --check` compares everything.
"""
from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from ppim.index import Index, write_index
from ppim.seal import SEAL_BYTES

FOLDER = ".ppim-index"
KINDS = ("folders", "list", "shards")


def manifest_folder(place: str) -> str:
    """Where the manifest of a split lies, whose images come from `place`: a folder, or a list."""
    if os.path.isfile(place):
        folder, name = os.path.split(place)
        return os.path.join(folder, FOLDER, os.path.splitext(name)[0])
    return os.path.join(place, FOLDER)


def open_manifest(place: str) -> Index | None:
    """The images written down of a split; None where nothing was.

    Raises:
        ValueError: they are not what lies there any more, or the file is damaged; the message says what changed.
    """
    folder = manifest_folder(place)
    if not os.path.isfile(os.path.join(folder, "images.index")):
        return None
    images = Index(os.path.join(folder, "images.index"))
    try:
        sources = Index(os.path.join(folder, "sources.index"))
    except FileNotFoundError:
        raise ValueError(_stale(folder, "sources.index is gone")) from None
    if images.about.get("kind") not in KINDS or images.about["sources"] != seal_of(sources.path):
        raise ValueError(_stale(folder, "its files do not belong together"))
    base = os.path.dirname(place) if os.path.isfile(place) else place
    for name, stamp, size in zip(sources, sources.field("changed"), sources.field("bytes")):
        if stamp_of(os.path.join(base, name)) != (stamp, size):
            raise ValueError(_stale(folder, f"{os.path.normpath(os.path.join(base, name))} has changed since"))
    return images


def _stale(folder: str, why: str) -> str:
    return (f"{folder}: what it says of the images may be so no more, {why}; run `ppim data index` again, or remove "
            f"the folder {FOLDER}")


def stamp_of(path: str) -> tuple[int, int]:
    """When a folder or file was last changed, in ns, and the bytes of a file (0 of a folder); (0, -1) of nothing."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, -1
    return found.st_mtime_ns, 0 if os.path.isdir(path) else found.st_size


def seal_of(path: str) -> str:
    """The digest at the end of a sealed file, as it stands there."""
    with open(path, "rb") as file:
        file.seek(-SEAL_BYTES, os.SEEK_END)
        return file.read().decode("ascii", "replace").split()[-1]



def write_sources(folder: str, stamps: Mapping[str, tuple[int, int]]) -> str:
    """Write down what the images come from, name -> `stamp_of` it; the seal of the file."""
    changed, sizes = np.array(list(stamps.values()), np.int64).reshape(-1, 2).T
    path = os.path.join(folder, "sources.index")
    write_index(path, stamps, {"changed": changed, "bytes": sizes}, {})
    return seal_of(path)
