"""Where do the labels of a view's tokens come from? Of somebody else's loader, judged by what it has made.

What a photo shows where is known from label maps or from an annotator (`ppim.checks.patterns`; classes need not be the
same). For every explanation, such as "x and y of the box exchanged", the places are worked out that tokens would have
their labels from, and what is known of those places is held against the tokens' targets, less what targets of other
samples give. One explanation is named only where it is better than all others, sample by sample. That labels come from
where the view shows them may be so but for a displacement, which is sought first.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ppim.checks.choice import FEWEST, choose
from ppim.checks.patterns import centred, of_map, together
from ppim.geometry import HW, WH, Window, centre_window
from ppim.token_labels.maps import LabelMap

RIGHT, WRONG, UNDECIDED = "right", "wrong", "undecided"
_OTHERS = (1, 7, 23, 41)  # the targets of a sample so many places on stand for "another's"
_BETTER = 1.02  # times as good must the best explanation be
_LEAST = 0.02  # of the measure, below which targets say nothing of places
_POINTS = 2  # along a side of a token
_REACH = 3  # tokens, or cells, as far as displacements are looked for
_STEP = 0.5  # of the last look
_SOUGHT = 24  # samples by which a displacement is looked for, before all of them measure it
_SMALL, _TOLERATED = 0.1, 0.25  # tokens: a displacement that is one; one that cannot be ruled out and does not matter
_DRAWS = 1000  # of the bootstrap
_SAME = 1e-6  # shares of a side: places that are one


class Sample(NamedTuple):
    """A view and its targets.

    Attributes:
        table: (rows, columns, classes), the targets of its tokens. known: what its photo shows where.
        box: left, top, width, height of the view in shares of the photo's sides, before it is mirrored.
        flip: is it mirrored? wh: (width, height) of the photo.
    """

    table: np.ndarray
    known: LabelMap
    box: tuple[float, float, float, float]
    flip: bool
    wh: WH


Places = Callable[[np.ndarray, Sample], np.ndarray]  # points (P, 2) of the view -> points of the photo


class Displaced(NamedTuple):
    """How far labels are displaced to the right and down, each with an interval over samples (99 %).

    Attributes:
        unit: `tokens` of the view, or `cells` of the map, where the displacement goes with the photo.
        fit: how well the labels fit so displaced.
    """

    unit: str
    x: float
    y: float
    x_interval: tuple[float, float]
    y_interval: tuple[float, float]
    fit: float

    def __str__(self) -> str:
        (a, b), (c, d) = self.x_interval, self.y_interval
        return f"({self.x:+.2f} [{a:+.2f}, {b:+.2f}], {self.y:+.2f} [{c:+.2f}, {d:+.2f}]) {self.unit}"


class Verdict(NamedTuple):
    """What was found.

    Attributes:
        verdict: `right`, `wrong` or `undecided`. text: the same in a sentence.
        fits: every explanation and its mean fit, best first; like: explanations that are the same here as another.
        displaced: in tokens and in cells; () where labels do not come from about where the view shows them.
        samples: how many were looked at.
    """

    verdict: str
    text: str
    fits: tuple[tuple[str, float], ...]
    like: tuple[str, ...]
    displaced: tuple[Displaced, ...]
    samples: int


def _crop(points: np.ndarray, box: Sequence[float], flip: bool) -> np.ndarray:
    left, top, width, height = box
    x = 1 - points[:, 0] if flip else points[:, 0]
    return np.stack([left + width * x, top + height * points[:, 1]], axis=1)


def _right(points: np.ndarray, sample: Sample) -> np.ndarray:
    return _crop(points, sample.box, sample.flip)


def _exchanged(points: np.ndarray, sample: Sample) -> np.ndarray:
    left, top, width, height = sample.box
    return _crop(points, (top, left, height, width), sample.flip)


def _exchanged_mirrored(points: np.ndarray, sample: Sample) -> np.ndarray:
    """As the released code, whose box is one of the mirrored photo."""
    left, top, width, height = sample.box
    found = _crop(points, (top, 1 - left - width if sample.flip else left, height, width), False)
    return np.stack([1 - found[:, 0], found[:, 1]], axis=1) if sample.flip else found


def _within(points: np.ndarray, window: Window) -> np.ndarray:
    """Points of a window, as points of the photo."""
    return np.asarray(window[:2]) + points * (np.asarray(window[2:]) - window[:2])


def _of_window(points: np.ndarray, window: Window) -> np.ndarray:
    """Points of the photo, as points of a window."""
    return (points - window[:2]) / (np.asarray(window[2:]) - window[:2])


def explanations(pcts: Sequence[float] = (1.0, 0.875)) -> dict[str, Places]:
    """All that are tried, by what they are called; the first one is right."""
    found: dict[str, Places] = {
        "where the view shows them": _right,
        "x and y of the box exchanged": _exchanged,
        "x and y of the box exchanged, the box being one of the mirrored photo": _exchanged_mirrored,
        "rows and columns of the tokens exchanged": lambda points, sample: _right(points[:, ::-1], sample),
        "rows and columns of the map exchanged": lambda points, sample: _right(points, sample)[:, ::-1],
        "mirroring not followed": lambda points, sample: _crop(points, sample.box, False),
        "mirrored where the view is not": lambda points, sample: _crop(points, sample.box, not sample.flip),
        "upside down": lambda points, sample: _right(points * (1, -1) + (0, 1), sample),
        "from the whole photo, the crop not followed": lambda points, sample: _crop(points, (0, 0, 1, 1), sample.flip),
    }
    for pct in pcts:
        found[f"a frame error: maps of the whole photo read as of the centre crop at {pct:g}"] = (
            lambda points, sample, pct=pct: _of_window(_right(points, sample), centre_window(sample.wh, pct)))
        found[f"a frame error: maps of the centre crop at {pct:g} read as of the whole photo"] = (
            lambda points, sample, pct=pct: _within(_right(points, sample), centre_window(sample.wh, pct)))
    return found


def audit(samples: Sequence[Sample], tried: dict[str, Places] | None = None) -> Verdict:
    """Where the labels of samples come from.

    Args:
        samples: all of one grid of tokens. tried: see `explanations`.
    """
    if len(samples) < FEWEST:
        return Verdict(UNDECIDED, f"{len(samples)} samples are too few to tell, {FEWEST} are the least", (), (), (),
                       len(samples))
    distinct, like = _told_apart(samples, tried or explanations())
    known = [of_map(sample.known) for sample in samples]
    patterns = [centred(_few(sample.table)) for sample in samples]
    names = list(distinct)
    displaced = tuple(_displaced(samples, known, patterns, distinct[names[0]], unit) for unit in ("tokens", "cells"))
    nearest = max(displaced, key=lambda one: one.fit)
    # where labels are hardly displaced, samples that tell two explanations apart are to be the only ones that do
    moved = nearest if _is_displaced(nearest) else None
    fits = np.stack([_fits(samples, known, patterns, places, moved if name == names[0] else None)
                     for name, places in distinct.items()], axis=1)
    choice = choose(fits, _BETTER, _LEAST)
    ordered = tuple((names[one], float(choice.mean[one])) for one in np.argsort(-choice.mean, kind="stable"))
    why = ""
    if not choice.fits:
        why = "targets go with their own photos hardly better than with others"
    elif choice.open:
        why = f"it could as well be: {names[choice.open[0]]}"
    if why:
        return Verdict(UNDECIDED, f"{why} (best so far: {names[choice.best]})", ordered, like, (), len(samples))
    if choice.best:
        return Verdict(WRONG, f"labels come from elsewhere: {names[choice.best]}", ordered, like, (), len(samples))
    return Verdict(*_verdict(nearest, displaced[0]), ordered, like, displaced, len(samples))


def _verdict(displaced: Displaced, in_tokens: Displaced) -> tuple[str, str]:
    """Verdict and text for labels that come from where the view shows them, but for a displacement."""
    if _is_displaced(displaced):
        return WRONG, f"labels are displaced by {displaced} to the right and down"
    if all(-_TOLERATED < low and high < _TOLERATED for low, high in (in_tokens.x_interval, in_tokens.y_interval)):
        return RIGHT, f"labels come from where the view shows them, displaced by {in_tokens}"
    return UNDECIDED, f"labels come from about where the view shows them, displaced by {in_tokens}; more samples tell"


def _is_displaced(displaced: Displaced) -> bool:
    return any(low > _SMALL or high < -_SMALL for low, high in (displaced.x_interval, displaced.y_interval))


def _told_apart(samples: Sequence[Sample], tried: dict[str, Places]) -> tuple[dict[str, Places], tuple[str, ...]]:
    """The explanations that differ for these samples; and of those that do not, which is like which."""
    corners = np.array([(0.1, 0.2), (0.8, 0.3), (0.4, 0.9)])
    seen: dict[str, np.ndarray] = {}
    like = []
    for name, places in tried.items():
        here = np.stack([places(corners, sample) for sample in samples])
        same = next((other for other, there in seen.items() if np.abs(here - there).max() < _SAME), None)
        if same is None:
            seen[name] = here
        else:
            like.append(f"{name} (here the same as: {same})")
    return {name: tried[name] for name in seen}, tuple(like)


def _few(table: np.ndarray, most: int = 16) -> np.ndarray:
    """Of many classes those whose share varies most."""
    if table.shape[-1] <= most:
        return table
    return table[..., np.argsort(-table.reshape(-1, table.shape[-1]).var(axis=0), kind="stable")[:most]]


def _points(grid: HW) -> np.ndarray:
    """(rows * columns * _POINTS ** 2, 2): points of a view, those of a token one after the other."""
    rows, columns = grid
    inside = (np.arange(_POINTS) + 0.5) / _POINTS
    y, x, v, u = np.meshgrid(np.arange(rows), np.arange(columns), inside, inside, indexing="ij")
    return np.stack([((x + u) / columns).ravel(), ((y + v) / rows).ravel()], axis=1)


def _read(table: np.ndarray, window: Window, points: np.ndarray) -> np.ndarray:
    """What is known (rows, columns, C) at places of the photo (tokens * _POINTS ** 2, 2), bilinear, as the pattern of
    the tokens; beyond the outermost cells it is theirs."""
    rows, columns, _ = table.shape
    at = _of_window(points, window) * (columns, rows) - 0.5
    x, y = np.clip(at[:, 0], 0, columns - 1), np.clip(at[:, 1], 0, rows - 1)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, bottom = np.minimum(left + 1, columns - 1), np.minimum(top + 1, rows - 1)
    x, y = (x - left)[:, None], (y - top)[:, None]
    read = (table[top, left] * (1 - x) * (1 - y) + table[top, right] * x * (1 - y)
            + table[bottom, left] * (1 - x) * y + table[bottom, right] * x * y)
    return centred(read.reshape(-1, _POINTS**2, read.shape[-1]).mean(axis=1))


def _moved(points: np.ndarray, sample: Sample, places: Places, unit: str, offset: np.ndarray) -> np.ndarray:
    """Where tokens have their labels from that come from (x, y) tokens of the view, or cells of the map, farther on."""
    if unit == "tokens":
        return places(points + offset / sample.table.shape[1::-1], sample)
    x0, y0, x1, y1 = sample.known.window
    rows, columns = sample.known.scores.shape[1:]
    return places(points, sample) + offset * ((x1 - x0) / columns, (y1 - y0) / rows)


def _fits(samples: Sequence[Sample], known: list[np.ndarray], patterns: list[np.ndarray], places: Places,
          displaced: Displaced | None) -> np.ndarray:
    """(n,): how well the targets go with what is known of `places`, less what other samples' targets do."""
    points, found = _points(samples[0].table.shape[:2]), np.empty(len(samples))
    unit, offset = (displaced.unit, np.array([displaced.x, displaced.y])) if displaced else ("tokens", np.zeros(2))
    for number, sample in enumerate(samples):
        there = _read(known[number], sample.known.window, _moved(points, sample, places, unit, offset))
        chance = [together(patterns[(number + step) % len(samples)], there) for step in _OTHERS]
        found[number] = together(patterns[number], there) - np.mean(chance)
    return found


