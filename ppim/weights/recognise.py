"""Which published model are these weights of? Told by names and shapes, as they stand in a file of any project.

Only what is the same in PyTorch's and in Paddle's layout is looked at: tables, biases, norms, convolutions.
"""
from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import NamedTuple

from ppim.models import deit, lvvit, t2t_vit
from ppim.weights.read import read_state

# The first part of a name that only one family has.
_FAMILIES = (
    ("patch_embed.conv1.", lvvit, lvvit.LVViT),
    ("tokens_to_token.attention", t2t_vit, t2t_vit.T2TViT),
    ("patch_embed.proj.", deit, deit.DeiT),
)


class Recognised(NamedTuple):
    """A model's name, and what its weights leave open."""

    name: str
    num_classes: int
    twins: tuple[str, ...] = ()  # variants with the very same shapes, which only the user can tell apart


class Traits(NamedTuple):
    """What tells the variants of a family apart."""

    width: int
    depth: int
    mlp_width: int
    tokens: int  # of the grid
    distilled: bool
    token_type: str  # of T2T-ViT; "" for the others
    stem_channels: int  # of LV-ViT; 0 for the others


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> Recognised:
    """The published model that names and shapes belong to; wrappers and other projects' names are understood.

    Raises:
        ValueError: no family has such names, or none of its published variants these sizes.
    """
    for prefix, family, model in _FAMILIES:
        ours = model.rename(shapes)
        if any(name.startswith(prefix) for name in ours):
            return _among(family.VARIANTS, _defaults(model), ours)
    raise ValueError(f"no published model has weights of such names: {', '.join(list(shapes)[:4])}, ...")


def recognise_file(path) -> Recognised:
    """`recognise` for a weights file; `path` may lack its suffix.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, or is of no published model.
    """
    state = read_state(path).state
    try:
        return recognise({name: tuple(array.shape) for name, array in state.items()})
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def head_classes(path) -> int:
    """The number of classes of a weights file's head; 0 where it has none."""
    state = read_state(path).state
    return next((array.shape[0] for name, array in state.items() if re.fullmatch(r"(.*\.)?head\.bias", name)), 0)


def _among(variants: dict, defaults: dict, shapes: Mapping) -> Recognised:
    try:
        seen = _traits_of(shapes)
    except KeyError as missing:
        raise ValueError(f"weights of the model itself are missing: no {missing.args[0]}") from None
    fitting = [name for name, arguments in variants.items() if _traits_meant({**defaults, **arguments}) == seen]
    if not fitting:
        raise ValueError(f"no published model of this family has {seen.depth} blocks of width {seen.width} on "
                         f"{seen.tokens} tokens; name its recipe")
    return Recognised(fitting[0], shapes["head.bias"][0], tuple(fitting[1:]))


def _traits_of(shapes: Mapping) -> Traits:
    blocks = {match[1] for match in (re.match(r"blocks\.(\d+)\.", name) for name in shapes) if match}
    distilled = "dist_token" in shapes
    token_type = ""
    if "tokens_to_token.project.bias" in shapes:
        token_type = "performer" if "tokens_to_token.attention1.w" in shapes else "transformer"
    return Traits(
        width=shapes["cls_token"][-1],
        depth=len(blocks),
        mlp_width=shapes["blocks.0.mlp.fc1.bias"][0],
        tokens=shapes["pos_embed"][1] - 1 - distilled,
        distilled=distilled,
        token_type=token_type,
        stem_channels=shapes.get("patch_embed.conv1.weight", (0,))[0],
    )


def _traits_meant(arguments: dict) -> Traits:
    return Traits(
        width=arguments["embed_dim"],
        depth=arguments["depth"],
        mlp_width=int(arguments["embed_dim"] * arguments["mlp_ratio"]),
        tokens=(arguments["image_size"] // arguments.get("patch_size", 16)) ** 2,
        distilled=arguments.get("distilled", False),
        token_type=arguments.get("token_type", ""),
        stem_channels=arguments.get("stem_channels", 0),
    )


def _defaults(model: type) -> dict:
    """Default arguments of a constructor."""
    parameters = inspect.signature(model.__init__).parameters.values()
    stated = {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}
    return {"image_size": 224, **stated}
