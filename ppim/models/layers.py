"""Parts shared by the model families: attention, MLP, block, drop path, linear layers and convolutions.

Tokens travel as (B, N, C): batch, tokens, channels; H heads of width D.
"""
from __future__ import annotations

import math

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.models.operators import Conv2D, LayerNorm, Linear, as_type
from ppim.paddle_compat import FLASH_HEAD_DIM_STEP, flash_attention_runs, heads_go_together


def linear(in_features: int, out_features: int, bias: bool = True) -> nn.Linear:
    """A Linear layer with the original initialisation: truncated normal of std 0.02, bias 0."""
    return Linear(
        in_features,
        out_features,
        weight_attr=paddle.ParamAttr(initializer=nn.initializer.TruncatedNormal(std=0.02)),
        bias_attr=paddle.ParamAttr(initializer=nn.initializer.Constant(0.0)) if bias else False,
    )


def conv(
    in_channels: int, out_channels: int, kernel: int, stride: int, padding: int = 0, bias: bool = False
) -> nn.Conv2D:
    """A Conv2D with PyTorch's default initialisation: uniform within 1 / sqrt(fan_in), weight and bias."""
    bound = (in_channels * kernel * kernel) ** -0.5
    uniform = paddle.ParamAttr(initializer=nn.initializer.Uniform(-bound, bound))
    return Conv2D(
        in_channels, out_channels, kernel, stride, padding, weight_attr=uniform, bias_attr=uniform if bias else False
    )


def drop_path(x: paddle.Tensor, rate: float, training: bool, divisor: float = 1.0) -> paddle.Tensor:
    """`x / divisor`; in training the whole branch of a sample is dropped with probability `rate`, the others scaled to
    keep the mean. Both are one factor per sample, so that the branch is passed over once."""
    if rate == 0.0 or not training:
        return x if divisor == 1.0 else x / divisor
    keep = 1.0 - rate
    factor = (paddle.rand([x.shape[0], 1, 1]) < keep).astype(x.dtype) / (keep * divisor)
    return x * factor


def softmax(scores: paddle.Tensor) -> paddle.Tensor:
    """Attention weights of scores of any floating type, in float32."""
    return F.softmax(as_type(scores, paddle.float32), axis=-1)


def carry(weights: paddle.Tensor, carried: paddle.Tensor) -> paddle.Tensor:
    """Attention weights (B, N, N) times carried numbers (B, N, S): fp32 whatever is automatic, and no gradient."""
    with paddle.no_grad(), paddle.amp.auto_cast(enable=False):
        return paddle.matmul(weights.detach(), carried)


def attend(
    qkv: paddle.Tensor, num_heads: int, scale: float, dropout: float = 0.0, carried: paddle.Tensor | None = None,
    added: paddle.Tensor | None = None,
) -> tuple[paddle.Tensor, paddle.Tensor | None]:
    """Multi-head attention over packed queries, keys and values, (B, N, 3 * H * D) -> (B, N, H * D).

    By the fused kernel where it runs; else all heads in one product on GPUs, head by head elsewhere. The softmax is
    fp32 whatever the input.

    Args:
        carried: (B, N, S) float32, numbers that go along with the tokens: each token gets the mean of everyone's,
            weighted by its attention (mean over heads, before dropout). No gradient flows through them.
        added: (B, 1, N) or (B, N, N) float32, what is added to the scores of each token as one that is looked at.
    Returns:
        the attended values, and what became of `carried` (None without it).
    """
    head_dim = qkv.shape[-1] // (3 * num_heads)
    if carried is None and added is None and dropout == 0.0 and flash_attention_runs(qkv, head_dim):
        return _attend_fused(qkv, num_heads, scale), None
    way = _attend_together if heads_go_together(qkv) else _attend_by_head
    return way(qkv, num_heads, scale, dropout, carried, added)


