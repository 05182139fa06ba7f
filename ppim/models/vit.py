"""Plain vision transformers that others have pretrained: AugReg ("How to train your ViT?", arXiv 2106.10270), DeiT-III
(arXiv 2204.07118), DINOv2 (arXiv 2304.07193), with registers (arXiv 2309.16588) or without.

DeiT's network but for three things: channels of a branch may have factors of their own, the class token may be without
a position, and tokens that nobody reads may stand beside it.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import paddle

from ppim.families import facts
from ppim.models.base import Family
from ppim.models.deit import Patches
from ppim.models.transformer import TokenTransformer
from ppim.models.trunk import Trunk, trunk_of


class ViT(TokenTransformer):
    """Vision transformer with a class token.

    Args:
        patch_size: pixels.
        layer_scale: factors for the channels of every branch; layer_scale_start: what they start from.
        registers: tokens besides the class token.
        class_position: has the class token a position of its own?
        dense_head: a head on every patch token (`aux_head`), so that token labels can teach it.
        trunk: see `Trunk`.
    Raises:
        ValueError: sizes that do not divide.
    """

    norm_epsilon = 1e-6
    foreign_names = (
        *TokenTransformer.foreign_names,
        (r"\.gamma_([12])$", r".ls\1.gamma"),  # DeiT-III's
        (r"^reg_token$", "register_tokens"),  # timm's
        (r"^blocks\.\d+\.(\d+)\.", r"blocks.\1."),  # of DINOv2's training, where blocks lie in chunks
    )
    foreign_extras = ("mask_token",)  # of DINOv2's training alone

    def __init__(self, *, patch_size: int, layer_scale: bool = False, layer_scale_start: float = 1e-5,
                 registers: int = 0, class_position: bool = True, dense_head: bool = False, **trunk):
        super().__init__(Trunk(**trunk), patch_size)
        self.add_tokens(registers=registers, placed=class_position)
        self.patch_embed = Patches(patch_size, self.trunk.embed_dim)
        self.add_body(token_head=dense_head, layer_scale=layer_scale_start if layer_scale else None)

    @classmethod
    def size_of(cls, shapes: Mapping[str, Sequence[int]]) -> dict[str, object]:
        """What names and shapes of weights tell of the constructor's arguments."""
        patch_size, table = shapes["patch_embed.proj.weight"][-1], shapes["pos_embed"][1]
        registers = shapes["register_tokens"][1] if "register_tokens" in shapes else 0
        placed = not _is_square(table)
        return {**trunk_of(shapes, patch_size), "patch_size": patch_size,
                "image_size": math.isqrt(table - placed) * patch_size,
                "layer_scale": "blocks.0.ls1.gamma" in shapes, "registers": registers,
                "class_position": placed or bool(registers)}

    def adopted(self, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`state` with a position of zeros for a class token to which another project has added its position."""
        table = state.get("pos_embed")
        is_theirs = table is not None and table.shape[1] != self.pos_embed.shape[1] and _is_square(table.shape[1])
        if is_theirs and self.register_tokens is not None and self.placed_tokens:
            state = {**state, "pos_embed": np.concatenate([np.zeros_like(table[:, :1]), table], axis=1)}
        return state

    def embed(self, x: paddle.Tensor) -> paddle.Tensor:
        """Tokens (B, N, C) of images (B, 3, h, w), row-major over the grid."""
        return self.patch_embed(x)


def _is_square(number: int) -> bool:
    return math.isqrt(number) ** 2 == number


FAMILY = Family(facts()["vit"], ViT, marks=("patch_embed.proj.weight",), strangers=r"^dist_token$")
