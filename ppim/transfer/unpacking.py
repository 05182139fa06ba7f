"""How do label maps become files again, one a map, by several processes?"""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ppim.files import write_whole
from ppim.token_labels.card import CARD, load_own_card, save_said
from ppim.token_labels.maps import MapError, map_of_array, map_path, save_array
from ppim.token_labels.record import UNKNOWN
from ppim.transfer.change import Change
from ppim.transfer.forms import FolderOf, Source
from ppim.transfer.packing import Progress
from ppim.transfer.pool import in_order
from ppim.transfer.torch_maps import torch_bytes


class Written(NamedTuple):
    """How many maps were written, and how many were there already."""

    written: int
    kept: int


class _Write(NamedTuple):
    """Stems -> files of their maps. A class, so that processes can be handed it."""

    source: Source
    target: str
    suffix: str
    change: Change
    classes: int
    planes: int | None  # what the card says that they have; None: there is no card

    def __call__(self, stems: Sequence[str]) -> Written:
        written = 0
        for stem in stems:
            path = map_path(self.target, f"{stem}.", self.suffix)
            if os.path.exists(path):
                continue
            place = self.source.place(stem)
            array = self.change.of(place, self.source.array(stem))
            map_of_array(place, array, self.classes)
            if self.planes not in (None, len(array)):
                raise MapError(f"{place}: wanted {self.planes} planes as its card says, or the first map has, got "
                               f"{len(array)}; --planes 2 leaves log-sum-exps out")
            if self.suffix == ".npy":
                save_array(path, array)
            else:
                data = torch_bytes(array, Path(path).stem)
                write_whole(path, lambda beside, data=data: beside.write_bytes(data), durable=False)
            written += 1
        return Written(written, len(stems) - written)


def to_files(source: Source, target: str, suffix: str, card: dict[str, Any] | None, change: Change,
             classes: int | None, jobs: int, progress: Progress) -> Written:
    """Write every map of `source` as a file of its own below `target`; files that are there are kept, so that what was
    interrupted is simply started again.

    Args:
        suffix: '.npy' or '.pt'; card: what the card of `target` is to say, None: it has none.
        progress: as `ppim.commands.labels.map_progress`.

    Raises:
        ValueError: a map that cannot be trusted; or `target` has maps that are to be read in another way.
    """
    _settle_card(target, suffix, card)
    stems = sorted(source.stems())
    log_z = (card or {}).get("log_z")
    planes = None if log_z is None else 3 if log_z else 2
    work, total = _Write(source, target, suffix, change, classes or UNKNOWN, planes), Written(0, 0)
    with progress(len(stems)) as advance:
        for done in in_order(work, stems, jobs):
            total = Written(total.written + done.written, total.kept + done.kept)
            advance(done.written + done.kept)
    return total


def _settle_card(target: str, suffix: str, card: dict[str, Any] | None) -> None:
    """Write the card before the first map, so that what an interrupted start has left says what it is."""
    there = load_own_card(target)
    wanted = None if card is None else {**card, "exif": card.get("exif", "ignore")}
    if there == wanted:
        return
    if there is not None or next(FolderOf(target, suffix).stems(), None) is not None:
        raise ValueError(f"{target}: the maps there are to be read as {_told(there)}, those to be written as "
                         f"{_told(wanted)}; take an empty folder")
    os.makedirs(target, exist_ok=True)
    save_said(target, card)


def _told(card: dict[str, Any] | None) -> str:
    if card is None:
        return f"no {CARD} says"
    # a card that somebody has written by hand may say less
    return ", ".join([*(f"{card.get(key) or f'no {key}'}" for key in ("frame", "orientation")),
                      *(f"changed ({done})" for done in card.get("changes", ()))])