def _displaced(samples: Sequence[Sample], known: list[np.ndarray], patterns: list[np.ndarray], places: Places,
               unit: str) -> Displaced:
    """The displacement at which targets go best with what is known."""
    points = _points(samples[0].table.shape[:2])

    def surface(offsets: np.ndarray, most: int) -> np.ndarray:
        """(samples, offsets): fits where labels come from so much farther to the right and down."""
        return np.array([[together(patterns[number], _read(known[number], sample.known.window,
                                                           _moved(points, sample, places, unit, offset)))
                          for offset in offsets] for number, sample in enumerate(samples[:most])])

    around = np.array([(x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)], np.float64)
    centre, line = np.zeros(2), np.arange(-_REACH, _REACH + 1.0)[:, None]
    for axis in ((1, 0), (0, 1), (1, 0), (0, 1)):  # along x, along y, and again from there
        tried = centre * (1 - np.array(axis)) + line * axis
        centre = tried[surface(tried, _SOUGHT).mean(axis=0).argmax()]
    near = surface(centre + _STEP * around, len(samples))
    for _ in range(2 * _REACH):
        if near.mean(axis=0).argmax() == 4:
            break
        centre = centre + _STEP * around[near.mean(axis=0).argmax()]
        near = surface(centre + _STEP * around, len(samples))
    draws = np.random.default_rng(len(samples)).integers(0, len(samples), (_DRAWS, len(samples)))
    peaks = centre + np.stack([_peak(level) for level in near[draws].mean(axis=1)])
    (x, y), low, high = centre + _peak(near.mean(axis=0)), *np.quantile(peaks, (0.005, 0.995), axis=0)
    return Displaced(unit, float(x), float(y), (float(low[0]), float(high[0])), (float(low[1]), float(high[1])),
                     float(near.mean(axis=0).max()))


def _peak(level: np.ndarray) -> np.ndarray:
    """(2,): where a surface of 3 x 3 points (9,), _STEP apart, is highest, by a parabola along each axis."""
    table, found = level.reshape(3, 3), []
    for low, middle, high in (table[1], table[:, 1]):
        bend = low - 2 * middle + high
        found.append(np.clip(_STEP * (low - high) / (2 * bend), -_STEP, _STEP) if bend < 0 else 0.0)
    return np.array(found)
