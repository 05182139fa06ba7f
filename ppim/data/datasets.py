"""Which images are there, of which class, and how one is read.

Three layouts on disk, told apart by what is there:
- `{train,val}_list.txt` in the data path: one image per line, "path label" or "path class-name", paths relative to it;
- `train/` and `val/` (or `test/`) in the data path, each with one folder per class;
- anything else: the data path is the split itself, one folder per class; training on a folder named `train` takes the
  validation images from val/ (or test/) beside it.
Class folders may hold sub-folders. The order is sorted, so an index means the same image on every machine.
"""
from __future__ import annotations

import os
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")
SPLIT_FOLDERS = {"train": ("train",), "val": ("val", "test")}


@dataclass(frozen=True)
class ImageList:
    """The images of one split; its length is their number (so not a NamedTuple, whose length is its fields')."""

    root: str
    paths: list[str]  # relative to root, with forward slashes
    labels: np.ndarray  # (n,) int64, positions in `classes`
    classes: list[str]

    def __len__(self) -> int:
        return len(self.paths)

    def full_path(self, index: int) -> str:
        """Where image `index` lies."""
        return os.path.join(self.root, self.paths[index])


def find_images(data_path: str, split: str = "train") -> ImageList:
    """The images of a split, for any number of classes.

    Args:
        data_path: see the head of this file.
        split: "train" or "val".

    Raises:
        FileNotFoundError: the path or the split's folder does not exist.
        ValueError: no class folders, a class without images, a list line that cannot be read.
    """
    if split not in SPLIT_FOLDERS:
        raise ValueError(f"split must be one of {sorted(SPLIT_FOLDERS)}, got {split!r}")
    data_path = os.fspath(data_path)
    if not os.path.isdir(data_path):
        raise FileNotFoundError(f"{data_path}: no such folder; set DATA.DATA_PATH to the images")
    list_file = os.path.join(data_path, f"{split}_list.txt")
    if os.path.isfile(list_file):
        return _from_list(data_path, list_file, split)
    folders = [os.path.join(data_path, name) for name in SPLIT_FOLDERS[split]]
    for folder in folders:
        if os.path.isdir(folder):
            return _from_folders(folder)
    others = [name for name in ("train", "val", "test") if os.path.isdir(os.path.join(data_path, name))]
    if others:
        raise FileNotFoundError(f"{' or '.join(folders)}: no such folder beside {', '.join(others)}/; "
                                f"add it, or a list {split}_list.txt")
    return _from_folders(data_path)


def validation_path(data_path: str) -> str:
    """The data path of the validation images of a training run on `data_path`: the same, except that a folder `train`
    of class folders has its val/ or test/ beside it.

    Raises:
        FileNotFoundError: there is none beside it.
    """
    parent, name = os.path.split(os.path.abspath(data_path))
    inside = [*sum(SPLIT_FOLDERS.values(), ()), "train_list.txt", "val_list.txt"]
    if name != "train" or any(os.path.exists(os.path.join(data_path, entry)) for entry in inside):
        return data_path
    beside = [os.path.join(parent, folder) for folder in SPLIT_FOLDERS["val"]]
    for folder in beside:
        if os.path.isdir(folder):
            return folder
    raise FileNotFoundError(f"{' or '.join(beside)}: no such folder beside {data_path}, and training wants validation "
                            f"images; add it, or set DATA.DATA_PATH to a folder with both splits")


def check_classes(train: ImageList, val: ImageList) -> None:
    """Do labels mean the same in both splits? A val list of bare numbers may lack the last classes.

    Raises:
        ValueError: names the classes that only one side has.
    """
    numbered = all(name == str(i) for i, name in enumerate(train.classes))
    if train.classes == val.classes or (numbered and val.classes == train.classes[:len(val.classes)]):
        return
    only_train = sorted(set(train.classes) - set(val.classes))
    only_val = sorted(set(val.classes) - set(train.classes))
    raise ValueError(
        f"{train.root} has {len(train.classes)} classes, {val.root} has {len(val.classes)}; only the first has "
        f"{_few(only_train)}, only the second {_few(only_val)}; labels would not mean the same, make the classes equal")


def read_photo(path: str) -> Image.Image:
    """An image file as 8-bit RGB, decoded completely. An EXIF orientation is not applied (the training sets and their
    label maps were made without it). Transparency is dropped. Greys of 16 bits and more are scaled by their range.

    Raises:
        FileNotFoundError: no such file.
        ValueError: anything that keeps the file from being decoded, with its path.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with open(path, "rb") as file, Image.open(file) as image:
                image.load()
                return _as_rgb(image)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such image; is the list or the folder out of date?") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, EOFError, ... on damaged files
        raise ValueError(f"{path}: cannot be read as an image ({error}); replace or remove the file") from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode[0] in "IF":
        return _grey_by_range(np.asarray(image), sixteen_bits=image.mode.startswith("I;16")).convert("RGB")
    return image.convert("RGB")


def _grey_by_range(values: np.ndarray, sixteen_bits: bool) -> Image.Image:
    """Wide greys to 8 bits: 0..65535 where that is the range, otherwise from the least to the largest value."""
    values = values.astype(np.float64)
    low, high = values.min(), values.max()
    if sixteen_bits or (low >= 0 and 255 < high <= 65535):
        low, high = 0.0, 65535.0
    scaled = (values - low) * (255 / max(high - low, 1e-12))
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _from_folders(folder: str) -> ImageList:
    with os.scandir(folder) as entries:
        classes = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    if not classes:
        raise ValueError(f"{folder}: wanted one folder of images per class, found none; "
                         "or give train_list.txt and val_list.txt")
    paths, labels = [], []
    for label, name in enumerate(classes):
        found = _images_below(os.path.join(folder, name), name)
        if not found:
            raise ValueError(f"{os.path.join(folder, name)}: no images in this class folder "
                             f"(looked for {' '.join(SUFFIXES)}); fill or remove it")
        paths += found
        labels += [label] * len(found)
    return ImageList(folder, paths, np.array(labels, np.int64), classes)


def _images_below(folder: str, prefix: str) -> list[str]:
    found = []
    for here, _, files in os.walk(folder, followlinks=True):
        inner = os.path.relpath(here, folder).replace(os.sep, "/")
        head = prefix if inner == "." else f"{prefix}/{inner}"
        found += [f"{head}/{name}" for name in files if name.lower().endswith(SUFFIXES) and name[0] != "."]
    return sorted(found)


def _from_list(data_path: str, list_file: str, split: str) -> ImageList:
    paths, names = [], []
    with open(list_file, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            parts = line.strip().rsplit(maxsplit=1)
            if len(parts) != 2:
                raise ValueError(f"{list_file}:{number}: wanted 'path label', got {line.strip()!r}")
            paths.append(parts[0])
            names.append(parts[1])
    if not paths:
        raise ValueError(f"{list_file}: the list is empty; write one 'path label' per line")
    if all(name.isdigit() for name in names):
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
    return ImageList(data_path, paths, np.array(labels, np.int64), classes)


def _few(names: list[str]) -> str:
    return "none" if not names else ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
