"""How do neighbours take from one another what the token between them says? Outlook attention (arXiv 2106.13112).

Every cell of 2x2 tokens of a map has a window of 3x3 around its first token; what lies outside the map is zero. The
mean of a cell says, by a linear layer, how much each place of its window takes of each place: no queries meet keys. A
token lies in up to four windows, and what it takes in them is added up (section 3.1; stride 2 as in the released code).

Tokens are moved as rows of a head's width, by gathers, which cost a CPU a fraction of `unfold`, `fold` and the
transposes between them. Rows into windows, and windows added up to rows, are each other's transposes: the gradient of
either is the other.
"""
from __future__ import annotations

import functools

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle.autograd import PyLayer

from ppim.models.layers import Heads, PreNorm, linear, softmax
from ppim.models.operators import as_type
from ppim.paddle_compat import called_while_tracing

STRIDE = 2  # tokens along a side of a cell
_WINDOW = 9  # places of a window, row-major


def window_rows(cells: tuple[int, int], heads: int) -> np.ndarray:
    """(N * heads * 9,) int32: which row stands at each place of the windows of N = rows * columns cells, head by head.

    Rows are those of 2 * rows x 2 * columns tokens with `heads` each, in this order; one more, the last, is zero.
    """
    rows, columns = cells
    row = STRIDE * np.arange(rows)[:, None] + np.arange(-1, 2)
    column = STRIDE * np.arange(columns)[:, None] + np.arange(-1, 2)
    # (rows, 1, 3, 1) and (1, columns, 1, 3) -> (N, 1, 9)
    token = row[:, None, :, None] * STRIDE * columns + column[None, :, None, :]
    outside = (row < 0)[:, None, :, None] | (column < 0)[None, :, None, :]
    token, outside = (part.reshape(-1, 1, _WINDOW) for part in (token, outside))
    last = STRIDE * rows * STRIDE * columns * heads
    return np.where(outside, last, token * heads + np.arange(heads)[:, None]).astype("int32").ravel()


def places_of_rows(taken: np.ndarray) -> np.ndarray:
    """(4, R) int32, the transpose of `window_rows`: the places at which each of R rows stands, filled up with the
    number of places, at which a zero stands."""
    count = taken.max()
    order = np.argsort(taken, kind="stable").astype("int32")
    first = np.searchsorted(taken[order], np.arange(count + 1))
    at = first[:-1] + np.arange(STRIDE**2)[:, None]
    return np.where(at < first[1:], order[np.minimum(at, len(order) - 1)], len(taken)).astype("int32")


def tables(cells: tuple[int, int], heads: int) -> tuple[paddle.Tensor, ...]:
    """Of maps of so many cells: `window_rows`, then the four of `places_of_rows`, each an int32 tensor."""
    # a tensor made before a graph is traced cannot be part of it
    return _tables_at_hand(cells, heads) if paddle.in_dynamic_mode() else _tables(cells, heads)


@functools.lru_cache(maxsize=8)
def _tables_at_hand(cells: tuple[int, int], heads: int) -> tuple[paddle.Tensor, ...]:
    """`_tables`, copied to the device once."""
    return _tables(cells, heads)


def _tables(cells: tuple[int, int], heads: int) -> tuple[paddle.Tensor, ...]:
    taken = window_rows(cells, heads)
    return tuple(paddle.to_tensor(table) for table in (taken, *places_of_rows(taken)))


def _with_zero(rows: paddle.Tensor) -> paddle.Tensor:
    """(B, R, D) -> (B, R + 1, D)"""
    return paddle.concat([rows, paddle.zeros_like(rows[:, :1])], axis=1)


def _spread(rows: paddle.Tensor, *found: paddle.Tensor) -> paddle.Tensor:
    return paddle.gather(_with_zero(rows), found[0], axis=1)


def _gathered(windows: paddle.Tensor, *found: paddle.Tensor) -> paddle.Tensor:
    windows = _with_zero(windows)
    one, *others = (paddle.gather(windows, places, axis=1) for places in found[1:])
    return sum(others, start=one)


class _Spread(PyLayer):
    @staticmethod
    def forward(ctx, rows, *found):
        ctx.save_for_backward(*found)
        return _spread(rows, *found)

    @staticmethod
    def backward(ctx, gradient):
        found = ctx.saved_tensor()
        return _gathered(gradient, *found), *(None for _ in found)


