"""Models by name or by config. A file is a family; adding one means a file and a line in each table here."""
from __future__ import annotations

import difflib

from ppim.dialects import plain_name
from ppim.models import deit, lvvit, paddle_vision, t2t_vit
from ppim.models.base import TokenModel

_FAMILIES = ((lvvit, lvvit.LVViT), (t2t_vit, t2t_vit.T2TViT), (deit, deit.DeiT))
_BUILDERS = {
    "LV-ViT": lvvit.build_lvvit,
    "T2T-ViT": t2t_vit.build_t2t_vit,
    "DeiT": deit.build_deit,
    "paddle_vision": paddle_vision.build_paddle_vision,
}
_ALIASES = {**lvvit.ALIASES, **t2t_vit.ALIASES, **deit.ALIASES}


def normalise_name(name: str) -> str:
    """One spelling for a model's name: 'LV-ViT-S' is 'lvvit_s', 'T2t_vit_14' 't2t_vit_14', 'deit_s' the full name."""
    name = plain_name(name)
    return _ALIASES.get(name, name)


def list_models() -> list[str]:
    """All names `create_model` knows, sorted; PPIM's and other short names are understood besides."""
    return sorted([*(name for family, _ in _FAMILIES for name in family.VARIANTS), *paddle_vision.VARIANTS])


def create_model(name: str, **overrides) -> TokenModel:
    """A model with fresh weights; `overrides` are arguments of its constructor.

    `class_dim`, PPIM's word for it, is accepted for `num_classes`.

    Raises:
        ValueError: an unknown name (with the nearest known ones) or values that do not fit.
    """
    if "class_dim" in overrides:
        overrides["num_classes"] = overrides.pop("class_dim")
    known = normalise_name(name)
    for family, model in _FAMILIES:
        if known in family.VARIANTS:
            return model(**{**family.VARIANTS[known], **overrides})
    if known in paddle_vision.zoo.__all__:
        return paddle_vision.PaddleVision(known, **overrides)
    nearest = difflib.get_close_matches(known, [*list_models(), *_ALIASES], n=3, cutoff=0.4)
    raise ValueError(f"no model is called {name!r}; nearest: {', '.join(nearest) or 'none, see list_models()'}")


def build_model(config) -> TokenModel:
    """The model a config describes; MODEL.TYPE names the family.

    Raises:
        ValueError: an unknown MODEL.TYPE.
    """
    if config.MODEL.TYPE not in _BUILDERS:
        raise ValueError(f"MODEL.TYPE wants one of {', '.join(_BUILDERS)}, got {config.MODEL.TYPE!r}")
    return _BUILDERS[config.MODEL.TYPE](config)
