"""How much of what lies where can be read from a model's tokens by a linear layer alone? The first step of dense
transfer: the model is frozen, one linear layer is trained on the features of every token, and judged by the pixel.
"""
from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.data.batches import EvalBatches
from ppim.data.loader import EvalSamples, make_loader
from ppim.data.masks import UNKNOWN, check_shape, mask_path, read_mask, seen_through, shares
from ppim.data.photos import photo_size
from ppim.models.base import evaluating
from ppim.objective.pixels import normalise

STEPS = 1000
TOKENS_PER_STEP = 4096  # or all there are
RATE = 5e-3
SEED = 0  # of the probe: the same for every model it judges


class Probed(NamedTuple):
    """What a probe found on the validation pictures."""

    miou: float  # percent, mean over the names that occur
    iou: dict[str, float | None]  # percent by name, "ground" first; None for a name that does not occur
    accuracy: float  # percent of the known pixels
    pixels: int  # known ones

    def __str__(self) -> str:
        return f"mIoU {self.miou:.2f}  pixel accuracy {self.accuracy:.2f}  on {self.pixels:,} pixels"


def probe(
    model: nn.Layer, train: EvalSamples, val: EvalSamples, masks: tuple[str, str], *, layers: Sequence[int],
    batch_size: int, workers: int, timeout: float, mean, std,
) -> Probed:
    """Train a linear layer on the frozen features of `train`'s tokens and judge it on `val`'s pixels.

    Features of several layers stand side by side. They are standardised by the training pictures' statistics; the
    layer learns the shares of ground and classes in every token by cross entropy. On validation pictures its logits
    are enlarged bilinearly to the view's pixels, of which each goes to the best.

    Args:
        model: in any mode; its weights stay as they are.
        train, val: pictures in their evaluation view.
        masks: folders with their masks, see `ppim.data.masks`.
        layers: of `model.features`.

    Raises:
        ValueError: masks that are not there or not sound, or that say nothing; layers of several stages.
    """
    how = {"layers": layers, "batch_size": batch_size, "workers": workers, "timeout": timeout, "mean": mean, "std": std}
    with evaluating(model):
        features, targets = _tokens(model, train, masks[0], how)
        shift, scale = features.mean(axis=0), features.std(axis=0) + 1e-6
        layer = _fit((features - shift) / scale, targets)
        confusion = np.zeros((1 + val.num_classes,) * 2, np.int64)
        for maps, seen in _batches(model, val, masks[1], how):
            cells = (maps - shift[:, None, None]) / scale[:, None, None]
            confusion += _judged(layer, cells, seen)
    if not confusion.any():
        raise _nothing_known(masks[1])
    return _summary(confusion, ["ground", *val.images.classes])


def _batches(model, samples: EvalSamples, folder: str, how):
    """Maps of features (B, C, rows, columns) float32 and what their pixels show (B, h, w) uint8, in order."""
    loader = make_loader(samples, EvalBatches(len(samples), how["batch_size"]), how["workers"],
                         timeout=how["timeout"])
    for batch in loader:
        with paddle.no_grad():
            maps = model.features(normalise(batch["image"], how["mean"], how["std"]), how["layers"])
        hw = tuple(batch["image"].shape[2:])
        masks = [_mask(samples, index, folder) for index in batch["index"].tolist()]
        sides = {tuple(one.shape[2:]) for one in maps}
        if len(sides) > 1:
            found = " and ".join(f"{rows}x{columns}" for rows, columns in sorted(sides))
            raise ValueError(f"layers {list(how['layers'])} have maps of {found} tokens; choose layers of one stage")
        yield (np.concatenate([one.astype("float32").numpy() for one in maps], axis=1),
               np.stack([seen_through(mask, samples.ops, hw) for mask in masks]))


def _mask(samples: EvalSamples, index: int, folder: str) -> np.ndarray:
    """(H, W) uint8; a mask of the photo as it is stored would lie across one that EXIF turns."""
    images, path = samples.images, mask_path(folder, samples.images.paths[index])
    mask, photo = read_mask(path, samples.num_classes), images.full_path(index)
    check_shape(path, mask.shape[::-1], photo, photo_size(photo, samples.exif, partial(images.open, index)),
                samples.exif)
    return mask


def _tokens(model, samples: EvalSamples, folder: str, how) -> tuple[np.ndarray, np.ndarray]:
    """Features (T, C) of all tokens that show something known, and the shares (T, 1 + classes) of what they show."""
    features, targets = [], []
    for maps, seen in _batches(model, samples, folder, how):
        target = np.stack([shares(one, maps.shape[2:], samples.num_classes) for one in seen])
        target = target.reshape(-1, 1 + samples.num_classes)
        known = target.sum(axis=1) > 0
        features.append(maps.transpose(0, 2, 3, 1).reshape(len(target), -1)[known])
        targets.append(target[known])
    if not sum(map(len, targets)):
        raise _nothing_known(folder)
    return np.concatenate(features), np.concatenate(targets)


def _nothing_known(folder: str) -> ValueError:
    return ValueError(f"{folder}: where the model looks, all masks are {UNKNOWN}, unknown; wanted ground (0) or "
                      "classes in some of them")


def _fit(features: np.ndarray, targets: np.ndarray) -> nn.Layer:
    """A linear layer (C -> 1 + classes), trained by Adam with a rate that falls to zero along a cosine."""
    layer = nn.Linear(features.shape[1], targets.shape[1], weight_attr=nn.initializer.Constant(0.0))
    optimizer = paddle.optimizer.Adam(RATE, parameters=layer.parameters())
    rng = np.random.default_rng(SEED)
    for step in range(STEPS):
        rows = rng.integers(len(features), size=min(TOKENS_PER_STEP, len(features)))
        optimizer.set_lr(RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS)))
        logits = layer(paddle.to_tensor(features[rows]))
        F.cross_entropy(logits, paddle.to_tensor(targets[rows]), soft_label=True).backward()
        optimizer.step()
        optimizer.clear_grad()
    return layer


@paddle.no_grad()
def _judged(layer: nn.Layer, cells: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(1 + classes, 1 + classes) int64: pixels by what they show and what the layer says they show."""
    logits = layer(paddle.to_tensor(cells.transpose(0, 2, 3, 1))).transpose([0, 3, 1, 2])
    logits = F.interpolate(logits, size=list(seen.shape[1:]), mode="bilinear", align_corners=False)
    said, names = logits.argmax(axis=1).numpy(), logits.shape[1]
    known = seen != UNKNOWN
    return np.bincount(seen[known].astype(np.int64) * names + said[known], minlength=names * names).reshape(names, -1)


def _summary(confusion: np.ndarray, names: Sequence[str]) -> Probed:
    right, shown, said = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    iou = {name: float(100 * right[at] / (shown[at] + said[at] - right[at])) if shown[at] else None
           for at, name in enumerate(names)}
    occurring = [value for value in iou.values() if value is not None]
    return Probed(float(np.mean(occurring)), iou, float(100 * right.sum() / confusion.sum()), int(confusion.sum()))
