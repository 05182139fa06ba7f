"""Are the photos of a data set fit to train on? Every one is decoded, and all that is wrong is said at once.

A fault keeps a run from training, or makes its figures wrong: photos that cannot be read, class folders that cannot be
used, classes of validation alone, the same photo in both splits or in two classes. A note is worth knowing: uneven
classes, the same photo twice in a class, photos that are tiny or that a camera says to turn, files left out.
Two photos are the same where their decoded pixels are.
"""
from __future__ import annotations

import contextlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ppim.data.datasets import (
    SPLIT_FOLDERS,
    ImageList,
    find_images,
    folder_faults,
    listed,
    scan_folders,
    skipped_note,
    split_place,
    validation_path,
)
from ppim.data.looks import Look, look_at_all
from ppim.data.tars import holds_shards

TINY = 32  # pixels; a photo with a shorter side is told
UNEVEN = 10  # times as many photos in the largest class as in the smallest are told


class Photo(NamedTuple):
    """A photo and where it belongs."""

    split: str
    label: str  # name of its class
    path: str  # where it lies
    look: Look


class Fault(NamedTuple):
    """What keeps a data set from being trained on as it is."""

    kind: str  # 'layout', 'unreadable', 'classes', 'in both splits', 'in two classes'
    text: str  # a line for people, with what to do
    files: tuple[str, ...] = ()


