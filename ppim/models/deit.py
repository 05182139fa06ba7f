"""DeiT, "Training data-efficient image transformers & distillation through attention" (arXiv 2012.12877).

The plain vision transformer: one convolution makes the patches, norms use epsilon 1e-6. The distilled kind has a second
token in front with a head of its own; evaluation logits are the mean of the two heads (section 4 of the paper).
"""
from __future__ import annotations

from paddle import nn

from ppim.models.layers import conv, linear
from ppim.models.operators import LayerNorm
from ppim.models.transformer import TokenTransformer, arguments_of, build_blocks

_TINY = {"embed_dim": 192, "depth": 12, "num_heads": 3}
_SMALL = {"embed_dim": 384, "depth": 12, "num_heads": 6}
_BASE = {"embed_dim": 768, "depth": 12, "num_heads": 12}

VARIANTS = {
    "deit_tiny_patch16_224": _TINY,
    "deit_small_patch16_224": _SMALL,
    "deit_base_patch16_224": _BASE,
    "deit_tiny_distilled_patch16_224": {**_TINY, "distilled": True},
    "deit_small_distilled_patch16_224": {**_SMALL, "distilled": True},
    "deit_base_distilled_patch16_224": {**_BASE, "distilled": True},
    "deit_base_patch16_384": {**_BASE, "image_size": 384},
    "deit_base_distilled_patch16_384": {**_BASE, "image_size": 384, "distilled": True},
}
ALIASES = {  # PPIM's names, and the shorter ones people type
    **{f"deit_{short}": f"deit_{size}_patch16_224" for short, size in (("ti", "tiny"), ("s", "small"), ("b", "base"))},
    **{f"deit_{size}": f"deit_{size}_patch16_224" for size in ("tiny", "small", "base")},
    **{
        f"deit_{short}_distilled": f"deit_{size}_distilled_patch16_224"
        for short, size in (("ti", "tiny"), ("s", "small"), ("b", "base"))
    },
    **{f"deit_{size}_distilled": f"deit_{size}_distilled_patch16_224" for size in ("tiny", "small", "base")},
    "deit_b_384": "deit_base_patch16_384",
    "deit_base_384": "deit_base_patch16_384",
    "deit_b_distilled_384": "deit_base_distilled_patch16_384",
    "deit_base_distilled_384": "deit_base_distilled_patch16_384",
}


class Patches(nn.Layer):
    """One convolution whose kernel and stride are the patch."""

    def __init__(self, patch_size: int, dim: int):
        super().__init__()
        self.proj = conv(3, dim, patch_size, stride=patch_size, bias=True)

    def forward(self, x):
        # (B, C, h, w) -> (B, N, C)
        return self.proj(x).flatten(2).transpose([0, 2, 1])


class DeiT(TokenTransformer):
    """Vision transformer with a class token.

    Args:
        image_size: int or (h, w) in pixels, multiples of `patch_size`.
        qk_scale: attention scale; None is head width ** -0.5.
        distilled: a second token and head, to be taught by a teacher.
        dense_head: a head on every patch token (`aux_head`), so that token labels can teach it.
        drop_path: rate of the last block, rising linearly from 0.
    Raises:
        ValueError: sizes that do not divide.
    """

    def __init__(
        self,
        image_size=224,
        patch_size: int = 16,
        num_classes: int = 1000,
        embed_dim: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        distilled: bool = False,
        dense_head: bool = False,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
    ):
        super().__init__(image_size, patch_size, num_classes, dropout)
        rows, columns = self.grid
        self.cls_token = self.new_table(1, 1, embed_dim)
        if distilled:
            self.dist_token = self.new_table(1, 1, embed_dim)
        self.position_tables = {"pos_embed": self.extra_tokens}
        self.pos_embed = self.new_table(1, self.extra_tokens + rows * columns, embed_dim)
        self.patch_embed = Patches(patch_size, embed_dim)
        self.blocks = build_blocks(
            depth, drop_path, embed_dim, num_heads, mlp_ratio, qkv_bias=qkv_bias, qk_scale=qk_scale, dropout=dropout,
            attention_dropout=attention_dropout, norm_epsilon=1e-6,
        )
        self.norm = LayerNorm(embed_dim, epsilon=1e-6)
        self.head = linear(embed_dim, num_classes)
        if distilled:
            self.head_dist = linear(embed_dim, num_classes)
        if dense_head:
            self.aux_head = linear(embed_dim, num_classes)
            self.eval_token_weight = 0.5

    def embed(self, x):
        return self.patch_embed(x)


def build_deit(config) -> DeiT:
    """The model a config describes (sections DATA and MODEL)."""
    model = config.MODEL
    return DeiT(
        patch_size=model.TRANS.PATCH_SIZE, distilled=model.DISTILLED, dense_head=model.DENSE_HEAD,
        **arguments_of(config),
    )
