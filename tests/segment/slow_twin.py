"""UperNet written down once more, slowly, in numpy: loops over cells and pixels, nothing of the package's."""
from __future__ import annotations

import math

import numpy as np

EPSILON = 1e-5  # of batch normalisation


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """(I, h, w) by (O, I, k, k), zeros around."""
    kernel = weight.shape[-1]
    margin = kernel // 2
    padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin)))
    found = np.zeros((len(weight), *x.shape[1:]))
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            patch = padded[:, row:row + kernel, column:column + kernel]
            found[:, row, column] = (weight * patch).sum(axis=(1, 2, 3))
    return found if bias is None else found + bias[:, None, None]


def enlarged(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(I, h, w) by (I, O, k, k): every cell becomes k by k."""
    kernel = weight.shape[-1]
    found = np.zeros((weight.shape[1], kernel * x.shape[1], kernel * x.shape[2]))
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            found[:, kernel * row:kernel * (row + 1), kernel * column:kernel * (column + 1)] = np.einsum(
                "i,ioab->oab", x[:, row, column], weight)
    return found


def bilinear(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """(C, h, w) -> (C, height, width); centres of pixels lie on centres of pixels."""
    found = np.zeros((len(x), height, width))
    for row in range(height):
        for column in range(width):
            y, z = ((at + 0.5) * old / new - 0.5 for at, old, new in ((row, x.shape[1], height),
                                                                      (column, x.shape[2], width)))
            y, z = (min(max(value, 0), old - 1) for value, old in ((y, x.shape[1]), (z, x.shape[2])))
            top, left = math.floor(y), math.floor(z)
            bottom, right = min(top + 1, x.shape[1] - 1), min(left + 1, x.shape[2] - 1)
            upper = (1 - (z - left)) * x[:, top, left] + (z - left) * x[:, top, right]
            lower = (1 - (z - left)) * x[:, bottom, left] + (z - left) * x[:, bottom, right]
            found[:, row, column] = (1 - (y - top)) * upper + (y - top) * lower
    return found


def pooled(x: np.ndarray, cells: int) -> np.ndarray:
    """(C, h, w) -> (C, cells, cells), means of areas that may share a row."""
    def span(number: int, length: int) -> slice:
        return slice(number * length // cells, -(-(number + 1) * length // cells))

    return np.stack([[x[:, span(row, x.shape[1]), span(column, x.shape[2])].mean(axis=(1, 2))
                      for column in range(cells)] for row in range(cells)]).transpose(2, 0, 1)


class Twin:
    """The heads of a checkpoint of MMSegmentation's, {name: array}, in evaluation."""

    def __init__(self, state: dict[str, np.ndarray]):
        self.state = {name: array.astype(np.float64) for name, array in state.items()}

    def normed(self, x: np.ndarray, name: str) -> np.ndarray:
        """Batch normalisation and ReLU."""
        weight, bias, mean, var = (self.state[f"{name}.{part}"][:, None, None] for part in (
            "weight", "bias", "running_mean", "running_var"))
        return np.maximum((x - mean) / np.sqrt(var + EPSILON) * weight + bias, 0)

    def module(self, x: np.ndarray, name: str) -> np.ndarray:
        return self.normed(convolved(x, self.state[f"{name}.conv.weight"]), f"{name}.bn")

    def side(self, x: np.ndarray, number: int) -> np.ndarray:
        """A side layer of LV-ViT's segmentation code."""
        name = f"backbone.side_layer{number}"
        first = self.state[f"{name}.0.weight"]
        if number > 2:
            return self.normed(convolved(x, first), f"{name}.1")
        x = self.normed(enlarged(x, first), f"{name}.1")
        return self.normed(convolved(x, self.state[f"{name}.3.weight"]), f"{name}.4")

    def logits(self, maps: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Of both heads, of maps of tokens (C, rows, columns) behind four blocks."""
        pyramid = [self.side(x, number) for number, x in enumerate(maps, 1)]
        top = pyramid[3]
        parts = [top]
        for number, cells in enumerate((1, 2, 3, 6)):
            part = self.module(pooled(top, cells), f"decode_head.psp_modules.{number}.1")
            parts.append(bilinear(part, *top.shape[1:]))
        laterals = [self.module(pyramid[level], f"decode_head.lateral_convs.{level}") for level in range(3)]
        laterals.append(self.module(np.concatenate(parts), "decode_head.bottleneck"))
        for level in (3, 2, 1):
            laterals[level - 1] = laterals[level - 1] + bilinear(laterals[level], *laterals[level - 1].shape[1:])
        outs = [self.module(laterals[level], f"decode_head.fpn_convs.{level}") for level in range(3)] + [laterals[3]]
        outs = [bilinear(out, *outs[0].shape[1:]) for out in outs]
        main = self.module(np.concatenate(outs), "decode_head.fpn_bottleneck")
        small = self.module(pyramid[2], "auxiliary_head.convs.0")
        return tuple(convolved(x, self.state[f"{head}.conv_seg.weight"], self.state[f"{head}.conv_seg.bias"])
                     for x, head in ((main, "decode_head"), (small, "auxiliary_head")))
