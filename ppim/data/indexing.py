"""How is a data set written down, once, so that nobody has to look for its images again? `ppim data index`"""
from __future__ import annotations

import contextlib
import os
import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from ppim.data.datasets import (
    SPLIT_FOLDERS,
    find_listed,
    folder_faults,
    images_below,
    scan_top,
    split_place,
)
from ppim.data.images import ImageList, joined_checksum
from ppim.data.manifest import manifest_folder, stamp_of, write_sources
from ppim.data.tars import holds_shards, samples_of, shard_names
from ppim.index import Index, names_digest, write_index
from ppim.token_labels.maps import stem_of

Advance = Callable[[int], None]  # told how many images more have been written down


@dataclass
class _Noted:
    """What is found out on the way through the images."""

    place: str
    advance: Advance
    fields: dict[str, np.ndarray] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=lambda: {
        "numbered": False, "skipped": {}, "inside": "", "checksum": 0, "stems": None, "shared": ""})
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict)  # of what the images come from
    stems: list[bytes] = field(default_factory=list)

    def take(self, paths: list[str]) -> list[str]:
        """Some images more."""
        self.about["checksum"] = joined_checksum(paths, self.about["checksum"])
        self.stems += (os.fsencode(stem_of(path)) for path in paths)
        self.advance(len(paths))
        return paths

    def finish(self) -> None:
        """Digest of all stems; `shared` says which of them comes twice, if one does."""
        self.stems.sort()
        try:
            self.about["stems"] = names_digest(map(os.fsdecode, self.stems))
        except ValueError as error:
            self.about["shared"] = str(error)


def places_of(data_path: str) -> dict[str, str]:
    """Where the images of each split come from (`datasets.split_place`); of one that both share, once.

    Raises:
        FileNotFoundError: there is neither.
    """
    found: dict[str, str] = {}
    for split in SPLIT_FOLDERS:
        try:
            place = split_place(os.fspath(data_path), split)
        except FileNotFoundError:
            if split == "val" and not found:
                raise
            continue
        if place not in found.values():
            found[split] = place
    return found


def index_split(data_path: str, split: str, advance: Advance, folder: str | None = None) -> Index:
    """Write down the images of a split, as `find_images` finds them.

    Args:
        advance: told how many images more have been written down.
        folder: where to; None: beside them, where `find_images` looks.

    Raises:
        FileNotFoundError: there is no such split. ValueError: what `find_images` refuses, all of it at once; an image
            that is not there; a tar file that is damaged or compressed; something changed meanwhile.
    """
    data_path = os.fspath(data_path)
    place = split_place(data_path, split)
    if folder is None:
        with _own_folder(place) as own:  # before anything is looked at: it changes the stamp of the folder it is in
            return _write_down(data_path, split, place, advance, own)
    return _write_down(data_path, split, place, advance, folder)


@contextlib.contextmanager
def _own_folder(place: str) -> Iterator[str]:
    """The folder for what is written down of a split; of what was refused nothing stays, and no stamp is changed."""
    folder = manifest_folder(place)
    base = (os.path.dirname(place) or ".") if os.path.isfile(place) else place
    before = os.stat(base)
    os.makedirs(folder, exist_ok=True)
    made = stamp_of(base)
    try:
        yield folder
    finally:
        is_as_made = stamp_of(base) == made
        with contextlib.suppress(OSError):
            for one in (folder, os.path.dirname(folder))[:1 + os.path.isfile(place)]:
                os.rmdir(one)
            # a class folder that was taken for a data set belongs to one, whose own index knows its stamp
            if is_as_made:
                os.utime(base, ns=(before.st_atime_ns, before.st_mtime_ns))


