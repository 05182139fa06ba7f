"""What can be configured? Every key is a row of `keys`; files and options are merged, checked and frozen here.

Sections and keys carry PaddleViT's names where it has the key, so that its yaml files load unchanged; keys and sections
it lacks are added. A file may name others to start from (`BASE`, paths relative to the file). Precedence: defaults <
BASE < file < `-o KEY VALUE`.
"""
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from yacs.config import CfgNode

from ppim.config.checks import check, has_teacher, teaches_tokens
from ppim.config.keys import KEYS
from ppim.config.merge import merge_file, merge_options, nested
from ppim.config.recipes import find_recipe, published_recipes, recipe_path
from ppim.files import write_whole

__all__ = ["altered", "differences", "find_recipe", "get_config", "has_teacher", "published_recipes", "recipe_path",
           "save", "teaches_tokens"]


_SEAL = "# sha256 of the lines below, as a run wrote them: "


def get_config(path: str | Path | None = None, opts: Sequence[str] = ()) -> CfgNode:
    """The frozen configuration: defaults, then `path` (with the files its BASE names), then `opts`.

    Args:
        path: see `find_recipe`; None for the defaults alone.
        opts: alternating keys and values, as typed after `-o`: `["TRAIN.NUM_EPOCHS", "10"]`.

    Raises:
        FileNotFoundError: `path`, or a file its BASE names, is not there.
        ValueError: an unknown key, a wrong type or value, or keys that contradict each other; the message names the
            file or option, what was wanted and what was got.
    """
    config = CfgNode(nested({name: row.default for name, row in KEYS.items()}))
    if path is not None:
        merge_file(config, find_recipe(path))
    merge_options(config, opts)
    check(config)
    config.freeze()
    return config


def save(config: CfgNode, path: str | Path) -> None:
    """Write the resolved configuration, every key of it, whole or not at all; `get_config(path)` gives it back, and
    `altered(path)` tells whether it still is what was written."""
    text = config.dump(sort_keys=False)
    sealed = f"{_SEAL}{_digest(text)}\n{text}"
    write_whole(path, lambda beside: beside.write_text(sealed, encoding="utf-8"))


def altered(path: str | Path) -> list[str]:
    """A line to tell where a file that `save` has written is no longer what it was; none for any other."""
    first, _, text = Path(path).read_text(encoding="utf-8", errors="replace").partition("\n")
    if not first.startswith(_SEAL) or first == _SEAL + _digest(text):
        return []
    return [f"{path} has been edited or damaged since a run wrote it; if that was not you, take it from a copy"]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def differences(config: CfgNode, other: CfgNode, prefix: str = "") -> list[tuple[str, object, object]]:
    """Keys on which two configurations differ: (key, value here, value there), in the order of the defaults."""
    found = []
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, CfgNode):
            found += differences(value, other[name], f"{key}.")
        elif value != other[name]:
            found.append((key, value, other[name]))
    return found
