"""Models by name or by config. A family is a pair of files in this folder, found by listing it (ppim/families.py)."""
from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from ppim import threads
from ppim.families import facts, names, size_of
from ppim.models import paddle_vision
from ppim.models.base import REQUIRED, Family, TokenModel
from ppim.names import normalise_name

_PPIM_WORDS = {
    "class_dim": "num_classes",
    "img_size": "image_size",
    "drop_rate": "dropout",
    "attn_drop_rate": "attention_dropout",
    "drop_path_rate": "drop_path",
}
FAMILIES: tuple[Family, ...] = tuple(importlib.import_module(f"ppim.models.{module}").FAMILY for module in facts())


def list_models() -> list[str]:
    """All names `create_model` knows, sorted; PPIM's and other short names are understood besides."""
    return sorted([*(name for family in FAMILIES for name in family.facts.sizes), *paddle_vision.VARIANTS])


def create_model(name: str, **overrides) -> TokenModel:
    """A model with fresh weights; `overrides` are arguments of its constructor, or PPIM's words for them (`class_dim`,
    `img_size`, `drop_rate`, `attn_drop_rate`, `drop_path_rate`).

    Raises:
        ValueError: an unknown name (with the nearest known ones), an override that the model does not take, or values
            that do not fit.
    """
    threads.say_once()
    overrides = in_our_words(overrides)
    known = normalise_name(name)
    for family in FAMILIES:
        if known in family.facts.sizes:
            _refuse_unknown(family.model, overrides)
            model = family.model(**{**family.facts.sizes[known], **overrides})
            model.made_as = known
            return model
    if known in paddle_vision.zoo.__all__:
        _refuse_unknown(paddle_vision.PaddleVision, overrides)
        return paddle_vision.PaddleVision(known, **overrides)
    nearest = difflib.get_close_matches(known, [*names(), *paddle_vision.VARIANTS], n=3, cutoff=0.4)
    raise ValueError(f"no model is called {name!r}; nearest: {', '.join(nearest) or 'none, see list_models()'}")


def in_our_words(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a model's constructor, whose names may be PPIM's, under ours.

    Raises:
        ValueError: one of them is given under both names.
    """
    for word, name in _PPIM_WORDS.items():
        if word in overrides and name in overrides:
            raise ValueError(f"{word} is PPIM's word for {name}: {overrides[word]!r} and {overrides[name]!r} were "
                             "given; give one of them")
    return {_PPIM_WORDS.get(word, word): value for word, value in overrides.items()}


def is_name(name: str) -> bool:
    """Does `create_model` know a model of this name?"""
    known = normalise_name(name)
    return known in names() or known in paddle_vision.zoo.__all__


def build_model(config, **overrides) -> TokenModel:
    """The model a config describes: MODEL.NAME's, where DATA and MODEL say nothing else.

    A name of one's own is as good, where MODEL.TYPE says the family and MODEL.TRANS all of the size. `overrides` are
    arguments of the model's constructor.

    Raises:
        ValueError: an unknown MODEL.TYPE; a name of one's own, and what is missing in MODEL.TRANS; an override that
            the model does not take.
    """
    threads.say_once()
    network, name = _network(config.MODEL.TYPE), normalise_name(config.MODEL.NAME)
    given = {
        "name": name,
        "image_size": config.DATA.IMAGE_SIZE,
        "dropout": config.MODEL.DROPOUT,
        "attention_dropout": config.MODEL.ATTENTION_DROPOUT,
        "drop_path": config.MODEL.DROPPATH,
        "stem_bn": config.MODEL.STEM_BN,
        "dense_head": config.MODEL.DENSE_HEAD,
    }
    if config.MODEL.NUM_CLASSES is not None:
        given["num_classes"] = config.MODEL.NUM_CLASSES
    given = {**size_of(name, {**config.MODEL.TRANS, "DISTILLED": config.MODEL.DISTILLED}), **given, **overrides}
    _refuse_unknown(network, overrides)
    takes = network.arguments()
    missing = [argument for argument in takes if takes[argument] is REQUIRED and argument not in given]
    if missing:
        raise ValueError(
            f"MODEL.NAME {config.MODEL.NAME!r} is none of list_models(), so MODEL.TRANS has to say all of the size; "
            f"missing: {', '.join(f'MODEL.TRANS.{argument.upper()}' for argument in missing)}"
        )
    return network(**{argument: given[argument] for argument in takes if argument in given})


def _refuse_unknown(network: type[TokenModel], overrides) -> None:
    takes = network.arguments()
    unknown = [argument for argument in overrides if argument not in takes]
    if unknown:
        raise ValueError(f"{network.__name__} takes no {', '.join(unknown)}; it takes {', '.join(takes)}")


def _network(kind: str) -> type[TokenModel]:
    """The network of a family by MODEL.TYPE."""
    networks = {family.facts.type: family.model for family in FAMILIES}
    networks["paddle_vision"] = paddle_vision.PaddleVision
    if kind not in networks:
        raise ValueError(f"MODEL.TYPE wants one of {', '.join(networks)}, got {kind!r}")
    return networks[kind]


def changed_size(config) -> list[tuple[str, object, object]]:
    """Where MODEL departs from the size of the model it names: (key, value here, value there)."""
    name, takes = normalise_name(config.MODEL.NAME), _network(config.MODEL.TYPE).arguments()
    if name not in names():
        return []
    there = {**takes, **size_of(name, {})}
    here = {"MODEL.DISTILLED": config.MODEL.DISTILLED}
    here.update((f"MODEL.TRANS.{key}", value) for key, value in config.MODEL.TRANS.items())
    asked = [(key, value, key.rpartition(".")[2].lower()) for key, value in here.items() if value is not None]
    return [(key, value, there[part]) for key, value, part in asked if part in takes and value != there[part]]
