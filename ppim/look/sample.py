"""What does training see of a photo? A sample as it is drawn: the part of the photo, the view, what its tokens are
taught. Before it is mixed with another."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from ppim.data.loader import TrainSamples
from ppim.data.transforms import history
from ppim.geometry import HW, trace
from ppim.look import paint
from ppim.look.paint import Panel
from ppim.token_labels.targets import best_class, dense

NOTHING = (214, 214, 214)  # stands for tokens without a class
_EDGE = 24  # points along each side of a view, which may be turned in its photo


class Taught(NamedTuple):
    """A training sample and what it is taught."""

    photo: Image.Image
    outline: np.ndarray  # (P, 2) float64: of the view in the photo, in units of its sides
    view: Image.Image  # erased pixels as the network gets them, cut to 0 .. 255
    label: int
    token_best: np.ndarray | None  # (rows, columns) int64: -1 where no class stands out; None without label maps
    token_weight: np.ndarray | None  # (rows, columns) float32: of that class in the token's target


def taught(samples: TrainSamples, key: tuple[int, int, int], mean: Sequence[float], std: Sequence[float]) -> Taught:
    """The sample (epoch, index, copy), bit for bit as the loader makes it.

    Args:
        mean, std: of the channels in [0, 1], in whose units pixels are erased.
    """
    photo, ops = samples.view(key)
    sample = samples[key]
    side = np.linspace(0, 1, _EDGE, endpoint=False)
    level = np.zeros(_EDGE)
    border = np.concatenate([np.stack(points, axis=1) for points in (
        (side, level), (level + 1, side), (1 - side, level + 1), (level, 1 - side))])
    outline, _ = trace(border, history(ops, photo.size))
    view = sample["image"].reshape(3, -1).T.astype(np.float64)
    view[sample["erase_at"]] = 255 * (sample["erase_value"] * np.asarray(std) + np.asarray(mean))
    shape = sample["image"].shape[1:]
    image = Image.fromarray(np.rint(np.clip(view, 0, 255)).astype(np.uint8).reshape(*shape, 3))
    best = weight = None
    if "token_targets" in sample:
        targets = sample["token_targets"]
        best = best_class(targets).reshape(samples.grid)
        weight = dense(targets, samples.num_classes).max(axis=1).reshape(samples.grid)
    return Taught(photo, outline, image, int(sample["label"]), best, weight)


def panels(shown: Taught, grid: HW, name: Callable[[int], str],
           colours: Mapping[int, tuple[int, int, int]] | None = None) -> list[Panel]:
    """The photo with its view's outline, the view cut into tokens, and the targets of its tokens where it has any.

    Args:
        colours: of classes, as in other pictures of the photo; None: those of most tokens get some.
    """
    found = [Panel(paint.outlined(shown.photo, shown.outline), f"photo of {name(shown.label)}"),
             Panel(paint.ruled(shown.view, grid), "the view, cut into tokens")]
    if shown.token_best is None:
        return found
    best, weight = shown.token_best, shown.token_weight
    colours = paint.colours_of(best, weight) if colours is None else {
        number: colour for number, colour in colours.items() if (best == number).any()}
    legend = paint.legend_of(best, weight, colours, name)
    none = int((best < 0).sum())
    targets = paint.classes(shown.view, best, weight, (0.0, 0.0, 1.0, 1.0), colours)
    return [*found, Panel(targets, "what its tokens are taught",
                          [*legend, *([(NOTHING, f"no class stands out: {paint.counted(none)}")] if none else [])])]
