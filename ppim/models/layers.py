"""Parts shared by the model families: attention, MLP, block, drop path, and the base class of every model.

Tokens travel as (B, N, C): batch, tokens, channels; H heads of width D. Parameter names are those of the original
PyTorch code, weights have Paddle's layout (a Linear weight is (in, out)).
"""
from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.models.operators import Conv2D, LayerNorm, Linear, as_type
from ppim.paddle_compat import FLASH_HEAD_DIM_STEP, flash_attention_runs, heads_go_together


class TokenOutput(NamedTuple):
    """What `model.tokens(x)` returns; None where a model has no such part."""

    class_logits: paddle.Tensor  # (B, C)
    token_logits: paddle.Tensor | None = None  # (B, N, C), tokens row-major over the grid
    share: paddle.Tensor | None = None  # (B,) own share of the class target, where the model works it out
    dist_logits: paddle.Tensor | None = None  # (B, C) of a distillation head
    dist_share: paddle.Tensor | None = None  # (B,) own share of the distillation head's target, as `share`


class StateDiff(NamedTuple):
    """Where a state and a model disagree."""

    missing: list[str]  # only in the model
    unexpected: list[str]  # only in the state
    misshaped: list[str]  # in both, with other shapes


def as_pair(size) -> tuple[int, int]:
    """An int or (h, w) as (h, w)."""
    if isinstance(size, int):
        return size, size
    height, width = size
    return int(height), int(width)


def linear(in_features: int, out_features: int, bias: bool = True) -> nn.Linear:
    """A Linear layer with the original initialisation: truncated normal of std 0.02, bias 0."""
    return Linear(
        in_features,
        out_features,
        weight_attr=paddle.ParamAttr(initializer=nn.initializer.TruncatedNormal(std=0.02)),
        bias_attr=paddle.ParamAttr(initializer=nn.initializer.Constant(0.0)) if bias else False,
    )


def conv(in_channels: int, out_channels: int, kernel: int, stride: int, padding: int = 0, bias: bool = False):
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


def _softmax(scores: paddle.Tensor) -> paddle.Tensor:
    """Attention weights of scores of any floating type, in float32."""
    return F.softmax(as_type(scores, paddle.float32), axis=-1)


def carry(weights: paddle.Tensor, carried: paddle.Tensor) -> paddle.Tensor:
    """Attention weights (B, N, N) times carried numbers (B, N, S): fp32 whatever is automatic, and no gradient."""
    with paddle.no_grad(), paddle.amp.auto_cast(enable=False):
        return paddle.matmul(weights.detach(), carried)


def attend(
    qkv: paddle.Tensor, num_heads: int, scale: float, dropout: float = 0.0, carried: paddle.Tensor | None = None
) -> tuple[paddle.Tensor, paddle.Tensor | None]:
    """Multi-head attention over packed queries, keys and values, (B, N, 3 * H * D) -> (B, N, H * D).

    By the fused kernel where it runs; else all heads in one product on GPUs, head by head elsewhere. The softmax is
    fp32 whatever the input.

    Args:
        carried: (B, N, S) float32, numbers that go along with the tokens: each token gets the mean of everyone's,
            weighted by its attention (mean over heads, before dropout). No gradient flows through them.
    Returns:
        the attended values, and what became of `carried` (None without it).
    """
    head_dim = qkv.shape[-1] // (3 * num_heads)
    if carried is None and dropout == 0.0 and flash_attention_runs(qkv, head_dim):
        return _attend_fused(qkv, num_heads, scale), None
    way = _attend_together if heads_go_together(qkv) else _attend_by_head
    return way(qkv, num_heads, scale, dropout, carried)


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


def _attend_together(qkv, num_heads: int, scale: float, dropout: float, carried):
    # (B, N, 3 * H * D) -> 3 x (B, H, N, D)
    q, k, v = qkv.reshape([0, 0, 3, num_heads, -1]).transpose([2, 0, 3, 1, 4]).unbind(0)
    weights = _softmax(paddle.matmul(q * scale, k, transpose_y=True))
    if carried is not None:
        carried = carry(weights.detach().mean(axis=1), carried)
    weights = as_type(weights, v.dtype)
    out = paddle.matmul(F.dropout(weights, dropout) if dropout else weights, v)
    return out.transpose([0, 2, 1, 3]).flatten(2), carried


def _attend_by_head(qkv, num_heads: int, scale: float, dropout: float, carried):
    """On pieces of one split: no transpose of a 4-D tensor, which on the CPU costs more than the products
    (tools/benchmark/attention.py)."""
    pieces = qkv.split(3 * num_heads, axis=-1)
    out, passed_on = [], []
    for q, k, v in zip(pieces[:num_heads], pieces[num_heads : 2 * num_heads], pieces[2 * num_heads :]):
        weights = _softmax(paddle.matmul(q * scale, k, transpose_y=True))
        if carried is not None:
            passed_on.append(carry(weights, carried))
        weights = as_type(weights, v.dtype)
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

    def forward(self, x, carried=None):
        dropout = self.attention_dropout if self.training else 0.0
        x, carried = attend(self.qkv(x), self.num_heads, self.scale, dropout, carried)
        return F.dropout(self.proj(x), self.dropout, training=self.training), carried


