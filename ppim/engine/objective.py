"""Model and loss as one layer: from a batch and its mix to the terms of the loss.

DataParallel wraps this layer, so that a training step is one forward call whatever is being taught: plain labels, token
labels, a teacher's, mixed or not, the class target shared by area, by attention or by alignment. Loss of LV-ViT:
arXiv 2104.10858, section 3.1.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import paddle
from paddle import nn

from ppim.data import mixing
from ppim.data.pixels import erase, normalise
from ppim.engine.teacher import Teacher
from ppim.losses import blend, distillation, reassign, sparse_cross_entropy
from ppim.models.base import TokenOutput
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
        partner: (B,) int64, class_share: (B,) float32 own share of the class target, by area.
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


def token_mix(mix: mixing.Mix, image_hw: tuple[int, int], grid: tuple[int, int], rule: str) -> TokenMix | None:
    """What a model has to know of a drawn `mix` (numpy), None: nothing. `rule`: area | attention | alignment."""
    model_shares = rule != "area" and (mix.mixes_pixels or mix.mixes_tokens)
    if not mix.mixes_tokens and not model_shares:
        return None
    return TokenMix(
        partner=paddle.to_tensor(mix.partner),
        token_box=paddle.to_tensor(mix.token_box) if mix.mixes_tokens else None,
        partner_share=paddle.to_tensor(mixing.partner_token_share(mix, image_hw, grid)) if model_shares else None,
        rule=rule,
    )


class Objective(nn.Layer):
    """The loss of one batch.

    Args:
        model: any model of ours.
        class_weight, dense_weight: of the class loss and the token loss; where no token is taught the token head is not
            run.
        mean, std: of pixel values in [0, 1], per channel.
        amp: `paddle.amp.auto_cast` arguments for the model's forward pass, or None; losses are always float32.
        class_rule: whose the class target of a mixed picture is: area | attention | alignment.
        teacher: of classes, of tokens or of both.
    """

    def __init__(
        self, model: nn.Layer, class_weight: float, dense_weight: float, mean, std, amp: dict | None = None,
        class_rule: str = "area", teacher: Teacher | None = None,
    ):
        super().__init__()
        self.model = model
        self.class_weight = class_weight
        self.dense_weight = dense_weight
        self.mean, self.std = mean, std
        self.amp = amp or {"enable": False}
        self.class_rule = class_rule
        self.teacher = teacher
        self.teacher_weight = teacher.dense_weight if teacher else 0.0

    def forward(self, batch: dict, mix: mixing.Mix) -> LossTerms:
        """`batch` as the loader gives it (tensors), `mix` as drawn (numpy) for these samples."""
        image_hw = tuple(batch["image"].shape[2:])
        rows = mix_rows(mix, image_hw, self.model.grid)
        pictures = normalise(batch["image"], self.mean, self.std)
        pictures = erase(pictures, batch["erase_at"], batch["erase_value"])
        images = mixing.mix_pixels(pictures, mix.tensors()) if mix.mixes_pixels else pictures
        token_weight = self.dense_weight + self.teacher_weight
        with paddle.amp.auto_cast(**self.amp):
            forward = self.model.tokens if token_weight else self.model.classes
            output = forward(images, token_mix(mix, image_hw, self.model.grid, self.class_rule))
        classes = self._class_loss(batch, rows, output, images)
        if not token_weight:
            return LossTerms(self.class_weight * classes, classes, paddle.zeros_like(classes))
        tokens = self._token_loss(batch, rows, output, pictures) / token_weight
        return LossTerms(self.class_weight * classes + token_weight * tokens, classes, tokens)

    def _class_loss(self, batch, rows: MixRows, output: TokenOutput, images) -> paddle.Tensor:
        def against_labels(logits, share):
            target = _targets(batch, "class")
            share = rows.class_share if share is None else share
            return sparse_cross_entropy(logits, target if share is None else blend(target, rows.partner, share))

        classes = against_labels(output.class_logits, output.share)
        if self.teacher and self.teacher.kind != "none":
            with paddle.amp.auto_cast(**self.amp):
                theirs = self.teacher.class_logits(images)
            learned = output.class_logits if output.dist_logits is None else output.dist_logits
            taught = distillation(learned, theirs, self.teacher.kind, self.teacher.tau)
            return (1 - self.teacher.alpha) * classes + self.teacher.alpha * taught
        if output.dist_logits is None:
            return classes
        # without a teacher both heads learn the labels, since evaluation averages them
        return (classes + against_labels(output.dist_logits, output.dist_share)) / 2

    def _token_loss(self, batch, rows: MixRows, output: TokenOutput, pictures) -> paddle.Tensor:
        # (B, N, C) -> (B * N, C)
        logits = output.token_logits.flatten(0, 1)
        loss = paddle.zeros([])
        if self.dense_weight:
            loss += self.dense_weight * sparse_cross_entropy(logits, _mixed(_targets(batch, "token"), rows))
        if self.teacher_weight:
            with paddle.amp.auto_cast(**self.amp):
                theirs = self.teacher.token_targets(pictures, self.model.grid)
            loss += self.teacher_weight * sparse_cross_entropy(logits, _mixed(theirs, rows))
        return loss


def _mixed(tokens: SparseTargets, rows: MixRows) -> SparseTargets:
    """Targets of the tokens of a batch, before mixing -> what its tokens show in the end."""
    if rows.token_share is not None:
        tokens = blend(tokens, rows.token_partner, rows.token_share)
    return tokens if rows.owner is None else reassign(tokens, rows.owner)


def _targets(batch: dict, kind: str) -> SparseTargets:
    return SparseTargets(*(batch[f"{kind}_{field}"] for field in SparseTargets._fields))
