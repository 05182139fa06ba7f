"""Do classes that something else names for the photos, label maps or loaded weights, mean the classes of the data?

Whatever names the classes is right more often than by chance. How often chance is right is known exactly: as often as
after shuffling, whose mean and spread follow from how often each class is named and how often it is there.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ppim.checks.finding import Finding, error, fine, unknown, warning

_ENOUGH = 4.0  # deviations above chance that cannot be chance
_FEWEST, _MANY = 16, 64  # photos below which nothing is said, and from which on what is said is certain
_ENOUGH_PHOTOS = 6  # of a class, to say which one it is taken for


class Agreement(NamedTuple):
    """`hits`: photos named by their own class; `chance`: how many would be after shuffling; `spread`: its deviation."""

    hits: int
    chance: float
    spread: float

    @property
    def beyond(self) -> float:
        """Deviations that the hits are above chance; 0 where shuffling changes nothing."""
        return (self.hits - self.chance) / self.spread if self.spread else 0.0


def agreement(named: np.ndarray, labels: np.ndarray, num_classes: int) -> Agreement:
    """How often two lists of classes (n,), in 0 .. num_classes - 1, agree, and how often shuffled ones would."""
    n = len(labels)
    a, b = (np.bincount(x, minlength=num_classes).astype(float) for x in (named, labels))
    product = a * b
    if n < 2:
        return Agreement(int((named == labels).sum()), float(product.sum() / max(n, 1)), 0.0)
    # hits of a class are hypergeometric; two classes' hits are correlated, since a label is given out once
    own = (product * (n - a) * (n - b)).sum() / (n**2 * (n - 1))
    across = (product.sum() ** 2 - (product**2).sum()) / (n**2 * (n - 1))
    return Agreement(int((named == labels).sum()), float(product.sum() / n), float(np.sqrt(max(own + across, 0.0))))


def shift_of(named: np.ndarray, labels: np.ndarray, num_classes: int) -> int:
    """By how much the named classes lie above the photos' own, where most do so by one number; else 0."""
    away = (named - labels) % num_classes
    shift = int(np.bincount(away, minlength=num_classes).argmax())
    moved = agreement((named - shift) % num_classes, labels, num_classes)
    # one of many shifts is always the best, so more is asked of it, and that it explains a good share
    return shift if moved.beyond > 1.5 * _ENOUGH and 4 * moved.hits > len(labels) else 0


def are_renumbered(named: np.ndarray, labels: np.ndarray, num_classes: int) -> bool:
    """Are most classes that have enough photos named by one and the same other class?"""
    enough = np.flatnonzero(np.bincount(labels, minlength=num_classes) >= _ENOUGH_PHOTOS)
    counts = np.array([np.bincount(named[labels == label], minlength=num_classes) for label in enough])
    if not len(enough):
        return False
    clear = counts.max(axis=1) > counts.sum(axis=1) / 2
    # several classes named by the same one are no other order, but an annotator that knows one class
    distinct = len(set(counts.argmax(axis=1)[clear].tolist())) == clear.sum()
    return bool(distinct and 2 * (clear & (counts.argmax(axis=1) != enough)).sum() > len(enough))


def maps_name_classes(named: np.ndarray, labels: np.ndarray, num_classes: int, where: str) -> Finding:
    """Is the best class of label maps (n,) that of their photos, more often than that of other photos?

    Args:
        named: -1 where a map favours no class.
    """
    check = "classes of the label maps"
    if len(labels) and labels.max() >= num_classes:
        return error(check, where=where, wanted=f"maps of at least {labels.max() + 1} classes, as the photos have",
                     got=f"maps of {num_classes} classes",
                     hint="is the number of classes that of the annotator, and are these the photos it was asked of?")
    told = named >= 0
    if len(named) >= _FEWEST and 10 * told.sum() < len(named):
        return error(check, where=where, wanted="maps that favour a class", got=f"{told.sum()} of {len(named)} that do",
                     hint="their scores are all alike; make the maps again")
    named, labels = named[told], labels[told]
    seen, n = agreement(named, labels, num_classes), len(labels)
    if n < _FEWEST or not seen.spread:
        return unknown(check, f"{n} photos of {len(np.unique(labels))} classes are too few to tell")
    renumbered = are_renumbered(named, labels, num_classes)
    if seen.beyond >= _ENOUGH and not renumbered:
        return fine(check, f"{seen.hits} of {n} maps name the class of their photo, {seen.chance:.0f} by chance")
    got = f"{seen.hits} of {n}, {seen.chance:.0f} by chance"
    wanted = "maps whose best class is mostly that of their photo"
    shift = shift_of(named, labels, num_classes)
    if shift:
        return error(check, where=where, wanted=wanted, got=f"{got}; most are {_signed(shift, num_classes)} away",
                     hint="the annotator counts classes otherwise (another sorting, a class more or less); make the "
                          "maps again with the classes of this data")
    if renumbered:
        return error(check, where=where, wanted=wanted, got=f"{got}, though photos of one class have maps of one class",
                     hint="the annotator numbers classes in another order, or these are the maps of other classes")
    tell = error if n >= _MANY and seen.beyond < _ENOUGH / 2 else warning
    return tell(check, where=where, wanted=wanted, got=got,
                hint="these are maps of other photos, or shuffled among them; is TOKEN_LABEL.PATH that of this data?")


def weights_name_classes(named: np.ndarray, labels: np.ndarray, num_classes: int, whose: str, where: str) -> Finding:
    """Do `whose` weights, whose heads are kept, count classes as the photos in `where` do?"""
    check = f"classes of {whose}"
    seen, n = agreement(named, labels, num_classes), len(labels)
    if n < _FEWEST or not seen.spread:
        return unknown(check, f"{n} photos of {len(np.unique(labels))} classes are too few to tell")
    renumbered = are_renumbered(named, labels, num_classes)
    if seen.beyond >= _ENOUGH and not renumbered:
        return fine(check, f"right on {seen.hits} of {n} photos, {seen.chance:.0f} by chance")
    wanted, got = "heads that know these classes", f"{seen.hits} of {n} photos right, {seen.chance:.0f} by chance"
    shift = shift_of(named, labels, num_classes)
    if shift:
        return error(check, where=where, wanted=wanted, got=f"{got}; most are {_signed(shift, num_classes)} away",
                     hint="classes are counted otherwise there (another sorting, a class more or less); number them "
                          "alike, or start the heads afresh with --new-heads")
    if renumbered:
        return error(check, where=where, wanted=wanted, got=f"{got}, though photos of a class are taken for one class",
                     hint="classes are in another order there; sort them alike, or give --new-heads")
    return unknown(check, f"{got}: either they are hardly trained, or they know other classes")


def _signed(shift: int, num_classes: int) -> str:
    return f"{shift if 2 * shift <= num_classes else shift - num_classes:+d}"
