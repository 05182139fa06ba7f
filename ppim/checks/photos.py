"""Do the photos and their classes make sense: every class has some, a class means the same in both splits, and no
photo is in both?
"""
from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from ppim.checks.finding import Finding, error, few, fine, unknown, warning
from ppim.data.datasets import SPLIT_FOLDERS
from ppim.data.images import ImageList, walked

_SIZES_A_READ = 8  # files of a split whose size is looked up, for each that may be opened
_READS_A_SIZE = 8  # files of one size that are compared with a photo of that size

Suspect = tuple[int, list[int]]  # a validation photo, and the training photos that may be the same file


def data_set_is_fit(faults: Sequence[str], decoded: int, where: str) -> Finding:
    """What `ppim data check` says of a data set of which every photo has been decoded."""
    check = "photos decoded"
    if faults:
        return error(check, where=where, wanted=f"{decoded:,} photos fit to train on", got=f"{len(faults):,} faults, "
                     f"the first: {faults[0]}", hint="`ppim data check` lists all")
    return fine(check, f"{decoded:,} photos, all fit to train on")


def classes_have_photos(images: ImageList, num_classes: int) -> Finding:
    """Has each of the model's `num_classes` classes photos?"""
    check = "classes have photos"
    counts = images.counts(num_classes)
    empty = np.flatnonzero(counts == 0)
    if not len(empty):
        return fine(check, f"{len(images.classes)} classes of {counts.min()} to {counts.max()} photos in {images.root}")
    names = [f"{label} ({images.classes[label]})" if label < len(images.classes) else label for label in empty]
    return warning(check, where=images.root, wanted=f"photos of each of {num_classes} classes",
                   got=f"none of {len(empty)} of them: {few(names)}",
                   hint="a class without any is never taught: add them, or leave MODEL.NUM_CLASSES out")


def labels_are_folders(images: ImageList) -> Finding:
    """Does a photo that lies in a folder named after a class have that class?

    A folder that is named as a split is taken for one, though a class may have that name.
    """
    check = "labels and folders"
    splits = {folder for folders in SPLIT_FOLDERS.values() for folder in folders}
    position = {name: label for label, name in enumerate(images.classes) if name not in splits}
    some = walked(len(images))
    folders = (path.partition("/")[0] if "/" in path else "" for path in map(images.paths.__getitem__, some))
    named = np.array([position.get(folder, -1) for folder in folders])
    labels = images.labels[some.start:some.stop:some.step]
    wrong = np.flatnonzero((named >= 0) & (named != labels))
    if not len(wrong):
        told = int((named >= 0).sum())
        return fine(check, f"{told:,} photos lie in the folder of their class") if told else unknown(
            check, "no folder is named after a class")
    first = wrong[0]
    return error(check, where=f"{images.root}/{images.paths[some[first]]}",
                 wanted=f"class {named[first]} ({images.classes[named[first]]}), as its folder is named",
                 got=f"class {labels[first]} ({images.classes[labels[first]]}), and {len(wrong):,} of {len(some):,} "
                     "photos like it", hint="correct the list of photos, or the names of its classes")


def splits_agree(train: ImageList, val: ImageList) -> Finding:
    """Do folders of one name, in lists that give their photos' classes as numbers, have one class in both splits?

    A photo that lies below the folder of its class has the class of that name, whatever folders inside it are called.
    """
    check = "classes of both splits"
    ours, theirs = _class_of_folders(train), _class_of_folders(val)
    both = sorted(set(ours) & set(theirs))
    other = [name for name in both if ours[name] != theirs[name]]
    if other:
        name = other[0]
        return error(check, where=val.root, wanted=f"class {ours[name]} for photos in {name}/, as in training",
                     got=f"class {theirs[name]}, and {len(other)} of {len(both)} folders like it",
                     hint="number the classes of both lists alike")
    return fine(check, f"{len(both)} folders have one class in both") if both else unknown(
        check, "no folder of photos has the same name in both")


def _class_of_folders(images: ImageList) -> dict[str, str]:
    """The name of the class of each folder whose photos have but one."""
    classes = defaultdict(set)
    some = walked(len(images))
    paths = images.paths if len(some) == len(images) else map(images.paths.__getitem__, some)
    for path, label in zip(paths, images.labels[some.start:some.stop:some.step].tolist()):
        top, inside = path.partition("/")[0], path.rpartition("/")[0].rpartition("/")[2]
        classes[top if top == images.classes[label] else inside].add(label)
    return {folder: images.classes[labels.pop()] for folder, labels in classes.items() if folder and len(labels) == 1}


def splits_are_apart(train: ImageList, val: ImageList, reads: int) -> Finding:
    """Is a validation photo, byte for byte, a training photo too?

    Args:
        reads: files that are opened at most; photos whose size or name few others have are looked at first. Names are
            all compared (of more than two million, 50,000), sizes of eight times as many files.
    """
    check = "photos in both splits"
    if os.path.realpath(train.root) == os.path.realpath(val.root) and _holds_all(train, val):
        return warning(check, where=val.root, wanted="validation photos that are not trained on",
                       got="the training photos themselves", hint="an accuracy on them says nothing of new photos; "
                       "give the data path a val/ beside its train/")
    looked, pairs = 0, []
    for photo, candidates in _suspects(train, val, _SIZES_A_READ * reads):
        if reads < 1 + len(candidates):
            break
        reads -= 1 + len(candidates)
        looked += 1
        content = _digest(val.open(photo))
        pairs += [(val.full_path(photo), train.full_path(other)) for other in candidates
                  if _digest(train.open(other)) == content][:1]
    if not pairs:
        return fine(check, f"none of {looked:,} validation photos that share size or name with training photos")
    return warning(check, where=pairs[0][0], wanted="validation photos that are not trained on",
                   got=f"the same bytes as {pairs[0][1]}, and {len(pairs):,} of the {looked:,} photos compared like it",
                   hint="take them out of one split, the accuracy counts them as new")


def _holds_all(train: ImageList, val: ImageList) -> bool:
    """Are all validation photos training photos?"""
    if len(train) == len(val) and train.checksum == val.checksum:
        return True
    known = set(val.paths)
    return not known.difference(train.paths)


def _suspects(train: ImageList, val: ImageList, sizes: int) -> list[Suspect]:
    """Validation photos and the training photos that may be the same file, those with the fewest first."""
    by_size, by_name = defaultdict(list), defaultdict(list)
    for index in _spread(len(train), sizes):
        by_size[train.size(index)].append(index)
    names = {path.rpartition("/")[2] for path in val.paths}
    some = walked(len(train))
    for index, path in zip(some, train.paths if len(some) == len(train) else map(train.paths.__getitem__, some)):
        if path.rpartition("/")[2] in names:
            by_name[path.rpartition("/")[2]].append(index)
    found = []
    for index in _spread(len(val), sizes):
        size = val.size(index)
        if size < 0:
            continue
        named = [i for i in by_name[os.path.basename(val.paths[index])][:_READS_A_SIZE] if train.size(i) == size]
        alike = by_size.get(size, ())
        candidates = {*named, *(alike if len(alike) <= _READS_A_SIZE else ())}
        if candidates:
            found.append((index, sorted(candidates)))
    return sorted(found, key=lambda pair: len(pair[1]))


def _spread(length: int, most: int) -> range:
    return range(0, length, max(1, -(-length // most)))


def _digest(file: BinaryIO) -> bytes:
    with file:
        return hashlib.blake2b(file.read(), digest_size=16).digest()
