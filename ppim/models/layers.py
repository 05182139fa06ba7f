"""Parts shared by the model families: attention, MLP, block, drop path, linear layers and convolutions.

Tokens travel as (B, N, C): batch, tokens, channels; H heads of width D.
"""
from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.paddle_compat import flash_attention_runs


def linear(in_features: int, out_features: int, bias: bool = True) -> nn.Linear:
    """A Linear layer with the original initialisation: truncated normal of std 0.02, bias 0."""
    return nn.Linear(
        in_features,
        out_features,
        weight_attr=paddle.ParamAttr(initializer=nn.initializer.TruncatedNormal(std=0.02)),
        bias_attr=paddle.ParamAttr(initializer=nn.initializer.Constant(0.0)) if bias else False,
    )


def conv(in_channels: int, out_channels: int, kernel: int, stride: int, padding: int = 0, bias: bool = False) -> nn.Conv2D:
    """A Conv2D with PyTorch's default initialisation: uniform within 1 / sqrt(fan_in), weight and bias."""
    bound = (in_channels * kernel * kernel) ** -0.5
    uniform = paddle.ParamAttr(initializer=nn.initializer.Uniform(-bound, bound))
    return nn.Conv2D(
        in_channels, out_channels, kernel, stride, padding, weight_attr=uniform, bias_attr=uniform if bias else False
    )


def drop_path(x: paddle.Tensor, rate: float, training: bool) -> paddle.Tensor:
    """Drop the whole branch of a sample with probability `rate`, scaling the others to keep the mean."""
    if rate == 0.0 or not training:
        return x
    keep = 1.0 - rate
    mask = (paddle.rand([x.shape[0], 1, 1]) < keep).astype(x.dtype)
    return x * mask / keep


def _as(x: paddle.Tensor, dtype) -> paddle.Tensor:
    """`x` as `dtype`; no cast where there is nothing to cast, because it would copy all the same."""
    return x if x.dtype == dtype else x.astype(dtype)


def _softmax(scores: paddle.Tensor) -> paddle.Tensor:
    """Attention weights of scores of any floating type, in float32."""
    return F.softmax(_as(scores, paddle.float32), axis=-1)


def carry(weights: paddle.Tensor, carried: paddle.Tensor) -> paddle.Tensor:
    """Attention weights (B, N, N) times carried numbers (B, N, S): fp32 whatever is automatic, and no gradient."""
    with paddle.no_grad(), paddle.amp.auto_cast(enable=False):
        return paddle.matmul(weights.detach(), carried)


def attend(
    qkv: paddle.Tensor, num_heads: int, scale: float, dropout: float = 0.0, carried: paddle.Tensor | None = None
) -> tuple[paddle.Tensor, paddle.Tensor | None]:
    """Multi-head attention over packed queries, keys and values, (B, N, 3 * H * D) -> (B, N, H * D).

    One matmul per head on pieces of one split: no transpose of a 4-D tensor, which on the CPU costs more than the
    products (tools/benchmark/attention.py). The softmax is fp32 whatever the input.

    Args:
        carried: (B, N, S) float32, numbers that go along with the tokens: each token gets the mean of everyone's,
            weighted by its attention (mean over heads, before dropout). No gradient flows through them.
    Returns:
        the attended values, and what became of `carried` (None without it).
    """
    head_dim = qkv.shape[-1] // (3 * num_heads)
    if carried is None and dropout == 0.0 and flash_attention_runs(qkv, head_dim):
        # (B, N, 3 * H * D) -> 3 x (B, N, H, D); the kernel scales by 1 / sqrt(D) itself
        q, k, v = qkv.reshape([0, 0, 3, num_heads, head_dim]).unbind(2)
        return F.scaled_dot_product_attention(q * (scale * head_dim**0.5), k, v).flatten(2), None
    pieces = qkv.split(3 * num_heads, axis=-1)
    out, passed_on = [], []
    for q, k, v in zip(pieces[:num_heads], pieces[num_heads : 2 * num_heads], pieces[2 * num_heads :]):
        weights = _softmax(paddle.matmul(q * scale, k, transpose_y=True))
        if carried is not None:
            passed_on.append(carry(weights, carried))
        weights = _as(weights, v.dtype)
        out.append(paddle.matmul(F.dropout(weights, dropout) if dropout else weights, v))
    return paddle.concat(out, axis=-1), sum(passed_on) / num_heads if passed_on else None


class Attention(nn.Layer):
    """Self-attention of `num_heads` heads; returns what `attend` returns, the values projected."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        qkv_bias: bool = False,
        qk_scale: float | None = None,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"embed_dim must be a multiple of num_heads, got {dim} and {num_heads}")
        self.num_heads = num_heads
        self.scale = qk_scale or (dim // num_heads) ** -0.5
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.qkv = linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = linear(dim, dim)

    def forward(
        self, x: paddle.Tensor, carried: paddle.Tensor | None = None
    ) -> tuple[paddle.Tensor, paddle.Tensor | None]:
        """(B, N, C) to (B, N, C), and what became of `carried` (see `attend`)."""
        dropout = self.attention_dropout if self.training else 0.0
        x, carried = attend(self.qkv(x), self.num_heads, self.scale, dropout, carried)
        return F.dropout(self.proj(x), self.dropout, training=self.training), carried

    def attention_macs(self, tokens: int) -> int:
        """Multiply-accumulates of the contractions among `tokens` tokens; the linear layers count by themselves."""
        # queries with keys, weights with values: (N, D) . (D, N) and (N, N) . (N, D) for each of H heads
        return 2 * tokens * tokens * self.proj.weight.shape[0]


class Mlp(nn.Layer):
    """Two linear layers with a GELU between them."""

    def __init__(self, dim: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = dropout
        self.fc1 = linear(dim, hidden)
        self.fc2 = linear(hidden, dim)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, N, C) to (B, N, C)."""
        x = F.dropout(F.gelu(self.fc1(x)), self.dropout, training=self.training)
        return F.dropout(self.fc2(x), self.dropout, training=self.training)


class Block(nn.Layer):
    """A pre-norm transformer block; each branch is divided by `skip_lam` before it joins the residual stream."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_ratio: float,
        qkv_bias: bool = False,
        qk_scale: float | None = None,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        drop_path: float = 0.0,
        skip_lam: float = 1.0,
        norm_epsilon: float = 1e-5,
    ):
        super().__init__()
        self.drop_path = drop_path
        self.skip_lam = skip_lam
        self.norm1 = nn.LayerNorm(dim, epsilon=norm_epsilon)
        self.attn = Attention(dim, num_heads, qkv_bias, qk_scale, attention_dropout, dropout)
        self.norm2 = nn.LayerNorm(dim, epsilon=norm_epsilon)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), dropout)

    def forward(
        self, x: paddle.Tensor, carried: paddle.Tensor | None = None
    ) -> tuple[paddle.Tensor, paddle.Tensor | None]:
        """`x` (B, N, C) after the block, and what became of `carried` (see `attend`)."""
        attended, carried = self.attn(self.norm1(x), carried)
        x = x + drop_path(attended, self.drop_path, self.training) / self.skip_lam
        return x + drop_path(self.mlp(self.norm2(x)), self.drop_path, self.training) / self.skip_lam, carried
