"""What is known of the model families without Paddle: names, sizes, what others have published.

A family is a pair of files in ppim/models, found by listing that folder: NAME.py, its network, and NAME.yaml, which is
read here. In the yaml stand

    type        what configurations call the family (MODEL.TYPE)
    options     keys of MODEL that are for this family, but not for all
    common      arguments of the network's constructor that the sizes share, unless they say otherwise
    sizes       name -> arguments of the network's constructor; what is not said has the constructor's default
    also        other name -> name
    published   name -> what others have published of it, see ppim/zoo/rows.py
    page        the family's page in the model zoo, see tools/generate_model_zoo.py
"""
from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ppim.fast_yaml import parse_yaml

_FOLDER = Path(__file__).with_name("models")


class Facts(NamedTuple):
    """The yaml file of a family; `sizes` hold what they share as well, `also` PPIM's names too."""

    module: str  # name of both files, without suffix
    type: str
    sizes: dict[str, dict[str, object]]
    options: tuple[str, ...]
    also: dict[str, str]
    published: dict[str, dict[str, object]]
    page: dict[str, object]


@functools.cache
def facts() -> dict[str, Facts]:
    """The families by the name of their files, in alphabetical order."""
    return {path.stem: _read(path) for path in sorted(_FOLDER.glob("*.yaml")) if path.with_suffix(".py").is_file()}


def _read(path: Path) -> Facts:
    content = parse_yaml(path.read_text(encoding="utf-8"))
    published, common = content.get("published", {}), content.get("common", {})
    ppim = {row["ppim"]: name for name, row in published.items() if "ppim" in row}
    return Facts(
        module=path.stem,
        type=content["type"],
        sizes={name: {**common, **size} for name, size in content["sizes"].items()},
        options=tuple(content.get("options", ())),
        also={**content.get("also", {}), **ppim},
        published=published,
        page=content.get("page", {}),
    )


@functools.cache
def names() -> dict[str, str]:
    """Every name that a model of a family goes by -> the name itself."""
    return {
        other: name
        for family in facts().values()
        for other, name in [*((name, name) for name in family.sizes), *family.also.items()]
    }


def family_of(name: str) -> Facts | None:
    """The family of a model by any of its names; None if no family has it."""
    return next((family for family in facts().values() if names().get(name) in family.sizes), None)


def size_of(name: str, changes: Mapping[str, object]) -> dict[str, object]:
    """Arguments of the constructor that make a model's size: those of its name, where a family has it, and `changes`.

    Args:
        changes: as MODEL.TRANS of a configuration has them, names in capitals; None changes nothing.
    """
    family = family_of(name)
    named = family.sizes[names()[name]] if family else {}
    return {**named, **{key.lower(): value for key, value in changes.items() if value is not None}}
