"""How are label maps of unknown origin stored: which way round, and of the whole photo or of its centre?

Every way that is thinkable is tried: the maps are laid on their photos by it, and what they say is held against what an
annotator says of the same places (`ppim.checks.patterns`; its classes need not be those of the maps). What counts is
how well they go together less how well maps of other photos do, so that what all photos have in common (things stand in
the middle) does not count. The best way is named only where it is better than every other one photo by photo, by a sign
test and by a bootstrap over photos; else it is undecided, and nothing is named.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ppim.checks.choice import FEWEST, choose
from ppim.checks.patterns import centred, classes_of, laid, of_map, together
from ppim.geometry import WH, WHOLE, Window, centre_window
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.orientations import ORIENTATIONS, as_seen

PCTS = (1.0, 0.875)  # centre crops that are tried unless others are stated
_OTHERS = (1, 7, 23, 41)  # the map of a photo so many places on stands for "another photo's"
_BETTER = 1.1  # as much larger must the number be: which photos are easy depends a little on the frame
_LEAST = 0.02  # of the measure itself, below which maps say nothing of places


class Way(NamedTuple):
    """How maps may be stored."""

    orientation: str  # see `token_labels.orientations`
    crop_pct: float | None = None  # None: of the whole photo; else of the centre square, see `geometry.centre_window`

    def window(self, wh: WH) -> Window:
        """What a map covers of a photo of (width, height)."""
        return WHOLE if self.crop_pct is None else centre_window(wh, self.crop_pct)

    def __str__(self) -> str:
        return f"{self.orientation}, {'whole photo' if self.crop_pct is None else f'centre crop {self.crop_pct:g}'}"


class Found(NamedTuple):
    """What was found of maps.

    Attributes:
        best: the way in which they fit best.
        fit: the mean over photos of how well they do, beyond chance: 0 (not at all) .. 1.
        rival: the way that comes nearest; margin: by how much the best is better; low, high: an interval of that margin
            over photos; p: of a sign test against the rival, corrected for the number of ways.
        why: why it is undecided; "" where it is decided.
        orientation, frame: which of the two is decided by itself.
        fits: every way with its mean, best first.
        photos: how many were looked at.
    """

    best: Way
    fit: float
    rival: Way
    margin: float
    low: float
    high: float
    p: float
    why: str
    orientation: bool
    frame: bool
    fits: tuple[tuple[Way, float], ...]
    photos: int

    @property
    def is_decided(self) -> bool:
        """Is the best way known to be the right one?"""
        return not self.why


def ways(pcts: Sequence[float] = PCTS) -> list[Way]:
    """All that are tried: eight orientations of the whole photo and of each centre crop.

    Raises:
        ValueError: a share outside of (0, 1].
    """
    wrong = [pct for pct in pcts if not 0 < pct <= 1]
    if wrong:
        raise ValueError(f"a centre crop wants a share of the short side above 0, at most 1, got {wrong[0]:g}")
    return [Way(orientation, pct) for pct in (None, *dict.fromkeys(pcts)) for orientation in ORIENTATIONS]


def find(stored: Sequence[LabelMap], said: Sequence[LabelMap], sizes: Sequence[WH], tried: Sequence[Way]) -> Found:
    """The way in which maps are stored.

    Args:
        stored: as their files have them, whatever way round.
        said: what an annotator says of the same photos, as maps of the whole photo, rows first.
        sizes: (width, height) of the photos; tried: at least two ways.
    """
    if len(stored) < 2:
        raise ValueError(f"wanted maps of at least {FEWEST} photos, got {len(stored)}")
    return judge(fits(stored, said, sizes, tried), tried)


def fits(stored: Sequence[LabelMap], said: Sequence[LabelMap], sizes: Sequence[WH], tried: Sequence[Way]) -> np.ndarray:
    """(photos, ways): how well each map laid on its photo goes with what is said of it, less what others' maps do."""
    tables = [of_map(label_map) for label_map in said]
    seen = {way.orientation: [_pattern(label_map, way.orientation) for label_map in stored] for way in tried}
    found = np.empty((len(stored), len(tried)))
    for photo, (table, size) in enumerate(zip(tables, sizes)):
        laid_once: dict[tuple[float | None, tuple[int, int]], np.ndarray] = {}
        for column, way in enumerate(tried):
            pattern, hw = seen[way.orientation][photo]
            place = way.crop_pct, hw
            if place not in laid_once:
                laid_once[place] = centred(laid(table, way.window(size), hw))
            others = [seen[way.orientation][(photo + step) % len(stored)] for step in _OTHERS]
            chance = [together(other, laid_once[place]) for other, shape in others if shape == hw]
            found[photo, column] = together(pattern, laid_once[place]) - (np.mean(chance) if chance else 0.0)
    return found


def judge(found: np.ndarray, tried: Sequence[Way]) -> Found:
    """What `fits` (photos, ways) say of the ways."""
    choice = choose(found, _BETTER, _LEAST)
    best, could_be = tried[choice.best], [tried[way] for way in choice.open]
    nothing = ""
    if len(found) < FEWEST:
        nothing = f"{len(found)} photos are too few to tell, {FEWEST} are the least"
    elif not choice.fits:
        nothing = "maps go with what is said of their own photos hardly better than with what is said of others"
    return Found(
        best, float(choice.mean[choice.best]), tried[choice.rival], choice.margin, choice.low, choice.high, choice.p,
        nothing or _why(could_be), not nothing and all(way.orientation == best.orientation for way in could_be),
        not nothing and all(way.crop_pct == best.crop_pct for way in could_be),
        tuple((tried[way], float(choice.mean[way])) for way in np.argsort(-choice.mean, kind="stable")), len(found))


def _why(turned: Sequence[Way]) -> str:
    if not turned:
        return ""
    more = f" and {len(turned) - 2} more" if len(turned) > 2 else ""
    return f"it could as well be {'; or '.join(map(str, turned[:2]))}{more}"


def _pattern(label_map: LabelMap, orientation: str) -> tuple[np.ndarray, tuple[int, int]]:
    table = classes_of(as_seen(label_map.scores, orientation), as_seen(label_map.ids, orientation))
    return centred(table), table.shape[:2]
