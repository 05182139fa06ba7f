"""What are token labels worth that stand in the wrong place? The targets of a view, misplaced on purpose.

Controls for an experiment: a run that learns from them sees the same pictures and the same targets, and only where they
stand is wrong. Tokens without a label (row weight 0) keep being without one.
"""
from __future__ import annotations

import numpy as np

from ppim.token_labels.targets import SparseTargets

PLACES = ("right", "shuffled", "pooled")


def misplaced(tokens: SparseTargets, place: str, rng: np.random.Generator) -> SparseTargets:
    """The targets of a view's tokens in their `place`.

    Args:
        tokens: R rows, triplets in any order.
        place: 'right': as they are; 'shuffled': exchanged at random among the labelled tokens; 'pooled': each labelled
            token has the mean of all of them.
        rng: of this view; a draw for 'shuffled'.

    Raises:
        ValueError: another place.
    """
    if place not in PLACES:
        raise ValueError(f"place wants one of {', '.join(PLACES)}, got {place!r}")
    labelled = np.flatnonzero(tokens.const[:, 2] > 0)
    if place == "right" or len(labelled) < 2:
        return tokens
    return _shuffled(tokens, labelled, rng) if place == "shuffled" else _pooled(tokens, labelled)


def offset(tokens: float, grid: tuple[int, int], rng: np.random.Generator) -> tuple[float, float]:
    """(x, y) in sides of the view: `tokens` tokens away, in a direction drawn for this view.

    Args:
        grid: (rows, columns) of tokens.
    """
    if not tokens:
        return 0.0, 0.0
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = grid
    return tokens * np.cos(angle) / columns, tokens * np.sin(angle) / rows


def _shuffled(tokens: SparseTargets, labelled: np.ndarray, rng: np.random.Generator) -> SparseTargets:
    to = np.arange(len(tokens.const))
    to[labelled] = rng.permutation(labelled)
    const = np.empty_like(tokens.const)
    const[to] = tokens.const
    row = to[tokens.row].astype(np.int32)
    order = np.argsort(row, kind="stable")
    return SparseTargets(row[order], tokens.id[order], tokens.weight[order], const)


def _pooled(tokens: SparseTargets, labelled: np.ndarray) -> SparseTargets:
    """The mean over labelled rows, by their weights, in each of them."""
    weights = tokens.const[:, 2].astype(np.float64)
    share = weights / weights.sum()
    classes = np.bincount(tokens.id, tokens.weight * share[tokens.row])
    ids = np.flatnonzero(classes)
    const = tokens.const.copy()
    const[labelled, :2] = (share[:, None] * tokens.const[:, :2]).sum(axis=0)
    return SparseTargets(
        np.repeat(labelled, len(ids)).astype(np.int32), np.tile(ids, len(labelled)).astype(np.int32),
        np.tile(classes[ids], len(labelled)).astype(np.float32), const,
    )
