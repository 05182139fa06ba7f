"""VOLO, "VOLO: Vision Outlooker for Visual Recognition" (arXiv 2106.13112).

A convolutional stem makes tokens of 8 pixels, outlook attention lets those of a neighbourhood meet, a convolution makes
one of every 2x2, and only then positions are added and a plain transformer follows. The class token joins at the end,
in blocks of class attention. As in LV-ViT every token has a head; evaluation logits are class + 0.5 * max over tokens.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.families import facts
from ppim.mixing import Mixed
from ppim.models.base import Family
from ppim.models.class_attention import ClassBlock
from ppim.models.exchange import exchange, owners_in_cells
from ppim.models.layers import Block, conv, linear
from ppim.models.operators import LayerNorm
from ppim.models.outlook import STRIDE, Outlooker
from ppim.models.transformer import TokenTransformer, as_maps
from ppim.models.trunk import Trunk
from ppim.paddle_compat import given

_PATCH = 8  # pixels along a side of a token of the first stage
_CELL = _PATCH * STRIDE  # and of the second
_STAGES = (0, 2, 3, 4)  # where blocks stand in `network`: outlookers, three parts of the transformer
_CLASS_BLOCKS = 2  # of every released model


class Stem(nn.Layer):
    """Three convolutions, the first of stride 2, then a projection whose stride completes the patch."""

    def __init__(self, channels: int, dim: int, frozen_stats: bool):
        super().__init__()
        layers = []
        for inputs, kernel, stride in ((3, 7, 2), (channels, 3, 1), (channels, 3, 1)):
            # use_global_stats keeps running statistics in use, and untouched, in train() as well
            norm = nn.BatchNorm2D(channels, epsilon=1e-5, use_global_stats=True if frozen_stats else None)
            layers += [conv(inputs, channels, kernel, stride, padding=kernel // 2), norm, nn.ReLU()]
        self.conv = nn.Sequential(*layers)
        self.proj = conv(channels, dim, _PATCH // 2, stride=_PATCH // 2, bias=True)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Images (B, 3, h, w) to a map (B, h/8, w/8, C)."""
        return self.proj(self.conv(x)).transpose([0, 2, 3, 1])


class Downsample(nn.Layer):
    """A convolution that makes one token of 2x2."""

    def __init__(self, dim: int, out_dim: int):
        super().__init__()
        self.proj = conv(dim, out_dim, STRIDE, stride=STRIDE, bias=True)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """A map (B, h, w, C) to tokens (B, h/2 * w/2, C'), row-major."""
        return self.proj(x.transpose([0, 3, 1, 2])).flatten(2).transpose([0, 2, 1])


