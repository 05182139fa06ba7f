"""Linear, convolution and LayerNorm as the models use them: Paddle's, but for two things it does badly.

With mixed precision, adding a float32 bias makes a float32 result of a half-precision product, which then never reaches
the fused attention and moves twice the bytes. Here the bias is added in the product's type.

On a CPU the gradient of a bias, and everything in that of a LayerNorm, is summed by reductions that take as long as a
matrix product, and broadcasting costs five times an operation on tensors of one shape. Here sums and broadcasts are
products with a row or a column of ones. That is for eager computing on a CPU only; on GPUs and while a graph is traced
Paddle's operators are used. Values are theirs but for rounding; tools/benchmark/operators.py measures both.

A PyLayer is walked back once: `backward(retain_graph=True)` followed by another `backward` crashes Paddle, up to 3.3;
`paddle.grad(..., retain_graph=True)` does not.
"""
from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.autograd import PyLayer

from ppim.paddle_compat import adds_bias_in_half_precision, called_while_tracing, given


def as_type(x: paddle.Tensor, dtype) -> paddle.Tensor:
    """`x` as `dtype`; no cast where there is nothing to cast, because it would copy all the same."""
    return x if x.dtype == dtype else x.astype(dtype)


def eager_on_cpu() -> bool:
    """Is what is computed computed now, on a CPU, and no part of a graph that is being traced?"""
    return paddle.in_dynamic_mode() and paddle.get_device() == "cpu"


def _column_sums(rows: paddle.Tensor) -> paddle.Tensor:
    """(R, C) -> (C,)"""
    return paddle.matmul(paddle.ones([1, rows.shape[0]], rows.dtype), rows).flatten()


def _where_wanted(ctx, *gradients) -> tuple[paddle.Tensor | None, ...]:
    """Paddle insists on None for inputs that want no gradient."""
    return tuple(make() if wanted else None for make, wanted in zip(gradients, ctx.wanted))


class _Linear(PyLayer):
    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        ctx.wanted = [not tensor.stop_gradient for tensor in (x, weight, bias)]
        return paddle.addmm(bias, x.flatten(0, -2), weight).reshape([*x.shape[:-1], weight.shape[1]])

    @staticmethod
    def backward(ctx, upstream):
        x, weight = ctx.saved_tensor()
        rows = upstream.flatten(0, -2)
        return _where_wanted(
            ctx,
            lambda: paddle.matmul(upstream, weight, transpose_y=True),
            lambda: paddle.matmul(x.flatten(0, -2), rows, transpose_x=True),
            lambda: _column_sums(rows),
        )


class _LayerNorm(PyLayer):
    """Forward is Paddle's. What it normalised is worked out again on the way back, rather than kept."""

    @staticmethod
    def forward(ctx, x, weight, bias, epsilon):
        ctx.save_for_backward(x, weight)
        ctx.epsilon = epsilon
        ctx.wanted = [not tensor.stop_gradient for tensor in (x, weight, bias)]
        return F.layer_norm(x, x.shape[-1:], weight, bias, epsilon)

    @staticmethod
    def backward(ctx, upstream):
        x, weight = ctx.saved_tensor()
        width, rows = x.shape[-1], upstream.flatten(0, -2)
        across = paddle.ones([1, width], x.dtype)
        normal, inverse = _standardised(x.flatten(0, -2), ctx.epsilon, across)
        product = rows * normal

        def of_x():
            # with g = upstream * weight: (g - mean(g) - normal * mean(g * normal)) * inverse, means over the width
            to_mean = (weight / width).unsqueeze(1)
            along = paddle.matmul(paddle.matmul(product, to_mean) * inverse, across).multiply_(normal)
            found = paddle.matmul(inverse, weight.unsqueeze(0)).multiply_(rows).subtract_(along)
            mean = paddle.matmul(rows, to_mean) * inverse
            return paddle.addmm(found, mean, across, alpha=-1.0).reshape(upstream.shape)

        return _where_wanted(ctx, of_x, lambda: _column_sums(product), lambda: _column_sums(rows))


def _standardised(rows: paddle.Tensor, epsilon: float, across: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Rows (R, C) of mean 0 and variance 1, and one over the deviation each had, (R, 1). `across`: ones, (1, C)."""
    to_mean = across.t() / rows.shape[1]
    centred = paddle.addmm(rows, paddle.matmul(rows, to_mean), across, alpha=-1.0)
    inverse = paddle.rsqrt(paddle.matmul(paddle.square(centred), to_mean) + epsilon)
    return centred.multiply_(paddle.matmul(inverse, across)), inverse


@called_while_tracing
def _affine(x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor) -> paddle.Tensor:
    if eager_on_cpu():
        return _Linear.apply(x, weight, bias)
    if adds_bias_in_half_precision():
        return F.linear(x, weight, bias)
    product = paddle.matmul(x, weight)
    return product + as_type(bias, product.dtype)


@called_while_tracing
def _normalised(x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor, epsilon: float) -> paddle.Tensor:
    if eager_on_cpu() and paddle.is_grad_enabled():
        return _LayerNorm.apply(x, weight, bias, epsilon)
    return F.layer_norm(x, x.shape[-1:], weight, bias, epsilon)


class Linear(nn.Linear):
    """Paddle's, but for what this file is about."""

    def forward(self, x):
        """(..., I) -> (..., O)"""
        return _affine(x, self.weight, self.bias) if given(self.bias) else F.linear(x, self.weight)


class Conv2D(nn.Conv2D):
    """Without dilation or groups."""

    def forward(self, x):
        """(B, I, h, w) -> (B, O, h', w')"""
        found = F.conv2d(x, self.weight, stride=self._stride, padding=self._padding)
        return found + as_type(self.bias, found.dtype).reshape([1, -1, 1, 1]) if given(self.bias) else found


class LayerNorm(nn.LayerNorm):
    """Over the last axis."""

    def forward(self, x):
        """(..., C) -> (..., C)"""
        return _normalised(x, self.weight, self.bias, self._epsilon)