class Report(NamedTuple):
    """What `check` has found."""

    photos: list[Photo]
    classes: dict[str, dict[str, int]]  # split -> class -> photos
    faults: list[Fault]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain values, for JSON."""
        good = [photo for photo in self.photos if not photo.look.fault]
        return {
            "splits": {split: {"photos": sum(counts.values()), "classes": counts}
                       for split, counts in self.classes.items()},
            "faults": [fault._asdict() for fault in self.faults],
            "notes": self.notes,
            "turned": [photo.path for photo in good if photo.look.turned],
            "tiny": [photo.path for photo in good if min(photo.look.wh) < TINY],
            "duplicates": [[photo.path for photo in group] for group in duplicates(good)],
        }


@contextlib.contextmanager
def unseen(total: int) -> Iterator[Callable[[int], None]]:
    """Progress that nobody watches."""
    yield lambda count: None


def check(data_path: str, jobs: int = 1, progress: Callable[[int], Any] = unseen) -> Report:
    """Look at every photo below `data_path`, which is what training takes as DATA.DATA_PATH: lists or class folders.

    Args:
        jobs: processes that decode; 1: this one.
        progress: given the number of photos, a context whose value is told the number done since the last call.

    Raises:
        FileNotFoundError: no such folder.
    """
    splits, faults = find_splits(data_path)
    places = [(split, images, index) for split, images in splits.items() for index in _once(images)]
    with progress(len(places)) as advance:
        looks = look_at_all([images.full_path(index) for _, images, index in places], jobs, advance)
    photos = [Photo(split, images.classes[images.labels[index]], images.full_path(index), look)
              for (split, images, index), look in zip(places, looks)]
    classes = {split: _counts(images) for split, images in splits.items()}
    faults += [Fault("unreadable", photo.look.fault, (photo.path,)) for photo in photos if photo.look.fault]
    good = [photo for photo in photos if not photo.look.fault]
    faults += [*class_faults(classes), *duplicate_faults(good)]
    notes = [line for images in splits.values() for line in skipped_note(images)]
    return Report(photos, classes, faults, [*notes, *class_notes(classes), *photo_notes(good)])


# ---- what there is -------------------------------------------------------------------------------------------------


def find_splits(data_path: str) -> tuple[dict[str, ImageList], list[Fault]]:
    """The images of each split, also where their layout has faults; a folder that is one split alone is `photos`.

    Raises:
        FileNotFoundError: no such folder.
    """
    data_path, splits, faults = os.fspath(data_path), {}, []
    paths = {"train": data_path, "val": data_path}
    if not _has_splits(data_path):
        beside = _beside(data_path)
        paths = {"photos": data_path} if beside is None else {"train": data_path, "val": beside}
    for name, path in paths.items():
        split = "train" if name == "photos" else name
        try:
            place = split_place(path, split)
        except FileNotFoundError:
            if not os.path.isdir(data_path):
                raise
            continue
        try:
            splits[name], more = _images(path, place, split)
        except (ValueError, OSError) as error:  # a list that cannot be read, links in a circle
            more = [str(error)]
        faults += [Fault("layout", line) for line in more]
    return splits, faults


def _has_splits(data_path: str) -> bool:
    names = [*sum(SPLIT_FOLDERS.values(), ()), "train_list.txt", "val_list.txt"]
    return any(os.path.exists(os.path.join(data_path, name)) for name in names)


def _beside(data_path: str) -> str | None:
    """The validation images that belong to a folder `train` of class folders, None where there are none."""
    try:
        path = validation_path(data_path)
    except FileNotFoundError:
        return None
    return None if path == data_path else path


def _images(data_path: str, place: str, split: str) -> tuple[ImageList, list[str]]:
    if os.path.isfile(place):
        return find_images(data_path, split), []
    if holds_shards(place):
        raise ValueError(f"{place}: tar files, whose photos are not decoded here; check the photos they were made of, "
                         "and the tar files with `ppim data index`")
    found = scan_folders(place)
    return listed(place, found), folder_faults(place, found)


def _once(images: ImageList) -> Iterator[int]:
    """Indices without those of a file that stands in its list again under the same class."""
    seen: set[tuple[str, int]] = set()
    for index, place in enumerate(zip(images.paths, images.labels.tolist())):
        if place not in seen:
            seen.add(place)
            yield index


def _counts(images: ImageList) -> dict[str, int]:
    counts = Counter(images.labels.tolist())
    return {name: counts[label] for label, name in enumerate(images.classes)}


# ---- judging -------------------------------------------------------------------------------------------------------


def class_faults(classes: dict[str, dict[str, int]]) -> list[Fault]:
    """Classes that validation has photos of and training has not; those that it lacks are not judged by."""
    if set(classes) != {"train", "val"}:
        return []
    train, val = ({name for name, count in classes[split].items() if count} for split in ("train", "val"))
    return [Fault("classes", f"only val has photos of the class {name}; add some to train, or remove it")
            for name in sorted(val - train)]


def duplicates(photos: Iterable[Photo]) -> list[list[Photo]]:
    """Photos of the same pixels, in groups of two and more."""
    groups = defaultdict(list)
    for photo in photos:
        groups[photo.look.digest].append(photo)
    return [group for group in groups.values() if len(group) > 1]


def duplicate_faults(photos: Iterable[Photo]) -> list[Fault]:
    """The same photo in both splits, which flatters every figure, or in two classes of one, which contradict."""
    faults = []
    for group in duplicates(photos):
        files = tuple(photo.path for photo in group)
        if len({photo.split for photo in group}) > 1:
            faults.append(Fault("in both splits", f"the same photo to train and to validate: {', '.join(files)}; leave "
                                "it in one split", files))
        elif len({photo.label for photo in group}) > 1:
            faults.append(Fault("in two classes", f"the same photo in two classes: {', '.join(files)}; leave it in one",
                                files))
    return faults


def class_notes(classes: dict[str, dict[str, int]]) -> list[str]:
    """Lines about splits whose classes are of very different size."""
    notes = []
    for split, counts in classes.items():
        filled = {name: count for name, count in counts.items() if count}
        if not filled:
            continue
        least, most = min(filled, key=filled.get), max(filled, key=filled.get)
        if filled[most] >= UNEVEN * filled[least]:
            notes.append(f"note: the classes of {split} are uneven: {filled[most]:,} photos of {most}, "
                         f"{filled[least]:,} of {least}")
    return notes


def photo_notes(photos: Sequence[Photo]) -> list[str]:
    """Lines about photos that are turned, tiny, or twice in their class."""
    turned = sum(photo.look.turned for photo in photos)
    tiny = [photo for photo in photos if min(photo.look.wh) < TINY]
    again = sum(len(group) - 1 for group in duplicates(photos)
                if len({(photo.split, photo.label) for photo in group}) == 1)
    notes = []
    if turned:
        notes.append(f"note: {turned:,} photos have an EXIF orientation; DATA.EXIF apply turns them upright, ignore "
                     "(the published recipes) takes them as they are stored")
    if tiny:
        smallest = min(tiny, key=lambda photo: min(photo.look.wh))
        notes.append(f"note: {len(tiny):,} photos have a side shorter than {TINY} pixels, the smallest is "
                     f"{smallest.path} with {smallest.look.wh[0]} x {smallest.look.wh[1]}")
    if again:
        notes.append(f"note: {again:,} photos are in their class again under another name")
    return notes
