"""A network that names every pixel: a vision transformer, tapped behind four of its blocks, below UperNet.

Taps are tokens as the next block gets them, without the last norm, and blocks normalise with an epsilon of 1e-6: both
as LV-ViT's segmentation code has it (zihangJiang/TokenLabeling, seg/mmseg/models/backbones/vit.py).
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.models.base import TokenModel
from ppim.models.transformer import TokenTransformer, as_maps
from ppim.segment.heads import LEVELS, FcnHead, Neck, UperHead, resized
from ppim.segment.norm import share_statistics

NORM_EPSILON = 1e-6
APART = 3  # blocks between the taps where none are named


def usual_layers(depth: int) -> tuple[int, ...]:
    """The taps of LV-ViT's published segmentation models: the last block and those 3, 6 and 9 before it."""
    return tuple(range(depth - 1 - (LEVELS - 1) * APART, depth, APART))


class Segmenter(TokenModel):
    """A vision transformer without its own heads, a neck, and UperNet's heads.

    Args:
        backbone: a model of blocks; its last norm and its heads are taken off, its norms get the epsilon of this file.
        rows: classes of a pixel.
        layers: numbers of the four blocks that are tapped, the last block among them; None: as `usual_layers`.
        channels, top_channels: of the heads; of the last map of the pyramid.
        dropout: rate of the channels before the last layer of a head.

    Raises:
        ValueError: not four blocks of the backbone; a backbone without blocks.
    """

    heads = ("neck", "decode_head", "auxiliary_head")
    foreign_names = ((r"^((module|_layers|model)\.)+", ""), (r"^backbone\.side_layer([1-4])\.", r"neck.layer\1."))
    original_names = ((r"^neck\.layer([1-4])\.", r"backbone.side_layer\1."),)

    def __init__(self, backbone: TokenTransformer, rows: int, *, layers: Sequence[int] | None = None,
                 channels: int = 256, top_channels: int = 2048, dropout: float = 0.1):
        super().__init__()
        if not isinstance(backbone, TokenTransformer) or not backbone.has_one_grid:
            raise ValueError(f"a segmenter wants a model whose blocks are all of one grid, got "
                             f"{type(backbone).__name__}; take LV-ViT, T2T-ViT, DeiT or ViT")
        depth, width = len(backbone.blocks), backbone.trunk.embed_dim
        self.layers = usual_layers(depth) if layers is None else tuple(layers)
        # behind the last tap nothing would be learnt, and DataParallel would wait for gradients
        if len(self.layers) != LEVELS or min(self.layers) < 0 or max(self.layers) != depth - 1:
            raise ValueError(f"SEGMENT.LAYERS wants {LEVELS} blocks in 0 .. {depth - 1}, the last among them, got "
                             f"{list(self.layers)}")
        self.num_classes, self.image_size, self.grid = rows, backbone.image_size, backbone.grid
        self._other_heads = tuple(f"{part}." for part in ("norm", *backbone.heads))
        self.backbone = _without_heads(backbone)
        self.neck = Neck(width, top_channels)
        self.decode_head = UperHead([width] * (LEVELS - 1) + [top_channels], channels, rows, dropout)
        self.auxiliary_head = FcnHead(width, channels, rows, dropout)
        self.position_tables = {f"backbone.{name}": extra for name, extra in backbone.position_tables.items()}
        self.fixed_tables = tuple(f"backbone.{name}" for name in backbone.fixed_tables)
        self.drawn_once = tuple(f"backbone.{name}" for name in backbone.drawn_once)
        share_statistics(self)

    @property
    def patch(self) -> int:
        """Pixels along a side of a token's cell."""
        return self.image_size[0] // self.grid[0]

    @property
    def blocks(self) -> nn.LayerList:
        """The transformer's."""
        return self.backbone.blocks

    def layer_of(self, name: str) -> int:
        """How deep a parameter lies: in the transformer as there, neck and heads behind all of its blocks."""
        inside = name.startswith("backbone.")
        return self.backbone.layer_of(name.removeprefix("backbone.")) if inside else len(self.blocks) + 1

    def no_weight_decay(self) -> set[str]:
        """None: the published segmentation models were trained with decay on all of their parameters."""
        return set()

    def rename(self, state: Mapping[str, object]) -> dict[str, object]:
        """`state` under this model's names: of a segmenter, or of a classifier's backbone, whose heads are left out."""
        if any(".conv_seg." in name for name in state):
            return super().rename(state)
        ours = self.backbone.rename(state)
        return {f"backbone.{name}": value for name, value in ours.items() if not name.startswith(self._other_heads)}

    def adopted(self, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`state` with what the transformer's project keeps otherwise as we keep it."""
        first = "backbone."
        inside = {name.removeprefix(first): value for name, value in state.items() if name.startswith(first)}
        others = {name: value for name, value in state.items() if not name.startswith(first)}
        return {**others, **{f"{first}{name}": value for name, value in self.backbone.adopted(inside).items()}}

    def pyramid(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        """The maps that the heads read, of images (B, 3, h, w) of whole patches."""
        grid, first = self.backbone.grid_of(x), self.backbone.extra_tokens
        return self.neck([as_maps(tokens[:, first:], grid) for tokens in self.backbone.taps(x, self.layers)])

    def taught(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Logits (B, rows, h', w') of both heads, UperNet's first, each of the size of what it reads."""
        maps = self.pyramid(x)
        return self.decode_head(maps), self.auxiliary_head(maps)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Logits (B, rows, h, w) of normalised images (B, 3, h, w) of any size; what patches do not fill is filled up
        with the mean colour, on the right and below.

        Raises:
            ValueError: what is no batch of images, as they were given.
        """
        self.backbone.check_images(x)
        height, width = x.shape[2:]
        below, right = -height % self.patch, -width % self.patch
        filled = F.pad(x, [0, right, 0, below]) if below or right else x
        logits = self.decode_head(self.pyramid(filled))
        return resized(logits, filled.shape[2:])[:, :, :height, :width]


def _without_heads(backbone: TokenTransformer) -> TokenTransformer:
    for part in ("norm", *backbone.heads):
        if getattr(backbone, part, None) is not None:
            setattr(backbone, part, None)
    for layer in backbone.sublayers():
        if isinstance(layer, nn.LayerNorm):
            layer._epsilon = NORM_EPSILON
    return backbone
