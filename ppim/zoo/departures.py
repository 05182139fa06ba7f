"""Where do our recipes depart from the originals', and why? Read from departures.yaml, without Paddle."""
from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ppim.fast_yaml import parse_yaml


class Departure(NamedTuple):
    """`what` is a key of the configuration, with their value and ours, or says in words what no key decides."""

    what: str
    theirs: bool | float | str
    ours: bool | float | str
    why: str


@cache
def _content() -> dict[str, Any]:
    return parse_yaml(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def groups() -> dict[str, list[str]]:
    """{group: names of its recipes}; those in `without_original` are ours alone."""
    return _content()["groups"]


def departures_of(recipe: str) -> list[Departure]:
    """The departures of a recipe, by the name of its file; none for a recipe without an original."""
    return [
        Departure(**{name: entry[name] for name in Departure._fields})
        for entry in _content()["departures"]
        if any(recipe in groups().get(name, [name]) for name in entry["recipes"])
    ]
