"""How does a class token learn from tokens that do not look back? Class attention (arXiv 2103.17239, section 3)."""
from __future__ import annotations

import paddle
import paddle.nn.functional as F

from ppim.models.layers import Heads, PreNorm, carry, linear, softmax
from ppim.models.operators import as_type


class ClassAttention(Heads):
    """Attention of `num_heads` heads in which the first token alone asks, all tokens, itself among them, answer."""

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool = False, qk_scale: float | None = None,
                 attention_dropout: float = 0.0, dropout: float = 0.0):
        super().__init__(dim, num_heads, qk_scale, attention_dropout, dropout)
        self.kv = linear(dim, 2 * dim, bias=qkv_bias)
        self.q = linear(dim, dim, bias=qkv_bias)
        self.proj = linear(dim, dim)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, 1 + N, C) to (B, 1, C). The softmax is fp32 whatever the input."""
        weights, values = self._opened(x)
        weights = F.dropout(as_type(weights, values.dtype), self.attention_dropout, training=self.training)
        # (B, H, 1, 1 + N) . (B, H, 1 + N, D) -> (B, 1, H * D)
        x = paddle.matmul(weights, values).transpose([0, 2, 1, 3]).flatten(2)
        return F.dropout(self.proj(x), self.dropout, training=self.training)

    def _opened(self, x) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Weights (B, H, 1, 1 + N) float32 and values (B, H, 1 + N, D)."""
        # (B, 1 + N, 2 * H * D) -> 2 x (B, H, 1 + N, D)
        keys, values = self.kv(x).reshape([0, 0, 2, self.num_heads, -1]).transpose([2, 0, 3, 1, 4]).unbind(0)
        # (B, 1, H * D) -> (B, H, 1, D)
        query = self.q(x[:, :1]).reshape([0, 0, self.num_heads, -1]).transpose([0, 2, 1, 3])
        return softmax(paddle.matmul(query * self.scale, keys, transpose_y=True)), values

    @paddle.no_grad()
    def seen(self, x: paddle.Tensor, rows: int, carried: paddle.Tensor) -> paddle.Tensor:
        """What the first token, the only one that looks (`rows` is 1), gets of `carried` (B, 1 + N, S) by attention,
        the mean over heads: (B, 1, S) float32 without a gradient."""
        return carry(self._opened(x)[0].mean(axis=1), carried)

    def attention_macs(self, tokens: int) -> int:
        """Multiply-accumulates of the contractions among `tokens` tokens; the linear layers count by themselves."""
        # the query with keys, its weights with values
        return 2 * tokens * self.proj.weight.shape[0]


class ClassBlock(PreNorm):
    """A pre-norm block in which the class token learns, and nothing else changes."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, qkv_bias: bool = False,
                 qk_scale: float | None = None, dropout: float = 0.0, attention_dropout: float = 0.0,
                 norm_epsilon: float = 1e-5):
        attn = ClassAttention(dim, num_heads, qkv_bias, qk_scale, attention_dropout, dropout)
        super().__init__(attn, dim, mlp_ratio, dropout, norm_epsilon)

    def forward(self, first: paddle.Tensor, tokens: paddle.Tensor) -> paddle.Tensor:
        """The class token (B, 1, C) after the block, in which it looks at itself and the tokens (B, N, C)."""
        first = first + self.attn(self.norm1(paddle.concat([first, tokens], axis=1)))
        return first + self.mlp(self.norm2(first))
