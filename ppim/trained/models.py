"""How does a user's program get a model: a fresh one by its name, or a trained one by the folder of its run?"""
from __future__ import annotations

import os
import warnings
from pathlib import Path

from ppim import models
from ppim.models.base import TokenModel


def create_model(name: str | os.PathLike[str], **overrides) -> TokenModel:
    """A model.

    Args:
        name: one of `list_models()`, for fresh weights; or the folder of a run or of one of its checkpoints, for its
            model with the weights that `ppim evaluate --load FOLDER` takes, which then gives the same logits. A name
            counts before a folder that is called so; `Path(...)` and `./...` are always folders.
        overrides: arguments of the model's constructor, e.g. image_size, num_classes, or PPIM's words for them, as of
            `ppim.models.create_model`; position embeddings are resized, and with another number of classes than the
            run's, heads start afresh, which a warning tells.

    Raises:
        ValueError: an unknown name (with the nearest known ones), a folder without a run, or values that do not fit.
        FileNotFoundError: the run has no checkpoint yet.
    """
    if isinstance(name, str) and (models.is_name(name) or not os.path.isdir(name)):
        return models.create_model(name, **overrides)
    return _of_run(Path(name), overrides)


def _of_run(folder: Path, overrides: dict[str, object]) -> TokenModel:
    # here, since a model by its name needs none of it
    from ppim.config import get_config, teaches_tokens
    from ppim.engine.train_state import eval_token_weight
    from ppim.weights.load import load_weights
    from ppim.weights.run_folders import config_of

    own = config_of(folder)
    if own is None:
        raise ValueError(f"{folder} is no model's name, and no folder of a run (with config.yaml and log.jsonl)")
    overrides = models.in_our_words(overrides)
    config = get_config(own)
    if config.TASK == "segment":
        return _segmenter_of(config, folder, overrides)
    model = models.build_model(config, **overrides)
    try:
        load_weights(model, folder, which=config.EVAL.WEIGHTS)
    except ValueError:
        if "num_classes" not in overrides:
            raise
        warnings.warn(str(load_weights(model, folder, new_heads=True, which=config.EVAL.WEIGHTS)), stacklevel=3)
    model.eval_token_weight = eval_token_weight(model, config.MODEL.EVAL_TOKENS, teaches_tokens(config))
    return model


def _segmenter_of(config, folder: Path, overrides: dict[str, object]) -> TokenModel:
    from ppim.engine.segmenting import load_segmenter

    if overrides:
        raise ValueError(f"{folder} is a segmenter's run, whose model takes no {', '.join(overrides)}; leave it out, "
                         "or build ppim.segment.network.Segmenter of a create_model(...)")
    return load_segmenter(config, str(folder)).model
