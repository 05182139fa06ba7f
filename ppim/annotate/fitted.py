"""A network that knows nothing of the classes annotates them, taught by a few labelled pictures.

Its features stay as they are; a head learns the classes and is asked of every cell. `linear`: a linear layer, taught by
cells, each of which has the class of its picture, or its own where masks are given. (Taught by means of pictures it
would lean on differences that single cells drown: half as many of them were named rightly. Asked of the whole it says
the mean of what it says of the cells.) `knn`: the nearest vote, of the pictures' means, or of cells with masks.

Nothing is drawn at random: the same pictures make the same head. Every fifth picture of a class is first kept from the
head, to see how often it is right; then it is fitted again, on all of them.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
_MOST_VALUES = 1 << 26  # numbers of the features that a layer is fitted on, and ...
_MOST_WORK = 2 * 10**10  # ... their products with its weights in one step, beyond which only some cells teach
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
    taught, asked = _examples(body, labelled, view, batch_size, kind)
    apart = held_out(labelled)
    told = _judged(taught.of(~apart), asked.of(apart), kind, f"cells of {apart.sum():,} pictures"
                   if labelled.targets is not None else "pictures") + f"; now fitted on all {len(labelled.files):,}"
    probabilities, logits = _fit(taught.rows, taught.targets, kind)
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


class _Examples(NamedTuple):
    """Features (R, D), the distribution over classes that each shows, (R, K), and the picture that it is of, (R,)."""

    rows: np.ndarray
    targets: np.ndarray
    owner: np.ndarray

    def of(self, chosen: np.ndarray) -> _Examples:
        """Those of some pictures, (n,) bool."""
        return _Examples(*(part[chosen[self.owner]] for part in self))


def _examples(body: Logits, labelled: Labelled, view: View, batch_size: int,
              kind: str) -> tuple[_Examples, _Examples]:
    """What a head is fitted on, and what it is asked of to be judged: cells that have classes of their own; else cells
    with their picture's class (for `knn` pictures), and pictures, each by the mean of its cells."""
    pictures, batches = np.arange(len(labelled.files)), _features(body, labelled.files, view, batch_size)
    if labelled.targets is not None:
        targets = labelled.targets.reshape(-1, labelled.targets.shape[-1])
        owner, known = np.repeat(pictures, labelled.targets.shape[1]), targets.sum(axis=1) > 0
        cells = np.concatenate([batch.reshape(-1, batch.shape[2]) for batch in batches])
        of_cells = _Examples(cells[known], targets[known], owner[known])
        return of_cells, of_cells
    targets = np.eye(labelled.num_classes, dtype=np.float32)[labelled.labels]
    means, teaching = [], []
    for first, batch in zip(pictures[::batch_size], batches):
        means.append(batch.mean(axis=1))
        if kind == "linear":
            _, count, width = batch.shape
            kept = cells_that_can_teach(len(pictures), count, width, labelled.num_classes)
            some = teaching_cells(first + np.arange(len(batch)), count, kept)
            teaching.append(np.take_along_axis(batch, some[..., None], axis=1))
    of_pictures = _Examples(np.concatenate(means), targets, pictures)
    if not teaching:
        return of_pictures, of_pictures
    owner = np.repeat(pictures, teaching[0].shape[1])
    rows = np.concatenate(teaching).reshape(len(owner), -1)
    return _Examples(rows, targets[owner], owner), of_pictures


def _features(body: Logits, files: Sequence[str], view: View, batch_size: int) -> Iterator[np.ndarray]:
    """Features (b, N, D) of the cells of pictures, batch by batch."""
    for first in range(0, len(files), batch_size):
        images = [look(path, view) for path in files[first:first + batch_size]]
        filled = np.stack([*images, *[images[-1]] * (batch_size - len(images))])
        with paddle.no_grad():
            cells = body(normalise(paddle.to_tensor(filled), view.mean, view.std))
        yield cells[:len(images)].numpy()


def cells_that_can_teach(pictures: int, count: int, width: int, classes: int) -> int:
    """How many of the `count` cells of each picture a linear layer of `width` features can be fitted on."""
    return min(count, max(1, min(_MOST_VALUES, _MOST_WORK // classes) // (width * pictures)))


def teaching_cells(pictures: np.ndarray, count: int, kept: int) -> np.ndarray:
    """(b, kept) int64: which of its `count` cells stand for each of the pictures of these numbers, (b,): evenly spread,
    and begun elsewhere in every picture, so that all places teach."""
    return (np.arange(kept) * count // kept + pictures[:, None]) % count


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
def _judged(taught: _Examples, asked: _Examples, kind: str, what: str) -> str:
    """How often a head fitted on the one is right on the other, in words."""
    if not len(asked.rows):
        return "how good the head is, is not known: no class has five labelled pictures, to keep one of them apart"
    shares, _ = _fit(taught.rows, taught.targets, kind)
    right = shares(paddle.to_tensor(asked.rows)).argmax(axis=1).numpy() == asked.targets.argmax(axis=1)
    return f"the head is right on {100 * right.mean():.1f} % of {len(right):,} labelled {what} that were kept from it"
