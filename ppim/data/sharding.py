"""How do photos, their classes and their label maps become tar shards? Plain tar files as webdataset reads them.

`000000.tar`, `000001.tar`, ...: of each photo, under the path it has in its data set, the photo as it is, its label map
(`.npy`) if there is one, and its class (`.cls`): the number, or the name where the photos' first folders do not say it.
The photos stand in an order that is random but always the same, so that what is read one behind the other is a mixture;
those of a validation split stay in their order.
"""
from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ppim.data.images import ImageList
from ppim.files import open_regular, write_whole
from ppim.seeds import order_rng
from ppim.token_labels.card import CARD, card_place
from ppim.token_labels.manifest import is_pack
from ppim.token_labels.maps import map_path
from ppim.token_labels.shard_maps import has_shard_maps

_BLOCK = 512


def write_shards(images: ImageList, folder: str | os.PathLike[str], maps: str | None, size: int, mixed: bool,
                 advance: Callable[[int], None]) -> int:
    """Write the images of a split into tar files of at least `size` bytes; their number. Files that are there stay, if
    they hold just what would be written; nothing is, not even the card, where one of them holds something else.

    Args:
        folder: is made.
        maps: folder of label maps (`.npy`), whose card comes to lie beside the tar files; None: none.
        mixed: in a random order.
        advance: told how many photos more have been written.

    Raises:
        ValueError: two photos whose names differ in nothing that tar files keep of them, tar files of something else;
            a folder that has folders.
        FileNotFoundError: a photo or map that is not there.
    """
    if maps:
        _check_maps(maps)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    inside = min((entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."), default=None)
    if inside:
        raise ValueError(f"{folder}: has folders, {inside} among them, which count as classes and tar files beside "
                         "them as nothing; give an empty folder")
    order = order_rng(0, 0).permutation(len(images)) if mixed else np.arange(len(images))
    portions = list(_portions(images, order, maps, size))
    _check_keys(images, portions)
    wanted = {folder / f"{number:06}.tar": rows for number, rows in enumerate(portions)}
    members_of = partial(_members_of, images, _said_classes(images), maps)
    kept = {path for path in wanted if path.exists()}
    for path in sorted(kept):
        _check_kept(path, members_of(wanted[path]))
        advance(len(wanted[path]))
    surplus = folder / f"{len(portions):06}.tar"
    if surplus.exists():
        raise ValueError(f"{surplus}: a tar file of other shards; give an empty folder")
    if maps and (card := card_place(maps)).is_file():
        write_whole(folder / CARD, lambda beside: beside.write_bytes(card.read_bytes()))
    for path in sorted(wanted.keys() - kept):
        write_whole(path, partial(_write, members=members_of(wanted[path])))
        advance(len(wanted[path]))
    return len(portions)


def _check_kept(path: Path, members: list[Member]) -> None:
    """Refuse a tar file that holds something else than these members."""
    if not _holds(path, members):
        raise ValueError(f"{path}: is there already, and holds something else than these photos, classes and label "
                         "maps; remove the tar files there, or give an empty folder")


def _check_keys(images: ImageList, portions: list[list[int]]) -> None:
    """Refuse two photos that would have one name."""
    keys = set()
    for row in chain.from_iterable(portions):
        key = key_of(images.paths[row])
        if key in keys:
            raise ValueError(f"{images.full_path(row)}: another photo is called {key} in tar files as well (up to "
                             "the first dot, dots within become _); rename one of them")
        keys.add(key)


def key_of(path: str) -> str:
    """What a photo is called in a tar file, without its suffix: no dot may stand before that one."""
    folder, name = os.path.split(os.path.splitext(path)[0])
    return os.path.join(folder, name.replace(".", "_"))


Member = tuple[str, Callable[[], bytes], int]  # name, its bytes, how many


def _portions(images: ImageList, order: np.ndarray, maps: str | None, size: int) -> Iterator[list[int]]:
    """The photos of each shard."""
    rows, held = [], 0
    for row in order.tolist():
        rows.append(row)
        held += images.size(row)
        if maps:
            held += _map_size(images, row, maps)
        if held >= size:
            yield rows
            rows, held = [], 0
    if rows:
        yield rows


def _map_size(images: ImageList, row: int, maps: str) -> int:
    label_map = map_path(maps, images.paths[row])
    try:
        return os.stat(label_map).st_size
    except FileNotFoundError:
        raise FileNotFoundError(f"{label_map}: no label map there for {images.full_path(row)}; make the missing ones, "
                                "or correct the folder's path") from None


def _check_maps(maps: str) -> None:
    """Refuse maps that lie in no files of their own."""
    held = "a pack" if is_pack(maps) else "label maps in tar files" if has_shard_maps(maps) else ""
    if held:
        instead = "`ppim labels pack --unpack` takes them out" if is_pack(maps) else "give the one they were made of"
        raise ValueError(f"{maps}: {held}, wanted a folder of .npy files; {instead}")


def _said_classes(images: ImageList) -> list[bytes]:
    """What `.cls` says of each class: a number has no name for who reads it, unless folders have it."""
    numbers = list(map(str, range(len(images.classes))))
    told = images.numbered or all(path.startswith(f"{images.classes[label]}/")
                                 for path, label in zip(images.paths, images.labels))
    return [text.encode("utf-8", "surrogateescape") for text in (numbers if told else images.classes)]


def _members_of(images: ImageList, said: list[bytes], maps: str | None, rows: list[int]) -> list[Member]:
    return [part for row in rows for part in _members(images, row, said[images.labels[row]], maps)]


def _members(images: ImageList, row: int, label: bytes, maps: str | None) -> list[Member]:
    path = images.paths[row]
    key = key_of(path)
    found = [(key + os.path.splitext(path)[1], lambda: _content(images.open(row)), images.size(row))]
    if maps:
        label_map = map_path(maps, path)
        found.append((key + ".npy", lambda: _content(open_regular(label_map)), os.stat(label_map).st_size))
    return [*found, (key + ".cls", lambda: label, len(label))]


def _content(opened: BinaryIO) -> bytes:
    with opened:
        return opened.read()


def _write(path: Path, members: list[Member]) -> None:
    # nothing of when and by whom: the same photos make the same bytes
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, size in members:
            data = content()
            if len(data) != size:
                raise ValueError(f"{name} has changed while it was packed; run this again once nobody writes there")
            info = tarfile.TarInfo(name)
            info.size = size
            tar.addfile(info, io.BytesIO(data))


def _holds(path: Path, members: list[Member]) -> bool:
    """Is a tar file, byte by byte, the one that `_write` makes of these members?"""
    with open_regular(path) as file:
        for name, content, size in members:
            wanted = _header(name, size) + content() + bytes(-size % _BLOCK)
            if file.read(len(wanted)) != wanted:
                return False
        end = file.tell() + 2 * _BLOCK
        return file.read() == bytes(2 * _BLOCK + -end % tarfile.RECORDSIZE)


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
