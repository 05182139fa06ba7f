"""Random batches with sparse targets, and what the objective must make of them, in dense arrays of double precision."""
from __future__ import annotations

import numpy as np
import paddle

from ppim.mixing import Mixed, mixed_rows
from ppim.objective.pixels import as_tensors
from ppim.token_labels.targets import SparseTargets, concat, dense

CLASSES, GRID, SIDE = 5, (3, 3), 24
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


def random_targets(rng, rows):
    """Sparse targets of `rows` rows with one to three classes each; repeated ids are allowed and add up."""
    parts = []
    for _ in range(rows):
        n = rng.integers(1, 4)
        weight = rng.uniform(0.1, 0.3, n).astype("float32")
        background = np.float32((1 - weight.sum()) / CLASSES)
        const = np.array([[background, 1.0, rng.choice([0.0, 1.0], p=[0.2, 0.8])]], "float32")
        parts.append(SparseTargets(np.zeros(n, "int32"), rng.integers(0, CLASSES, n).astype("int32"), weight, const))
    return concat(parts)


def make_batch(rng, size):
    """(batch as the loader gives it, its class targets, its token targets), all of them random."""
    tokens = GRID[0] * GRID[1]
    batch = {
        "image": paddle.to_tensor(rng.integers(0, 256, (size, 3, SIDE, SIDE)).astype("uint8")),
        "erase_at": paddle.to_tensor(np.array([3, SIDE * SIDE - 1], "int64")),
        "erase_value": paddle.to_tensor(rng.normal(size=(2, 3)).astype("float32")),
    }
    class_targets, token_targets = random_targets(rng, size), random_targets(rng, size * tokens)
    put_targets(batch, "class", class_targets)
    put_targets(batch, "token", token_targets)
    return batch, class_targets, token_targets


def put_targets(batch, kind, targets) -> None:
    """Give a batch these targets, for its "class" or its "token"s."""
    batch.update({f"{kind}_{name}": paddle.to_tensor(value) for name, value in targets._asdict().items()})


def pictures(batch) -> np.ndarray:
    """(B, 3, H, W) float64: the images of a batch, normalised and erased."""
    image = (batch["image"].numpy().astype("float64") / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    image[0, :, 0, 3], image[0, :, SIDE - 1, SIDE - 1] = batch["erase_value"].numpy()
    return image


def worked_out(mix, with_shares=True) -> Mixed:
    """A drawn mix as the objective takes it."""
    return as_tensors(mixed_rows(mix, (SIDE, SIDE), GRID, with_shares))


def weighted_dense(targets):
    """(R, C) targets times their row weight: what cross entropy is linear in."""
    return dense(targets, CLASSES).astype("float64") * targets.const[:, 2:].astype("float64")


def cross_entropy(logits, target):
    """The mean over rows, in float64, of logits (R, C) against targets (R, C)."""
    logits = logits.astype("float64")
    peak = logits.max(-1, keepdims=True)
    log_probability = logits - peak - np.log(np.exp(logits - peak).sum(-1, keepdims=True))
    return -(target * log_probability).sum(-1).mean()
