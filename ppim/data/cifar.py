"""The archives of CIFAR-10 and CIFAR-100 as class folders, the binary ones and those of Python's pickles.

Both hold the photos in one order, and only the pickles have names for them, so a photo is called by its number within
its class, the same from either. A split appears complete or not at all: what is in the making has a name that begins
with a dot. Archives are not trusted: files of other names are passed over, and pickles are not run.
"""
from __future__ import annotations

import re
import shutil
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ppim.data.class_folders import count, put_in_place, unfinished

SIDE = 32  # pixels of a photo
COMPLETE = {"train": 50_000, "test": 10_000}  # photos, of CIFAR-10 as of CIFAR-100
_MOST = 1 << 28  # bytes of a file in an archive; the largest has 154 million

Unpickle = Callable[[bytes], Any]


class Form(NamedTuple):
    """How an archive is laid out.

    Attributes:
        name: of the data set.
        splits: files by split, in the order of their photos.
        meta: the file that names the classes.
        lead: bytes before the pixels of a binary record, the last of which is the label.
        keys: where files are pickles, of the classes' names and of the labels.
    """

    name: str
    splits: Mapping[str, Sequence[str]]
    meta: str
    lead: int = 0
    keys: tuple[str, str] | None = None


class Archive(NamedTuple):
    """What was read: the data set's name, those of its classes, and by split, for each of its files, pixels (n, 3072)
    uint8, one plane of 32 x 32 after the other, and labels (n,) int64."""

    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]


_BATCHES = [f"data_batch_{number}" for number in range(1, 6)]
_FORMS = (
    Form("cifar10", {"train": [f"{name}.bin" for name in _BATCHES], "test": ["test_batch.bin"]}, "batches.meta.txt", 1),
    Form("cifar10", {"train": _BATCHES, "test": ["test_batch"]}, "batches.meta", keys=("label_names", "labels")),
    Form("cifar100", {"train": ["train.bin"], "test": ["test.bin"]}, "fine_label_names.txt", 2),
    Form("cifar100", {"train": ["train"], "test": ["test"]}, "meta", keys=("fine_label_names", "fine_labels")),
)


def read_archive(path: Path, unpickle: Unpickle) -> Archive:
    """An archive as the data sets' page gives it out, or unpacked to `.tar`.

    Args:
        unpickle: the value of a pickle, which is not run; raises ValueError where it holds more than plain data.

    Raises:
        FileNotFoundError: no such file. ValueError: it is damaged, or no archive of CIFAR.
    """
    files = _files(path)
    form = next((form for form in _FORMS if form.meta in files), None)
    if form is None:
        raise ValueError(f"{path}: no archive of CIFAR-10 or CIFAR-100; wanted cifar-10-binary.tar.gz, "
                         "cifar-10-python.tar.gz or those of cifar-100")
    try:
        classes = _classes(form, files[form.meta], unpickle)
        read = _of_pickle if form.keys else _of_records
        splits = {split: [read(form, name, files[name], unpickle) for name in names]
                  for split, names in form.splits.items()}
        highest = max((int(labels.max()) for parts in splits.values() for _, labels in parts if len(labels)), default=0)
        if highest >= len(classes):
            raise ValueError(f"a label is {highest}, there are {len(classes)} classes")
    except KeyError as error:
        raise ValueError(f"{path}: has no {error.args[0]}; get it again") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}; get it again") from error
    return Archive(form.name, classes, splits)


def write_split(archive: Archive, split: str, folder: Path, quality: int | None = None) -> int:
    """Write a split below `folder`, CLASS/NUMBER.png, or .jpg of a quality; how many photos it has. A folder that is
    there is complete and left alone."""
    if folder.is_dir():
        return count(folder).images
    part = unfinished(folder)
    shutil.rmtree(part, ignore_errors=True)
    for name in archive.classes:
        (part / name).mkdir(parents=True)
    seen: Counter[int] = Counter()
    for pixels, labels in archive.splits[split]:
        for planes, label in zip(pixels, labels.tolist()):
            path = part / archive.classes[label] / f"{seen[label]:04d}"
            photo = Image.fromarray(np.ascontiguousarray(planes.reshape(3, SIDE, SIDE).transpose(1, 2, 0)))
            if quality is None:
                photo.save(path.with_suffix(".png"))
            else:
                photo.save(path.with_suffix(".jpg"), quality=quality)
            seen[label] += 1
    put_in_place(folder)
    return sum(seen.values())


def _files(path: Path) -> dict[str, bytes]:
    wanted = {name for form in _FORMS for names in ([form.meta], *form.splits.values()) for name in names}
    try:
        with tarfile.open(path) as tar:
            found = ((member.name.rpartition("/")[2], member) for member in tar)
            return {name: tar.extractfile(member).read() for name, member in found
                    if name in wanted and member.isfile() and member.size <= _MOST}
    except FileNotFoundError:
        raise
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path}: damaged, incomplete or no tar ({error}); get it again") from error


def _classes(form: Form, meta: bytes, unpickle: Unpickle) -> tuple[str, ...]:
    names = (_entries(form.meta, meta, unpickle, form.keys[0])[0] if form.keys else
             meta.decode("ascii", "replace").split())
    if not isinstance(names, list) or not names or len(names) != len(set(map(str, names))) or not all(
            isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in names):
        raise ValueError(f"{form.meta} does not name classes, wanted a plain word for each")
    return tuple(names)


def _of_records(form: Form, name: str, data: bytes, _: Unpickle) -> tuple[np.ndarray, np.ndarray]:
    size = form.lead + 3 * SIDE * SIDE
    if len(data) % size:
        raise ValueError(f"{name}: {len(data):,} bytes are no whole records of {size:,}")
    records = np.frombuffer(data, np.uint8).reshape(-1, size)
    return records[:, form.lead:], records[:, form.lead - 1].astype(np.int64)


def _of_pickle(form: Form, name: str, data: bytes, unpickle: Unpickle) -> tuple[np.ndarray, np.ndarray]:
    pixels, labels = _entries(name, data, unpickle, "data", form.keys[1])
    if not hasattr(pixels, "array") or not isinstance(labels, list):
        raise ValueError(f"{name}: wanted an array of pixels and a list of labels")
    pixels = pixels.array()
    shape = len(labels), 3 * SIDE * SIDE
    if pixels.dtype != np.uint8 or pixels.shape != shape or not all(type(n) is int and n >= 0 for n in labels):
        raise ValueError(f"{name}: wanted uint8 pixels of shape {shape} and a label for each, got {pixels.dtype} of "
                         f"shape {pixels.shape}")
    return pixels, np.array(labels, np.int64)


def _entries(name: str, data: bytes, unpickle: Unpickle, *keys: str) -> list[Any]:
    value = unpickle(data)
    if not isinstance(value, dict) or not set(keys) <= set(value):
        raise ValueError(f"{name} has no {' and '.join(keys)}")
    return [value[key] for key in keys]
