"""Is a folder of label maps whole and sound? Which photos have none, which maps no photo, what the maps hold."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ppim.geometry import HW, WHOLE
from ppim.token_labels.maps import LabelMap, MapError, stem_of
from ppim.token_labels.store import Maps
from ppim.token_labels.targets import best_class, token_targets

_CELL: HW = (1, 1)  # the class is that of one token over the whole map
_SHARE_ABOVE_ONE = 1e-2  # by which half precision may bring probabilities above one


class Survey(NamedTuple):
    """What some of the maps of a folder hold.

    Attributes:
        looked: the images whose maps were opened.
        broken: of each map that cannot be trusted, what is wrong with it, the file named.
        forms: shape and dtype of the arrays, as text, and how many have them.
        unsorted: images of whose maps some cell has scores out of order; harmless.
        improbable: images of whose maps a score lies above the log-sum-exp, so that its probability is above one.
        probabilities: are all scores probabilities, which readers take for logits?
        log_probabilities: are all scores logarithms of probabilities, which are logits as well?
        outweighed: images in most cells of whose maps a class that was not kept, which the published reading counts as
            zero, lies above the best one that was.
        highest_id: the largest class id met, -1 where no map could be read.
        named: (looked,) int64, the class that each map teaches for its whole photo, -1 for none (or no map).
    """

    looked: list[str]
    broken: list[str]
    forms: dict[str, int]
    unsorted: list[str]
    improbable: list[str]
    probabilities: bool
    log_probabilities: bool
    outweighed: list[str]
    highest_id: int
    named: np.ndarray


def unmatched(maps: Maps, images: Iterable[str]) -> tuple[list[str], list[str]]:
    """The images without a map, and where the maps without an image are; paths relative to their folders.

    Args:
        images: paths of the photos relative to theirs.
    """
    images = list(images)
    wanted = {stem_of(image) for image in images}
    return maps.missing(images), sorted(maps.place(stem) for stem in maps.stems() if stem not in wanted)


def survey(maps: Maps, images: Sequence[str]) -> Survey:
    """Open the map of each of `images` that has one; nothing is raised for what is wrong with it."""
    broken, forms, unsorted, improbable, outweighed, named = [], Counter(), [], [], [], []
    all_shares, all_logarithms, highest = True, True, -1
    for image in images:
        label_map = None
        try:
            label_map = maps.read(image, (1, 1))._replace(window=WHOLE)
        except (MapError, FileNotFoundError) as error:
            broken.append(str(error))
        if label_map is None:
            named.append(-1)
            continue
        forms[maps.form(image)] += 1
        highest = max(highest, int(label_map.ids.max()))
        all_shares &= _are_probabilities(label_map.scores)
        all_logarithms &= _are_log_probabilities(label_map.scores)
        if (np.diff(label_map.scores, axis=0) > 0).any():
            unsorted.append(image)
        if label_map.log_z is not None and (np.exp(label_map.scores - label_map.log_z).sum(axis=0)
                                            > 1 + _SHARE_ABOVE_ONE).any():
            improbable.append(image)
        if _is_outweighed(label_map.scores, maps.num_classes):
            outweighed.append(image)
        named.append(class_of(label_map, maps.num_classes))
    return Survey(list(images), broken, dict(forms), unsorted, improbable, bool(forms) and all_shares,
                  bool(forms) and all_logarithms, outweighed, highest, np.array(named, np.int64))


def class_of(label_map: LabelMap, num_classes: int) -> int:
    """The class that a map teaches for all that it covers, by its probabilities where it holds them; -1 where none
    stands out."""
    target = "released" if label_map.log_z is None else "probs"
    of_class, _ = token_targets(label_map, (), _CELL, num_classes, smoothing=0.0, target=target)
    return int(best_class(of_class)[0])


def _is_outweighed(scores: np.ndarray, num_classes: int) -> bool:
    """Is the best score (K, rows, columns) below zero in most cells that say anything, some classes left out?"""
    said = (scores != 0).any(axis=0)
    return bool(len(scores) < num_classes and 2 * (scores.max(axis=0)[said] < 0).sum() > said.sum())


def _are_probabilities(scores: np.ndarray) -> bool:
    """Could scores (K, rows, columns) be probabilities: none negative, of a sum of at most one, and not all zero?"""
    total = scores.sum(axis=0)
    return bool(scores.min() >= 0 and total.max() <= 1 + _SHARE_ABOVE_ONE and total.max() > 0)


def _are_log_probabilities(scores: np.ndarray) -> bool:
    """Could scores (K, rows, columns) be logarithms of probabilities: none above 0, of a sum of at most one?"""
    return bool(scores.max() <= 0 and np.exp(scores).sum(axis=0).max() <= 1 + _SHARE_ABOVE_ONE)