def _attend_fused(qkv, num_heads: int, scale: float) -> paddle.Tensor:
    """With heads widened by zeros to what the kernel takes; it scales by 1 / sqrt(width) itself."""
    # (B, N, 3 * H * D) -> (B, N, 3, H, D)
    qkv = qkv.reshape([0, 0, 3, num_heads, -1])
    head_dim = qkv.shape[-1]
    missing = -head_dim % FLASH_HEAD_DIM_STEP
    if missing:
        qkv = paddle.concat([qkv, paddle.zeros([*qkv.shape[:-1], missing], qkv.dtype)], axis=-1)
    q, k, v = qkv.unbind(2)
    factor = scale * (head_dim + missing) ** 0.5
    q = q if math.isclose(factor, 1.0) else q * factor
    out = F.scaled_dot_product_attention(q, k, v)
    return (out[:, :, :, :head_dim] if missing else out).flatten(2)


def _attend_together(qkv, num_heads: int, scale: float, dropout: float, carried, added):
    # (B, N, 3 * H * D) -> 3 x (B, H, N, D)
    q, k, v = qkv.reshape([0, 0, 3, num_heads, -1]).transpose([2, 0, 3, 1, 4]).unbind(0)
    weights = _weights(q * scale, k, None if added is None else added.unsqueeze(1))
    if carried is not None:
        carried = carry(weights.detach().mean(axis=1), carried)
    weights = as_type(weights, v.dtype)
    out = paddle.matmul(F.dropout(weights, dropout) if dropout else weights, v)
    return out.transpose([0, 2, 1, 3]).flatten(2), carried


def _attend_by_head(qkv, num_heads: int, scale: float, dropout: float, carried, added):
    """On pieces of one split: no transpose of a 4-D tensor, which on the CPU costs more than the products
    (tools/benchmark/attention.py)."""
    pieces = qkv.split(3 * num_heads, axis=-1)
    out, passed_on = [], []
    for q, k, v in zip(pieces[:num_heads], pieces[num_heads : 2 * num_heads], pieces[2 * num_heads :]):
        weights = _weights(q * scale, k, added)
        if carried is not None:
            passed_on.append(carry(weights, carried))
        weights = as_type(weights, v.dtype)
        out.append(paddle.matmul(F.dropout(weights, dropout) if dropout else weights, v))
    return paddle.concat(out, axis=-1), sum(passed_on) / num_heads if passed_on else None


def _weights(queries, keys, added=None) -> paddle.Tensor:
    scores = paddle.matmul(queries, keys, transpose_y=True)
    return softmax(scores if added is None else as_type(scores, paddle.float32) + added)


