"""Which images are there, and of which class?

Three layouts on disk, told apart by what is there:
- `{train,val}_list.txt` in the data path: one image per line, "path label" or "path class-name", paths relative to it;
- `train/` and `val/` (or `test/`) in the data path, each with one folder per class; one of them that holds photos and
  no folders, among other folders, is a class of that name;
- anything else: the data path is the split itself, one folder per class; training on a folder named `train` takes the
  validation images from val/ (or test/) beside it.
Class folders may hold sub-folders. The order is sorted, so an index means the same image on every machine.
Links are followed, and lists out of the data path too (`..`, absolute paths): whoever wrote them is trusted.

Where `ppim data index` has written all that down (`manifest`), it is mapped into memory instead of being looked for
again: the same images in the same order. A fourth layout has nothing but that, tar shards (`tars`).
"""
from __future__ import annotations

import os
from collections import Counter
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppim.data.images import ImageList
from ppim.data.lists import read_list
from ppim.data.manifest import open_manifest, stamp_of
from ppim.data.photos import SUFFIXES
from ppim.data.tars import holds_shards
from ppim.files import walk_through
from ppim.index import Index
from ppim.shards import Shards

SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "test")}


def find_images(data_path: str, split: str = "train") -> ImageList:
    """The images of a split, for any number of classes.

    Args:
        data_path: see the head of this file.
        split: "train" or "val".

    Raises:
        FileNotFoundError: the path or the split's folder does not exist.
        ValueError: no class folders, images beside them, a class without images, a list line that cannot be read.
    """
    place = split_place(os.fspath(data_path), split)
    kept = open_manifest(place)
    if kept is not None:
        return _of_manifest(os.fspath(data_path), place, kept)
    if os.path.isfile(place):
        return find_listed(os.fspath(data_path), place, split)
    if holds_shards(place):
        raise ValueError(f"{place}: tar files, and nothing that says what is in them; run `ppim data index` on the "
                         "data path once")
    found = scan_folders(place)
    for fault in folder_faults(place, found):
        raise ValueError(fault)
    return listed(place, found)


def split_place(data_path: str, split: str) -> str:
    """Where a split's images come from: its list file, or its folder of class folders.

    Raises:
        FileNotFoundError: the path or the split's folder does not exist. ValueError: no such split.
    """
    if split not in SPLIT_FOLDERS:
        raise ValueError(f"split must be one of {sorted(SPLIT_FOLDERS)}, got {split!r}")
    if not os.path.isdir(data_path):
        drawn = "`ppim demo` draws it, or " if Path(data_path).parts[-2:] == ("demo", "data") else ""
        raise FileNotFoundError(f"{data_path}: no such folder; {drawn}set DATA.DATA_PATH to the images")
    list_file = os.path.join(data_path, f"{split}_list.txt")
    if os.path.isfile(list_file):
        return list_file
    folders, there = [os.path.join(data_path, name) for name in SPLIT_FOLDERS[split]], _splits_in(data_path)
    for folder in folders:
        if os.path.basename(folder) in there:
            return folder
    if there:
        raise FileNotFoundError(f"{' or '.join(folders)}: no such folder beside {', '.join(there)}/; "
                                f"add it, or a list {split}_list.txt")
    return data_path


def _splits_in(data_path: str) -> list[str]:
    """Which of the folders train, val and test in a data path are splits: all, but for one that is a class."""
    there = [name for names in SPLIT_FOLDERS.values() for name in names
             if os.path.isdir(os.path.join(data_path, name))]
    if len(there) != 1:  # photos in train/ and in val/ are splits without classes, whatever lies beside them
        return there
    inside = scan_top(os.path.join(data_path, there[0]))
    is_class = bool(inside.beside) and not inside.images and len(scan_top(data_path).images) > 1
    return [] if is_class else there


def validation_path(data_path: str) -> str:
    """The data path of the validation images of a training run on `data_path`: the same, except that a folder `train`
    of class folders has its val/ or test/ beside it.

    Raises:
        FileNotFoundError: there is none beside it.
    """
    parent, name = os.path.split(os.path.abspath(data_path))
    lists = [f"{split}_list.txt" for split in SPLIT_FOLDERS]
    if name != "train" or any(os.path.exists(os.path.join(data_path, entry)) for entry in lists) or (
            _splits_in(data_path)):
        return data_path
    beside = [os.path.join(parent, folder) for folder in SPLIT_FOLDERS["val"]]
    for folder in beside:
        if os.path.isdir(folder):
            return folder
    raise FileNotFoundError(f"{' or '.join(beside)}: no such folder beside {data_path}, and training wants validation "
                            f"images; add it, or set DATA.DATA_PATH to a folder with both splits")


class ClassFolders(NamedTuple):
    """What is found in a folder of class folders; paths are relative to it, with forward slashes, sorted."""

    images: dict[str, list[str]]  # by class, classes sorted
    beside: list[str]  # images that lie in no class folder
    dangling: list[str]  # links that lead nowhere, where a class folder may be meant
    skipped: Counter[str]  # suffixes that are none of an image's; "" for files without one


def scan_top(folder: str) -> ClassFolders:
    """The folder itself, right or wrong, with no class looked into; names that begin with a dot are passed over.

    Raises:
        OSError: a folder that may not be read.
    """
    with os.scandir(folder) as entries:
        entries = [entry for entry in entries if not entry.name.startswith(".")]
    skipped: Counter[str] = Counter()
    classes = sorted(entry.name for entry in entries if entry.is_dir())
    dangling = sorted(entry.name for entry in entries if entry.is_symlink() and not os.path.exists(entry.path))
    others = [entry.name for entry in entries if not entry.is_dir() and entry.name not in dangling]
    beside = sorted(name for name in others if _is_image(name, skipped))
    return ClassFolders({name: [] for name in classes}, beside, dangling, skipped)


