"""How is a model's name spelt? One canon: the name of its published recipe (no Paddle needed)."""
from __future__ import annotations

import re


def plain_name(model: str) -> str:
    """A model's name in lower case with underscores: 'LV-ViT-S' is 'lvvit_s'."""
    return model.lower().replace("-", "_").replace("lv_vit", "lvvit")


def recipe_name(model: str) -> str:
    """The name of a model's published recipe, from any spelling of the model's name that is in use.

    'LV-ViT-S' is 'lvvit_s', 'T2t_vit_14' 't2t_vit_14', 'deit_base_distilled_patch16_384' 'deit_base_distilled_384'.
    """
    name = re.sub(r"^(deit_.*)_patch16", r"\1", plain_name(model))
    name = re.sub(r"^(deit_.*)_224$", r"\1", name)
    for short, size in (("ti", "tiny"), ("s", "small"), ("b", "base")):
        name = re.sub(rf"^deit_{short}(?=_|$)", f"deit_{size}", name)
    return {"lvvit_t": "lvvit_tiny"}.get(name, name)