class _Gathered(PyLayer):
    @staticmethod
    def forward(ctx, windows, *found):
        ctx.save_for_backward(*found)
        return _gathered(windows, *found)

    @staticmethod
    def backward(ctx, gradient):
        found = ctx.saved_tensor()
        return _spread(gradient, *found), *(None for _ in found)


@called_while_tracing
def spread(rows: paddle.Tensor, found: tuple[paddle.Tensor, ...]) -> paddle.Tensor:
    """Rows (B, R, D) of tokens, head by head, into windows (B, P, D): each to every place at which it stands.

    Args:
        found: as `tables` has them.
    """
    return _Spread.apply(rows, *found) if paddle.in_dynamic_mode() else _spread(rows, *found)


@called_while_tracing
def gathered(windows: paddle.Tensor, found: tuple[paddle.Tensor, ...]) -> paddle.Tensor:
    """Windows (B, P, D) back to rows (B, R, D): the sum of what stands at the places of each."""
    return _Gathered.apply(windows, *found) if paddle.in_dynamic_mode() else _gathered(windows, *found)


def cell_means(x: paddle.Tensor) -> paddle.Tensor:
    """A map (B, h, w, C) to the means of its 2x2 cells (B, h/2 * w/2, C); by products, as reductions are slow on a CPU.
    """
    _, rows, columns, width = x.shape
    half = paddle.full([1, STRIDE], 1 / STRIDE, x.dtype)
    # (B * h/2, 2, w * C) -> (B * h/2, 1, w * C), then (B * h/2 * w/2, 2, C) -> (B * h/2 * w/2, 1, C)
    pairs = paddle.matmul(half, x.reshape([-1, STRIDE, columns * width])).reshape([-1, STRIDE, width])
    return paddle.matmul(as_type(half, pairs.dtype), pairs).reshape([-1, rows * columns // STRIDE**2, width])


class OutlookAttention(Heads):
    """Outlook attention of `num_heads` heads over a map whose sides are even."""

    def __init__(self, dim: int, num_heads: int, qkv_bias: bool = False, qk_scale: float | None = None,
                 attention_dropout: float = 0.0, dropout: float = 0.0):
        super().__init__(dim, num_heads, qk_scale, attention_dropout, dropout, ("half of embed_dim", "outlook_heads"))
        self.v = linear(dim, dim, bias=qkv_bias)
        self.attn = linear(dim, _WINDOW * _WINDOW * num_heads)
        self.proj = linear(dim, dim)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, h, w, C) to (B, h, w, C). The softmax is fp32 whatever the input."""
        _, rows, columns, dim = x.shape
        heads, width = self.num_heads, dim // self.num_heads
        cells = rows // STRIDE, columns // STRIDE
        found = tables(cells, heads)
        values = spread(self.v(x).reshape([-1, rows * columns * heads, width]), found)
        # (B, N, heads * 9 * 9) -> (B, N * heads, 9, 9): rows take of columns
        scores = self.attn(cell_means(x)).reshape([-1, cells[0] * cells[1] * heads, _WINDOW, _WINDOW])
        weights = as_type(softmax(scores * self.scale), values.dtype)
        weights = F.dropout(weights, self.attention_dropout, training=self.training)
        # (B, N * heads, 9, 9) . (B, N * heads, 9, D)
        taken = paddle.matmul(weights, values.reshape([-1, cells[0] * cells[1] * heads, _WINDOW, width]))
        x = gathered(taken.reshape([-1, cells[0] * cells[1] * heads * _WINDOW, width]), found)
        x = self.proj(x.reshape([-1, rows, columns, dim]))
        return F.dropout(x, self.dropout, training=self.training)

    def attention_macs(self, tokens: int) -> int:
        """Multiply-accumulates of the contractions in the windows of `tokens` tokens; linear layers count by
        themselves."""
        # for each cell and head (9, 9) . (9, D)
        return tokens // STRIDE**2 * _WINDOW * _WINDOW * self.proj.weight.shape[0]


class Outlooker(PreNorm):
    """A pre-norm block of outlook attention and MLP over a map (B, h, w, C)."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, qkv_bias: bool = False,
                 qk_scale: float | None = None, dropout: float = 0.0, attention_dropout: float = 0.0,
                 norm_epsilon: float = 1e-5):
        attn = OutlookAttention(dim, num_heads, qkv_bias, qk_scale, attention_dropout, dropout)
        super().__init__(attn, dim, mlp_ratio, dropout, norm_epsilon)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """(B, h, w, C) to (B, h, w, C)."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))
