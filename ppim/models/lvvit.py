"""LV-ViT, "All Tokens Matter: Token Labeling for Training Better Vision Transformers" (arXiv 2104.10858).

A convolutional stem, a plain transformer whose branches are divided by skip_lam, a class head and an auxiliary head
that classifies every patch token. Evaluation logits are class + 0.5 * max over tokens (section 3 of the released code).
"""
from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.models.layers import Block, TokenModel, TokenOutput, as_pair, conv, layer_norm, linear

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
    # two small ones of our own, for pictures of 64 and 32 pixels
    "lvvit_demo": {
        "image_size": 64, "patch_size": 8, "num_classes": 10, "embed_dim": 96, "depth": 4, "num_heads": 4,
        "stem_channels": 32,
    },
    "lvvit_cifar10": {
        "image_size": 32, "patch_size": 4, "num_classes": 10, "embed_dim": 128, "depth": 6, "num_heads": 4,
        "stem_channels": 32,
    },
}
ALIASES = {"lvvit_tiny": "lvvit_t"}


def mix_tokens(x: paddle.Tensor, mix, grid: tuple[int, int]) -> paddle.Tensor:
    """MixToken: tokens inside each sample's box come from its partner (section 3.2 of the paper).

    Args:
        x: (B, N, C), tokens row-major over `grid`.
        mix: has `token_box` (B, 4), int: top, left, bottom, right in cells, and `partner` (B,) int64.
    """
    rows, columns = grid
    batch = x.shape[0]
    top, left, bottom, right = mix.token_box.astype("int64").reshape([batch, 4, 1]).unbind(1)
    row, column = paddle.arange(rows), paddle.arange(columns)
    in_rows = (row >= top) & (row < bottom)
    in_columns = (column >= left) & (column < right)
    # (B, rows, 1) & (B, 1, columns) -> (B, N)
    inside = (in_rows.unsqueeze(2) & in_columns.unsqueeze(1)).flatten(1).astype("int64")
    own = paddle.arange(batch).unsqueeze(1)
    owner = own + inside * (mix.partner.astype("int64").unsqueeze(1) - own)
    index = owner * (rows * columns) + paddle.arange(rows * columns)
    # (B, N, C) -> (B * N, C) -> (B, N, C)
    return paddle.gather(x.flatten(0, 1), index.flatten()).reshape(x.shape)


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


class LVViT(TokenModel):
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

    foreign_names = ((r"^(backbone\.)+", ""),)  # PASSL keeps the network inside a wrapper
    position_tables = {"pos_embed": 1}
    heads = ("head", "aux_head")
    undecayed = ("cls_token", "pos_embed")
    mixes_tokens = True

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
        super().__init__()
        self.num_classes = num_classes
        self.image_size = height, width = as_pair(image_size)
        if patch_size % 2 or height % patch_size or width % patch_size:
            raise ValueError(
                f"patch_size wants an even number that divides the image, got {patch_size} for {height}x{width}"
            )
        if stem_bn not in ("batch", "frozen"):
            raise ValueError(f"stem_bn wants 'batch' or 'frozen', got {stem_bn!r}")
        self.grid = height // patch_size, width // patch_size
        self.eval_token_weight = 0.5
        self.dropout = dropout
        normal = nn.initializer.TruncatedNormal(std=0.02)
        self.cls_token = self.create_parameter([1, 1, embed_dim], default_initializer=normal)
        self.pos_embed = self.create_parameter(
            [1, 1 + self.grid[0] * self.grid[1], embed_dim], default_initializer=normal
        )
        self.patch_embed = Stem(patch_size, stem_channels, embed_dim, frozen_stats=stem_bn == "frozen")
        self.blocks = nn.LayerList(
            Block(
                embed_dim, num_heads, mlp_ratio, qkv_bias, qk_scale, dropout, attention_dropout,
                drop_path=drop_path * i / max(1, depth - 1), skip_lam=skip_lam,
            )
            for i in range(depth)
        )
        self.norm = layer_norm(embed_dim)
        self.head = linear(embed_dim, num_classes)
        self.aux_head = linear(embed_dim, num_classes)

    def features(self, x, mix=None):
        """Normalised tokens (B, 1 + N, C), class token first, of images (B, 3, h, w); `mix` as in `mix_tokens`.

        Raises:
            ValueError: the images are not of `image_size`.
        """
        if tuple(x.shape[2:]) != self.image_size and -1 not in x.shape[2:]:
            raise ValueError(
                f"model wants images of {self.image_size[0]}x{self.image_size[1]} (h x w), "
                f"got {x.shape[2]}x{x.shape[3]}; build it with image_size=({x.shape[2]}, {x.shape[3]})"
            )
        x = self.patch_embed(x)
        if mix is not None:
            x = mix_tokens(x, mix, self.grid)
        x = paddle.concat([self.cls_token.expand([x.shape[0], -1, -1]).astype(x.dtype), x], axis=1)
        x = F.dropout(x + self.pos_embed, self.dropout, training=self.training)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def tokens(self, x, mix=None) -> TokenOutput:
        """Class logits (B, K) and token logits (B, N, K), which belong to whoever owns the token after mixing."""
        x = self.features(x, mix)
        return TokenOutput(self.head(x[:, 0]), self.aux_head(x[:, 1:]))

    def class_logits(self, x, mix=None):
        """Class logits (B, K) alone; the token head is not run."""
        return self.head(self.features(x, mix)[:, 0])

    def forward(self, x):
        """Evaluation logits (B, K) of images (B, 3, h, w): class + `eval_token_weight` * max over tokens."""
        x = self.features(x)
        logits = self.head(x[:, 0])
        if self.eval_token_weight:
            logits = logits + self.eval_token_weight * self.aux_head(x[:, 1:]).max(axis=1)
        return logits

    def evaluate_tokens(self, x) -> TokenOutput:
        """Evaluation logits, and logits of every token; of the class head where the token head has no say."""
        x = self.features(x)
        logits = self.head(x[:, 0])
        if not self.eval_token_weight:
            return TokenOutput(logits, self.head(x[:, 1:]))
        token_logits = self.aux_head(x[:, 1:])
        return TokenOutput(logits + self.eval_token_weight * token_logits.max(axis=1), token_logits)


def build_lvvit(config) -> LVViT:
    """The model a config describes (sections DATA and MODEL)."""
    model, trans = config.MODEL, config.MODEL.TRANS
    return LVViT(
        image_size=config.DATA.IMAGE_SIZE,
        patch_size=trans.PATCH_SIZE,
        num_classes=model.NUM_CLASSES,
        embed_dim=trans.EMBED_DIM,
        depth=trans.DEPTH,
        num_heads=trans.NUM_HEADS,
        mlp_ratio=trans.MLP_RATIO,
        qkv_bias=trans.QKV_BIAS,
        qk_scale=trans.QK_SCALE,
        skip_lam=trans.SKIP_LAM,
        stem_channels=trans.STEM_CHANNELS,
        stem_bn=model.STEM_BN,
        dropout=model.DROPOUT,
        attention_dropout=model.ATTENTION_DROPOUT,
        drop_path=model.DROPPATH,
    )
