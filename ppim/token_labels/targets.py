"""From a label map and a view's history to the targets its tokens are trained on, without ever writing them out.

A target is a distribution over C classes in which all but a few classes share one value, the background:

    t[r, c] = background[r] + sum of the weights of row r with id c

so a sample ships a few triplets (row, id, weight) and three constants per row, and nothing of size tokens x classes
exists before the logits (`ppim.objective.losses`). Everything is linear in the target, so mixing adds weights.

Per token the map is read at regular points, bilinearly (`ppim.token_labels.points`); points are followed back to the
photo through `ppim.geometry`. Targets as in token labeling (arXiv 2104.10858, section 3).
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ppim.geometry import HW, Step
from ppim.token_labels.axes import Axes
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.points import view_of
from ppim.token_labels.reads import Points, blank_rows, confidence

TARGETS = ("released", "probs")
FILLS = ("uniform", "ignore")
WEIGHTS = ("none", "confidence")
_ORDINARY = 500.0  # scores whose exponentials, and sums of these, are no larger than numbers can be


class SparseTargets(NamedTuple):
    """Targets of R rows as T triplets; numpy here, the same fields as tensors in the loss."""

    row: np.ndarray  # (T,) int32
    id: np.ndarray  # (T,) int32
    weight: np.ndarray  # (T,) float32, beyond the background
    const: np.ndarray  # (R, 3) float32: background of every class, mass (sum of the target), row weight (0 = ignored)


def concat(targets: Sequence[SparseTargets]) -> SparseTargets:
    """Rows one below the other. Never without a triplet: where there is none, one of weight zero stands in."""
    starts = np.cumsum([0] + [len(t.const) for t in targets])
    row = np.concatenate([t.row + np.int32(start) for t, start in zip(targets, starts)])
    ids = np.concatenate([t.id for t in targets])
    weight = np.concatenate([t.weight for t in targets])
    const = np.concatenate([t.const for t in targets])
    if not len(row):
        row, ids, weight = np.zeros(1, np.int32), np.zeros(1, np.int32), np.zeros(1, np.float32)
    return SparseTargets(row, ids, weight, const)


def dense(targets: SparseTargets, num_classes: int) -> np.ndarray:
    """(R, C) float32, for tests and figures."""
    out = np.repeat(targets.const[:, :1], num_classes, axis=1)
    np.add.at(out, (targets.row, targets.id), targets.weight)
    return out


def best_class(targets: SparseTargets) -> np.ndarray:
    """(R,) int64: the class of each row's largest target, -1 where none stands out (fill) or the row is ignored.

    A class may have several triplets in a row; their weights count together.
    """
    rows, shift = len(targets.const), 1 + int(targets.id.max(initial=0))
    keys, inverse = np.unique(targets.row.astype(np.int64) * shift + targets.id, return_inverse=True)
    weight = np.bincount(inverse, targets.weight, minlength=len(keys))
    order = np.argsort(weight, kind="stable")
    order = order[weight[order] > 0]
    best = np.full(rows, -1, np.int64)
    # In ascending order of weight, so that each row's last assignment is its largest.
    best[keys[order] // shift] = keys[order] % shift
    best[targets.const[:, 2] == 0] = -1
    return best


def label_targets(labels: np.ndarray, num_classes: int, smoothing: float) -> SparseTargets:
    """Plain labels: one-hot * (1 - s) + s / C, one row per label; labels (R,) in 0 .. C - 1."""
    labels = np.atleast_1d(np.asarray(labels))
    if len(labels) and not (labels.min() >= 0 and labels.max() < num_classes):
        raise ValueError(f"labels must lie in 0 .. {num_classes - 1}, got {labels.min()} .. {labels.max()}")
    const = np.tile(np.array([[smoothing / num_classes, 1, 1]], np.float32), (len(labels), 1))
    return SparseTargets(np.arange(len(labels), dtype=np.int32), labels.astype(np.int32),
                         np.full(len(labels), 1 - smoothing, np.float32), const)


def with_ground_truth(class_targets: SparseTargets, labels: np.ndarray, num_classes: int, smoothing: float,
                      ) -> SparseTargets:
    """The released `ground_truth` option: class target * r + smoothed one-hot * (1 - r).

    r is 0.5 where the target's best class is the label, 0.9 where it is not (the label is trusted less there).

    Args:
        class_targets: R rows; labels: (R,) the true classes.
    """
    truth = label_targets(labels, num_classes, smoothing)
    ratio = np.where(best_class(class_targets) == truth.id, np.float32(0.5), np.float32(0.9))
    const = np.concatenate([class_targets.const[:, :2] * ratio[:, None] + truth.const[:, :2] * (1 - ratio[:, None]),
                            class_targets.const[:, 2:]], axis=1)
    return SparseTargets(np.concatenate([class_targets.row, truth.row]), np.concatenate([class_targets.id, truth.id]),
                         np.concatenate([class_targets.weight * ratio[class_targets.row],
                                         truth.weight * (1 - ratio)]), const)


def _slots(ids: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The D distinct ids of a map (D,), ascending, and the place of each of its ids among them, of the shape of ids."""
    here = np.zeros(num_classes, bool)
    here[ids] = True
    distinct = np.flatnonzero(here)
    place = np.empty(num_classes, np.intp)
    place[distinct] = np.arange(len(distinct))
    return place.take(ids), distinct.astype(np.int32)


