"""LV-ViT, "All Tokens Matter: Token Labeling for Training Better Vision Transformers" (arXiv 2104.10858).

A convolutional stem, a plain transformer whose branches are divided by skip_lam, a class head and an auxiliary head
that classifies every patch token. Evaluation logits are class + 0.5 * max over tokens (section 3 of the released code).
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.families import facts
from ppim.models.base import Family
from ppim.models.layers import conv
from ppim.models.transformer import TokenTransformer
from ppim.models.trunk import Trunk, trunk_of


class Stem(nn.Layer):
    """Three convolutions, the first of stride 2, then a projection whose stride completes the patch (stem "4_2")."""

    def __init__(self, patch_size: int, channels: int, dim: int, frozen_stats: bool):
        super().__init__()
        # use_global_stats keeps running statistics in use, and untouched, in train() as well
        norm = {"epsilon": 1e-5, "use_global_stats": True if frozen_stats else None}
        self.conv1 = conv(3, channels, 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2D(channels, **norm)
        self.conv2 = conv(channels, channels, 3, stride=1, padding=1)
        self.bn2 = nn.BatchNorm2D(channels, **norm)
        self.conv3 = conv(channels, channels, 3, stride=1, padding=1)
        self.bn3 = nn.BatchNorm2D(channels, **norm)
        self.proj = conv(channels, dim, patch_size // 2, stride=patch_size // 2, bias=True)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Images (B, 3, h, w) to tokens (B, N, C), row-major over the grid."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(self.conv3(x)))
        return self.proj(x).flatten(2).transpose([0, 2, 1])


class LVViT(TokenTransformer):
    """Vision transformer with a token head.

    Args:
        patch_size: pixels, even.
        skip_lam: what the branches of a block are divided by.
        stem_channels: of the stem's convolutions.
        stem_bn: 'batch' as published, or 'frozen': running statistics always, in train() too.
        trunk: see `Trunk`.
    Raises:
        ValueError: sizes that do not divide, an unknown `stem_bn`.
    """

    def __init__(self, *, patch_size: int, skip_lam: float, stem_channels: int, stem_bn: str = "batch", **trunk):
        super().__init__(Trunk(**trunk), patch_size)
        if patch_size % 2:
            raise ValueError(f"patch_size wants an even number of pixels, the stem halves the image; got {patch_size}")
        if stem_bn not in ("batch", "frozen"):
            raise ValueError(f"stem_bn wants 'batch' or 'frozen', got {stem_bn!r}")
        self.add_tokens()
        self.patch_embed = Stem(patch_size, stem_channels, self.trunk.embed_dim, frozen_stats=stem_bn == "frozen")
        self.add_body(token_head=True, skip_lam=skip_lam)

    @classmethod
    def size_of(cls, shapes: Mapping[str, Sequence[int]]) -> dict[str, object]:
        """What names and shapes of weights tell of the constructor's arguments."""
        patch_size = 2 * shapes["patch_embed.proj.weight"][-1]
        channels = shapes["patch_embed.conv1.weight"][0]
        return {**trunk_of(shapes, patch_size), "patch_size": patch_size, "stem_channels": channels}

    def embed(self, x: paddle.Tensor) -> paddle.Tensor:
        """Tokens (B, N, C) of images (B, 3, h, w), row-major over the grid."""
        return self.patch_embed(x)


FAMILY = Family(facts()["lvvit"], LVViT, marks=("patch_embed.conv1.weight", "patch_embed.proj.weight"))
