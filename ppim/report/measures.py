"""How good are answers? Pure functions of numpy arrays: confusion, precision and recall, calibration, other labels."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

BINS = 15  # of a reliability table, as Guo et al. have them

# Top-1 errors of AlexNet on ImageNet-C, each over five severities, by which Hendrycks & Dietterich (arXiv 1903.12261,
# section 4.2; github.com/hendrycks/robustness) divide those of other networks.
ALEXNET = {
    "gaussian_noise": 0.886428, "shot_noise": 0.894468, "impulse_noise": 0.922640, "defocus_blur": 0.819880,
    "glass_blur": 0.826268, "motion_blur": 0.785948, "zoom_blur": 0.798360, "snow": 0.866816, "frost": 0.826572,
    "fog": 0.819324, "brightness": 0.564592, "contrast": 0.853204, "elastic_transform": 0.646056,
    "pixelate": 0.717840, "jpeg_compression": 0.606500,
}
SEVERITIES = (1, 2, 3, 4, 5)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits over the last axis, float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def confusion(truth: np.ndarray, said: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) int64: images of each class (row) by the class that was said (column).

    Args:
        truth, said: (n,) integers, 0 .. classes - 1.
    """
    places = truth.astype(np.int64) * classes + said.astype(np.int64)
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


class OfClass(NamedTuple):
    """How a class was recognised; shares in 0 .. 1, NaN where there is nothing to take a share of.

    Attributes:
        count: its images. said: images it was said of. right: both.
        precision: right / said. recall: right / count. f1: their harmonic mean, 2 right / (count + said).
    """

    count: int
    said: int
    right: int
    precision: float
    recall: float
    f1: float


def of_classes(counts: np.ndarray) -> list[OfClass]:
    """One row a class of a confusion matrix."""
    return [OfClass(count, said, right, _share(right, said), _share(right, count), _share(2 * right, count + said))
            for count, said, right in zip(counts.sum(1).tolist(), counts.sum(0).tolist(), np.diag(counts).tolist())]


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def confused(counts: np.ndarray, most: int) -> list[tuple[int, int, int]]:
    """(truth, said, images) of the most frequent mistakes, the most frequent first, of equals in order of the rows."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    flat = wrong.reshape(-1)
    order = np.argsort(-flat, kind="stable")[:most]
    return [(int(at) // len(counts), int(at) % len(counts), int(flat[at])) for at in order if flat[at]]


class Bin(NamedTuple):
    """Images whose confidence is above `low` and at most `high`; NaN where there are none."""

    low: float
    high: float
    count: int
    confidence: float  # mean
    accuracy: float


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Images by how sure the model was, in bins of equal width: is it right as often as it is sure?

    Args:
        confidence: (n,) probability of what was said, 0 .. 1; 0 counts in the first bin.
        right: (n,) bool.
    """
    edges = np.arange(bins + 1) / bins
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sure = np.bincount(place, confidence, bins)
    hits = np.bincount(place, right, bins)
    return [Bin(float(edges[at]), float(edges[at + 1]), int(counts[at]), _share(float(sure[at]), int(counts[at])),
                _share(float(hits[at]), int(counts[at]))) for at in range(bins)]


def calibration_error(table: Sequence[Bin]) -> float:
    """Expected calibration error (ECE), 0 .. 1: sum over the bins B of |B| / n * |accuracy(B) - confidence(B)|.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, arXiv 1706.04599, equation 3, with 15 bins of
    equal width there.
    """
    total = sum(part.count for part in table)
    return _share(sum(part.count * abs(part.accuracy - part.confidence) for part in table if part.count), total)


def among_several(said: np.ndarray, accepted: Sequence[Sequence[int]]) -> tuple[int, int]:
    """(hits, images): a hit is an answer that is among the accepted ones; images without any are left out.

    This is how ReaL accuracy is counted: Beyer et al., Are we done with ImageNet?, arXiv 2006.07159.
    """
    judged = [(answer, ones) for answer, ones in zip(said.tolist(), accepted) if len(ones)]
    return sum(answer in ones for answer, ones in judged), len(judged)


def corruption_errors(errors: Mapping[tuple[str, int], float]) -> dict[str, float]:
    """Mean error of each corruption over its severities; `errors` by (corruption, severity)."""
    found: dict[str, list[float]] = {}
    for (corruption, _), error in errors.items():
        found.setdefault(corruption, []).append(error)
    return {corruption: sum(ones) / len(ones) for corruption, ones in found.items()}


def mean_corruption_error(errors: Mapping[tuple[str, int], float]) -> float | None:
    """mCE as a share, 1 for AlexNet: the mean over the 15 corruptions of the error summed over five severities, divided
    by AlexNet's; None unless all of them are there. Hendrycks & Dietterich, arXiv 1903.12261, section 4.2.

    Args:
        errors: top-1 errors, 0 .. 1, by (corruption, severity).
    """
    if any((corruption, severity) not in errors for corruption in ALEXNET for severity in SEVERITIES):
        return None
    ratios = [sum(errors[corruption, severity] for severity in SEVERITIES) / (len(SEVERITIES) * theirs)
              for corruption, theirs in ALEXNET.items()]
    return sum(ratios) / len(ratios)
