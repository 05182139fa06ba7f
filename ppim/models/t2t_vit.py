"""T2T-ViT, "Tokens-to-Token ViT: Training Vision Transformers from Scratch on ImageNet" (arXiv 2101.11986).

Three overlapping splits make 16-pixel tokens out of an image; after each of the first two a small attention lets the
tokens of a neighbourhood meet (section 3.1). That attention is a performer, linear in the tokens, or a transformer.
Positions are a fixed sinusoid. Everything behind is a plain vision transformer without bias on queries, keys, values.
"""
from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn
from yacs.config import CfgNode

from ppim.families import facts
from ppim.models.base import Family
from ppim.models.layers import Mlp, attend, linear
from ppim.models.operators import LayerNorm
from ppim.models.transformer import TokenTransformer
from ppim.models.trunk import Trunk, trunk_of

_SPLITS = ((7, 4, 2), (3, 2, 1), (3, 2, 1))  # kernel, stride, padding of each soft split
_PATCH = math.prod(stride for _, stride, _ in _SPLITS)  # pixels along a side of a token's cell
_PADDLEVIT = r"patch_embed\.attn[12]\."


def sinusoid(positions: int, dim: int) -> np.ndarray:
    """The fixed position table (1, positions, dim): sines at even channels, cosines at odd ones."""
    channel = np.arange(dim)
    angle = np.arange(positions)[:, None] / 10000 ** (2 * (channel // 2) / dim)
    return np.where(channel % 2 == 0, np.sin(angle), np.cos(angle))[None].astype("float32")


class TokenPerformer(nn.Layer):
    """Linear attention over positive random features, FAVOR+ (appendix of the paper; arXiv 2009.14794).

    The kernel is computed in fp32 whatever is automatic: its exponent reaches m / 2 = 16, and e^16 is beyond half
    precision, where the 1e-8 that guards the division is zero as well.
    """

    def __init__(self, dim: int, width: int):
        super().__init__()
        self.features = width // 2
        self.dropout = 0.1  # on the projection and the MLP, in every released model
        self.w = self.create_parameter(
            [self.features, width], default_initializer=nn.initializer.Assign(_orthogonal(self.features, width))
        )
        self.w.stop_gradient = True
        self.kqv = linear(dim, 3 * width)
        self.proj = linear(width, width)
        self.norm1 = LayerNorm(dim, epsilon=1e-5)
        self.norm2 = LayerNorm(width, epsilon=1e-5)
        self.mlp = nn.Sequential(linear(width, width), nn.GELU(), linear(width, width))

    def _kernel(self, x):
        """Positive features (B, N, m) of keys or queries (B, N, D)."""
        half_square = (x * x).sum(axis=-1, keepdim=True) / 2
        return paddle.exp(paddle.matmul(x, self.w, transpose_y=True) - half_square) / math.sqrt(self.features)

    def attend(self, kqv: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """(B, N, 3 * D), keys first, to (values, attended), each (B, N, D), in float32, float64 of float64."""
        with paddle.amp.auto_cast(enable=False):
            kqv = kqv if kqv.dtype == paddle.float64 else kqv.astype("float32")
            k, q, v = kqv.split(3, axis=-1)
            k, q = self._kernel(k), self._kernel(q)
            # (B, N, m) . (B, m, 1) -> (B, N, 1)
            norm = paddle.matmul(q, k.sum(axis=1).unsqueeze(2))
            # (B, D, N) . (B, N, m) -> (B, D, m), then (B, N, m) . (B, m, D) -> (B, N, D)
            mixed = paddle.matmul(q, paddle.matmul(v, k, transpose_x=True), transpose_y=True)
            return v, mixed / (norm + 1e-8)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, N, dim) to (B, N, width)."""
        v, mixed = self.attend(self.kqv(self.norm1(x)))
        x = v + F.dropout(self.proj(mixed), self.dropout, training=self.training)
        return x + F.dropout(self.mlp(self.norm2(x)), self.dropout, training=self.training)

    def attention_macs(self, tokens: int) -> int:
        """Multiply-accumulates of the contractions among `tokens` tokens; the linear layers count by themselves."""
        features, width = self.w.shape
        # features of keys and of queries, keys with values, queries with that: 4 times N * m * D; the norm: N * m
        return tokens * features * (4 * width + 1)


class _WideAttention(nn.Layer):
    """One head from `dim` channels down to `width`, scaled by the width of its input as in the released code."""

    def __init__(self, dim: int, width: int):
        super().__init__()
        self.scale = dim**-0.5
        self.num_heads = 1
        self.qkv = linear(dim, 3 * width, bias=False)
        self.proj = linear(width, width)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, N, dim) to (B, N, width)."""
        qkv = self.qkv(x)
        attended, _ = attend(qkv, self.num_heads, self.scale)
        # the values stand in for the residual branch, whose width differs
        return qkv[:, :, 2 * qkv.shape[-1] // 3 :] + self.proj(attended)

    def attention_macs(self, tokens: int) -> int:
        """Multiply-accumulates of the contractions among `tokens` tokens; the linear layers count by themselves."""
        return 2 * tokens * tokens * self.proj.weight.shape[0]


class TokenAttention(nn.Layer):
    """The transformer form of the tokens-to-token attention: exact, quadratic in the tokens."""

    def __init__(self, dim: int, width: int):
        super().__init__()
        self.norm1 = LayerNorm(dim, epsilon=1e-5)
        self.attn = _WideAttention(dim, width)
        self.norm2 = LayerNorm(width, epsilon=1e-5)
        self.mlp = Mlp(width, width)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, N, dim) to (B, N, width)."""
        x = self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


_TOKEN_TYPES = {"performer": TokenPerformer, "transformer": TokenAttention}


class TokensToToken(nn.Layer):
    """Images (B, 3, h, w) to tokens (B, h/16 * w/16, C), row-major."""

    def __init__(self, token_type: str, token_dim: int, embed_dim: int):
        super().__init__()
        attention = _TOKEN_TYPES[token_type]
        self.attention1 = attention(3 * 7 * 7, token_dim)
        self.attention2 = attention(token_dim * 3 * 3, token_dim)
        self.project = linear(token_dim * 3 * 3, embed_dim)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, 3, h, w) to (B, N, C): split and attend, split and attend, split and project."""
        for (kernel, stride, padding), attention in zip(_SPLITS, (self.attention1, self.attention2)):
            rows, columns = x.shape[2] // stride, x.shape[3] // stride
            x = attention(_split(x, kernel, stride, padding))
            # (B, N, C) -> (B, C, rows, columns)
            x = x.transpose([0, 2, 1]).reshape([x.shape[0], -1, rows, columns])
        return self.project(_split(x, *_SPLITS[2]))


def _split(x, kernel: int, stride: int, padding: int):
    """Overlapping windows of (B, C, h, w) as tokens (B, N, C * kernel * kernel)."""
    return F.unfold(x, kernel, strides=stride, paddings=padding).transpose([0, 2, 1])


def _orthogonal(rows: int, columns: int) -> np.ndarray:
    """`rows` orthonormal vectors times sqrt(rows), drawn from Paddle's generator so that a seed decides them."""
    with paddle.base.dygraph.guard():  # numbers are drawn at once, also where a graph is being made
        square = paddle.randn([columns, columns]).numpy().astype("float64")
    return (np.linalg.qr(square)[0][:rows] * math.sqrt(rows)).astype("float32")


class T2TViT(TokenTransformer):
    """Tokens-to-token vision transformer.

    Args:
        token_type: 'performer' | 'transformer', the attention inside tokens-to-token.
        token_dim: its width.
        dense_head: a head on every token (`aux_head`), so that token labels can teach it.
        trunk: see `Trunk`; `qk_scale` of the released weights is None, sides are multiples of 16 pixels.
    Raises:
        ValueError: a side that 16 does not divide, an unknown `token_type`.
    """

    foreign_names = (
        *TokenTransformer.foreign_names,
        # PaddleViT's
        (r"^patch_embed\.attn([12])\.", r"tokens_to_token.attention\1."),
        (r"^patch_embed\.proj\.", r"tokens_to_token.project."),
    )

    def __init__(self, *, token_type: str, token_dim: int = 64, dense_head: bool = False, **trunk):
        super().__init__(Trunk(**trunk), _PATCH)
        if token_type not in _TOKEN_TYPES:
            raise ValueError(f"token_type wants one of {', '.join(_TOKEN_TYPES)}, got {token_type!r}")
        rows, columns = self.grid
        self.tokens_to_token = TokensToToken(token_type, token_dim, self.trunk.embed_dim)
        self.add_tokens(positions=sinusoid(1 + rows * columns, self.trunk.embed_dim))
        self.add_body(token_head=dense_head)

    drawn_once = ("tokens_to_token.attention1.w", "tokens_to_token.attention2.w")

    @classmethod
    def size_of(cls, shapes: Mapping[str, Sequence[int]]) -> dict[str, object]:
        """What names and shapes of weights tell of the constructor's arguments."""
        performer = "tokens_to_token.attention1.w" in shapes
        return {**trunk_of(shapes, _PATCH), "token_type": "performer" if performer else "transformer"}

    def positions_for(self, grid: tuple[int, int]) -> paddle.Tensor:
        """The table, or, where the model's own grid is another, the sinusoid (1, 1 + rows * columns, C)."""
        if grid == self.grid:
            return self.pos_embed
        rows, columns = grid
        return paddle.to_tensor(sinusoid(1 + rows * columns, self.trunk.embed_dim), self.pos_embed.dtype)

    def embed(self, x: paddle.Tensor) -> paddle.Tensor:
        """Tokens (B, N, C) of images (B, 3, h, w), row-major over the grid."""
        return self.tokens_to_token(x)

    def note_source(self, names) -> tuple[str, ...]:
        """PaddleViT's norms use another epsilon, which its file does not say; its names give it away."""
        theirs = any(re.search(_PADDLEVIT, name) for name in names)
        for layer in self.sublayers():
            if isinstance(layer, nn.LayerNorm):
                layer._epsilon = 1e-6 if theirs else self.norm_epsilon
        return ("PaddleViT's weights: norms compute with its epsilon, 1e-6 (the original's is 1e-5)",) if theirs else ()


def build_t2t_vit(config: CfgNode) -> TokenTransformer:
    """The model a config describes, by PaddleViT's name for this; `ppim.models.build_model` is the same."""
    from ppim.models import build_model  # the package, which imports this file

    return build_model(config)


_MARKS = ("tokens_to_token.attention1.norm1.weight", "tokens_to_token.project.bias")
FAMILY = Family(facts()["t2t_vit"], T2TViT, marks=_MARKS)
