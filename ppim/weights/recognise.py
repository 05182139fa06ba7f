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
    num_classes: int  # 0 where they have no head
    twins: tuple[str, ...] = ()  # models with the very same shapes, of other families too: only the user can tell


def recognise(shapes: Mapping[str, tuple[int, ...]], any_size: bool = False) -> Recognised:
    """The published model that names and shapes belong to; wrappers and other projects' names are understood.

    Args:
        any_size: take a model of another image size where there is none of this one.

    Raises:
        ValueError: no family has such names, or none of its published variants these sizes.
    """
    bearing = [(family, ours) for family in FAMILIES if (ours := _as_named_by(family, shapes))]
    if not bearing:
        raise ValueError(f"no published model has weights of such names: {', '.join(list(shapes)[:4])}, ...")
    most = max(len(family.marks) for family, _ in bearing)
    seen = [(family, _size_of(family, ours)) for family, ours in bearing if len(family.marks) == most]
    found = [name for family, size in seen for name in _with(family, size)]
    if any_size and not found:
        found = [name for family, size in seen for name in _with(family, {**size, "image_size": None})]
    if not found:
        said = [f"no published {family.facts.type} has {_in_words(size)}" for family, size in seen]
        raise ValueError(f"{'; '.join(said)}; name its recipe (-c), or give the folder of its run")
    classes = next((ours["head.bias"][0] for _, ours in bearing if "head.bias" in ours), 0)
    return Recognised(found[0], classes, tuple(found[1:]))


def _as_named_by(family: Family, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]] | None:
    """The shapes by the family's own names; None where they cannot be of it."""
    ours = family.model.rename(shapes)
    strangers = family.strangers and any(re.search(family.strangers, name) for name in ours)
    return ours if all(mark in ours for mark in family.marks) and not strangers else None


def has_sizes_of(name: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Are names and shapes those of this model of a family, whatever its image size?"""
    family = next((one for one in FAMILIES if name in one.facts.sizes), None)
    ours = family and _as_named_by(family, shapes)
    return bool(ours) and name in _with(family, {**_size_of(family, ours), "image_size": None})


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


def pixel_classes(path) -> int:
    """The number of classes that a segmenter's weights give a pixel; 0 for other weights.

    Args:
        path: a file, whose suffix may be left out, or a folder of a run or of one of its checkpoints.
    """
    state = read_state(path).state
    return next((len(array) for name, array in state.items() if name.endswith("decode_head.conv_seg.bias")), 0)


def _size_of(family: Family, shapes: Mapping) -> dict[str, object]:
    try:
        return family.model.size_of(shapes)
    except KeyError as missing:
        raise ValueError(f"weights of the model itself are missing: no {missing.args[0]}") from None


def _in_words(size: Mapping[str, object]) -> str:
    return ", ".join(f"{key} {value}" for key, value in size.items())


def _with(family: Family, seen: Mapping[str, object]) -> list[str]:
    """The names of the family's models that have what was seen; None for anything."""
    meant = {name: {**family.model.arguments(), **size} for name, size in family.facts.sizes.items()}
    return [name for name, arguments in meant.items()
            if all(value is None or arguments[key] == value for key, value in seen.items())]