class Mlp(nn.Layer):
    def __init__(self, dim: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.dropout = dropout
        self.fc1 = linear(dim, hidden)
        self.fc2 = linear(hidden, dim)

    def forward(self, x):
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
        self.norm1 = LayerNorm(dim, epsilon=norm_epsilon)
        self.attn = Attention(dim, num_heads, qkv_bias, qk_scale, attention_dropout, dropout)
        self.norm2 = LayerNorm(dim, epsilon=norm_epsilon)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), dropout)

    def forward(self, x, carried=None):
        """`x` (B, N, C) after the block, and what became of `carried` (see `attend`)."""
        attended, carried = self.attn(self.norm1(x), carried)
        x = x + drop_path(attended, self.drop_path, self.training, self.skip_lam)
        return x + drop_path(self.mlp(self.norm2(x)), self.drop_path, self.training, self.skip_lam), carried


def compare_states(wanted: Mapping, got: Mapping) -> StateDiff:
    """Names and shapes of two states side by side."""
    return StateDiff(
        [name for name in wanted if name not in got],
        [name for name in got if name not in wanted],
        [name for name in wanted if name in got and list(wanted[name].shape) != list(got[name].shape)],
    )


def describe_diff(diff: StateDiff, wanted: Mapping, got: Mapping) -> str:
    """Both sides of a disagreement in a few lines; the first eight names of each kind."""

    def listing(title, names, show):
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        return [f"{title} ({len(names)}): {', '.join(map(show, names[:8]))}{more}"] if names else []

    def shapes(name):
        return f"{name} {list(got[name].shape)} for {list(wanted[name].shape)}"

    return "; ".join(
        listing("only in the model", diff.missing, str)
        + listing("only in the weights", diff.unexpected, str)
        + listing("other shapes, weights for model", diff.misshaped, shapes)
    )


class TokenModel(nn.Layer):
    """Base of every model: strict loading, foreign names, and what trainer and loader ask a model for.

    Attributes:
        num_classes, image_size (h, w), grid (rows, columns).
        mixes_tokens: whether `tokens(x, mix)` honours `mix`.
        classifies_tokens: whether `tokens(x)` has logits of tokens.
        has_token_head: whether evaluation logits can take in a head of the tokens, by `eval_token_weight`.
    """

    # (pattern, replacement) turning other projects' names into ours; these are what they wrap a network in
    foreign_names: tuple[tuple[str, str], ...] = ((r"^((module|_layers|backbone|model)\.)+", ""),)
    position_tables: dict[str, int] = {}  # position embeddings that may be resized: name -> tokens before the grid's
    fixed_tables: tuple[str, ...] = ()  # computed, never trained: those of another image size are the model's own
    heads: tuple[str, ...] = ()  # layers whose shape follows the number of classes
    undecayed: tuple[str, ...] = ()
    mixes_tokens = False
    classifies_tokens = False
    has_token_head = False
    eval_token_weight = 0.0

    def tokens(self, x, mix=None) -> TokenOutput:
        """Logits of classes and of tokens, for training."""
        raise NotImplementedError

    def classes(self, x, mix=None) -> TokenOutput:
        """`tokens` without the logits of tokens, for training without a token loss."""
        raise NotImplementedError

    def evaluate_tokens(self, x) -> TokenOutput:
        """What `model(x)` gives, with the logits of every token beside it."""
        raise NotImplementedError

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters weight decay leaves alone: all of one dimension (biases, norms) and `undecayed`."""
        return {name for name, p in self.named_parameters() if len(p.shape) < 2 or name in self.undecayed}

    def note_source(self, names) -> tuple[str, ...]:
        """Told the names of a file that is being loaded: adopt what its project computes differently, and say so."""
        return ()

    def rename(self, state: Mapping) -> dict:
        """`state` under this model's names.

        Raises:
            ValueError: two entries end up under one name.
        """
        renamed, origin = {}, {}
        for name, value in state.items():
            ours = name
            for pattern, replacement in self.foreign_names:
                ours = re.sub(pattern, replacement, ours)
            if ours in renamed:
                raise ValueError(f"weights hold both {origin[ours]!r} and {name!r}, which are one parameter, {ours!r}")
            renamed[ours], origin[ours] = value, name
        return renamed

    def set_state_dict(self, state_dict: Mapping, use_structured_name: bool = True, strict: bool = True):
        """Fill the model from {name: tensor or array}, in Paddle's layout and under any name of `foreign_names`.

        Paddle's own method only warns; this one refuses. Floating types are converted to the model's.

        Args:
            strict: False loads what fits and leaves the rest.
        Returns:
            (missing, unexpected) names as Paddle returns them; what does not fit in shape is in both.
        Raises:
            ValueError: with `strict`, when anything is missing, unexpected or of another shape.
        """
        if not use_structured_name:
            raise ValueError("set_state_dict wants structured names; Paddle's generated ones differ from run to run")
        wanted = self.state_dict()
        state = self.rename({k: v for k, v in state_dict.items() if k != "StructuredToParameterName@@"})
        diff = compare_states(wanted, state)
        if strict and any(diff):
            raise ValueError(f"weights do not fit the model: {describe_diff(diff, wanted, state)}")
        for name, target in wanted.items():
            if name in state and name not in diff.misshaped:
                _assign(target, state[name])
        if any(name not in wanted for name in state_dict):
            self.note_source(state_dict)
        return diff.missing + diff.misshaped, diff.unexpected + diff.misshaped

    set_dict = set_state_dict
    load_dict = set_state_dict


def _assign(target: paddle.Tensor, value) -> None:
    if isinstance(value, paddle.Tensor):
        target.set_value(value if value.dtype == target.dtype else value.astype(target.dtype))
    else:
        target.set_value(np.asarray(value, dtype=str(target.dtype).rsplit(".", 1)[-1]))
