"""DeiT, "Training data-efficient image transformers & distillation through attention" (arXiv 2012.12877).

The plain vision transformer: one convolution makes the patches, norms use epsilon 1e-6. The distilled kind has a second
token in front with a head of its own; evaluation logits are the mean of the two heads (section 4 of the paper).
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import paddle
from paddle import nn

from ppim.families import facts
from ppim.models.base import Family
from ppim.models.layers import conv
from ppim.models.transformer import TokenTransformer
from ppim.models.trunk import Trunk, trunk_of


class Patches(nn.Layer):
    """One convolution whose kernel and stride are the patch."""

    def __init__(self, patch_size: int, dim: int):
        super().__init__()
        self.proj = conv(3, dim, patch_size, stride=patch_size, bias=True)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
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

    def __init__(self, *, patch_size: int, distilled: bool = False, dense_head: bool = False, **trunk):
        super().__init__(Trunk(**trunk), patch_size)
        self.add_tokens(distilled)
        self.patch_embed = Patches(patch_size, self.trunk.embed_dim)
        self.add_body(token_head=dense_head)

    @classmethod
    def size_of(cls, shapes: Mapping[str, Sequence[int]]) -> dict[str, object]:
        """What names and shapes of weights tell of the constructor's arguments."""
        patch_size = shapes["patch_embed.proj.weight"][-1]
        return {**trunk_of(shapes, patch_size), "patch_size": patch_size, "distilled": "dist_token" in shapes}

    def embed(self, x: paddle.Tensor) -> paddle.Tensor:
        """Tokens (B, N, C) of images (B, 3, h, w), row-major over the grid."""
        return self.patch_embed(x)


FAMILY = Family(facts()["deit"], DeiT, marks=("patch_embed.proj.weight",),
                strangers=r"\.gamma(_[12])?$|^reg(ister)?_tokens?$")
