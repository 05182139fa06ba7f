"""Which published model are these weights of? Told by names and shapes, as they stand in a file of any project."""
from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ppim.models import FAMILIES
from ppim.models.base import Family
from ppim.weights.read import read_state

# The last bias: of vision transformers, then of paddle.vision's classifiers.
_HEADS = (r"(.*\.)?head\.bias", r"((module|_layers|backbone|model)\.)*(_?fc|out|classifier(\.\d+)?)\.bias")


class Recognised(NamedTuple):
    """A model's name, and what its weights leave open."""

    name: str
    num_classes: int
    twins: tuple[str, ...] = ()  # variants with the very same shapes, which only the user can tell apart


def recognise(shapes: Mapping[str, tuple[int, ...]], any_size: bool = False) -> Recognised:
    """The published model that names and shapes belong to; wrappers and other projects' names are understood.

    Args:
        any_size: take a model of another image size where there is none of this one.

    Raises:
        ValueError: no family has such names, or none of its published variants these sizes.
    """
    for family in sorted(FAMILIES, key=lambda family: len(family.marks), reverse=True):
        ours = family.model.rename(shapes)
        if all(mark in ours for mark in family.marks):
            return _among(family, ours, any_size)
    raise ValueError(f"no published model has weights of such names: {', '.join(list(shapes)[:4])}, ...")


def recognise_file(path) -> Recognised:
    """`recognise` for a weights file; `path` may lack its suffix.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, or is of no published model.
    """
    state = read_state(path).state
    try:
        return recognise({name: tuple(array.shape) for name, array in state.items()})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def head_classes(path) -> int:
    """The number of classes of a weights file's head; 0 where it has none."""
    state = read_state(path).state
    found = (array.shape[0] for head in _HEADS for name, array in state.items() if re.fullmatch(head, name))
    return next(found, 0)


def _among(family: Family, shapes: Mapping, any_size: bool) -> Recognised:
    try:
        seen = family.model.size_of(shapes)
    except KeyError as missing:
        raise ValueError(f"weights of the model itself are missing: no {missing.args[0]}") from None
    meant = {name: {**family.model.arguments(), **size} for name, size in family.facts.sizes.items()}
    fitting = _with(meant, seen) or (any_size and _with(meant, {**seen, "image_size": None}))
    if not fitting:
        said = ", ".join(f"{key} {value}" for key, value in seen.items())
        raise ValueError(f"no published {family.facts.type} has {said}; name its recipe")
    return Recognised(fitting[0], shapes["head.bias"][0], tuple(fitting[1:]))


def _with(meant: Mapping[str, Mapping[str, object]], seen: Mapping[str, object]) -> list[str]:
    """The names of those that have what was seen; None for anything."""
    return [name for name, arguments in meant.items()
            if all(value is None or arguments[key] == value for key, value in seen.items())]
