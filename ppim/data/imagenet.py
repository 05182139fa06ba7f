"""The archives of ILSVRC2012 as class folders: the training tar of tars, the validation tar with the devkit's classes.

A class folder of the training split, and the validation split as a whole, appear complete or not at all: what is in the
making has a name that begins with a dot. So a second run goes on where the first was stopped. Archives are not trusted:
every member must be a file with a plain name, and is written by us below the folder given.
"""
from __future__ import annotations

import contextlib
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from ppim.data.class_folders import Counts, count, put_in_place, unfinished

TRAINING, VALIDATION, DEVKIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"
_TRUTH, _META = "data/ILSVRC2012_validation_ground_truth.txt", "data/meta.mat"


COMPLETE = {"train": Counts(1_281_167, 1_000), "val": Counts(50_000, 1_000)}


def lay_out_training(archive: Path, folder: Path, tell: Callable[[str], object]) -> Counts:
    """Unpack each `nXXXXXXXX.tar` of the training archive into the class folder of that name below `folder`.

    Class folders that are there are complete and left alone. `tell` is given a line now and then.

    Raises:
        ValueError: the archive is damaged, or is not of ILSVRC2012.
        FileNotFoundError: no such archive.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _members(archive) as members:
        for number, (name, member, outer) in enumerate(members, 1):
            if not re.fullmatch(r"n\d{8}\.tar", name):
                raise ValueError(f"{archive} holds {name}, wanted tars of classes (nXXXXXXXX.tar): is it {TRAINING}?")
            _unpack_class(outer.extractfile(member), folder / name[:-4], f"{name} in {archive}")
            if number % 100 == 0:
                tell(f"{number:,} classes")
    return count(folder)


def lay_out_validation(archive: Path, classes: list[str], folder: Path, tell: Callable[[str], object]) -> Counts:
    """Unpack the validation archive into class folders below `folder`.

    Args:
        classes: WordNet id of each image, in the order of their numbers, see `classes_of_validation`.

    Raises:
        ValueError: the archive is damaged, or is not of ILSVRC2012, or has more images than there are `classes`.
        FileNotFoundError: no such archive.
    """
    if folder.is_dir():
        return count(folder)
    part = unfinished(folder)
    with _members(archive) as members:
        for done, (name, member, tar) in enumerate(members, 1):
            number = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", name)
            if not number:
                raise ValueError(f"{archive} holds {name}, wanted images (ILSVRC2012_val_00000001.JPEG): is it "
                                 f"{VALIDATION}?")
            if not 1 <= int(number[1]) <= len(classes):
                raise ValueError(f"{archive} holds {name}, the devkit knows the classes of {len(classes):,} images")
            path = part / classes[int(number[1]) - 1] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member).read()
            # a power cut may have left zeros of the right length
            if not path.is_file() or path.read_bytes() != content:
                path.write_bytes(content)
            if done % 10_000 == 0:
                tell(f"{done:,} images")
    put_in_place(folder)
    return count(folder)


def classes_of_validation(devkit: Path, synsets: Path | None) -> list[str]:
    """The WordNet id of each validation image, in the order of their numbers.

    Args:
        devkit: the development kit's archive, which has an id of its own for each image, and in meta.mat what ids mean.
        synsets: a text file that says so instead, for want of scipy: one WordNet id a line, in the order of the
            devkit's ids; what follows it in the line is not read.

    Raises:
        ValueError: scipy is not there, or a file is not what it should be.
        FileNotFoundError: no such file.
    """
    truth, meta = _devkit_files(devkit)
    try:
        ids = [int(line) for line in truth.decode().split()]
    except ValueError as error:
        raise ValueError(f"{_TRUTH} in {devkit}: wanted a number a line ({error})") from error
    meaning, source = (_from_text(synsets), synsets) if synsets else (_from_mat(meta, devkit), devkit)
    unknown = sorted(set(ids) - set(meaning))
    if unknown:
        raise ValueError(f"{source} names {len(meaning):,} classes; the ground truth in {devkit} has id {unknown[0]} "
                         "as well, so they do not belong together")
    return [meaning[number] for number in ids]


def _unpack_class(file, folder: Path, source: str) -> None:
    """The images of one class' tar, which come to `folder` when all are there."""
    if folder.is_dir():
        return
    part = unfinished(folder)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    with _members(source, file) as members:
        for name, member, tar in members:
            _write(tar.extractfile(member), part / name)
    put_in_place(folder)


@contextlib.contextmanager
def _members(source: Path | str, file=None) -> Iterator[Iterator[tuple[str, tarfile.TarInfo, tarfile.TarFile]]]:
    """(plain name, member, tar) of each file in a tar, given by its path, or by `file` and what to call it."""
    try:
        with tarfile.open(None if file else source, "r:", file) as tar:
            yield ((_plain_name(member, source), member, tar) for member in tar)
    except (tarfile.TarError, EOFError) as error:
        raise ValueError(f"{source}: damaged, incomplete or no tar ({error}); get it again, then go on") from error


def _plain_name(member: tarfile.TarInfo, source: Path | str) -> str:
    name = member.name.removeprefix("./")
    if not member.isfile() or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise ValueError(f"{source}: {member.name!r} is not a plain file of a plain name, as all are in ILSVRC2012; "
                         "nothing is written for it")
    return name


def _write(source, path: Path) -> None:
    with source, open(path, "wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


def _devkit_files(devkit: Path) -> tuple[bytes, bytes]:
    """The ground truth and meta.mat, wherever below its first folder the archive has them."""
    try:
        with tarfile.open(devkit) as tar:
            found = {part: member for member in tar for part in (_TRUTH, _META)
                     if member.isfile() and member.name.endswith(f"/{part}")}
            for part in (_TRUTH, _META):
                if part not in found:
                    raise ValueError(f"{devkit} has no {part}: is it {DEVKIT}?")
            return tar.extractfile(found[_TRUTH]).read(), tar.extractfile(found[_META]).read()
    except FileNotFoundError:
        raise
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{devkit}: damaged, incomplete or no tar ({why}); get it again") from error


def _from_text(path: Path) -> dict[int, str]:
    meaning = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        wnid = (line.split() or [""])[0]
        if not re.fullmatch(r"n\d{8}", wnid):
            raise ValueError(f"{path}:{number}: wanted a WordNet id such as n01440764, got {line!r}")
        meaning[number] = wnid
    return meaning


def _from_mat(content: bytes, devkit: Path) -> dict[int, str]:
    import io

    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise ValueError(f"{_META} in {devkit} is read with scipy: pip install scipy; or give --synsets FILE, the "
                         "WordNet ids of the classes in the order of the devkit's ids, one a line") from error
    try:
        synsets = loadmat(io.BytesIO(content), squeeze_me=True)["synsets"]
        return {int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets}
    except Exception as error:  # scipy raises whatever it stumbles over
        raise ValueError(f"{_META} in {devkit} cannot be read ({error}); get the archive again") from error
