"""How deep in the network does a parameter lie, so how fast may it learn, and does it learn at all?

Layers are counted as in BEiT's and MAE's fine-tuning (arXiv 2106.08254, 2111.06377): 0 is all that makes the tokens
(patches, class token, positions), i + 1 is block i, and one more has the last norm and the heads.
"""
from __future__ import annotations

from paddle import nn

NONE, EMBEDDING, BACKBONE = "none", "embedding", "backbone"


def layer_of(name: str, model: nn.Layer) -> int:
    """The layer, 0 .. blocks + 1, of the parameter of this structured name in a model of blocks."""
    return model.layer_of(name)


def rate_scales(model: nn.Layer, decay: float) -> dict[str, float]:
    """What the learning rate of each parameter is multiplied with, by name: decay^(blocks + 1 - layer).

    Args:
        decay: in (0, 1]; 1 asks nothing of the model.
    """
    names = [name for name, _ in model.named_parameters()]
    if decay == 1:
        return dict.fromkeys(names, 1.0)
    return {name: decay ** (len(model.blocks) + 1 - layer_of(name, model)) for name in names}


def frozen_names(model: nn.Layer, what: str) -> set[str]:
    """The parameters that TRAIN.FREEZE keeps as they are; BatchNorm's statistics are none of them.

    Args:
        what: `none`; `embedding`, all that makes the tokens; a number of blocks, with the embedding; `backbone`, all
            but the heads.
    """
    names = [name for name, _ in model.named_parameters() if not name.endswith(("._mean", "._variance"))]
    if what == NONE:
        return set()
    if what == BACKBONE:
        return {name for name in names if not name.startswith(_heads(model))}
    blocks = 0 if what == EMBEDDING else int(what)
    return {name for name in names if layer_of(name, model) <= blocks}


def freeze(model: nn.Layer, what: str) -> None:
    """Take from these parameters their gradients, and from the norms among them the statistics of batches; layers that
    are frozen as a whole compute as in evaluation, so that nothing is dropped in them."""
    frozen = frozen_names(model, what)
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.stop_gradient = True
    for name, layer in model.named_sublayers():
        # as with MODEL.STEM_BN frozen: running statistics are used in training too, and stay
        if hasattr(layer, "_use_global_stats") and f"{name}.weight" in frozen:
            layer._use_global_stats = True
    model.still = tuple(layer for name, layer in model.named_sublayers() if _is_whole(name, layer, frozen))
    for layer in model.still:
        layer.eval()


def _is_whole(name: str, layer: nn.Layer, frozen: set[str]) -> bool:
    """Has a layer parameters, and are all of them frozen?"""
    own = {f"{name}.{key}" for key, _ in layer.named_parameters() if not key.endswith(("_mean", "_variance"))}
    return bool(own) and own <= frozen


def _heads(model: nn.Layer) -> tuple[str, ...]:
    return tuple(f"{head}." for head in model.heads)
