"""One cross entropy against sparse soft targets, with a weight per row; mixes of targets; and what a teacher adds.

A sparse target (`ppim.token_labels.targets.SparseTargets`) has a background shared by all C classes, a mass (its sum)
and a few weights beyond the background, so with logits l the loss of a row needs one log-sum-exp, one sum and a
gather:

    CE = mass * logsumexp(l) - background * sum(l) - sum over triplets of weight * l[id]

All maths is fp32 whatever the logits' dtype. Only the logits and their gradient have a size that grows with C.
Targets are constants: no gradient reaches them. Cross entropy is linear in the target, so a mix of targets is a
weighted sum of its parts (arXiv 2104.10858 section 3.2).
"""
from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle.autograd import PyLayer

from ppim.paddle_compat import called_while_tracing
from ppim.token_labels.targets import SparseTargets


def _loss(logits, row, ids, weight, const) -> tuple[paddle.Tensor, ...]:
    """The loss, and for its gradient: the softmax, weights of the triplets, share * mass, share * background."""
    x = logits.astype("float32")
    background, mass, row_weight = const.unbind(axis=1)
    softmax = F.softmax(x, axis=-1)
    rows = x.shape[0] if paddle.in_dynamic_mode() else paddle.shape(x)[0]  # a graph is for any number
    share = row_weight / rows
    weight = weight * paddle.gather(share, row)
    # Everything is counted from the row's largest logit, so that large logits do not cancel; there the softmax is at
    # least 1 / C, so its logarithm is exact, and minus that logarithm is what log-sum-exp is above it.
    best = paddle.stack([paddle.arange(rows, dtype="int64"), x.argmax(axis=-1)], axis=1)
    peak, log_peak = paddle.gather_nd(x, best), paddle.gather_nd(softmax, best).log()
    # a product with ones: the sum of each row, several times as fast as the reduction on a CPU
    below = paddle.matmul(x, paddle.ones([x.shape[1]])) - x.shape[1] * peak
    loss = -(share * (mass * log_peak + background * below)).sum()
    loss -= (weight * (paddle.gather_nd(x, paddle.stack([row, ids], axis=1)) - paddle.gather(peak, row))).sum()
    return loss, softmax, weight, share * mass, share * background


class _SparseCrossEntropy(PyLayer):
    """Keeps the softmax, which the backward pass turns into the gradient in place: autograd would hold it three times.
    """

    @staticmethod
    def forward(ctx, logits, row, ids, weight, const):
        loss, softmax, *saved = _loss(logits, row, ids, weight, const)
        ctx.softmax, ctx.dtype = softmax, logits.dtype
        ctx.save_for_backward(row, ids, *saved)
        return loss

    @staticmethod
    def backward(ctx, upstream):
        row, ids, weight, mass, background = ctx.saved_tensor()
        # In place is safe: Paddle runs the backward pass of a PyLayer once, whatever retain_graph says.
        gradient = ctx.softmax
        gradient.multiply_((mass * upstream).unsqueeze(-1))
        gradient.subtract_((background * upstream).unsqueeze(-1))
        rows, classes = gradient.shape
        places = row.astype("int64") * classes + ids.astype("int64")
        # (R, C) -> (R * C,) and back, in place. Not index_put_, whose CPU threads race where a place is named twice.
        flat = gradient.reshape_([rows * classes])
        gradient = paddle.index_add_(flat, places, 0, -weight * upstream).reshape_([rows, classes])
        return gradient.astype(ctx.dtype), None, None, None, None


def sparse_cross_entropy(logits: paddle.Tensor, targets: SparseTargets) -> paddle.Tensor:
    """Mean over the rows of row weight * cross entropy; ignored rows count in the mean's denominator.

    Args:
        logits: (R, C), any float dtype.
        targets: tensors; R rows, ids below C.

    Returns:
        A scalar, float32.
    """
    row, ids, weight, const = targets
    return _cross_entropy(logits, row.astype("int32"), ids.astype("int32"), weight.detach(), const.detach())


