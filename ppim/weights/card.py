"""What do weights say of themselves, besides their tensors? Their card: one JSON object, wherever they are written.

In a `.safetensors` file it stands in the metadata, under `card`; beside a `.pdparams` file, which is a plain
{name: array} for `paddle.load`, in `NAME.card.json`. A card has at least

    form          1
    num_classes   rows of the head
    classes       names of the classes in the order of those rows, the first of them where there are more rows;
                  [] where they have no names

and from a run of ours also `model`, `trans` (what MODEL.TRANS says of its size, if anything), `image_size`, `crop_pct`,
`interpolation`, `mean`, `std` and `exif`, as the run's configuration has them. Whoever reads a card passes over what it
does not know.
"""
from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ppim.files import write_whole
from ppim.strict_json import dumps
from ppim.weights.read import find_weights
from ppim.weights.safetensors_files import read_metadata

SUFFIX = ".card.json"


def read_card(path: str | os.PathLike) -> dict[str, Any] | None:
    """The card of a weights file, whose suffix may be left out; None where it has none.

    Raises:
        FileNotFoundError: no such weights.
        ValueError: the card is damaged; the message names the file it stands in.
    """
    weights = Path(find_weights(os.fspath(path)))
    place, text = weights, read_metadata(weights).get("card")
    if text is None:
        place = card_path(weights)
        text = place.read_bytes() if place.is_file() else None
    if text is None:
        return None
    try:
        return _checked(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}: damaged card of weights ({error}); remove it where it is a file of its own, then "
                         "names of classes are to be given with --classes") from None


def card_path(weights: str | os.PathLike) -> Path:
    """Where the card of weights lies that have no place for it inside."""
    return Path(weights).with_suffix(SUFFIX)


def as_metadata(card: Mapping[str, Any] | None) -> dict[str, str]:
    """A card as metadata of a safetensors file."""
    return {"card": dumps(card)} if card else {}


def write_beside(weights: str | os.PathLike, card: Mapping[str, Any] | None, write: Callable[[], object]) -> None:
    """Have `write` write the weights and lay their card beside them; at no time do they lie beside another's."""
    place = card_path(weights)
    text = dumps(card, indent=1) + "\n" if card else None
    if place.is_file() and place.read_bytes() != (text or "").encode():
        place.unlink()
    write()
    if text and not place.is_file():
        write_whole(place, lambda path: path.write_text(text, encoding="utf-8"))


def names_in(card: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The names of the classes that a card has; () without a card."""
    return tuple(card["classes"]) if card else ()


def _checked(card: Any) -> dict[str, Any]:
    if not isinstance(card, dict):
        raise ValueError(f"wanted an object, got {type(card).__name__}")
    names, rows = card.get("classes"), card.get("num_classes")
    if not isinstance(rows, int) or isinstance(rows, bool) or rows < 1:
        raise ValueError(f"num_classes wants a whole number above 0, got {rows!r}")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"classes wants a list of names, got {type(names).__name__}")
    if len(set(names)) < len(names) or len(names) > rows:
        raise ValueError(f"classes wants at most {rows} names, each once, got {len(names)}")
    return card