def read_targets(label_map: LabelMap, reads: Axes | Points, num_classes: int, smoothing: float,
                 target: str) -> SparseTargets:
    """The targets of rows that average a map over what they read of it.

    Args:
        label_map: its window is not looked at.
        reads: of R rows; one that reads nothing gets the uniform target.
        target: 'released' or 'probs', see `token_targets`.

    Returns:
        SparseTargets of R rows with row weight 1, triplets in the order of the rows.
    """
    values = label_map.scores.astype(np.float64)
    if target == "probs":
        values, rest = _beyond_rest(values, label_map.log_z, num_classes)
    slots, distinct = _slots(label_map.ids, num_classes)
    sums = reads.sums(values, slots, len(distinct))
    at = np.flatnonzero(sums != 0)
    hit = at // len(distinct)
    extra = sums.ravel().take(at)
    if target == "probs":
        background = reads.mean(rest) + (1 - reads.covered) / num_classes
    else:
        extra, background = _softmax_with_zeros(extra, hit, sums, num_classes)
    scale, floor = 1 - smoothing + smoothing / num_classes, smoothing / num_classes
    const = np.empty((len(sums), 3), np.float32)
    const[:, 0], const[:, 1], const[:, 2] = background * scale + floor, scale + smoothing, 1
    return SparseTargets(hit.astype(np.int32), distinct.take(at - hit * len(distinct)),
                         (extra * scale).astype(np.float32), const)


