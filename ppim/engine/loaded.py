"""Which network do weights make? Built with as many rows as they have, filled, and set as evaluation wants it."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from yacs.config import CfgNode

from ppim.config import find_recipe, get_config
from ppim.engine import classes
from ppim.engine.run_folder import recipe_of, said_by_card, tokens_were_trained, weights_file
from ppim.engine.train_state import eval_token_weight
from ppim.models import build_model
from ppim.models.base import TokenModel
from ppim.weights.load import LoadReport, load_weights
from ppim.weights.recognise import head_classes, pixel_classes


class Loaded(NamedTuple):
    """A model with its weights."""

    model: TokenModel
    config: CfgNode  # with MODEL.NUM_CLASSES
    file: str  # of the weights
    kind: str  # "raw", or "ema" for the running average
    report: LoadReport


def named_weights(config: CfgNode) -> str:
    """The weights that `--evaluate-only` is to evaluate, named on exactly one of the ways there are.

    Raises:
        ValueError: no weights are named, or more than one file.
    """
    weights = [path for path in (config.MODEL.PRETRAINED, config.MODEL.RESUME) if path]
    if len(weights) != 1:
        raise ValueError(
            f"--evaluate-only wants weights from exactly one of --load (MODEL.PRETRAINED) and --resume (MODEL.RESUME), "
            f"got {' and '.join(weights) or 'none'}; e.g. --load {config.SAVE}/best.pdparams"
        )
    return weights[0]


def load(config: CfgNode, weights: str, run_folder: str = "", features_do: bool = False) -> Loaded:
    """The model that a configuration describes with these weights.

    Args:
        weights: a file, a run folder, a checkpoint folder, or "auto" for the newest checkpoint of `run_folder`.
        features_do: whether weights without a head are enough for what is to be done with them.

    Raises:
        FileNotFoundError: no such weights. ValueError: damaged, of another model, a segmenter's, or without a head.
    """
    file, kind = weights_file(weights, run_folder, config.EVAL.WEIGHTS)
    model, config = of_file(config, file)
    if not (model.num_classes or features_do):
        raise ValueError(f"{file} has no head, so it names no class: adapt it to photos first (ppim finetune PHOTOS "
                         f"--load {file}), or ask its features (ppim knn; ppim labels make --labelled DIR)")
    report = load_weights(model, file, which="auto" if kind else config.EVAL.WEIGHTS)
    kind = kind or ("ema" if report.averaged else "raw")
    model.eval_token_weight = eval_token_weight(model, config.MODEL.EVAL_TOKENS, tokens_were_trained(file))
    return Loaded(model, config, file, kind, report)


def of_file(config: CfgNode, file: str) -> tuple[TokenModel, CfgNode]:
    """The model a config describes, with fresh weights and as many rows as the head in the file has, 0 for no head; and
    the configuration with MODEL.NUM_CLASSES.

    Raises:
        ValueError: file or configuration are a segmenter's.
    """
    refuse_pixels(file)
    names_photos(config)
    rows = head_classes(file) or (classes.ROWS if config.MODEL.TYPE == "paddle_vision" else 0)
    config = classes.with_rows(config, rows)
    return build_model(config), config


def refuse_pixels(weights: str) -> None:
    """Raise ValueError where weights, a file or a run folder, are a segmenter's: for what whole photos are asked."""
    if pixel_classes(weights):
        raise ValueError(
            f"{weights} names pixels, not photos: wanted weights of a model of whole photos, such as those that this "
            "segmenter started from; evaluate, predict, export and convert take a segmenter, train does with a "
            "segmenter's recipe, and its masks make label maps (ppim predict --masks DIR, ppim labels make --masks DIR)"
        )


def names_photos(config: CfgNode, recipe: str = "the recipe") -> None:
    """Raise ValueError where a configuration is a segmenter's."""
    if config.TASK == "segment":
        raise ValueError(f"{recipe} names pixels, not photos (TASK segment): wanted that of a model of whole photos; "
                         "train, check, evaluate, predict, export and plan take a segmenter's")


def load_by(recipe: str | None, weights: str, overrides: Sequence[str] = (), features_do: bool = False,
            ) -> tuple[Loaded, CfgNode, list[str]]:
    """The model of these weights, its configuration before the weights were looked at, and lines to tell.

    Args:
        recipe: a yaml file or a published name; None: that of the run, of the card, or of the published model that is
            recognised.
        weights, features_do: as of `load`.
        overrides: alternating keys and values that change the recipe.

    Raises:
        FileNotFoundError, ValueError: as `load`; or it is not known what the weights are of.
    """
    refuse_pixels(weights)
    notes: list[str] = []
    if recipe is None:
        recipe, implied, notes = recipe_of(weights)
    else:
        sizes, view = said_by_card(recipe, weights)
        implied = [*sizes, *view]
    config = get_config(str(find_recipe(recipe)), [*implied, *overrides])
    return load(config, weights, features_do=features_do), config, notes
