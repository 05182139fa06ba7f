"""How big is a model? Its parameters, and the multiply-accumulates of one image, counted from the model itself.

A multiply-accumulate (MAC) is one product and one sum; many tables call it a FLOP, though it is two. Counted are
convolutions, linear layers and the contractions of attention (queries with keys, weights with values). Norms,
activations, softmax and plain sums are not, as usual: together they stay around one percent.
"""
from __future__ import annotations

import math

import paddle
from paddle import nn

from ppim.models.base import TokenModel

_STATISTICS = ("._mean", "._variance")  # BatchNorm's running statistics, which Paddle lists among parameters


def _layer_macs(layer: nn.Layer, y) -> int:
    """Of a convolution or linear layer that gave `y`."""
    # a value of `y` sums over a window of the weight, (C_out, C_in / groups, h, w), or over a column of it, (in, out)
    summed = layer.weight.shape[1:] if isinstance(layer, nn.Conv2D) else layer.weight.shape[:1]
    return math.prod(y.shape) * math.prod(summed)


def count_parameters(model: TokenModel) -> int:
    """Values in the weights, tables that are never trained (T2T's positions and projections) included."""
    return sum(math.prod(p.shape) for name, p in model.named_parameters() if not name.endswith(_STATISTICS))


def split_macs(model: TokenModel) -> tuple[int, int]:
    """(in convolutions and linear layers, inside attention), see `count_macs`."""
    in_layers, in_attention, hooks = [], [], []

    def count_layer(layer, inputs, output):
        in_layers.append(_layer_macs(layer, output))

    def count_attention(layer, inputs, output):
        batch, *tokens, _ = inputs[0].shape
        in_attention.append(batch * layer.attention_macs(math.prod(tokens)))

    for layer in model.sublayers():
        if isinstance(layer, (nn.Conv2D, nn.Linear)):
            hooks.append(layer.register_forward_post_hook(count_layer))
        elif hasattr(layer, "attention_macs"):
            hooks.append(layer.register_forward_post_hook(count_attention))
    model.eval()
    with paddle.no_grad():
        model(paddle.zeros([1, 3, *model.image_size]))
    for hook in hooks:
        hook.remove()
    return sum(in_layers), sum(in_attention)


def count_macs(model: TokenModel) -> int:
    """Multiply-accumulates of the evaluation logits of one image of the model's own size, attention included.

    Takes one forward pass; the model is left in evaluation mode.
    """
    return sum(split_macs(model))
