"""A network that knows nothing of the classes annotates them, taught by a few labelled pictures.

Its features stay as they are. A head learns the classes from the pictures, of which each is the mean of its cells, or,
where masks are given, from every cell; then it is asked of each cell. `linear`: a linear layer (asked of every cell, it
says of the whole exactly the mean of what it says of the cells); `knn`: the nearest labelled ones vote.

Nothing is drawn at random: the same pictures make the same head. Every fifth picture of a class is first kept from the
head, to see how often it is right; then it is fitted again, on all of them.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F

from ppim.annotate.generate import View, look
from ppim.data.shapes import FLOOR
from ppim.engine.knn import TEMPERATURE, neighbours
from ppim.geometry import HW
from ppim.models.base import TokenOutput
from ppim.models.paddle_vision import PaddleVision
from ppim.objective.pixels import normalise

HEADS = ("linear", "knn")
_NEIGHBOURS = 20
_HELD_OUT = 5  # every so manieth picture of a class
_ROWS = 1 << 12  # that vote at a time
_STEPS = 300
_DECAY = 1e-4

Logits = Callable[[paddle.Tensor], paddle.Tensor]


class Labelled(NamedTuple):
    """Pictures whose classes are known.

    Attributes:
        files: their paths.
        labels: (n,) int64 the class of each; -1 with `targets`, which say it of cells.
        num_classes: C.
        targets: (n, cells, 1 + C) float32, what each cell shows, nothing first, all zero where that is not known; None
            for pictures with a class each.
    """

    files: Sequence[str]
    labels: np.ndarray
    num_classes: int
    targets: np.ndarray | None = None


class Fitted:
    """A network with a head of ours, with the face of a model of ours.

    Attributes:
        num_classes: C; grid: (rows, columns) of cells.
    """

    def __init__(self, body: Logits, head: Logits, num_classes: int, grid: HW):
        self._body, self._head, self.num_classes, self.grid = body, head, num_classes, grid

    def tokens(self, x: paddle.Tensor) -> TokenOutput:
        """Logits of the whole (B, C), by the mean of its features, and of cells (B, N, C)."""
        cells = self._body(x)
        # (B, N, D) -> (B * N, D)
        logits = self._head(cells.flatten(0, 1)).reshape([*cells.shape[:2], self.num_classes])
        return TokenOutput(self._head(cells.mean(axis=1)), logits)

    def __call__(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.tokens(x).class_logits


def body_of(model) -> Logits:
    """What gives a network's features of cells: images (B, 3, h, w), normalised -> (B, N, D) float32."""
    def features(x: paddle.Tensor) -> paddle.Tensor:
        if isinstance(model, PaddleVision):
            maps = model.body(x)
        elif hasattr(model, "features"):
            maps = model.features(x)[0]
        else:
            return model.tokens(x).token_logits.astype("float32")
        # (B, D, rows, columns) -> (B, N, D)
        return maps.flatten(2).transpose([0, 2, 1]).astype("float32")

    return features


def fitted(model, labelled: Labelled, view: View, kind: str = "linear", batch_size: int = 64) -> tuple[Fitted, str]:
    """A network with a head fitted on labelled pictures, and a line that says how good it is.

    Args:
        model: in evaluation mode, its `grid` that of the view.
        kind: of HEADS.
    """
    body = body_of(model)
    rows, owner = _rows(body, labelled, view, batch_size)
    targets = np.eye(labelled.num_classes, dtype=np.float32)[labelled.labels] if labelled.targets is None else \
        labelled.targets.reshape(-1, labelled.targets.shape[-1])
    known = targets.sum(axis=1) > 0
    rows, owner, targets = rows[known], owner[known], targets[known]
    out = held_out(labelled)
    apart = out[owner]
    told = _judged(rows, targets, apart, kind, f"cells of {out.sum():,} pictures" if labelled.targets is not None else
                   "pictures") + f"; now fitted on all {len(labelled.files):,}"
    probabilities, logits = _fit(rows, targets, kind)
    if labelled.targets is not None:
        # of what is nothing no map speaks: shares of the classes alone, written as those of drawn masks are
        return Fitted(body, lambda x: paddle.log1p(probabilities(x)[:, 1:] / FLOOR), labelled.num_classes,
                      tuple(model.grid)), told
    return Fitted(body, logits, labelled.num_classes, tuple(model.grid)), told


