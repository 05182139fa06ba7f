"""What is needed to ask a trained model about photos? The network, how photos are shown to it, what its classes are
called."""
from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from yacs.config import CfgNode

from ppim.config import find_recipe, get_config, published_recipes
from ppim.data.classes import imagenet_classes, in_words, of_rows, read_names
from ppim.engine.classes import ROWS, class_names_of, keys_of, trans_of
from ppim.engine.loaded import load_by
from ppim.engine.run_folder import recipe_of
from ppim.models.base import TokenModel
from ppim.segment.network import Segmenter
from ppim.weights.card import names_in
from ppim.weights.recognise import has_sizes_of, recognise
from ppim.weights.run_folders import config_of


class Ready(NamedTuple):
    """A model that can be asked, with a configuration that says how photos are shown to it."""

    model: TokenModel
    config: CfgNode
    ids: tuple[str, ...]  # of the classes in the order of the head's rows, as data sets call them
    names: tuple[str, ...]  # the same in words, for people
    notes: tuple[str, ...] = ()  # lines to tell: what was recognised, what was loaded

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of what the model sees, in pixels."""
        return self.model.image_size


def of_weights(weights: str | os.PathLike[str], recipe: str | None = None, classes: str | None = None,
               overrides: Sequence[str] = ()) -> Ready:
    """The model of these weights, as `ppim evaluate --load WEIGHTS` takes it.

    Args:
        weights: a file of any project, a run folder or a checkpoint.
        recipe: a model's name, or a yaml file; None: that of the run, or of the published model that is recognised.
        classes: file with the name of every class, one a line, or `imagenet`; None: as the weights' card has them, and
            ImageNet's for 1,000 rows without a card.
        overrides: alternating keys and values that change the recipe.

    Raises:
        FileNotFoundError: no such file. ValueError: weights, recipe or names that do not fit.
    """
    weights = os.fspath(weights)
    loaded, _, notes = load_by(recipe, weights, overrides)
    known = class_names_of(loaded.file) or ()
    ids, names = _called(known, loaded.model.num_classes, classes, weights)
    return Ready(loaded.model, loaded.config, ids, names, (*notes, str(loaded.report)))


def of_model(model: TokenModel, classes: str | None = None) -> Ready:
    """A model of a user's program: photos are shown to it as to the run its weights were loaded from, or as their card
    says, else as to the published model of its name and sizes, or of its sizes; always at its own image size.

    Raises:
        ValueError: it names no classes of photos; no published model has its sizes; its rows and `classes` differ in
            number.
    """
    if isinstance(model, Segmenter):
        raise ValueError("the model names pixels, not photos; its masks are drawn by ppim predict PHOTOS --load RUN "
                         "--masks DIR")
    if not model.num_classes:
        raise ValueError("the model has no head, so it names no class: adapt it to photos first (ppim finetune PHOTOS "
                         "--load WEIGHTS), or ask its features, model.features(x)")
    origin = model.origin
    if origin and config_of(origin.path):
        recipe, overrides, _ = recipe_of(origin.path)
        known = origin.gave_heads and class_names_of(origin.path) or ()
    elif origin and origin.card.get("model") in published_recipes():
        recipe, overrides = origin.card["model"], [*trans_of(origin.card), *keys_of(origin.card)]
        known = origin.gave_heads and names_in(origin.card) or ()
    else:
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        made_as = getattr(model, "made_as", "")
        recipe = made_as if has_sizes_of(made_as, shapes) else recognise(shapes, any_size=True).name
        overrides = []
        known = imagenet_classes() if model.num_classes == ROWS else ()
    size = ["DATA.IMAGE_SIZE", str(list(model.image_size)), "MODEL.NUM_CLASSES", str(model.num_classes)]
    config = get_config(str(find_recipe(recipe)), [*overrides, *size])
    fits = len(known) <= model.num_classes
    ids, names = _called(known if fits else (), model.num_classes, classes, "the model")
    return Ready(model, config, ids, names)


def _called(known: Sequence[str], rows: int, classes: str | None, whose: str) -> tuple[tuple[str, ...], ...]:
    """Ids and names of all rows; rows without a name are called by their numbers."""
    ids, words = of_rows(known, rows)
    if classes is None:
        return ids, words
    listed = read_names(classes, each_once=False)
    if len(listed) != rows:
        raise ValueError(f"{classes} names {len(listed)} classes, the head of {whose} has {rows} rows; wanted one name "
                         "a line for each")
    foreign = next((name for name in listed if any("\ud800" <= one <= "\udfff" for one in name)), None)
    if foreign:
        raise ValueError(f"{classes}: line {listed.index(foreign) + 1} is not UTF-8; save the file as UTF-8 in an "
                         f"editor, or with iconv -f GBK -t UTF-8 {classes} > utf8.txt")
    return (ids if known else listed), tuple(in_words(name) for name in listed)
