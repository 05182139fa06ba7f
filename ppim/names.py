"""How is a model's name spelt? One canon, which recipes and the zoo share; every other spelling leads there."""
from __future__ import annotations

from ppim.families import names


def plain_name(model: str) -> str:
    """A model's name in lower case with underscores: 'LV-ViT-S' is 'lvvit_s'."""
    return model.lower().replace("-", "_").replace("lv_vit", "lvvit")


def normalise_name(model: str) -> str:
    """The one name of a model, from any spelling that is in use; a name of no family's only gets plain.

    'LV-ViT-S' is 'lvvit_s', 'T2t_vit_14' 't2t_vit_14', 'deit_b_384' and 'deit_base_patch16_384' 'deit_base_384'.
    """
    plain = plain_name(model)
    return names().get(plain, plain)
