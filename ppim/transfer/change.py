"""What becomes of a map on its way into another form, and what will its card say then?"""
from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ppim.token_labels.card import Reading, card_fields
from ppim.token_labels.maps import MapError
from ppim.token_labels.orientations import as_seen


class Change(NamedTuple):
    """What is done to every map."""

    orientation: str | None = None  # how maps are stored; they are turned to rows first. None: they stay as they are
    planes: int | None = None  # 2: leave the log-sum-exp out. None: as many as there are

    def __str__(self) -> str:
        turned = [] if self.orientation in (None, "rows-first") else [f"{self.orientation} to rows-first"]
        return ", ".join(turned + ([] if self.planes is None else [f"{self.planes} planes"]))

    def of(self, place: str, array: np.ndarray) -> np.ndarray:
        """The array of a map, changed; `place` is for messages."""
        if array.ndim != 4 or array.shape[0] not in (2, 3):
            raise MapError(f"{place}: wanted [2, K, H, W] (scores, class ids) or [3, K, H, W] (and log-sum-exp), got "
                           f"shape {list(array.shape)}")
        if len(array) < (self.planes or 2):
            raise MapError(f"{place}: has no log-sum-exp; leave --planes out")
        array = array[:self.planes]
        return array if self.orientation is None else np.ascontiguousarray(as_seen(array, self.orientation))


class Stated(NamedTuple):
    """What the user says of maps; None: nothing."""

    orientation: str | None = None
    frame: str | None = None
    crop_pct: float = 1.0  # with frame 'centre-crop'
    exif: str | None = None


def card_after(source: str, card: Mapping[str, Any] | None, stated: Stated, log_z: bool,
               change: Change) -> dict[str, Any] | None:
    """What the card of the changed maps says: what the card of the old ones does, but for what the user states; and
    `changes`, what was done to which maps, one after the other.

    Args:
        source: where the old maps are; log_z: have the changed ones a log-sum-exp?

    Returns:
        None where nothing is known: no card, and nothing stated.

    Raises:
        ValueError: without a card, one of orientation and frame was stated alone.
    """
    if card is None and (stated.orientation, stated.frame, stated.exif) == (None, None, None):
        return None
    said = dict(card or {})
    missing = [flag for flag, key in (("--orientation", "orientation"), ("--frame", "frame"))
               if key not in said and getattr(stated, key) is None]
    if missing:
        raise ValueError(f"{source} has no card, so that a new one wants --orientation (how the maps are stored) and "
                         f"--frame (what they show of a photo); {' and '.join(missing)} is missing")
    if stated.orientation is not None:
        said["orientation"] = "rows-first"
    if stated.frame is not None:
        said.pop("crop_pct", None)
        said.update(frame=stated.frame)
        if stated.frame == "centre-crop":
            said["crop_pct"] = stated.crop_pct
    reading = Reading(said["frame"], float(said.get("crop_pct", 1.0)), said["orientation"], log_z,
                      stated.exif or said.get("exif", "ignore"))
    said.update(card_fields(reading))
    # maps turned in two ways are read alike, and are not the same maps
    if str(change):
        said["changes"] = [*said.get("changes", ()), f"{os.path.basename(os.path.abspath(source))}: {change}"]
    return said
