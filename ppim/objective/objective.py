"""Model and loss as one layer: from a batch to the terms of the loss.

DataParallel wraps this layer, so that a training step is one forward call whatever is being taught: plain labels, token
labels, a teacher's, mixed or not, the class target shared by area, by attention or by alignment. Loss of LV-ViT:
arXiv 2104.10858, section 3.1.
"""
from __future__ import annotations

from typing import Any, NamedTuple

import paddle
from paddle import nn

from ppim.mixing import Mixed
from ppim.models.base import TokenOutput
from ppim.objective.losses import blend, distillation, reassign, sparse_cross_entropy
from ppim.objective.pixels import erase, exchange_cells, mix_pixels, normalise
from ppim.objective.teacher import Teacher
from ppim.paddle_compat import given
from ppim.token_labels.targets import SparseTargets


class LossTerms(NamedTuple):
    """Scalars. `total` is what is differentiated; `tokens` is 0 where tokens are not taught."""

    total: paddle.Tensor
    classes: paddle.Tensor
    tokens: paddle.Tensor


class Objective(nn.Layer):
    """The loss of one batch.

    Args:
        model: any model of ours; its `share_rule` says what shares the class target of a mixed picture.
        class_weight, dense_weight: of the class loss and the token loss; where no token is taught the token head is not
            run.
        mean, std: of pixel values in [0, 1], per channel.
        amp: `paddle.amp.auto_cast` arguments for the model's forward pass, or None; losses are always float32.
        teacher: of classes, of tokens or of both.
    """

    def __init__(
        self, model: nn.Layer, class_weight: float, dense_weight: float, mean, std,
        amp: dict[str, Any] | None = None, teacher: Teacher | None = None,
    ):
        super().__init__()
        self.model = model
        self.class_weight = class_weight
        self.dense_weight = dense_weight
        self.mean = mean
        self.std = std
        self.amp = amp
        self.teacher = teacher
        self.teacher_weight = teacher.dense_weight if teacher else 0.0

    def __call__(self, *inputs) -> LossTerms:
        return LossTerms(*super().__call__(*inputs))  # a traced graph gives a plain tuple

    def forward(self, batch: dict[str, paddle.Tensor]) -> LossTerms:
        """`batch` as the loader gives it: pictures, targets, and what mixing does to its rows."""
        mixed = Mixed.of_batch(batch)
        pictures = normalise(batch["image"], self.mean, self.std)
        pictures = erase(pictures, batch["erase_at"], batch["erase_value"])
        images = mix_pixels(pictures, mixed)
        token_weight = self.dense_weight + self.teacher_weight
        output = self._computed(self.model.tokens if token_weight else self.model.classes, images, mixed)
        classes = self._class_loss(batch, mixed, output, images)
        if not token_weight:
            return LossTerms(self.class_weight * classes, classes, paddle.zeros_like(classes))
        tokens = self._token_loss(batch, mixed, output, pictures) / token_weight
        return LossTerms(self.class_weight * classes + token_weight * tokens, classes, tokens)

    def _computed(self, function, *args):
        # a function with a `with` in it cannot be traced; without mixed precision none is on the way
        return function(*args) if self.amp is None else _with_mixed_precision(self.amp, function, *args)

    def _class_loss(self, batch, mixed: Mixed, output: TokenOutput, images) -> paddle.Tensor:
        def against_labels(logits, share):
            target = _targets(batch, "class")
            share = share if given(share) else mixed.class_share
            return sparse_cross_entropy(logits, blend(target, mixed.partner, share) if given(share) else target)

        classes = against_labels(output.class_logits, output.share)
        if self.teacher and self.teacher.kind != "none":
            seen = exchange_cells(images, mixed.owner, self.model.grid) if given(mixed.owner) else images
            theirs = self._computed(self.teacher.class_logits, seen)
            learned = output.dist_logits if given(output.dist_logits) else output.class_logits
            taught = distillation(learned, theirs, self.teacher.kind, self.teacher.tau)
            return (1 - self.teacher.alpha) * classes + self.teacher.alpha * taught
        if not given(output.dist_logits):
            return classes
        # without a teacher both heads learn the labels, since evaluation averages them
        return (classes + against_labels(output.dist_logits, output.dist_share)) / 2

    def _token_loss(self, batch, mixed: Mixed, output: TokenOutput, pictures) -> paddle.Tensor:
        # (B, N, C) -> (B * N, C)
        logits = output.token_logits.flatten(0, 1)
        loss = paddle.zeros([])
        if self.dense_weight:
            loss += self.dense_weight * sparse_cross_entropy(logits, _as_shown(_targets(batch, "token"), mixed))
        if self.teacher_weight:
            theirs = self._computed(self.teacher.token_targets, pictures, self.model.grid)
            loss += self.teacher_weight * sparse_cross_entropy(logits, _as_shown(theirs, mixed))
        return loss


def _with_mixed_precision(amp: dict[str, object], function, *args):
    with paddle.amp.auto_cast(**amp):
        return function(*args)


def _as_shown(tokens: SparseTargets, mixed: Mixed) -> SparseTargets:
    """Targets of the tokens of a batch, before mixing -> what its tokens show in the end."""
    if given(mixed.token_share):
        tokens = blend(tokens, mixed.token_partner, mixed.token_share)
    return reassign(tokens, mixed.owner) if given(mixed.owner) else tokens


def _targets(batch: dict[str, paddle.Tensor], kind: str) -> SparseTargets:
    return SparseTargets(*[batch[f"{kind}_{field}"] for field in SparseTargets._fields])