@called_while_tracing
def _cross_entropy(logits, row, ids, weight, const) -> paddle.Tensor:
    """A graph takes the operators and finds their gradient; it has no place for a PyLayer."""
    if paddle.in_dynamic_mode():
        if logits.ndim != 2 or logits.shape[0] != const.shape[0]:
            raise ValueError(f"wanted logits (R, C) with R = {const.shape[0]} rows of targets, got "
                             f"{list(logits.shape)}")
        return _SparseCrossEntropy.apply(logits, row, ids, weight, const)
    return _loss(logits, row, ids, weight, const)[0]


def distillation(logits: paddle.Tensor, teacher: paddle.Tensor, kind: str, tau: float = 1.0) -> paddle.Tensor:
    """What a student's logits (B, C) lose against a teacher's, mean over the batch, float32 (arXiv 2012.12877, sec. 4).

    Args:
        kind: `soft`, tau^2 * KL(teacher at temperature tau || student at tau); `hard`, cross entropy with the teacher's
            best class.

    DeiT's released code divides the soft loss by B * C; the paper's mean over the batch is kept here.
    """
    if kind == "hard":
        return F.cross_entropy(logits.astype("float32"), teacher.argmax(axis=-1))
    target = F.softmax(teacher.astype("float32") / tau, axis=-1)
    log_target = F.log_softmax(teacher.astype("float32") / tau, axis=-1)
    difference = log_target - F.log_softmax(logits.astype("float32") / tau, axis=-1)
    return tau**2 * (target * difference).sum(axis=-1).mean()


def top_targets(logits: paddle.Tensor, top_k: int) -> SparseTargets:
    """The distribution of logits (R, C) as sparse targets: its `top_k` classes, the rest spread evenly over the others.

    `top_k` is below C. The counterpart of `TOKEN_LABEL.TARGET: probs` for logits that are at hand.
    """
    rows, classes = logits.shape
    best, ids = F.softmax(logits.astype("float32"), axis=-1).topk(top_k, axis=-1)
    background = (1 - best.sum(axis=-1)).clip(0) / (classes - top_k)
    ones = paddle.ones_like(background)
    return SparseTargets(
        row=paddle.arange(rows).unsqueeze(1).expand([-1, top_k]).flatten(),
        id=ids.flatten(),
        weight=(best - background.unsqueeze(1)).flatten(),
        const=paddle.stack([background, ones, ones], axis=1),
    )


def blend(targets: SparseTargets, partner_rows: paddle.Tensor, own_share: paddle.Tensor) -> SparseTargets:
    """Row r's target becomes own_share[r] * T[r] + (1 - own_share[r]) * T[partner_rows[r]].

    The row weight goes with its target: a row mixed of one that counts and one that is ignored keeps the part that
    counts.

    Args:
        targets: tensors, R rows.
        partner_rows: (R,) int64, an involution (the partner's partner is the row itself).
        own_share: (R,) float32 in [0, 1].
    """
    row, ids, weight, const = targets
    row = row.astype("int64")
    own, other = own_share.astype("float32"), 1 - own_share.astype("float32")
    # Weights are folded into the rows before mixing, since each side brings its own.
    weight = weight * paddle.gather(const[:, 2], row)
    partner = paddle.gather(partner_rows, row)
    folded = const[:, :2] * const[:, 2:]
    mixed = folded * own.unsqueeze(-1) + paddle.gather(folded, partner_rows) * other.unsqueeze(-1)
    return SparseTargets(paddle.concat([row, partner]), paddle.concat([ids, ids]),
                         paddle.concat([weight * paddle.gather(own, row), weight * paddle.gather(other, partner)]),
                         paddle.concat([mixed, paddle.ones_like(const[:, 2:])], axis=1))


def reassign(targets: SparseTargets, owner_rows: paddle.Tensor) -> SparseTargets:
    """Row r gets the target of row owner_rows[r], as MixToken gives it the token of that row.

    Args:
        targets: tensors, R rows.
        owner_rows: (R,) int64, an involution (so the place a target goes to is that of its own row's owner).
    """
    row, ids, weight, const = targets
    return SparseTargets(paddle.gather(owner_rows, row.astype("int64")), ids, weight,
                         paddle.gather(const, owner_rows))
