"""What is done where classes have unequal numbers of photos: what does a photo count, or how often is it drawn?

Weighting and drawing are two ways to the same expectation: with weights inverse to the number of photos, every class
has the same part in the mean loss, as it has where every class is drawn equally often.
"""
from __future__ import annotations

import numpy as np

from ppim.seeds import class_rng
from ppim.token_labels.targets import SparseTargets


def class_weights(counts: np.ndarray, kind: str, beta: float = 0.999) -> np.ndarray:
    """(classes,) float32: what a photo of each class counts, with mean 1 over the photos; 0 for a class without any.

    `inverse`: 1 / n. `effective`: (1 - beta) / (1 - beta^n), one over the effective number of photos of "Class-Balanced
    Loss Based on Effective Number of Samples" (Cui et al., CVPR 2019, arXiv 1901.05555, equation 2); beta 0 leaves
    every photo 1, beta near 1 is `inverse`.

    Args:
        counts: (classes,) photos of each class.
        beta: in [0, 1).
    """
    counts = np.asarray(counts, np.float64)
    if kind == "none":
        return (counts > 0).astype(np.float32)
    # expm1 and log1p: 1 - beta^n as exact as beta itself
    effective = counts if kind == "inverse" else -np.expm1(counts * np.log(beta)) / (1 - beta) if beta else counts > 0
    weights = np.divide(1.0, effective, out=np.zeros(len(counts)), where=counts > 0)
    return (weights * (counts.sum() / (weights * counts).sum())).astype(np.float32)


def weighted(targets: SparseTargets, weight: float) -> SparseTargets:
    """Targets of a photo that counts `weight`: every row counts so much more; what is ignored stays so."""
    const = targets.const.copy()
    const[:, 2] *= weight
    return targets._replace(const=const)


def balanced(labels: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """(photos,) int64: photos of an epoch in which every class is drawn equally often, by class, not yet mixed up.

    Places of an epoch go to the classes in turn, across the ends of epochs, so that none has more than one draw above
    another, ever. Of its draws each class makes one permutation of its photos after the other, keyed by (seed, class,
    how many permutations before): over a run every photo of a class is drawn equally often, too.

    Args:
        labels: (photos,) class of each; classes without photos have no turn.
    """
    length, first = len(labels), epoch * len(labels)
    by_class = np.argsort(labels, kind="stable")
    classes, starts = np.unique(labels[by_class], return_index=True)
    found = []
    for place, (label, photos) in enumerate(zip(classes.tolist(), np.split(by_class, starts[1:]))):
        draws = np.arange(first + (place - first) % len(classes), first + length, len(classes)) // len(classes)
        for cycle in np.unique(draws // len(photos)).tolist():
            here = draws[draws // len(photos) == cycle] % len(photos)
            found.append(photos[class_rng(seed, label, cycle).permutation(len(photos))[here]])
    return np.concatenate(found)


def occurrences(index: np.ndarray) -> np.ndarray:
    """(n,) int64: how often each entry has come before: 0, 1, ... for the same number."""
    order = np.argsort(index, kind="stable")
    starts = np.flatnonzero(np.diff(index[order], prepend=-1))
    ranks = np.arange(len(index)) - np.repeat(starts, np.diff(starts, append=len(index)))
    found = np.empty(len(index), np.int64)
    found[order] = ranks
    return found


def told(counts: np.ndarray, kind: str, beta: float, sampling: str) -> list[str]:
    """A line on what is done about unequal numbers of photos; none where nothing is."""
    there = counts[counts > 0]
    uneven = f"classes have {there.min():,} to {there.max():,} photos"
    if kind != "none":
        weights = class_weights(counts, kind, beta)[counts > 0]
        return [f"{uneven}: a photo counts {weights.max():.3g} to {weights.min():.3g} (LOSS.CLASS_BALANCE {kind})"]
    return [f"{uneven}: all are drawn equally often (DATA.SAMPLING balanced)"] if sampling == "balanced" else []