class Heads(nn.Layer):
    """What attention of any kind starts from, before its layers.

    Args:
        dim: channels, a multiple of `num_heads`; `names` are what a user calls the two.
        qk_scale: of the scores; None: head width ** -0.5.

    Raises:
        ValueError: channels that heads do not divide.
    """

    def __init__(self, dim: int, num_heads: int, qk_scale: float | None = None, attention_dropout: float = 0.0,
                 dropout: float = 0.0, names: tuple[str, str] = ("embed_dim", "num_heads")):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{names[0]} must be a multiple of {names[1]}, got {dim} and {num_heads}")
        self.num_heads = num_heads
        self.scale = qk_scale or (dim // num_heads) ** -0.5
        self.attention_dropout = attention_dropout
        self.dropout = dropout


class Attention(Heads):
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
        super().__init__(dim, num_heads, qk_scale, attention_dropout, dropout)
        self.qkv = linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = linear(dim, dim)

    def forward(
        self, x: paddle.Tensor, carried: paddle.Tensor | None = None
    ) -> tuple[paddle.Tensor, paddle.Tensor | None]:
        """(B, N, C) to (B, N, C), and what became of `carried` (see `attend`)."""
        dropout = self.attention_dropout if self.training else 0.0
        x, carried = attend(self.qkv(x), self.num_heads, self.scale, dropout, carried)
        return F.dropout(self.proj(x), self.dropout, training=self.training), carried

    @paddle.no_grad()
    def seen(self, x: paddle.Tensor, rows: int, carried: paddle.Tensor) -> paddle.Tensor:
        """What the first `rows` tokens of (B, N, C) get of `carried` (B, N, S) by attention, the mean over heads.

        (B, rows, S) float32 without a gradient; apart from `forward`, which can then use the fused kernel.
        """
        q, k, _ = self._heads(x)
        return carry(_weights(q[:, :, :rows] * self.scale, k).mean(axis=1), carried)

    def opened(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """What `forward` makes of (B, N, C) without dropout, and the attention it does so with: (B, H, N, N) float32,
        rows look at columns. The first is computed from the second, so that gradients reach it."""
        q, k, v = self._heads(x)
        weights = _weights(q * self.scale, k)
        weights.stop_gradient = False  # also where no parameter wants one
        # (B, H, N, N) . (B, H, N, D) -> (B, N, H * D)
        return self.proj(paddle.matmul(as_type(weights, v.dtype), v).transpose([0, 2, 1, 3]).flatten(2)), weights

    def _heads(self, x) -> tuple[paddle.Tensor, ...]:
        # (B, N, 3 * H * D) -> 3 x (B, H, N, D)
        return self.qkv(x).reshape([0, 0, 3, self.num_heads, -1]).transpose([2, 0, 3, 1, 4]).unbind(0)

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


class LayerScale(nn.Layer):
    """A factor for every channel, learnt, `gamma` (arXiv 2103.17239, section 2.1)."""

    def __init__(self, dim: int, start: float):
        super().__init__()
        self.gamma = self.create_parameter([dim], default_initializer=nn.initializer.Constant(start))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, N, C) to (B, N, C)."""
        return x * self.gamma


class PreNorm(nn.Layer):
    """The parts of a pre-norm block, whatever its attention is."""

    def __init__(self, attn: nn.Layer, dim: int, mlp_ratio: float, dropout: float, norm_epsilon: float):
        super().__init__()
        self.norm1 = LayerNorm(dim, epsilon=norm_epsilon)
        self.attn = attn
        self.norm2 = LayerNorm(dim, epsilon=norm_epsilon)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), dropout)


class Block(PreNorm):
    """A pre-norm transformer block; each branch is divided by `skip_lam` before it joins the residual stream, and with
    `layer_scale`, the value they start from, its channels are multiplied by factors of their own.
    """

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
        layer_scale: float | None = None,
    ):
        attn = Attention(dim, num_heads, qkv_bias, qk_scale, attention_dropout, dropout)
        super().__init__(attn, dim, mlp_ratio, dropout, norm_epsilon)
        self.drop_path = drop_path
        self.skip_lam = skip_lam
        self.ls1, self.ls2 = (nn.Identity() if layer_scale is None else LayerScale(dim, layer_scale) for _ in range(2))

    def forward(
        self, x: paddle.Tensor, carried: paddle.Tensor | None = None
    ) -> tuple[paddle.Tensor, paddle.Tensor | None]:
        """`x` (B, N, C) after the block, and what became of `carried` (see `attend`)."""
        attended, carried = self.attn(self.norm1(x), carried)
        return self.after_mlp(self.after_attention(x, attended)), carried

    def after_attention(self, x: paddle.Tensor, attended: paddle.Tensor) -> paddle.Tensor:
        """`x` (B, N, C) with what attention has made of it."""
        return x + drop_path(self.ls1(attended), self.drop_path, self.training, self.skip_lam)

    def after_mlp(self, x: paddle.Tensor) -> paddle.Tensor:
        """`x` (B, N, C) with what the MLP makes of it."""
        return x + drop_path(self.ls2(self.mlp(self.norm2(x))), self.drop_path, self.training, self.skip_lam)
