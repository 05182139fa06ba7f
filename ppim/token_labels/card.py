"""How are the maps of a folder to be read? What no map file says of itself, their card does: `annotation.json`.

Maps of our own lie beside one; other maps have none, and for them the configuration must know.
"""
from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ppim.files import open_regular, write_whole
from ppim.geometry import WH, Window, centre_window
from ppim.strict_json import dumps
from ppim.token_labels.manifest import MANIFEST, is_pack, read_manifest, seal
from ppim.token_labels.maps import ORIENTATIONS

CARD = "annotation.json"
FRAMES = ("whole", "centre-crop")
EXIF = ("ignore", "apply")  # see `data.photos.read_photo`


class Reading(NamedTuple):
    """How the maps of a folder are to be read."""

    frame: str = "whole"  # what a map shows of its photo: 'whole', or 'centre-crop' (short side resized, square cut)
    crop_pct: float = 1.0  # 'centre-crop': side of that square per resized short side, in (0, 1]
    orientation: str = "rows-first"  # see `maps.read_map`
    log_z: bool | None = None  # do they hold the annotator's log-sum-exp? None: not known
    exif: str = "ignore"  # how the photos were read that they are of

    def window(self, photo_wh: WH) -> Window:
        """What a map shows of a photo of (width, height) pixels: x0, y0, x1, y1 in unit coordinates."""
        return (0.0, 0.0, 1.0, 1.0) if self.frame == "whole" else centre_window(photo_wh, self.crop_pct)

    def __str__(self) -> str:
        share = f" {self.crop_pct:g}" if self.frame == "centre-crop" else ""
        form = {True: ", with log-sum-exp", False: ", without log-sum-exp", None: ""}[self.log_z]
        turned = ", of photos turned upright" if self.exif == "apply" else ""
        return f"{self.frame}{share}, {self.orientation}{form}{turned}"


WHOLE = Reading()
_LONGEST = 1 << 20  # bytes; a card has some hundred
_SEAL = "seal"  # the key of a digest of all else the card says


def card_place(maps: str | Path) -> Path:
    """The file with the card of a folder or of a pack, whether there is one or not. A folder without one is a part of
    the maps of the folder above it, where that has one: so are those of `train/`, which were made with others."""
    own, above = Path(maps) / (MANIFEST if is_pack(maps) else CARD), Path(os.path.abspath(maps)).parent / CARD
    return above if own.name == CARD and not own.exists() and above.is_file() else own


def check_reading(reading: Reading) -> None:
    """Refuse another frame or orientation than there are.

    Raises:
        ValueError: which there are.
    """
    if reading.frame not in FRAMES:
        raise ValueError(f"frame wants one of {', '.join(FRAMES)}; got {reading.frame!r}")
    if reading.orientation not in ORIENTATIONS:
        raise ValueError(f"orientation wants one of {', '.join(ORIENTATIONS)}; got {reading.orientation!r}")


def load_card(maps: str | Path) -> dict[str, Any] | None:
    """All that the card of a folder or pack says, see `card_place`, of old ones without it `exif` "ignore"; None where
    it has none.

    Raises:
        ValueError: the file is damaged; the message names it.
    """
    return _with_exif(read_manifest(maps).card if is_pack(maps) else _load(card_place(maps)))


def load_own_card(maps: str | Path) -> dict[str, Any] | None:
    """The same of a folder to be written to, of which that above it does not speak. Raises what `load_card` raises."""
    return load_card(maps) if is_pack(maps) else _with_exif(_load(Path(maps) / CARD))


def _with_exif(card: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if card is None else {**card, "exif": card.get("exif", "ignore")}


def _load(path: Path) -> dict[str, Any] | None:
    try:
        with open_regular(path) as file:
            card = json.loads(file.read(_LONGEST).decode("utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from None
    if not isinstance(card, dict):
        raise _damaged(path, f"wanted an object, got {type(card).__name__}")
    said = card.pop(_SEAL, None)
    if said is not None and said != seal(card):
        raise _damaged(path, f"changed since it was written; whoever changed it on purpose leaves {_SEAL} out")
    count, names = card.get("num_classes"), card.get("classes")
    if count is not None and (type(count) is not int or count < 1):
        raise _damaged(path, f"num_classes wants a whole number above 0, got {count!r:.80}")
    if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise _damaged(path, f"classes wants a list of names, got {names!r:.80}")
    return card


def read_card(folder: str | Path) -> Reading | None:
    """How the card of a folder wants its maps read; None where there is no card.

    Raises:
        ValueError: the file is damaged, or lacks what is asked here; the message names it.
    """
    card = load_card(folder)
    if card is None:
        return None
    path = card_place(folder)
    for key, allowed in (("frame", FRAMES), ("orientation", ORIENTATIONS), ("log_z", (True, False)),
                         ("exif", EXIF)):
        if card.get(key) not in allowed:
            raise _damaged(path, f"{key} wants one of {', '.join(map(str, allowed))}, got {card.get(key)!r:.80}")
    crop_pct = card.get("crop_pct") if card["frame"] == "centre-crop" else 1.0
    if not isinstance(crop_pct, (int, float)) or not 0 < crop_pct <= 1:
        raise _damaged(path, f"crop_pct wants a number above 0, at most 1, got {crop_pct!r:.80}")
    return Reading(card["frame"], float(crop_pct), card["orientation"], bool(card["log_z"]), card["exif"])


def save_card(folder: str | Path, reading: Reading, origin: Mapping[str, object]) -> None:
    """Write the card of a folder: how its maps are to be read, and what made them (`origin`)."""
    save_said(folder, {**origin, **card_fields(reading)})


def save_said(folder: str | Path, said: Mapping[str, object]) -> None:
    """Write the card of a folder that says what another does, see `load_card`."""
    card = json.loads(dumps(dict(said)))  # as it will be read
    text = dumps({**card, _SEAL: seal(card)}, indent=1) + "\n"
    write_whole(Path(folder) / CARD, lambda beside: beside.write_text(text, encoding="utf-8"))


def card_fields(reading: Reading) -> dict[str, Any]:
    """What a card says of `reading`; `crop_pct` only where it has a meaning."""
    fields = {"log_z": reading.log_z, "frame": reading.frame}
    if reading.frame == "centre-crop":
        fields["crop_pct"] = reading.crop_pct
    return {**fields, "orientation": reading.orientation, "exif": reading.exif}


def _damaged(path: Path, what: str) -> ValueError:
    return ValueError(f"{path}: not a card of label maps ({' '.join(what.split())}); make the maps again, or remove "
                      "the file and say with TOKEN_LABEL.FRAME and TOKEN_LABEL.ORIENTATION how they are to be read")
