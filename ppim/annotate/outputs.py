"""Which axis of what a network gives are its cells, and which its classes? Of networks that others have made."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import paddle

from ppim.geometry import HW
from ppim.models.base import TokenOutput

LAYOUTS = ("BNC", "BHWC", "BCHW")
EXPORTING = "the documentation of label maps has a command that exports a network with its head on every cell"


class Asked(NamedTuple):
    """What a user says of a network's output; None: what its shape tells."""

    classes: int | None = None  # how many
    layout: str | None = None  # of LAYOUTS
    output: str | None = None  # its name, where there are several


class OfCells:
    """A network that scores cells, with the face of a model of ours.

    Attributes:
        num_classes: C; grid: (rows, columns) for images of the size it was opened with.

    Args:
        run: (B, 3, h, w) float32, normalised -> (B, ...) float32 in this `layout`.
    """

    def __init__(self, run: Callable[[np.ndarray], np.ndarray], num_classes: int, grid: HW, layout: str):
        self._run, self.num_classes, self.grid, self._layout = run, num_classes, grid, layout

    def tokens(self, x: paddle.Tensor) -> TokenOutput:
        """Logits of cells (B, N, C), and their mean (B, C)."""
        cells = as_cells(self._run(x.numpy()), self._layout)
        return TokenOutput(paddle.to_tensor(cells.mean(axis=1)), paddle.to_tensor(cells))

    def __call__(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.tokens(x).class_logits


def of_cells(path, run: Callable[[np.ndarray], Mapping[str, np.ndarray]], hw: HW, asked: Asked) -> OfCells:
    """A network by what it gives for a grey image of `hw` pixels.

    Args:
        path: its file, for messages.
        run: (B, 3, h, w) float32 -> its outputs by their names.

    Raises:
        ValueError: an output that has no cells, or of which it is not known what is what; says what to do.
    """
    given = run(np.zeros((1, 3, *hw), np.float32))
    name = _chosen(path, given, asked.output)
    layout = layout_of(path, given[name].shape, asked)
    shape = given[name].shape
    classes = shape[1] if layout == "BCHW" else shape[-1]
    grid = _grid(path, shape, layout)
    return OfCells(lambda images: np.asarray(run(images)[name], np.float32), classes, grid, layout)


def layout_of(path, shape: tuple[int, ...], asked: Asked) -> str:
    """Which of LAYOUTS an output of this shape has; errors as of `of_cells`."""
    if len(shape) == 2:
        raise ValueError(f"{path} gives class logits alone, of shape {list(shape)}: a map needs those of every cell; "
                         f"{EXPORTING}")
    if len(shape) not in (3, 4):
        raise ValueError(f"{path} gives an output of shape {list(shape)}, wanted logits of cells, "
                         f"{', '.join(LAYOUTS)}; {EXPORTING}")
    fitting = [layout for layout in LAYOUTS if len(layout) == len(shape)
               and asked.classes in (None, shape[layout.index("C")]) and asked.layout in (None, layout)]
    if len(fitting) == 1:
        return fitting[0]
    told = f"{path} gives an output of shape {list(shape)}"
    if asked.layout and len(asked.layout) != len(shape):
        raise ValueError(f"{told}, which cannot be {asked.layout}; leave --cells out")
    if asked.classes is None:
        raise ValueError(f"{told}, of which it is not known which axis the classes are: give their names with "
                         "--classes FILE, or say --cells BHWC or --cells BCHW")
    if fitting:
        raise ValueError(f"{told}, and --classes names {asked.classes}: both axes could be the classes; say --cells "
                         "BHWC or --cells BCHW")
    raise ValueError(f"{told}, and no axis{f' of {asked.layout}' if asked.layout else ''} has the {asked.classes} "
                     "classes that --classes names; give the list of this network's classes")


def as_cells(array: np.ndarray, layout: str) -> np.ndarray:
    """Any of LAYOUTS as (B, N, C), cells row-major."""
    if layout == "BCHW":
        # (B, C, h, w) -> (B, h, w, C)
        array = array.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(array.reshape(len(array), -1, array.shape[-1]))


def _chosen(path, given: Mapping[str, np.ndarray], wanted: str | None) -> str:
    shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in given.items())
    if wanted is not None and wanted not in given:
        raise ValueError(f"--output-name {wanted}: {path} has no such output; it has {shapes}")
    if wanted is None and len(given) > 1:
        raise ValueError(f"{path} has several outputs, {shapes}; say which are the logits of cells, with --output-name")
    return wanted or next(iter(given))


def _grid(path, shape: tuple[int, ...], layout: str) -> HW:
    if layout != "BNC":
        return tuple(shape[1:3] if layout == "BHWC" else shape[2:])
    side = math.isqrt(shape[1])
    if side * side != shape[1]:
        raise ValueError(f"{path} gives logits of {shape[1]} cells, which make no square; leave class tokens out of "
                         "its output, or export it as (B, h, w, C)")
    return side, side
