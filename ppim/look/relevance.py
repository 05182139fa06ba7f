"""What made a model say a class? Attention weighted by its gradient, "Generic Attention-model Explainability for
Interpreting Bi-Modal and Encoder-Decoder Transformers" (arXiv 2103.15679, section 3.1), written from the paper.

Relevance begins with every token relevant to itself, R = 1. Every block adds R += mean over heads of (A * dy/dA)+ . R,
where A is its attention and y the logit asked about.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle

from ppim.look.attention import opened
from ppim.models.transformer import TokenTransformer


def relevance(model: TokenTransformer, images: paddle.Tensor, classes: Sequence[int],
              token: int | None = None) -> np.ndarray:
    """The relevance of every token to every token, (B, T, T) float64, for what one of them says of a class.

    Args:
        images: (B, 3, h, w) float32, normalised, of `model.image_size`.
        classes: of each image, whose logit is asked about.
        token: place in the grid (row-major) of the token that says it, by the head that classifies tokens; None: the
            class token, by the class head.
    Returns:
        rows are told by columns: row 0 is the class token's, row `model.extra_tokens` + n that of token n.
    """
    with opened(model) as attention:
        if token is None:
            logits = model.classes(images).class_logits
        else:
            logits = model.evaluate_tokens(images).token_logits[:, token]
        # images do not meet in the network, so that the gradient of the sum is that of each
        rows = paddle.arange(len(classes)), paddle.to_tensor(list(classes))
        asked = paddle.gather_nd(logits, paddle.stack(rows, axis=1).astype("int64")).sum()
        gradients = paddle.grad(asked, attention)
    return combined([weights.numpy() for weights in attention], [gradient.numpy() for gradient in gradients])


def combined(attention: Sequence[np.ndarray], gradients: Sequence[np.ndarray]) -> np.ndarray:
    """The relevance (B, T, T) float64 of blocks' attention and its gradients, each (B, H, T, T)."""
    found = np.tile(np.eye(attention[0].shape[-1]), (len(attention[0]), 1, 1))
    for weights, gradient in zip(attention, gradients):
        told = np.maximum(weights.astype(np.float64) * gradient, 0).mean(axis=1)
        found = found + told @ found
    return found
