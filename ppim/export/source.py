"""What is exported: which network with which weights, what it sees of a photo, and what its logits are called?"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ppim.config import find_recipe, get_config
from ppim.data.classes import imagenet_classes, in_words, read_names
from ppim.engine import classes
from ppim.engine.run_folder import recipe_of, tokens_were_trained, weights_file
from ppim.engine.train_state import eval_token_weight
from ppim.models import build_model
from ppim.models.base import TokenModel
from ppim.weights.card import names_in, read_card
from ppim.weights.load import load_weights
from ppim.weights.recognise import head_classes
from ppim.weights.run_folders import config_of

_VIEW = {"image_size": "IMAGE_SIZE", "crop_pct": "CROP_PCT", "interpolation": "INTERPOLATION",
         "mean": "IMAGENET_MEAN", "std": "IMAGENET_STD", "exif": "EXIF"}  # entries of a card -> keys of DATA


class Source(NamedTuple):
    """A trained network and what belongs to it.

    Attributes:
        model: in evaluation mode, the say of its token head settled.
        preprocess: what stands in preprocess.json: image_size [h, w], crop_pct, interpolation, mean, std, exif.
        ids: of the classes, one for each logit, as data sets call them; a number where there is no name.
        names: the same in words.
        card: what is told of the weights besides.
        told: lines about what was loaded.
    """

    model: TokenModel
    preprocess: dict[str, Any]
    ids: tuple[str, ...]
    names: tuple[str, ...]
    card: dict[str, Any]
    told: tuple[str, ...]


def load(weights: str, named: str | None = None, overrides: Sequence[str] = ()) -> Source:
    """The network of a weights file or of a run's folder, as `ppim evaluate --load` takes it.

    Args:
        named: a recipe, or the name of a published model; None: the run's own, the card's, or the one recognised.
        overrides: alternating keys and values that count more than the recipe.

    Raises:
        FileNotFoundError: no such weights. ValueError: it is not known what they are of, or they do not fit.
    """
    path, implied, told = _recipe(weights, named)
    config = get_config(path, [*implied, *overrides])
    file, kind = weights_file(weights, weights, config.EVAL.WEIGHTS)
    config = classes.with_rows(config, head_classes(file) or classes.ROWS)
    model = build_model(config)
    report = load_weights(model, file, which="auto" if kind else config.EVAL.WEIGHTS)
    model.eval_token_weight = eval_token_weight(model, config.MODEL.EVAL_TOKENS, tokens_were_trained(file))
    model.eval()
    known = _known(file, model.num_classes, config.MODEL.CLASSES)
    unknown = [str(row) for row in range(len(known), model.num_classes)]
    if not known:
        told.append(f"{file} does not know the names of its classes: they are numbers; give them with --classes FILE")
    data = config.DATA
    preprocess = {name: data[key] for name, key in _VIEW.items()}
    preprocess.update(image_size=list(model.image_size), mean=list(data.IMAGENET_MEAN), std=list(data.IMAGENET_STD))
    card = {"form": 1, "model": config.MODEL.NAME, "num_classes": model.num_classes,
            "classes": list(known), **preprocess, "eval_token_weight": model.eval_token_weight}
    ids, names = (*known, *unknown), (*map(in_words, known), *(f"class {row}" for row in unknown))
    return Source(model, preprocess, ids, names, card, (*told, str(report)))


def _recipe(weights: str, named: str | None) -> tuple[str, list[str], list[str]]:
    """Recipe, overrides and lines to tell: by its name, else by the run's folder, the card, or shapes."""
    if config_of(weights) and not named:
        return recipe_of(weights)
    card = read_card(weights) or {}
    seen = [word for name, key in _VIEW.items() if name in card for word in (f"DATA.{key}", str(card[name]))]
    rows = head_classes(weights)
    if named or "model" in card:
        path = str(find_recipe(named or card["model"]))
        implied = [*seen, *(["MODEL.NUM_CLASSES", str(rows)] if rows else [])]
        return path, implied, [f"recipe: {path}"]
    path, implied, told = recipe_of(weights)
    return path, [*implied, *seen], told


def _known(file: str, rows: int, listed: str | None) -> tuple[str, ...]:
    """The names of the head's first rows, which may be all or none.

    Raises:
        ValueError: the list or the card is of another number of classes.
    """
    card = read_card(file)
    if listed:
        known = read_names(listed)
        if len(known) != rows:
            raise ValueError(f"{listed} names {len(known)} classes, the head of {file} has {rows}; wanted one for each")
        return known
    if card is None:
        return imagenet_classes() if rows == classes.ROWS else ()
    if card["num_classes"] != rows:
        raise ValueError(f"the card of {file} is of other weights: it has {card['num_classes']} classes, their head "
                         f"{rows}; remove it, or put their own beside them")
    return names_in(card)


def lines_of(ids: Sequence[str], names: Sequence[str]) -> str:
    """What stands in classes.txt: an id a line, and behind a tab the name where that is another word."""
    return "".join(f"{one}\n" if one == name else f"{one}\t{name}\n" for one, name in zip(ids, names))
