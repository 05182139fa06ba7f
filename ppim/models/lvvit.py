"""LV-ViT, "All Tokens Matter: Token Labeling for Training Better Vision Transformers" (arXiv 2104.10858).

A convolutional stem, a plain transformer whose branches are divided by skip_lam, a class head and an auxiliary head
that classifies every patch token. Evaluation logits are class + 0.5 * max over tokens (section 3 of the released code).
"""
from __future__ import annotations

import paddle.nn.functional as F
from paddle import nn

from ppim.models.layers import conv, linear
from ppim.models.operators import LayerNorm
from ppim.models.transformer import TokenTransformer, arguments_of, build_blocks

_T = {"embed_dim": 240, "depth": 12, "num_heads": 4, "skip_lam": 1.0}
_S = {"embed_dim": 384, "depth": 16, "num_heads": 6, "skip_lam": 2.0}
_M = {"embed_dim": 512, "depth": 20, "num_heads": 8, "skip_lam": 2.0}
_L = {"embed_dim": 768, "depth": 24, "num_heads": 12, "skip_lam": 3.0, "stem_channels": 128}

VARIANTS = {
    "lvvit_t": _T,
    "lvvit_s": _S,
    "lvvit_m": _M,
    "lvvit_l": _L,
    "lvvit_s_384": {**_S, "image_size": 384},
    "lvvit_m_384": {**_M, "image_size": 384},
    "lvvit_m_448": {**_M, "image_size": 448},
    "lvvit_l_448": {**_L, "image_size": 448},
    "lvvit_l_512": {**_L, "image_size": 512},
    # two small ones of our own, for drawn pictures and for CIFAR-10
    "lvvit_demo": {
        "image_size": 48, "patch_size": 8, "num_classes": 10, "embed_dim": 64, "depth": 3, "num_heads": 2,
        "stem_channels": 16,
    },
    "lvvit_cifar10": {
        "image_size": 32, "patch_size": 4, "num_classes": 10, "embed_dim": 128, "depth": 6, "num_heads": 4,
        "stem_channels": 32,
    },
}
ALIASES = {"lvvit_tiny": "lvvit_t"}


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

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(self.conv3(x)))
        # (B, C, h, w) -> (B, N, C)
        return self.proj(x).flatten(2).transpose([0, 2, 1])


class LVViT(TokenTransformer):
    """Vision transformer with a token head.

    Args:
        image_size: int or (h, w) in pixels, multiples of `patch_size`.
        patch_size: pixels, even.
        qk_scale: attention scale; None is head width ** -0.5.
        drop_path: rate of the last block, rising linearly from 0.
        stem_bn: 'batch' as published, or 'frozen': running statistics always, in train() too.
    Raises:
        ValueError: sizes that do not divide, an unknown `stem_bn`.
    """

    position_tables = {"pos_embed": 1}

    def __init__(
        self,
        image_size=224,
        patch_size: int = 16,
        num_classes: int = 1000,
        embed_dim: int = 384,
        depth: int = 16,
        num_heads: int = 6,
        mlp_ratio: float = 3.0,
        qkv_bias: bool = False,
        qk_scale: float | None = None,
        skip_lam: float = 1.0,
        stem_channels: int = 64,
        stem_bn: str = "batch",
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
    ):
        super().__init__(image_size, patch_size, num_classes, dropout)
        if patch_size % 2:
            raise ValueError(f"patch_size wants an even number of pixels, the stem halves the image; got {patch_size}")
        if stem_bn not in ("batch", "frozen"):
            raise ValueError(f"stem_bn wants 'batch' or 'frozen', got {stem_bn!r}")
        rows, columns = self.grid
        self.eval_token_weight = 0.5
        self.cls_token = self.new_table(1, 1, embed_dim)
        self.pos_embed = self.new_table(1, 1 + rows * columns, embed_dim)
        self.patch_embed = Stem(patch_size, stem_channels, embed_dim, frozen_stats=stem_bn == "frozen")
        self.blocks = build_blocks(
            depth, drop_path, embed_dim, num_heads, mlp_ratio, qkv_bias=qkv_bias, qk_scale=qk_scale, dropout=dropout,
            attention_dropout=attention_dropout, skip_lam=skip_lam,
        )
        self.norm = LayerNorm(embed_dim, epsilon=1e-5)
        self.head = linear(embed_dim, num_classes)
        self.aux_head = linear(embed_dim, num_classes)

    def embed(self, x):
        return self.patch_embed(x)


def build_lvvit(config) -> LVViT:
    """The model a config describes (sections DATA and MODEL)."""
    model, trans = config.MODEL, config.MODEL.TRANS
    return LVViT(
        patch_size=trans.PATCH_SIZE, skip_lam=trans.SKIP_LAM, stem_channels=trans.STEM_CHANNELS, stem_bn=model.STEM_BN,
        **arguments_of(config),
    )