class VOLO(TokenTransformer):
    """Vision Outlooker with a token head.

    Args:
        layers: blocks: of outlook attention, then of the three parts that the second stage has by name.
        outlook_heads: heads of outlook attention, over half of `embed_dim`.
        stem_channels: of the stem's convolutions.
        stem_bn: 'batch' as published, or 'frozen': running statistics always, in train() too.
        trunk: see `Trunk`; `num_heads` are those of the second stage and of class attention, `depth` may be left out.
            Outlook and class attention have no drop-path, and it rises over the blocks of both stages, as released.
    Raises:
        ValueError: a side that 16 does not divide, sizes that do not fit, an unknown `stem_bn`.
    Attributes:
        blocks: those of both stages in their order, without class attention's.
    """

    foreign_names = (
        # PaddleViT's
        (r"^model\.(?=\d+\.)", "network."),
        (r"^post_model\.", "post_network."),
        (r"^patch_embed\.stem\.", "patch_embed.conv."),
        *TokenTransformer.foreign_names,
    )
    drops_paths = ("network.2.", "network.3.", "network.4.")
    has_one_grid = False
    makes_class = ("head.", "cls_token", "post_network.")

    def __init__(self, *, layers: Sequence[int], outlook_heads: int, stem_channels: int, stem_bn: str = "batch",
                 **trunk):
        counts = [int(count) for count in layers]
        if len(counts) != len(_STAGES) or min(counts) < 1 or counts != list(layers):
            raise ValueError(f"layers wants four numbers of blocks, each at least 1; got {list(layers)}")
        depth = trunk.pop("depth", None)
        if depth not in (None, sum(counts)):
            raise ValueError(f"depth {depth} is not the sum of layers {counts}; leave it out, and set layers")
        super().__init__(Trunk(depth=sum(counts), **trunk), _CELL)
        if stem_bn not in ("batch", "frozen"):
            raise ValueError(f"stem_bn wants 'batch' or 'frozen', got {stem_bn!r}")
        trunk, dim = self.trunk, self.trunk.embed_dim
        self.cls_token = self.new_table(1, 1, dim)
        self.pos_embed = self.new_table(1, *self.grid, dim)
        self.position_tables = {"pos_embed": 0}
        self.patch_embed = Stem(stem_channels, dim // 2, frozen_stats=stem_bn == "frozen")
        self.network = self._network(counts, outlook_heads)
        self.post_network = nn.LayerList(
            ClassBlock(dim, trunk.num_heads, trunk.mlp_ratio, trunk.qkv_bias, trunk.qk_scale, trunk.dropout,
                       trunk.attention_dropout, self.norm_epsilon)
            for _ in range(_CLASS_BLOCKS)
        )
        self.norm = LayerNorm(dim, epsilon=self.norm_epsilon)
        if trunk.num_classes:
            self.head = linear(dim, trunk.num_classes)
            self.aux_head = linear(dim, trunk.num_classes)
            self.eval_token_weight = 0.5

    def _network(self, counts: Sequence[int], outlook_heads: int) -> nn.LayerList:
        trunk = self.trunk
        shared = trunk.mlp_ratio, trunk.qkv_bias, trunk.qk_scale, trunk.dropout, trunk.attention_dropout
        stages: list[nn.Layer] = [
            nn.LayerList(Outlooker(trunk.embed_dim // 2, outlook_heads, *shared, self.norm_epsilon)
                         for _ in range(counts[0])),
            Downsample(trunk.embed_dim // 2, trunk.embed_dim),
        ]
        first = counts[0]
        for count in counts[1:]:
            rates = [trunk.drop_path * number / (sum(counts) - 1) for number in range(first, first + count)]
            stages.append(nn.LayerList(Block(trunk.embed_dim, trunk.num_heads, *shared, drop_path=rate,
                                             norm_epsilon=self.norm_epsilon) for rate in rates))
            first += count
        return nn.LayerList(stages)

    @classmethod
    def arguments(cls) -> dict[str, object]:
        """What the constructor takes, with its defaults; the depth follows from `layers`."""
        return {**super().arguments(), "depth": None}

    @classmethod
    def size_of(cls, shapes: Mapping[str, Sequence[int]]) -> dict[str, object]:
        """What names and shapes of weights tell of the constructor's arguments."""
        width = shapes["cls_token"][-1]
        numbers = [{name.split(".")[2] for name in shapes if name.startswith(f"network.{stage}.")} for stage in _STAGES]
        return {
            "layers": [len(found) for found in numbers],
            "embed_dim": width,
            "outlook_heads": shapes["network.0.0.attn.attn.bias"][0] // 81,
            "mlp_ratio": shapes["post_network.0.mlp.fc1.bias"][0] / width,
            "stem_channels": shapes["patch_embed.conv.0.weight"][0],
            "image_size": shapes["pos_embed"][1] * _CELL,
        }

    @property
    def blocks(self) -> list[nn.Layer]:
        """The blocks of both stages, in their order."""
        return [block for stage in _STAGES for block in self.network[stage]]

    @property
    def deciding_block(self) -> ClassBlock:
        """The block in which the class token looks at the patches for the last time."""
        return self.post_network[-1]

    def layer_of(self, name: str) -> int:
        """As of every transformer; the convolution between the stages belongs to the block before it, the class token
        to the blocks at the end, which alone see it."""
        if name.startswith(self.makes_class):
            return len(self.blocks) + 1
        if name.startswith("network.1."):
            return len(self.network[0])
        if not name.startswith("network."):
            return super().layer_of(name)
        _, stage, number, *_ = name.split(".")
        before = _STAGES.index(int(stage))
        return sum(len(self.network[one]) for one in _STAGES[:before]) + int(number) + 1

    def block_shapes(self) -> list[tuple[int, ...]]:
        """The shape of what one image gives each of `blocks`."""
        (rows, columns), dim = self.grid, self.trunk.embed_dim
        first = (STRIDE * rows, STRIDE * columns, dim // 2)
        outlookers = len(self.network[0])
        return [first] * outlookers + [(rows * columns, dim)] * (len(self.blocks) - outlookers)

    def embed(self, x: paddle.Tensor) -> paddle.Tensor:
        """A map of tokens (B, h/8, w/8, C/2) of images (B, 3, h, w)."""
        return self.patch_embed(x)

    def enter(self, x, mix: Mixed | None = None) -> paddle.Tensor:
        """Tokens (B, N, C) as the second stage gets them: mixed before the first, by whole cells; with their positions.

        Raises:
            ValueError: images that cells do not fill.
        """
        grid, x = self.grid_of(x), self.embed(x)
        if mix is not None and given(mix.owner):
            x = exchange(x.flatten(1, 2), owners_in_cells(mix.owner, grid, STRIDE)).reshape(x.shape)
        for block in self.network[0]:
            x = self._through(block, x)
        return self._placed(self.network[1](x), self.positions_for(grid))

    def _placed(self, tokens, positions) -> paddle.Tensor:
        return F.dropout(tokens + positions, self.dropout, training=self.training)

    def carried_shares(self, mix: Mixed | None) -> None:
        """None: labels are not carried through windows.

        Raises:
            ValueError: `share_rule` asks for it.
        """
        if self.share_rule == "alignment" and mix is not None and given(mix.partner_share):
            raise ValueError("VOLO carries no labels through its windows; share the class target by area or attention")

    def encode(self, x, mix: Mixed | None = None) -> tuple[paddle.Tensor, paddle.Tensor | None]:
        """Normalised tokens (B, 1 + N, C), the class token first, and the partner's share (B, 1) in that.

        The share is None by area, and where `mix` holds none of the patches.
        """
        self.carried_shares(mix)
        x, share = self.enter(x, mix), None
        for block in self._second_stage():
            x, _ = self._through(block, x, None)
        first = self.cls_token.expand([x.shape[0], -1, -1]).astype(x.dtype)
        for block in self.post_network[:-1]:
            first = block(first, x)
        if self.share_rule == "attention" and mix is not None and given(mix.partner_share):
            share = self.attended_share(paddle.concat([first, x], axis=1), mix.partner_share)
        first = self.deciding_block(first, x)
        return self.norm(paddle.concat([first, x], axis=1)), share

    def _second_stage(self) -> list[Block]:
        return self.blocks[len(self.network[0]):]

    def features(self, x, layers: Sequence[int] = (-1,)) -> list[paddle.Tensor]:
        """What the tokens have become behind some blocks, for other tasks: a list of maps.

        Those of the first stage are (B, C/2, h/8, w/8), as they are; those of the second (B, C, h/16, w/16), through
        the last norm. Images may have any size of whole cells of 16 pixels.

        Args:
            x: images (B, 3, h, w), normalised.
            layers: numbers of `blocks`, 0 the first, -1 the last; maps come in this order.

        Raises:
            ValueError: no such block, or images that cells do not fill.
        """
        wanted, grid = self.numbers_of(layers), self.grid_of(x)
        kept, x = {}, self.embed(x)
        for number, block in enumerate(self.network[0]):
            x = block(x)
            if number in wanted:
                kept[number] = x.transpose([0, 3, 1, 2])
        x = self._placed(self.network[1](x), self.positions_for(grid))
        for number, block in enumerate(self._second_stage(), len(self.network[0])):
            x, _ = block(x)
            if number in wanted:
                kept[number] = as_maps(self.norm(x), grid)
        return [kept[number] for number in wanted]

    def positions_for(self, grid: tuple[int, int]) -> paddle.Tensor:
        """The table of positions (1, N, C) on a grid of this size, resized where the model's own is another."""
        table = self.pos_embed.flatten(1, 2)
        return table if grid == self.grid else self._kept.resized(table, 0, self.grid, grid)


FAMILY = Family(facts()["volo"], VOLO, marks=("patch_embed.conv.0.weight", "post_network.0.attn.kv.weight",
                                              "network.0.0.attn.attn.bias"))
