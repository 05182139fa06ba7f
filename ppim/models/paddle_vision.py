"""Convolutional classifiers of paddle.vision, with their last linear layer applied to every cell of the feature map.

The mean of the cells' logits equals the class logits, because each of these networks ends in global average pooling
followed by exactly one linear layer. Parameter names are paddle.vision's own, so its weight files load.
"""
from __future__ import annotations

import paddle
from paddle import nn
from paddle.vision import models as zoo

from ppim.models.base import TokenModel, TokenOutput, as_pair

_HEAD = {  # family -> its last linear layer
    "resnet": "fc",
    "resnext": "fc",
    "wide_resnet": "fc",
    "densenet": "out",
    "mobilenet_v1": "fc",
    "mobilenet_v2": "classifier",
    "shufflenet_v2": "_fc",
}


def _family(name: str) -> str | None:
    return next((family for family in _HEAD if name.startswith(family)), None)


VARIANTS = tuple(name for name in zoo.__all__ if name.islower() and _family(name))


class PaddleVision(TokenModel):
    """A paddle.vision network `name`; images of any size are accepted, `grid` holds for `image_size`.

    Raises:
        ValueError: a network that does not end in global pooling and one linear layer.
    """

    classifies_tokens = True

    def __init__(self, name: str, num_classes: int = 1000, image_size=224):
        super().__init__()
        if name not in VARIANTS:
            why = "has a nonlinearity between pooling and its last layer" if "mobilenet_v3" in name else "is not known"
            raise ValueError(
                f"{name!r} {why}; wanted a network that ends in global pooling and one linear layer: {', '.join(_HEAD)}"
                f" (e.g. {', '.join(VARIANTS[:3])})"
            )
        net = getattr(zoo, name)(num_classes=num_classes)
        # called from here on, the network stops at its feature map
        net.num_classes = 0
        for child_name, child in net.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2D):
                setattr(net, child_name, nn.Identity())
        # its layers become ours and the shell stays out of the layer tree: names remain paddle.vision's
        for child_name, child in net.named_children():
            self.add_sublayer(child_name, child)
        object.__setattr__(self, "body", net)
        self.num_classes = num_classes
        self.image_size = as_pair(image_size)
        self.heads = (_HEAD[_family(name)],)
        self.grid = tuple(_cells(side, floor=name.startswith("densenet")) for side in self.image_size)

    def tokens(self, x, mix=None) -> TokenOutput:
        """Logits (B, K) and per cell (B, N, K), cells row-major; a CNN has no tokens to mix, `mix` is ignored."""
        # (B, C, h, w) -> (B, N, C)
        cells = self.body(x).flatten(2).transpose([0, 2, 1])
        head = getattr(self, self.heads[0])
        return TokenOutput(head(cells.mean(axis=1)), head(cells))

    def classes(self, x, mix=None) -> TokenOutput:
        """Class logits (B, K); `mix` is ignored."""
        return TokenOutput(self(x))

    def evaluate_tokens(self, x) -> TokenOutput:
        """Class logits and those of every cell."""
        return self.tokens(x)

    def forward(self, x):
        """Class logits (B, K) of images (B, 3, h, w)."""
        head = getattr(self, self.heads[0])
        return head(paddle.mean(self.body(x), axis=[2, 3]))


def _cells(side: int, floor: bool) -> int:
    """Feature-map cells along a side: strided convolutions round up, densenet's 2x2 poolings down."""
    return -(-side // 4) // 8 if floor else -(-side // 32)