def _write_down(data_path: str, split: str, place: str, advance: Advance, folder: str) -> Index:
    noted = _Noted(place, advance)
    if os.path.isfile(place):
        names = _of_list(noted, data_path, split)
    else:
        names = _of_shards(noted, folder) if holds_shards(place) else _of_folders(noted)

    def all_names() -> Iterator[str]:
        yield from names
        noted.finish()
        base = os.path.dirname(place) if os.path.isfile(place) else place
        changed = [name for name, stamp in noted.stamps.items() if stamp_of(os.path.join(base, name)) != stamp]
        if changed:
            raise ValueError(f"{os.path.join(base, changed[0])} changed while it was looked at; run this again once "
                             "nobody writes there")
        noted.about["sources"] = write_sources(folder, noted.stamps)

    write_index(os.path.join(folder, "images.index"), all_names(), noted.fields, noted.about)
    return Index(os.path.join(folder, "images.index"))


def _of_folders(noted: _Noted) -> Iterator[str]:
    noted.stamps["."] = stamp_of(noted.place)
    skipped: Counter[str] = Counter()
    top = scan_top(noted.place)
    counts: dict[str, int] = {}
    sizes = array("Q")
    for name in top.images:
        paths = images_below(os.path.join(noted.place, name), name, skipped, noted.stamps)
        counts[name] = len(paths)
        sizes.extend(_sizes(noted.place, paths))
        yield from noted.take(paths)
    # what makes a folder no split is said of how many images a class has, not of which
    faults = folder_faults(noted.place, top._replace(images={name: range(count) for name, count in counts.items()}))
    if faults:
        raise ValueError("\n".join(faults))
    noted.about.update(kind="folders", classes=list(counts), skipped=dict(skipped + top.skipped))
    noted.fields.update(label=np.repeat(np.arange(len(counts), dtype=np.int64), list(counts.values())),
                        bytes=_small(np.frombuffer(sizes, np.uint64)))


def _of_list(noted: _Noted, data_path: str, split: str) -> Iterator[str]:
    noted.stamps[os.path.basename(noted.place)] = stamp_of(noted.place)
    images: ImageList = find_listed(data_path, noted.place, split)
    sizes = array("Q", _sizes(images.root, images.paths))
    yield from noted.take(list(images.paths))
    inside = next((name for name in SPLIT_FOLDERS[split] if images.root == os.path.join(data_path, name)), "")
    noted.about.update(kind="list", classes=images.classes, numbered=images.numbered, inside=inside)
    noted.fields.update(label=images.labels, bytes=_small(np.frombuffer(sizes, np.uint64)))


def _of_shards(noted: _Noted, folder: str) -> Iterator[str]:
    found = {name: array("Q") for name in ("shard", "at", "bytes")}
    maps = {name: array("Q") for name in ("photo", "at", "bytes")}
    said, folders = _Names(), _Names()
    top, shards = stamp_of(noted.place), shard_names(noted.place)
    for number, shard in enumerate(shards):
        noted.stamps[shard] = stamp_of(os.path.join(noted.place, shard))
        block: list[str] = []
        for sample in samples_of(os.path.join(noted.place, shard)):
            for name, value in zip(found, (number, sample.photo.at, sample.photo.size)):
                found[name].append(value)
            if sample.label_map:
                for name, value in zip(maps, (len(found["at"]) - 1, *sample.label_map[1:])):
                    maps[name].append(value)
            said.add(sample.said)
            folders.add(sample.folder)
            block.append(sample.photo.name)
        yield from noted.take(block)
    noted.stamps["."] = top  # behind the tar files, which are known by their numbers
    if not found["at"]:
        raise ValueError(f"{noted.place}: no sample in {len(shards)} tar files")
    labels, classes, numbered = _classes(noted.place, said, folders)
    noted.about.update(kind="shards", classes=classes, numbered=numbered, shards=len(shards))
    noted.fields.update({name: _small(np.frombuffer(values, np.uint64)) for name, values in found.items()})
    noted.fields["label"] = labels
    _write_maps(os.path.join(folder, "maps.index"), noted, {name: np.frombuffer(values, np.uint64)
                                                            for name, values in maps.items()})


