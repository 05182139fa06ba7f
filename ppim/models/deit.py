"""DeiT, "Training data-efficient image transformers & distillation through attention" (arXiv 2012.12877).

The plain vision transformer: one convolution makes the patches, norms use epsilon 1e-6. The distilled kind has a second
token in front with a head of its own; evaluation logits are the mean of the two heads (section 4 of the paper).
"""
from __future__ import annotations

from paddle import nn

from ppim.models.layers import conv
from ppim.models.transformer import TokenTransformer, Trunk, arguments_of

_SIZE = {"depth": 12, "mlp_ratio": 4.0, "qkv_bias": True}
_TINY = {**_SIZE, "embed_dim": 192, "num_heads": 3}
_SMALL = {**_SIZE, "embed_dim": 384, "num_heads": 6}
_BASE = {**_SIZE, "embed_dim": 768, "num_heads": 12}

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
        """Images (B, 3, h, w) to tokens (B, N, C), row-major over the grid."""
        return self.proj(x).flatten(2).transpose([0, 2, 1])


class DeiT(TokenTransformer):
    """Vision transformer with a class token.

    Args:
        patch_size: pixels.
        distilled: a second token and head, to be taught by a teacher.
        dense_head: a head on every patch token (`aux_head`), so that token labels can teach it.
        trunk: see `Trunk`.
    Raises:
        ValueError: sizes that do not divide.
    """

    norm_epsilon = 1e-6

    def __init__(self, *, patch_size: int = 16, distilled: bool = False, dense_head: bool = False, **trunk):
        super().__init__(Trunk(**trunk), patch_size)
        self.add_tokens(distilled)
        self.patch_embed = Patches(patch_size, self.trunk.embed_dim)
        self.add_body(token_head=dense_head)

    def embed(self, x):
        """Tokens (B, N, C) of images (B, 3, h, w), row-major over the grid."""
        return self.patch_embed(x)


def build_deit(config) -> DeiT:
    """The model a config describes (sections DATA and MODEL)."""
    model = config.MODEL
    return DeiT(
        patch_size=model.TRANS.PATCH_SIZE, distilled=model.DISTILLED, dense_head=model.DENSE_HEAD,
        **arguments_of(config),
    )
