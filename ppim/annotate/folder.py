"""What lies in a folder of maps already: whose are they, and which of them are whole?

A map appears under its name in one step, so one that is there is whole unless something has happened to it since. At
the start of a run over a million photos each is therefore judged by its size alone, which one look at its folder tells;
only those written last are opened, since a machine that lost its power may have kept their names without their bytes.
(`ppim labels check` opens all.)
"""
from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ppim.geometry import HW
from ppim.seal import SEAL_BYTES
from ppim.token_labels.card import Reading, card_fields, load_own_card, save_card
from ppim.token_labels.maps import MapError, map_path, read_map
from ppim.token_labels.store import first_shared

_UNSURE = 60.0  # seconds before the newest map within which a map may not have reached the disk
_UNFINISHED = re.compile(r"\..+\.npy\.[0-9]+")


def claim(output, reading: Reading, origin: Mapping[str, object], overwrite: bool = False,
          maps: Iterable[str] = ()) -> None:
    """Write down what makes the maps in `output`, or check that it is what made those already there; what killed runs
    have left unfinished is removed.

    Args:
        origin: what makes them, for the card.
        overwrite: whatever is there is of no account: `maps`, paths of files, are removed first, so that a run that is
            broken off and started again without this keeps none of another annotator.

    Raises:
        ValueError: the folder holds maps of another annotator.
    """
    there = None if overwrite else load_own_card(output)
    if there is not None:
        # which engine stands in cards of what was not computed operator by operator
        card = {"engine": None, **origin, **card_fields(reading)}
        # maps of before do not name their classes; the weights, which say the same then, are theirs
        different = [key for key in card if there.get(key) != card[key] and (key != "classes" or key in there)]
        if different:
            says = ", ".join(f"{key} {there.get(key)!r:.99} (now {card[key]!r:.99})" for key in different)
            raise ValueError(f"{output} holds maps of another annotator: {says}; choose another folder or --overwrite")
    for path in maps if overwrite else ():
        Path(path).unlink(missing_ok=True)
    for folder, _, files in os.walk(output):
        for name in filter(_UNFINISHED.fullmatch, files):
            Path(folder, name).unlink(missing_ok=True)
    save_card(output, reading, origin)


def places_of(files: Sequence[str], output) -> list[str]:
    """Where the map of each file goes.

    Raises:
        ValueError: two photos whose names differ by the last suffix alone would share one.
    """
    pair = first_shared(files)
    if pair:
        raise ValueError(f"{pair[0]} and {pair[1]} would share the map {map_path(str(output), pair[0])}; rename one of "
                         "them")
    return [map_path(str(output), name) for name in files]


def whole_ones(places: Sequence[str], grid: HW, top_k: int, num_classes: int) -> np.ndarray:
    """(n,) bool: at which of these places is there a whole map of this form? Each folder is listed once."""
    sizes, newest = _sizes((3, top_k, *grid)), 0.0
    found = np.zeros(len(places), bool)
    written = np.zeros(len(places))
    for at, entry in _entries(places):
        status = entry.stat()
        found[at], written[at] = status.st_size in sizes, status.st_mtime
        newest = max(newest, status.st_mtime)
    for at in np.flatnonzero(found & (written > newest - _UNSURE)):
        found[at] = is_valid_map(places[at], grid, top_k, num_classes)
    return found


def is_valid_map(path, grid: HW, top_k: int, num_classes: int) -> bool:
    """Is there a readable map of this shape at `path`?"""
    try:
        found = read_map(str(path), num_classes)
    except (MapError, FileNotFoundError):
        return False
    return found.scores.shape == (top_k, *grid) and found.log_z is not None


def _entries(places: Sequence[str]) -> Iterator[tuple[int, os.DirEntry]]:
    """The places at which there is a file, by number, with what its folder says of it."""
    wanted: dict[str, dict[str, int]] = {}
    for at, place in enumerate(places):
        folder, name = os.path.split(place)
        wanted.setdefault(folder, {})[name] = at
    for folder, names in wanted.items():
        if os.path.isdir(folder):
            with os.scandir(folder) as entries:
                yield from ((names[entry.name], entry) for entry in entries if entry.name in names)


def _sizes(shape: tuple[int, ...]) -> set[int]:
    """Bytes of a map of this shape: of half or single precision, sealed, or not, as they were once."""
    sizes = set()
    for dtype in (np.float16, np.float32):
        stream = io.BytesIO()
        np.lib.format.write_array(stream, np.zeros(shape, dtype), allow_pickle=False)
        sizes |= {stream.tell(), stream.tell() + SEAL_BYTES}
    return sizes