def held_out(labelled: Labelled) -> np.ndarray:
    """(n,) bool: every fifth picture of each class; where cells have classes, every fifth of all."""
    order = np.argsort(labelled.labels, kind="stable")
    counts = np.unique(labelled.labels, return_counts=True)[1]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.concatenate([np.arange(count) for count in counts])
    return rank % _HELD_OUT == _HELD_OUT - 1


@paddle.no_grad()
def _rows(body: Logits, labelled: Labelled, view: View, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Features (R, D) of the pictures, or, where they have classes of their own, of the cells; whose each is (R,)."""
    found = []
    for first in range(0, len(labelled.files), batch_size):
        images = [look(path, view) for path in labelled.files[first:first + batch_size]]
        filled = np.stack([*images, *[images[-1]] * (batch_size - len(images))])
        cells = body(normalise(paddle.to_tensor(filled), view.mean, view.std))[:len(images)]
        found.append((cells.mean(axis=1) if labelled.targets is None else cells.flatten(0, 1)).numpy())
    rows = np.concatenate(found)
    return rows, np.repeat(np.arange(len(labelled.files)), len(rows) // len(labelled.files))


def _fit(rows: np.ndarray, targets: np.ndarray, kind: str) -> tuple[Logits, Logits]:
    """Functions from features (R, D): to a distribution over what `targets` name, and to logits."""
    if kind == "knn":
        known, told = F.normalize(paddle.to_tensor(rows), axis=1), paddle.to_tensor(targets)

        def shares(x: paddle.Tensor) -> paddle.Tensor:
            parts = [_votes(x[first:first + _ROWS], known, told) for first in range(0, x.shape[0], _ROWS)]
            return paddle.concat(parts)

        return shares, lambda x: paddle.log1p(shares(x) / FLOOR)
    weight, bias = map(paddle.to_tensor, linear(rows, targets))

    def logits(x: paddle.Tensor) -> paddle.Tensor:
        return paddle.matmul(x, weight) + bias

    return lambda x: F.softmax(logits(x)), logits


def linear(rows: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight (D, K) and bias (K,) float32 of the linear layer whose softmax comes closest to the targets, by cross
    entropy with a little decay of the weight of standardised features; by Nesterov's accelerated descent from zero.

    Args:
        rows: (R, D); targets: (R, K), each a distribution.
    """
    shift, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    x = np.concatenate([(rows - shift) / scale, np.ones((len(rows), 1))], axis=1, dtype=np.float32)
    decay = np.full((x.shape[1], 1), _DECAY, np.float32)
    decay[-1] = 0
    # the steepest that cross entropy can bend along these features
    steepest = 0.5 * float(np.linalg.eigvalsh(x.T @ x)[-1]) / len(x) + _DECAY
    now = ahead = np.zeros((x.shape[1], targets.shape[1]), np.float32)
    for step in range(_STEPS):
        logits = x @ ahead
        share = np.exp(logits - logits.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        before, now = now, ahead - (x.T @ (share - targets) / len(x) + decay * ahead) / steepest
        ahead = now + np.float32(step / (step + 3)) * (now - before)
    weight = now[:-1] / scale[:, None]
    return weight.astype(np.float32), (now[-1] - shift @ weight).astype(np.float32)


def _votes(x: paddle.Tensor, known: paddle.Tensor, told: paddle.Tensor) -> paddle.Tensor:
    """(R, K) float32: shares of the votes exp(cosine / T) of the nearest, see `ppim.engine.knn`."""
    cosines, nearest = neighbours(F.normalize(x, axis=1), known, min(_NEIGHBOURS, known.shape[0]))
    weights = F.softmax(paddle.to_tensor(cosines) / TEMPERATURE, axis=1)
    # (R, k, K) -> (R, K)
    theirs = paddle.gather(told, paddle.to_tensor(nearest.reshape(-1))).reshape([*nearest.shape, told.shape[1]])
    return (theirs * weights.unsqueeze(-1)).sum(axis=1)


@paddle.no_grad()
def _judged(rows: np.ndarray, targets: np.ndarray, apart: np.ndarray, kind: str, what: str) -> str:
    """How often a head fitted without the rows `apart` is right on them, in words."""
    if not apart.any():
        return "how good the head is, is not known: no class has five labelled pictures, to keep one of them apart"
    shares, _ = _fit(rows[~apart], targets[~apart], kind)
    right = shares(paddle.to_tensor(rows[apart])).argmax(axis=1).numpy() == targets[apart].argmax(axis=1)
    return f"the head is right on {100 * right.mean():.1f} % of {len(right):,} labelled {what} that were kept from it"
