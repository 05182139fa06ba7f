"""Model and loss as one layer: from a batch and its mix to the terms of the loss.

DataParallel wraps this layer, so that a training step is one forward call whatever is being taught: plain labels, token
labels, mixed or not. Loss of LV-ViT: arXiv 2104.10858, section 3.1.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import paddle
from paddle import nn

from ppim.data import mixing
from ppim.data.pixels import erase, normalise
from ppim.losses import blend, reassign, sparse_cross_entropy
from ppim.models.layers import TokenOutput
from ppim.models.transformer import TokenMix
from ppim.token_labels.targets import SparseTargets


class LossTerms(NamedTuple):
    """Scalars. `total` is what is differentiated; `tokens` is 0 where tokens are not taught."""

    total: paddle.Tensor
    classes: paddle.Tensor
    tokens: paddle.Tensor


class MixRows(NamedTuple):
    """A Mix as the loss needs it: whose target each row of logits is scored against. None: nothing to do there.

    Attributes:
        partner: (B,) int64, class_share: (B,) float32 own share of the class target.
        token_partner: (B * N,) int64, token_share: (B * N,) float32 own share of a token's target (pixel mixing).
        owner: (B * N,) int64, whose token this is (MixToken).
    """

    partner: paddle.Tensor | None = None
    class_share: paddle.Tensor | None = None
    token_partner: paddle.Tensor | None = None
    token_share: paddle.Tensor | None = None
    owner: paddle.Tensor | None = None


def mix_rows(mix: mixing.Mix, image_hw: tuple[int, int], grid: tuple[int, int]) -> MixRows:
    """Work out, from a drawn `mix` (numpy), which targets are blended and which change owner."""
    if not mix.mixes_pixels and not mix.mixes_tokens:
        return MixRows()
    batch, tokens = len(mix.partner), grid[0] * grid[1]
    inside = mixing.inside_boxes(mix.token_box, *grid)
    # (B, 1) rows of samples, (N,) cells -> (B * N,) rows of tokens
    token_partner = (mix.partner[:, None] * tokens + np.arange(tokens)).reshape(-1)
    owner = np.where(inside.reshape(-1), token_partner, np.arange(batch * tokens))
    return MixRows(
        partner=paddle.to_tensor(mix.partner),
        class_share=paddle.to_tensor(mixing.class_share(mix, image_hw, grid).astype("float32")),
        token_partner=paddle.to_tensor(token_partner) if mix.mixes_pixels else None,
        token_share=_flat(mixing.own_token_share(mix, image_hw, grid)) if mix.mixes_pixels else None,
        owner=paddle.to_tensor(owner) if mix.mixes_tokens else None,
    )


def _flat(share: np.ndarray) -> paddle.Tensor:
    # (B, N) -> (B * N,)
    return paddle.to_tensor(share.reshape(-1).astype("float32"))


class Objective(nn.Layer):
    """The loss of one batch.

    Args:
        model: any model of ours.
        class_weight, dense_weight: of the class loss and the token loss; at `dense_weight` 0 the token head is not run.
        mean, std: of pixel values in [0, 1], per channel.
        amp: `paddle.amp.auto_cast` arguments for the model's forward pass, or None; losses are always float32.
    """

    def __init__(self, model: nn.Layer, class_weight: float, dense_weight: float, mean, std, amp: dict | None = None):
        super().__init__()
        self.model = model
        self.class_weight = class_weight
        self.dense_weight = dense_weight
        self.mean, self.std = mean, std
        self.amp = amp or {"enable": False}

    def forward(self, batch: dict, mix: mixing.Mix) -> LossTerms:
        """`batch` as the loader gives it (tensors), `mix` as drawn (numpy) for these samples."""
        rows = mix_rows(mix, tuple(batch["image"].shape[2:]), self.model.grid)
        images = normalise(batch["image"], self.mean, self.std)
        images = erase(images, batch["erase_at"], batch["erase_value"])
        if mix.mixes_pixels:
            images = mixing.mix_pixels(images, mix.tensors())
        token_mix = TokenMix(rows.partner, paddle.to_tensor(mix.token_box)) if mix.mixes_tokens else None
        with paddle.amp.auto_cast(**self.amp):
            forward = self.model.tokens if self.dense_weight else self.model.classes
            output = forward(images, token_mix)
        return self._terms(batch, rows, output)

    def _terms(self, batch, rows: MixRows, output: TokenOutput) -> LossTerms:
        target = _targets(batch, "class")
        if rows.class_share is not None:
            target = blend(target, rows.partner, rows.class_share)
        classes = sparse_cross_entropy(output.class_logits, target)
        if output.dist_logits is not None:
            # without a teacher both heads learn the same, and evaluation averages them
            classes = (classes + sparse_cross_entropy(output.dist_logits, target)) / 2
        if not self.dense_weight:
            return LossTerms(self.class_weight * classes, classes, paddle.zeros_like(classes))
        target = _targets(batch, "token")
        if rows.token_share is not None:
            target = blend(target, rows.token_partner, rows.token_share)
        if rows.owner is not None:
            target = reassign(target, rows.owner)
        # (B, N, C) -> (B * N, C)
        tokens = sparse_cross_entropy(output.token_logits.flatten(0, 1), target)
        return LossTerms(self.class_weight * classes + self.dense_weight * tokens, classes, tokens)


def _targets(batch: dict, kind: str) -> SparseTargets:
    return SparseTargets(*(batch[f"{kind}_{field}"] for field in SparseTargets._fields))
