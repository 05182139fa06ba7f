"""Which class does a name mean? Classes are known by name: a number is a place in somebody's list of names.

The names of a run are those of its class folders, sorted. Names are compared as text, whichever way a file system
composes accents. ImageNet's 1,000 names are its WordNet ids, in the order of all published heads.
"""
from __future__ import annotations

import difflib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from ppim.data.datasets import few
from ppim.data.images import ImageList
from ppim.files import write_whole

IMAGENET = "imagenet"  # what stands for ImageNet's list where a file of names is asked for
_ANY_NAME = {"encoding": "utf-8", "errors": "surrogateescape"}  # a folder's name may be no text at all


@lru_cache(maxsize=1)
def _imagenet() -> dict[str, str]:
    text = (Path(__file__).parent / "imagenet_classes.txt").read_text(encoding="utf-8")
    return dict(line.split(" ", 1) for line in text.splitlines())


def imagenet_classes() -> tuple[str, ...]:
    """ImageNet's 1,000 classes as their folders are called (`n01440764`, ...), in the order of published heads."""
    return tuple(_imagenet())


def in_words(name: str) -> str:
    """What to call a class for people: `tench` for ImageNet's `n01440764`, any other name as it is."""
    return _imagenet().get(name, name)


def of_rows(names: Sequence[str], rows: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What the rows of a head are called, as data sets do and in words; from the last of `names` on by their numbers.
    """
    beyond = range(len(names), rows)
    return (*names, *map(str, beyond)), (*map(in_words, names), *(f"class {row}" for row in beyond))


def read_names(path: str, each_once: bool = True) -> tuple[str, ...]:
    """The classes in a list: a file with one name a line, in the order of a head's rows, or `imagenet` for ImageNet's.

    Args:
        each_once: False where names are but shown; of ImageNet's in words, crane is a bird and a machine.

    Raises:
        FileNotFoundError: no such file. ValueError: it is empty, or names a class twice.
    """
    if path == IMAGENET:
        return imagenet_classes()
    try:
        text = Path(path).read_text(encoding="utf-8-sig", errors="surrogateescape")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such list of classes; wanted a text file with one name a line, or "
                                f"`{IMAGENET}`") from None
    names = tuple(line.strip() for line in text.split("\n") if line.strip())
    often = Counter(names) if each_once else {}  # one look at each: a list may name 21,841
    double = next((name for name, times in often.items() if times > 1), None)
    if not names or double:
        raise ValueError(f"{path}: wanted the name of one class a line, each once, as utf-8; "
                         + (f"{double!r} stands there twice" if double else "it is empty"))
    return names


def write_names(path: Path, names: Sequence[str]) -> None:
    """Write a list as `read_names` reads it."""
    write_whole(path, lambda beside: beside.write_text("".join(f"{name}\n" for name in names), **_ANY_NAME))


def match(images: ImageList, classes: Sequence[str], of: str) -> ImageList:
    """The same images, each labelled with its class' place in `classes`; fewer classes than those will do.

    Labels of a list of numbers are such places already.

    Args:
        of: whose classes these are, for people.

    Raises:
        ValueError: the images have a class that is none of these; the message names it and the nearest.
    """
    if images.numbered:
        check_numbers(images, len(classes), of)
        _check_places(images, classes, of)
        return replace(images, classes=list(classes), numbered=_is_numbers(classes))
    place = {spelt(name): number for number, name in enumerate(classes)}
    unknown = [name for name in images.classes if spelt(name) not in place]
    if unknown:
        absent = sorted(set(place) - set(map(spelt, images.classes)))
        nearest = difflib.get_close_matches(spelt(unknown[0]), absent or list(place), 1, 0.0)
        raise ValueError(
            f"{images.root} has classes that {of} has not: {few(unknown)}; nearest to {unknown[0]} is "
            f"{', '.join(nearest)} ({len(images.classes)} classes here, {len(classes)} there); rename or remove the "
            "folder, or see whether these images and those classes belong together")
    table = np.array([place[spelt(name)] for name in images.classes], np.int64)
    if np.array_equal(table, np.arange(len(table))):
        return replace(images, classes=list(classes))
    return replace(images, labels=table[images.labels], classes=list(classes))


def by_number(images: ImageList) -> ImageList:
    """The same images, where folders are called by numbers that are places, as ImageNet-V2's 0 .. 999 are: labelled
    with those numbers. Sorted as text they stand in another order."""
    places = np.array([int(name) for name in images.classes], np.int64)
    names = list(map(str, range(int(places.max()) + 1)))
    return replace(images, labels=places[images.labels], classes=names, numbered=True)


def are_numbers(names: Sequence[str]) -> bool:
    """Are these names numbers, and are there any?"""
    return bool(names) and all(name.isdecimal() and name.isascii() for name in names)


def check_numbers(images: ImageList, count: int, of: str) -> None:
    """Raise ValueError where a list of numbers goes beyond the last of `count` classes."""
    most = int(images.labels.max())
    if most >= count:
        path = images.paths[int(images.labels.argmax())]
        raise ValueError(f"{images.root} has an image of class {most} ({path}), {of} has {count} classes, "
                         f"0 .. {count - 1}; correct the list, or see whether they belong together")


def _check_places(images: ImageList, classes: Sequence[str], of: str) -> None:
    """Of folders called 0, 1, 10, 2 a number in a list could be the name or the place; raise ValueError then."""
    odd = [number for number, name in enumerate(classes) if name.isdecimal() and int(name) != number]
    if odd:
        raise ValueError(f"{images.root} has labels that are numbers, and of {of} class {odd[0]} in order of names is "
                         f"called {classes[odd[0]]}; call the folders 00, 01, ... so that names and places agree")


def difference(mine: Mapping[str, Sequence[str]]) -> str:
    """In what two lists of names differ, for people; '' where they do not.

    Args:
        mine: whose (in the plural) -> names; two of them.
    """
    (one, here), (other, there) = ((whose, list(map(spelt, names))) for whose, names in mine.items())
    if here == there:
        return ""
    only = [(one, sorted(set(here) - set(there))), (other, sorted(set(there) - set(here)))]
    if any(names for _, names in only):
        return ", ".join(f"only {whose} have {few(names)}" for whose, names in only if names)
    place = next(number for number, pair in enumerate(zip(here, there)) if pair[0] != pair[1])
    return f"the same in another order, class {place} is {here[place]} for {one} and {there[place]} for {other}"


def _is_numbers(classes: Sequence[str]) -> bool:
    return all(name == str(number) for number, name in enumerate(classes))


def spelt(name: str) -> str:
    """A name as it is compared with others: accents composed."""
    return unicodedata.normalize("NFC", name)
