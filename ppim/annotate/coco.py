"""What does a COCO file of annotations say lies where? Boxes, and masks where they are given pixel by pixel.

Run lengths (plain ones, and those compressed into text) are masks, exactly. Of a polygon its box is taken, which is
told: where outlines overlap there is no simple way to exact areas. Regions of many (`iscrowd`) are regions of their
class.
"""
from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from ppim.annotate.areas import Region
from ppim.geometry import WH


class Annotated(NamedTuple):
    """What a file says of one photo."""

    wh: WH
    regions: list[Mapping[str, Any]]  # annotations, as they stand there


class Coco(NamedTuple):
    """A file of annotations."""

    path: str
    names: tuple[str, ...]  # of the classes, in the order of their numbers there
    photos: dict[str, Annotated]  # by file_name
    by_last_name: dict[str, str]  # file_name by its last part, where only one has it
    place: dict[int, int]  # class by the number it has there
    polygons: int  # of which the boxes are taken

    def of(self, photo: str) -> Annotated:
        """What is said of a photo, by its path or, where that is not listed, by its last part.

        Raises:
            ValueError: nothing.
        """
        return self.photos[self._listed_as(photo)]

    def check_photos(self, photos: Iterable[str]) -> None:
        """Refuse photos of which one is taken for another: of those called alike the file may list but one.

        Raises:
            ValueError: two of them would have the same regions, or of one nothing is said.
        """
        owner: dict[str, str] = {}
        for photo in photos:
            name = self._listed_as(photo)
            other = owner.setdefault(name, photo)
            if other != photo:
                raise ValueError(f"{self.path} lists {name}, and both {other} and {photo} could be meant; list either "
                                 "by its path below --images, or make maps of the listed photos only")

    def _listed_as(self, photo: str) -> str:
        name = photo if photo in self.photos else self.by_last_name.get(PurePosixPath(photo).name)
        if name is None:
            raise ValueError(f"{self.path} lists no photo called {photo}; make maps of the listed photos only, or add "
                             "it: a photo without annotations shows nothing")
        return name

    def regions_of(self, annotated: Annotated) -> list[Region]:
        """The regions of a photo.

        Raises:
            ValueError: an annotation that is damaged.
        """
        return [self._region(annotated.wh, found) for found in annotated.regions]

    def _region(self, wh: WH, found: Mapping[str, Any]) -> Region:
        try:
            label, (x, y, width, height) = self.place[found["category_id"]], map(float, found["bbox"])
            if not np.isfinite([x, y, width, height]).all() or min(width, height) < 0:
                raise ValueError(f"a box of {width:g} x {height:g} pixels")
            segments = found.get("segmentation")
            mask = decoded(segments, wh) if isinstance(segments, dict) else None
            return Region(label, (x, y, x + width, y + height), mask)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise ValueError(f"{self.path}: annotation {found.get('id')!r:.40} is none ({why:.200}); wanted "
                             "category_id, bbox [x, y, width, height] and, if any, segmentation") from None


def read_coco(path: str | Path) -> Coco:
    """Read a file of annotations.

    Raises:
        FileNotFoundError: no such file. ValueError: it is none of COCO's form.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; give a COCO file of annotations (instances_train2017.json)")
    try:
        told = json.loads(Path(path).read_bytes().decode("utf-8"))
        photos = {one["id"]: Annotated((int(one["width"]), int(one["height"])), []) for one in told["images"]}
        names = {one["id"]: str(one["file_name"]).replace("\\", "/") for one in told["images"]}
        for key, photo in photos.items():
            if min(photo.wh) < 1:
                raise ValueError(f"{names[key]} of {photo.wh[0]} x {photo.wh[1]} pixels")
        again = next((name for name, times in Counter(names.values()).items() if times > 1), None)
        if again is not None:
            raise ValueError(f"{again} stands among the images twice")
        classes = {one["id"]: str(one["name"]) for one in sorted(told["categories"], key=lambda one: one["id"])}
        for found in told["annotations"]:
            photos[found["image_id"]].regions.append(found)
        polygons = sum(isinstance(found.get("segmentation"), list) and bool(found["segmentation"])
                       for found in told["annotations"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ValueError(f"{path}: not a COCO file of annotations ({why:.200}); wanted images (id, file_name, width, "
                         "height), categories (id, name) and annotations (image_id, category_id, bbox)") from None
    last = [PurePosixPath(name).name for name in names.values()]
    often = Counter(last)
    by_last_name = {short: name for short, name in zip(last, names.values()) if often[short] == 1}
    return Coco(str(path), tuple(classes.values()), {names[key]: photo for key, photo in photos.items()}, by_last_name,
                {key: at for at, key in enumerate(classes)}, polygons)


def renumbered(coco: Coco, names: Sequence[str]) -> Coco:
    """The same with other numbers: those of `names`, which may be more classes than the file has.

    Raises:
        ValueError: a class of the file is not among them.
    """
    unknown = [name for name in coco.names if name not in names]
    if unknown:
        raise ValueError(f"--classes has no {unknown[0]!r}, a class of {coco.path}; add its classes to the list")
    number = {name: at for at, name in enumerate(names)}
    return coco._replace(names=tuple(names), place={key: number[coco.names[at]] for key, at in coco.place.items()})


def decoded(runs: Mapping[str, Any], wh: WH) -> np.ndarray:
    """(height, width) bool of run lengths: {"size": [height, width], "counts": numbers or text}, column by column.

    Raises:
        ValueError: of another size than the photo, or that do not fill it.
    """
    height, width = runs["size"]
    if (width, height) != tuple(wh):
        raise ValueError(f"a mask of {width} x {height} pixels for a photo of {wh[0]} x {wh[1]}")
    counts = runs["counts"]
    counts = np.array(_numbers(counts) if isinstance(counts, str) else counts, np.int64)
    if (counts < 0).any() or counts.sum() != height * width:
        raise ValueError(f"run lengths of {counts.sum()} pixels for {height * width}")
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def _numbers(text: str) -> list[int]:
    """COCO's run lengths from text: 5 bits a character, the sixth for more to come, the fifth of the last for the sign;
    from the third on each is counted from the one two before."""
    counts: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return counts
