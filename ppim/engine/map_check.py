"""What is wrong with the label maps of a data set? They are looked over as files, and held against their photos."""
from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ppim.checks import classes, maps, places
from ppim.checks.finding import Finding
from ppim.data.images import ImageList
from ppim.token_labels.check import Survey, survey, unmatched
from ppim.token_labels.store import Maps, how_to_find

LOOKED, LAID = 2000, 192  # maps opened, and photos laid under theirs, unless all are asked for


class Looked(NamedTuple):
    """What looking over maps has given.

    Attributes:
        findings: what the checks say.
        chosen: (looked,) int64, which images' maps were opened; survey: what is in them.
        missing: images without a map, lone: maps without an image; () where that was not asked.
    """

    findings: list[Finding]
    chosen: np.ndarray
    survey: Survey
    missing: list[str]
    lone: list[str]


def look_over(folder: Maps, images: ImageList, looked: int = LOOKED, laid: int = LAID, whole: bool = True,
              target: str | None = None) -> Looked:
    """Look over label maps and the photos they belong to.

    Args:
        looked: maps that are opened, spread evenly; laid: photos that are read.
        whole: list all maps, to find those without a photo.
        target: TOKEN_LABEL.TARGET, how they will be read; None: by their probabilities, if they hold them.
    """
    found, missing, lone = [], [], []
    if whole:
        missing, lone = unmatched(folder, images.paths)
        hint = how_to_find(folder.path, images.root, missing[0]) if missing else ""
        found.append(maps.maps_match_photos(missing, lone, len(images), folder.path, hint))
        if changed := folder.damage():
            found.append(maps.pack_has_changed(changed))
            return Looked(found, np.zeros(0, np.int64), survey(folder, []), missing, lone)
    chosen = spread(len(images), looked)
    seen = survey(folder, [images.paths[i] for i in chosen])
    read_as = target or ("probs" if folder.reading.log_z else "released")
    found.append(maps.maps_are_sound(seen, folder.num_classes, folder.path, read_as))
    if not seen.broken:
        found.append(classes.maps_name_classes(seen.named, images.labels[chosen], folder.num_classes, folder.path))
        pictures = readable(lambda i: (i, images.photo(i, folder.reading.exif)),
                            spread(len(images), laid))
        read = [folder.read(images.paths[i], picture.size) for i, picture in pictures]
        found.append(places.maps_lie_on_photos([picture for _, picture in pictures], read, folder.reading,
                                               folder.path))
    return Looked(found, chosen, seen, missing, lone)


def readable(get: Callable[[int], Any], chosen: np.ndarray) -> list[Any]:
    """What there is of what is asked for: photos that cannot be read are told of, or stood in for, where they are used.
    """
    found = []
    for index in chosen.tolist():
        with contextlib.suppress(ValueError, OSError):
            found.append(get(index))
    return found


def spread(length: int, most: int) -> np.ndarray:
    """At most `most` of `length` indices, evenly spaced."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).astype(np.int64))