def _write_maps(path: str, noted: _Noted, maps: dict[str, np.ndarray]) -> None:
    """Write down where the label maps of shards are, by stem; nothing where there are none."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
    stems, photos = noted.stems, maps["photo"]
    if not len(photos):
        return
    order = np.array(sorted(range(len(photos)), key=lambda entry: stems[photos[entry]]), np.int64)
    photos = photos[order]
    twice = next((photo for photo, behind in zip(photos, photos[1:]) if stems[photo] == stems[behind]), None)
    if twice is not None:
        raise ValueError(f"{noted.place}: two photos with label maps are called {os.fsdecode(stems[twice])} (up to the "
                         "suffix), and a map is found by that name; rename one of them in its tar file")

    def names() -> Iterator[str]:
        return (os.fsdecode(stems[photo]) for photo in photos.tolist())

    fields = {"shard": noted.fields["shard"][photos.astype(np.int64)], "at": _small(maps["at"][order]),
              "bytes": _small(maps["bytes"][order])}
    write_index(path, names(), fields, {"stems": names_digest(names()), "shards": noted.about["shards"]})


class _Names:
    """Texts, each kept once, and which comes when; None for none."""

    def __init__(self):
        self.places: dict[str | None, int] = {}
        self.order = array("I")

    def add(self, text: str | None) -> None:
        self.order.append(self.places.setdefault(text, len(self.places)))


def _classes(place: str, said: _Names, folders: _Names) -> tuple[np.ndarray, list[str], bool]:
    """Labels, the names of the classes, and whether those are numbers with no names.

    Numbers in `.cls` are the labels; they have names where each goes with one folder, and each folder with one.
    """
    own = said if None not in said.places else folders
    if own is folders and (len(said.places) > 1 or None in folders.places):
        raise ValueError(f"{place}: some samples have a .cls (or .json) that says their class, and some have not")
    order, texts = np.frombuffer(own.order, np.uint32), list(own.places)
    numbered = own is said and all(text.isdecimal() for text in texts)
    if not numbered:
        classes = sorted(texts)
        place = {text: number for number, text in enumerate(classes)}
        table = np.array([place[text] for text in texts], np.int64)
        return table[order], classes, False
    numbers = np.array(list(map(int, texts)), np.int64)
    pairs = {*zip(order.tolist(), np.frombuffer(folders.order, np.uint32).tolist())} if len(texts) == len(
        folders.places) and None not in folders.places and sorted(numbers) == list(range(len(texts))) else set()
    if len(pairs) != len(texts):
        return numbers[order], list(map(str, range(int(numbers.max()) + 1))), True
    names = list(folders.places)
    return numbers[order], [names[folder] for _, folder in sorted((numbers[text], folder) for text, folder in pairs)], \
        False


def _sizes(root: str, paths: list[str]) -> Iterator[int]:
    for path in paths:
        try:
            yield os.stat(os.path.join(root, path)).st_size
        except OSError as error:
            raise ValueError(f"{os.path.join(root, path)}: {error.strerror}; mend or remove it") from None


def _small(values: np.ndarray) -> np.ndarray:
    """The same numbers in four bytes each where they fit."""
    return values.astype(np.uint32) if not len(values) or values.max() < 2**32 else values


def difference(data_path: str, split: str, kept: Index, advance: Advance) -> str:
    """In what the images written down differ from those that are there, for people; "" where they do not."""
    with tempfile.TemporaryDirectory() as folder:
        now = index_split(data_path, split, advance, folder)
        for pair in zip_longest(kept, now):
            if pair[0] != pair[1]:
                return f"{pair[0] or 'nothing'} is written down where {pair[1] or 'nothing'} is"
        for name, values in now.fields().items():
            wrong = np.flatnonzero(kept.field(name) != values)
            if len(wrong):
                at = wrong[0]
                return f"{now[at]}: {name} {kept.field(name)[at]} is written down, it is {values[at]}"
        names = [name for name in now.about if name != "sources" and now.about[name] != kept.about[name]]
        return f"{names[0]} is not what is written down" if names else ""
