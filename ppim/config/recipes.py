"""Which file is meant by a recipe's name or path?"""
from __future__ import annotations

from pathlib import Path

from ppim.config.nearest import did_you_mean
from ppim.names import normalise_name


def published_recipes() -> dict[str, Path]:
    """The yaml files of the published recipes by their names; works from a clone and once installed."""
    package = Path(__file__).resolve().parent.parent
    folder = package / "configs" if (package / "configs").is_dir() else package.parent / "configs"
    return {file.stem: file for file in sorted(folder.glob("[!_]*/*.yaml"))}


def recipe_path(name: str) -> Path:
    """The yaml file of a published recipe by the name of its model, in any spelling: `lvvit_s`, `LV-ViT-S`.

    Raises:
        FileNotFoundError: no such recipe; the message names the nearest.
    """
    known = published_recipes()
    if normalise_name(name) not in known:
        raise FileNotFoundError(f"no recipe named {name!r}{did_you_mean(normalise_name(name), known)}; "
                                f"published are {', '.join(known)}")
    return known[normalise_name(name)]


def find_recipe(path: str | Path) -> Path:
    """The yaml file meant: the file at `path`; for a name without suffix, the published recipe.

    A path below `configs/` that is not there is the published recipe of that name as well: installed, the package
    brings them along, and PaddleViT keeps its files in one folder beside the program.

    Raises:
        FileNotFoundError: a name without suffix that no published recipe has.
    """
    path = Path(path)
    if path.suffix not in (".yaml", ".yml"):
        return recipe_path(str(path))
    published = None if path.is_file() else published_recipes().get(path.stem)
    if published and (path.parent.name == "configs" or path.parts[:-1] == ("configs", published.parent.name)):
        return published
    return path