def scan_folders(folder: str) -> ClassFolders:
    """What is there, right or wrong; names that begin with a dot are passed over.

    Raises:
        OSError: a folder that may not be read, or links that lead in a circle.
    """
    top, skipped = scan_top(folder), Counter()
    images = {name: images_below(os.path.join(folder, name), name, skipped) for name in top.images}
    return top._replace(images=images, skipped=skipped + top.skipped)


def folder_faults(folder: str, found: ClassFolders) -> list[str]:
    """Why a folder cannot be a split, each in a line that says what to do; empty where it can."""
    beside, empty = found.beside, [name for name, paths in found.images.items() if not paths]
    if beside and not any(found.images.values()):
        return [f"{folder}: wanted one folder of images per class, found {len(beside)} images themselves; if this is "
                "one class, give the folder above it"]
    if not found.images:
        return [f"{folder}: wanted one folder of images per class, found none; or give train_list.txt and val_list.txt"]
    faults = [f"{os.path.join(folder, name)}: a link that leads nowhere, where a class folder may be meant; mend or "
              "remove it" for name in found.dangling]
    if beside:
        faults.append(f"{folder}: {len(beside)} images lie beside the class folders {few(list(found.images))}, the "
                      f"first is {beside[0]}; move them into their classes, or, if this is one class, give the folder "
                      "above it")
    faults += [f"{os.path.join(folder, name)}: no images in this class folder (looked for {' '.join(SUFFIXES)}); fill "
               "or remove it" for name in empty]
    return faults


def skipped_note(images: ImageList) -> list[str]:
    """A line that counts the files passed over for their suffix; none where there are none."""
    if not images.skipped:
        return []
    counts = Counter(images.skipped).most_common()
    shown = ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in counts[:5])
    more = f" and {len(counts) - 5} more suffixes" if len(counts) > 5 else ""
    convert = "; HEIC is not read, convert it to JPEG" if {".heic", ".heif"} & set(images.skipped) else ""
    return [f"note: {sum(images.skipped.values()):,} files in {images.root} are no images by their suffix and left "
            f"out: {shown}{more}{convert}"]


def listed(folder: str, found: ClassFolders) -> ImageList:
    """What was found in a folder of class folders, one image after the other."""
    paths = [path for images in found.images.values() for path in images]
    labels = np.repeat(np.arange(len(found.images)), [len(images) for images in found.images.values()])
    return ImageList(folder, paths, labels.astype(np.int64), list(found.images), found.skipped)


def images_below(folder: str, prefix: str, skipped: Counter[str],
                 stamps: MutableMapping[str, tuple[int, int]] | None = None) -> list[str]:
    """The images of a folder and of those in it, sorted; names that begin with a dot are passed over.

    Args:
        prefix: what stands for the folder in the paths.
        skipped: files that are no images are counted here by their suffix.
        stamps: gets the stamp of each folder, as it was before the folder was looked into (`manifest.stamp_of`).

    Raises:
        OSError: a folder that cannot be read, or a link back to one through which it was reached.
    """
    found, stamps = [], {} if stamps is None else stamps
    stamps[prefix] = stamp_of(folder)
    for here, inside, files in walk_through(folder, "images", _refuse):
        inner = os.path.relpath(here, folder).replace(os.sep, "/")
        head = prefix if inner == "." else f"{prefix}/{inner}"
        stamps.update((f"{head}/{name}", stamp_of(os.path.join(here, name))) for name in inside)
        found += [f"{head}/{name}" for name in files if _is_image(name, skipped)]
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise OSError(f"{error.filename}: {error.strerror}; make the folder readable, or remove it") from error


def _is_image(name: str, skipped: Counter[str]) -> bool:
    """By its suffix; others are counted in `skipped`."""
    is_image = name.lower().endswith(SUFFIXES)
    if not is_image:
        skipped[os.path.splitext(name)[1].lower()] += 1
    return is_image


def _of_manifest(data_path: str, place: str, kept: Index) -> ImageList:
    """The images as they were written down."""
    about, root = kept.about, place
    if about["kind"] == "list":
        root = os.path.join(data_path, about["inside"]) if about["inside"] else data_path
    return ImageList(root, kept, kept.field("label"), about["classes"], about["skipped"], about["numbered"],
                     Shards(root, kept) if about["kind"] == "shards" else None)


def find_listed(data_path: str, list_file: str, split: str) -> ImageList:
    """The images that a list names, looked up there. Raises ValueError as `lists.read_list`."""
    paths, names = read_list(list_file, data_path)
    numbered = all(name.isdecimal() for name in names)
    if numbered:
        classes = [str(i) for i in range(max(map(int, names)) + 1)]
        labels = [int(name) for name in names]
    else:
        classes = sorted(set(names))
        position = {name: i for i, name in enumerate(classes)}
        labels = [position[name] for name in names]
    # label maps lie beside the split, not beside the list: train/a/b.jpg has its map at a/b.npy
    for folder in SPLIT_FOLDERS[split]:
        if all(path.startswith(folder + "/") for path in paths):
            data_path = os.path.join(data_path, folder)
            paths = [path[len(folder) + 1:] for path in paths]
            break
    return ImageList(data_path, paths, np.array(labels, np.int64), classes, numbered=numbered)


def few(names: Sequence[str]) -> str:
    """Some of the names, and how many more there are."""
    return "none" if not names else ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
