"""Do label maps lie on their photos the way they are read?

Where a map changes class, its photo mostly changes colour; how well two such patterns go together is one number
(`ppim.checks.patterns`). For a reading, such as "rows and columns exchanged", it is taken for maps
on their own photos less that for maps on other photos, so that what all photos have in common (things stand in the
middle) does not count. A reading is named only where it is far better than the one in use, photo by photo.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from ppim.checks.finding import Finding, error, fine, unknown, warning
from ppim.checks.patterns import centred, classes_of, together
from ppim.geometry import HW, Window, centre_window
from ppim.token_labels.card import Reading
from ppim.token_labels.maps import LabelMap

_FEWEST = 16  # photos
_CLEAR = 5.0  # deviations of a mean over photos that are not chance
_BETTER = 1.2  # as much larger must the number be; a smaller frame alone makes it up to 1.12 times as large
_OTHERS = (1, 7, 23)  # the map of a photo so many places on stands for "another photo's"

# what is done to [K, rows, columns] as it is read -> what it would have been
_TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "as they are read": lambda x: x,
    "with rows and columns exchanged": lambda x: x.transpose(0, 2, 1),
    "mirrored left to right": lambda x: x[:, :, ::-1],
    "upside down": lambda x: x[:, ::-1],
    "turned by 180 degrees": lambda x: x[:, ::-1, ::-1],
    "turned by 90 degrees to the left": lambda x: np.rot90(x, 1, (1, 2)),
    "turned by 90 degrees to the right": lambda x: np.rot90(x, 3, (1, 2)),
    "mirrored about the other diagonal": lambda x: x.transpose(0, 2, 1)[:, ::-1, ::-1],
}
_FRAMES = (("whole", 1.0), ("centre-crop", 1.0), ("centre-crop", 0.875))


class _Case(NamedTuple):
    """A way of reading maps, and how well it fits each photo (n,)."""

    frame: tuple[str, float]
    turn: str
    fits: np.ndarray

    @property
    def beyond(self) -> float:
        """Deviations by which maps fit their own photos better than others'."""
        return _deviations(self.fits)


def maps_lie_on_photos(
    photos: Sequence[Image.Image], maps: Sequence[LabelMap], reading: Reading, where: str
) -> Finding:
    """Is there another axis, direction or frame by which the maps lie on their photos far better than as read?

    Args:
        photos: RGB; maps: one for each, read as `reading` says.
    """
    check = "places of the label maps"
    if len(photos) < _FEWEST:
        return unknown(check, f"{len(photos)} photos are too few to tell")
    stated = (reading.frame, reading.crop_pct)
    patterns = {name: [_classes_of(label_map, turn) for label_map in maps] for name, turn in _TURNS.items()}
    turned = [_Case(stated, name, _fits(photos, stated, patterns[name])) for name in _TURNS]
    own, turn = turned[0], max(turned, key=lambda case: case.fits.mean()).turn
    frames = [_Case(frame, turn, _fits(photos, frame, patterns[turn])) for frame in _FRAMES if frame != stated]
    best = max(turned, key=lambda case: case.fits.mean())
    for case in frames:
        best = case if _is_far_better(case, best) else best
    if best.beyond < _CLEAR:
        return unknown(check, "maps follow the colours of their own photos hardly better than those of others")
    if not _is_far_better(best, own):
        return fine(check, f"{len(photos)} maps follow the colours of their photos, {own.beyond:.0f} deviations beyond "
                           "chance")
    tell = error if own.beyond < _CLEAR else warning
    gain = _deviations(best.fits - own.fits)
    return tell(check, where=where, wanted="maps that lie on their photos",
                got=f"maps that do so far better read {_words(best, stated)} ({gain:.0f} deviations beyond chance over "
                    f"{len(photos)} photos)", hint=_hint(best, stated))


def _is_far_better(case: _Case, other: _Case) -> bool:
    return case is not other and _deviations(case.fits - other.fits) > _CLEAR and (
        case.fits.mean() > _BETTER * other.fits.mean())


def _words(best: _Case, stated: tuple[str, float]) -> str:
    frame = f"as of {'the whole photo' if best.frame[0] == 'whole' else f'the centre crop at {best.frame[1]:g}'}"
    return " and ".join([best.turn] * (best.turn != next(iter(_TURNS))) + [frame] * (best.frame != stated))


def _hint(best: _Case, stated: tuple[str, float]) -> str:
    said = []
    if best.turn == "with rows and columns exchanged":
        said.append("set TOKEN_LABEL.ORIENTATION to the other one")
    elif best.turn != next(iter(_TURNS)):
        said.append("make the maps again, no key reads them so")
    if best.frame != stated:
        said.append(f"set TOKEN_LABEL.FRAME {best.frame[0]}"
                    + (f" TOKEN_LABEL.FRAME_CROP_PCT {best.frame[1]:g}" if best.frame[0] != "whole" else ""))
    return " and ".join(said) + ", or correct the card beside the maps"


def _fits(photos: Sequence[Image.Image], frame: tuple[str, float], patterns: list[tuple[np.ndarray, HW]]) -> np.ndarray:
    fits = []
    for index, photo in enumerate(photos):
        window = (0.0, 0.0, 1.0, 1.0) if frame[0] == "whole" else centre_window(photo.size, frame[1])
        own, hw = patterns[index]
        colours = _colours_of(photo, window, hw)
        others = [patterns[(index + step) % len(photos)] for step in _OTHERS]
        chance = [together(other, colours) for other, shape in others if shape == hw]
        fits.append(together(own, colours) - (np.mean(chance) if chance else 0.0))
    return np.array(fits)


def _classes_of(label_map: LabelMap, turn) -> tuple[np.ndarray, HW]:
    """The pattern of a map's classes, and (rows, columns)."""
    table = classes_of(turn(label_map.scores), turn(label_map.ids))
    return centred(table), table.shape[:2]


def _colours_of(photo: Image.Image, window: Window, hw: HW) -> np.ndarray:
    """The pattern of the mean colours of what each cell covers."""
    (x0, y0, x1, y1), (width, height) = window, photo.size
    cells = photo.resize(hw[::-1], Image.Resampling.BOX, box=(x0 * width, y0 * height, x1 * width, y1 * height))
    return centred(np.asarray(cells, np.float64))


def _deviations(values: np.ndarray) -> float:
    """The mean of values (n,) in deviations of such a mean."""
    return float(values.mean() / max(values.std() / np.sqrt(len(values)), 1e-9))
