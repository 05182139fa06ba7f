"""How good are a model's features as they are? Photos of known classes vote for those of which they are neighbours.

The protocol of "Emerging Properties in Self-Supervised Vision Transformers" (Caron et al., arXiv 2104.14294, section
4.1) and of its released eval_knn.py: nothing is trained, features are of length 1, and each of the k nearest photos of
the training folder votes for its class with exp(cosine / 0.07). There, k 20 was best.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.data.batches import EvalBatches
from ppim.data.loader import EvalSamples, make_loader
from ppim.models.base import evaluating
from ppim.objective.pixels import normalise

USUAL = (10, 20, 100, 200)  # neighbours, as there
TEMPERATURE = 0.07
PRODUCTS = 1 << 24  # cosines at a time: 64 MB of them


class Voted(NamedTuple):
    """What the neighbours say of the photos asked about, in percent of `count` photos."""

    top1: float
    top5: float
    count: int

    def __str__(self) -> str:
        return f"top-1 {self.top1:.2f}  top-5 {self.top5:.2f}  on {self.count:,} images"


def knn(
    model: nn.Layer, bank: EvalSamples, asked: EvalSamples, *, ks: Sequence[int], tokens: str = "class",
    temperature: float = TEMPERATURE, **how,
) -> dict[int, Voted]:
    """What the k nearest photos of `bank` say of the photos `asked` about, for each of `ks`.

    Args:
        model: with `encode`; its weights stay as they are.
        bank, asked: photos in their evaluation view, with the same classes.
        tokens: which feature a photo has: of the `class` token, or the `mean` of the others, behind the last norm.
        how: as for `features`.

    Raises:
        ValueError: a k beyond the photos there are.
    """
    if not 1 <= min(ks) or max(ks) > len(bank):
        raise ValueError(f"k wants 1 to {len(bank)}, the photos in {bank.images.root}; got {', '.join(map(str, ks))}")
    known, labels = features(model, bank, tokens, **how)
    cosines, nearest = neighbours(features(model, asked, tokens, **how)[0], known, max(ks))
    truth = np.asarray(asked.images.labels)
    return {k: vote(cosines[:, :k], labels[nearest[:, :k]], truth, temperature) for k in sorted(set(ks))}


@paddle.no_grad()
def features(
    model: nn.Layer, samples: EvalSamples, tokens: str, *, batch_size: int, workers: int, timeout: float, mean, std,
) -> tuple[paddle.Tensor, np.ndarray]:
    """(photos, C) float32 features of length 1, and (photos,) int64 labels, in the order of the samples."""
    found, labels = [], []
    with evaluating(model):
        for batch in make_loader(samples, EvalBatches(len(samples), batch_size), workers, timeout=timeout):
            encoded = model.encode(normalise(batch["image"], mean, std))[0].astype("float32")
            found.append(encoded[:, 0] if tokens == "class" else encoded[:, model.extra_tokens:].mean(axis=1))
            labels.append(batch["label"].numpy())
    return F.normalize(paddle.concat(found), axis=1), np.concatenate(labels)


@paddle.no_grad()
def neighbours(asked: paddle.Tensor, known: paddle.Tensor, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Cosines (A, k) float32 and places (A, k) int64 of the k rows of `known` (K, C) nearest to each of `asked` (A, C),
    nearest first; all features of length 1. Products are made for a few rows at a time."""
    rows = max(1, PRODUCTS // known.shape[0])
    parts = [paddle.matmul(asked[first:first + rows], known, transpose_y=True).topk(k, axis=1)
             for first in range(0, asked.shape[0], rows)]
    cosines, places = zip(*parts)
    return paddle.concat(list(cosines)).numpy(), paddle.concat(list(places)).numpy()


def vote(cosines: np.ndarray, labels: np.ndarray, truth: np.ndarray, temperature: float) -> Voted:
    """Classes by the weight of their votes; one that nobody votes for is no answer, of equals the lower label is first.

    Args:
        cosines, labels: (A, k) of the neighbours; truth: (A,) the photos' own labels.
    """
    # logarithms of weights, which at low temperatures are beyond what a float can be; of no vote, minus infinity
    votes = np.full((len(truth), 1 + max(labels.max(), truth.max())), -np.inf)
    np.logaddexp.at(votes, (np.arange(len(truth))[:, None], labels), cosines.astype(np.float64) / temperature)
    own = np.take_along_axis(votes, truth[:, None], axis=1)
    earlier = np.arange(votes.shape[1]) < truth[:, None]
    before = ((votes > own) | ((votes == own) & earlier)).sum(axis=1)
    rank = np.where(np.isfinite(own[:, 0]), before, np.inf)
    return Voted(*(float(100 * (rank < best).mean()) for best in (1, 5)), len(truth))