def _softmax_with_zeros(scores: np.ndarray, row: np.ndarray, sums: np.ndarray,
                        num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """A softmax over all classes, of which only some have a score, (S,) of ascending rows `row`; the others' is zero.

    Shifted by the largest score of each row, so that no exponential overflows. Where no class is without a score, none
    has the background, and zero must not set the scale.

    Args:
        sums: (R, D) the scores where they stand, D being C or less.

    Returns:
        what the probability of each score exceeds its row's background by, (S,); the backgrounds, (rows,).
    """
    rows = len(sums)
    count = np.bincount(row, minlength=rows)
    if sums.shape[1] < num_classes and np.abs(scores).max(initial=0) < _ORDINARY:
        extra = np.exp(scores)
        background = 1 / (num_classes - count + np.bincount(row, extra, minlength=rows))
        extra -= 1
        extra *= np.repeat(background, count)
        return extra, background
    largest = sums.max(axis=1)
    complete = count == num_classes
    shift = np.where(complete, largest, np.maximum(largest, 0))
    zero = np.exp(np.where(complete, -np.inf, -shift))
    extra = np.exp(scores - np.repeat(shift, count))
    background = 1 / ((num_classes - count) * zero + np.bincount(row, extra, minlength=rows))
    extra -= np.repeat(zero, count)
    extra *= np.repeat(background, count)
    return extra, background * zero


def _beyond_rest(scores: np.ndarray, log_z: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of the kept classes beyond what each other class has: (K, h, w) and that rest (h, w)."""
    probs = np.exp(scores - log_z)
    total = probs.sum(axis=0)
    others = num_classes - len(probs)
    # Half precision can bring the sum slightly above one; where every class is kept it must be one.
    probs /= np.maximum(total, 1) if others else total
    rest = np.maximum(1 - total, 0) / others if others else np.zeros_like(total)
    # where all classes are alike, a rounded log-sum-exp would lift those that happen to be kept above the others
    rounding = (np.abs(log_z) + np.abs(scores[0])) * np.finfo(np.float16).eps
    is_even = (scores.max(axis=0) == scores.min(axis=0)) & (np.abs(log_z - scores[0] - np.log(num_classes)) <= rounding)
    if num_classes > 1 and is_even.any():
        probs[:, is_even] = rest[is_even] = 1 / num_classes
    return probs - rest, rest


def split_class(targets: SparseTargets) -> tuple[SparseTargets, SparseTargets]:
    """Row 0 and the rows behind it; triplets must be in the order of their rows."""
    stop = int(np.searchsorted(targets.row, 1))
    row, ids, weight, const = targets
    return (SparseTargets(row[:stop], ids[:stop], weight[:stop], const[:1]),
            SparseTargets(row[stop:] - np.int32(1), ids[stop:], weight[stop:], const[1:]))


def _check(label_map: LabelMap, target: str, fill: str, weight: str) -> None:
    if target not in TARGETS:
        raise ValueError(f"target wants one of {', '.join(TARGETS)}; got {target!r}")
    if fill not in FILLS:
        raise ValueError(f"fill wants one of {', '.join(FILLS)}; got {fill!r}")
    if weight not in WEIGHTS:
        raise ValueError(f"weight wants one of {', '.join(WEIGHTS)}; got {weight!r}")
    if target == "probs" and label_map.log_z is None:
        raise ValueError("target 'probs' wants maps with the annotator's log-sum-exp ([3, K, H, W]), got the published "
                         "form ([2, K, H, W]); take 'released' or generate the maps again")
    if weight == "confidence" and label_map.log_z is None:
        raise ValueError("weight 'confidence' wants maps with the annotator's log-sum-exp ([3, K, H, W]), got the "
                         "published form ([2, K, H, W]); take 'none' or generate the maps again")


def token_targets(label_map: LabelMap, steps: Sequence[Step], grid: HW, num_classes: int, *,
                  smoothing: float = 0.1, fill: str = "uniform", target: str = "released", blank: str = "uniform",
                  weight: str = "none", offset: tuple[float, float] = (0.0, 0.0),
                  ) -> tuple[SparseTargets, SparseTargets]:
    """Targets of one view's class token and of its tokens; the class token is one token that covers the whole view.

    'released': scores are averaged over a token's points (classes a cell did not keep count as zero) and go through
    a softmax over all classes. 'probs': the cells' probabilities are averaged, exp(score - log_z) for the kept
    classes, the rest of each cell evenly over its other classes. Both are smoothed as t * (1 - s + s/C) + s/C, so a
    row sums to 1 + s/C, as in the published recipe.

    A point counts where it shows the photo. A token of which fewer than half the points do is fill: it gets the
    uniform target, or row weight 0 with `fill` 'ignore'. Photo outside the map's window has no label: those points
    do not count either, and a token that shows photo but has too few labelled points is ignored.

    The class token's row goes by the same rules; where they ignore it, the photo's own label has to stand in
    (`ppim.data.loader`).

    Args:
        steps: the view's history (`ppim.geometry`); grid: (rows, columns) of tokens, row-major in the result.
        blank: 'ignore' gives row weight 0 to tokens of which the map says nothing, see `blank_rows`.
        weight: 'confidence' makes the row weight of each token how sure the annotator was there, see `confidence`; the
            class token keeps its own.
        offset: (x, y) in sides of the view: tokens are told what lies there of them, which is wrong on purpose.

    Returns:
        SparseTargets with R = 1 for the class token, and with R = rows * columns for the tokens.

    Raises:
        ValueError: an unknown target, fill or weight; 'probs' or 'confidence' for a map without log_z.
    """
    _check(label_map, target, fill, weight)
    view = view_of(steps, label_map.window, label_map.scores.shape[1:], grid, offset)
    targets = read_targets(label_map, view.reads, num_classes, smoothing, target)
    if weight == "confidence":
        targets.const[1:, 2] = confidence(label_map, view.reads, num_classes)[1:]
    unusable = ~view.labelled if fill == "ignore" else ~view.labelled & view.shown
    if blank == "ignore":
        unusable[1:] |= blank_rows(label_map, view.reads)[1:]
    targets.const[unusable, 2] = 0
    return split_class(targets)
