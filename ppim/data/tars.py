"""Which samples are in a tar file? Named as webdataset names them, read once to find out where everything is.

Members that share their path up to the first dot of the file's name are one sample and stand together: a photo, and
where there is one a label map (`.npy`). Its class stands in `.cls` (a number or a name) or `.json` (`cls`, `label` or
`class`), else it is the first folder of the path. Members of other kinds are passed over, and so are those whose names
begin with a dot (a Mac's tar puts `._1.jpg` beside `1.jpg`) or have none (README).
"""
from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from itertools import groupby
from typing import BinaryIO, NamedTuple

from ppim.data.lists import MOST_CLASSES
from ppim.data.photos import SUFFIXES

_MOST_CLASS = 1 << 20  # bytes of a member that says the class
_PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}


class Part(NamedTuple):
    """Where a member's bytes are."""

    name: str
    at: int
    size: int


class Sample(NamedTuple):
    """One photo of a tar file."""

    photo: Part
    label_map: Part | None
    said: str | None  # its class by `.cls` or `.json`, as written
    folder: str | None  # the first folder of its path


def shard_names(folder: str) -> list[str]:
    """The tar files that lie in a folder, sorted.

    Raises:
        ValueError: one of them is compressed as its name says.
    """
    names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith(".") and entry.is_file())
    packed = [name for name in names if name.endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"))]
    if packed:
        raise ValueError(f"{os.path.join(folder, packed[0])}: a compressed tar has no places to read from; unpack it "
                         "to .tar (photos are compressed already)")
    return [name for name in names if name.endswith(".tar")]


def holds_shards(folder: str) -> bool:
    """Are there tar files in a folder, and no folders that could be classes?"""
    with os.scandir(folder) as entries:
        seen = [(entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")]
    return any(name.endswith((".tar", ".tar.gz", ".tgz")) for name, _ in seen) and not any(is_dir for _, is_dir in seen)


def samples_of(path: str) -> Iterator[Sample]:
    """The samples of a tar file, in its order.

    Raises:
        ValueError: no tar, a compressed one, one that is cut off or damaged, a sample that is none; names the place.
    """
    with open(path, "rb") as file:
        for key, members in groupby(_members(path, file), lambda part: _split(part.name)[0]):
            yield _sample(path, file, key, list(members))


def _members(path: str, file: BinaryIO) -> Iterator[Part]:
    start = os.pread(file.fileno(), 6, 0)
    kind = next((kind for magic, kind in _PACKED.items() if start.startswith(magic)), None)
    if kind:
        raise ValueError(f"{path}: compressed by {kind}, so it has no places to read from; unpack it")
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while member := tar.next():
                tar.members = []  # it would keep all of them
                stem, dot, _ = member.name.rpartition("/")[2].partition(".")
                if member.isfile() and not (stem and dot):
                    continue
                if member.isreg() and not member.issparse():
                    yield Part(member.name.removeprefix("./"), member.offset_data, member.size)
                elif not member.isdir():
                    raise ValueError(f"{path}: {member.name} is a link or the like, wanted files alone")
            # a header that is none ends it as well
            end = os.pread(file.fileno(), tarfile.BLOCKSIZE, tar.offset)
            if end != bytes(tarfile.BLOCKSIZE):
                raise ValueError(f"{path}: damaged or cut off at byte {tar.offset:,}; make it again")
    except tarfile.TarError as error:
        raise ValueError(f"{path}: no whole tar file ({error}); make it again") from None


def _split(name: str) -> tuple[str, str]:
    """What the members of a sample share, and the suffix."""
    folder, _, base = name.rpartition("/")
    stem, dot, suffix = base.partition(".")
    return (f"{folder}/{stem}" if folder else stem), dot + suffix.lower()


def _sample(path: str, file: BinaryIO, key: str, members: list[Part]) -> Sample:
    photos = [part for part in members if _split(part.name)[1] in SUFFIXES]
    if len(photos) != 1:
        raise ValueError(f"{path}: sample {key} has {len(photos)} photos ({', '.join(part.name for part in members)}), "
                         "wanted one")
    by_suffix = {_split(part.name)[1]: part for part in members}
    said = None
    for suffix in (".cls", ".json"):
        if suffix in by_suffix and said is None:
            part = by_suffix[suffix]
            text = os.pread(file.fileno(), min(part.size, _MOST_CLASS), part.at)
            said = _class_of(f"{path}: {part.name}", suffix, text)
    folder = key.partition("/")[0] if "/" in key else None
    if said is None and folder is None:
        raise ValueError(f"{path}: sample {key} has no class: no {key}.cls, and it is in no folder")
    return Sample(photos[0], by_suffix.get(".npy"), said, folder)


def _class_of(where: str, suffix: str, text: bytes) -> str | None:
    try:
        if suffix == ".cls":
            said = text.decode("utf-8").strip() or None
        else:
            entries = json.loads(text)
            found = [entries[key] for key in ("cls", "label", "class") if key in entries]
            if found and type(found[0]) not in (int, str):
                raise ValueError(f"wanted a number or a name, got {found[0]!r:.80}")
            said = str(found[0]) if found else None
        if said and said[0] == "-" and said[1:].isdecimal():
            raise ValueError(f"wanted a number from 0 or a name, got {said:.80}")
        if said and said.isdecimal() and (len(said) > 9 or int(said) >= MOST_CLASSES):
            raise ValueError(f"wanted one below {MOST_CLASSES:,}, got {said:.80}")
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{where}: says no class ({error})") from None
    return said
