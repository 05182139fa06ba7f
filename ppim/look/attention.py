"""Where do tokens look? The attention of every head of every block, and what it comes to through all of them.

The model computes as always but for its attention layers, whose results are computed anew in a way that shows the
weights (`Attention.opened`); whoever trains or evaluates it never comes by here.
"""
from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import paddle

from ppim.models.base import evaluating
from ppim.models.transformer import TokenTransformer

RESIDUAL = 0.5  # of what a block hands on, the share that went past its attention


@contextlib.contextmanager
def opened(model: TokenTransformer) -> Iterator[list[paddle.Tensor]]:
    """While it is open, every pass through `model` leaves its attention here: (B, H, T, T) float32 for each block.

    Results depend on what is left here, and gradients can be asked for with respect to it alone: meanwhile the model
    evaluates, and no parameter wants any.
    """
    found: list[paddle.Tensor] = []

    def show(layer, inputs, _):
        result, weights = layer.opened(inputs[0])
        found.append(weights)
        return result, None

    hooks = [block.attn.register_forward_post_hook(show) for block in model.blocks]
    trained = [parameter for parameter in model.parameters() if not parameter.stop_gradient]
    for parameter in trained:
        parameter.stop_gradient = True
    try:
        with evaluating(model):
            yield found
    finally:
        for parameter in trained:
            parameter.stop_gradient = False
        for hook in hooks:
            hook.remove()


@paddle.no_grad()
def attention(model: TokenTransformer, images: paddle.Tensor) -> np.ndarray:
    """The attention of all blocks, (L, B, H, T, T) float32: rows look at columns, each row sums to one.

    Args:
        images: (B, 3, h, w) float32, normalised, of `model.image_size`.
    Returns:
        L blocks, H heads, T tokens: `model.extra_tokens` first ones (class, distillation), then the grid, row-major.
    """
    with opened(model) as found:
        model(images)
    return np.stack([weights.numpy() for weights in found])


def rollout(weights: np.ndarray, residual: float = RESIDUAL) -> np.ndarray:
    """Attention rolled out, "Quantifying Attention Flow in Transformers" (arXiv 2005.00928, section 3).

    Every block hands on `residual` of a token itself and the rest of what its heads look at on average; the product
    over blocks says how much of each token's input has reached each token.

    Args:
        weights: (L, ..., H, T, T), see `attention`.
        residual: in 0 .. 1; the paper's is 0.5.
    Returns:
        (L, ..., T, T) float64 behind each block; rows sum to one.
    """
    mean = weights.astype(np.float64).mean(axis=-3)
    step = (1 - residual) * mean + residual * np.eye(mean.shape[-1])
    flow = [step[0]]
    for one in step[1:]:
        flow.append(one @ flow[-1])
    return np.stack(flow)


def of_grid(rows: np.ndarray, source: int, first: int, grid: tuple[int, int]) -> np.ndarray:
    """What one token's row says of the grid: (..., T, T) to (..., rows, columns).

    Args:
        source: the token whose row it is.
        first: tokens before the grid's, which are left out.
    """
    return rows[..., source, first:].reshape(*rows.shape[:-2], *grid)
