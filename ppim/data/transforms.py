"""What is done to a photo: deterministic operations as plain values, drawn by `augment`, applied here.

An operation has `apply(image) -> image` (PIL, RGB), `steps(size) -> list of geometry.Step` for a label map that must
follow, and `out_size(size)`. Sizes are (width, height). The colour operations are those of RandAugment (arXiv
1909.13719) and give the same bytes as Pillow's own `ImageOps` and `ImageEnhance`, most of them through look-up tables.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance

from ppim import geometry

INTERPOLATION = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
LEVELS = np.arange(256)


class HFlip(NamedTuple):
    """Left and right exchanged."""

    def apply(self, image: Image.Image) -> Image.Image:
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    def steps(self, size: tuple) -> list:
        return [geometry.hflip()]

    def out_size(self, size: tuple) -> tuple:
        return size


class CropResize(NamedTuple):
    """The box `left, top, width, height` (pixels), resized to `out` = (width, height)."""

    box: tuple
    out: tuple
    interpolation: str = "bicubic"

    def apply(self, image: Image.Image) -> Image.Image:
        left, top, width, height = self.box
        # a crop of its own keeps the kernel inside the box, as crop-then-resize does; Pillow's box= argument would not
        crop = image.crop((left, top, left + width, top + height))
        return crop.resize(self.out, INTERPOLATION[self.interpolation])

    def steps(self, size: tuple) -> list:
        return [geometry.crop(*self.box, size)]

    def out_size(self, size: tuple) -> tuple:
        return self.out


class ResizeShort(NamedTuple):
    """The whole picture, resized until it covers `least` = (width, height), its sides' ratio kept."""

    least: tuple
    interpolation: str = "bicubic"

    def out_size(self, size: tuple) -> tuple:
        width, height = size
        # the short side exactly, the other cut to whole pixels: torchvision's rule, which the published numbers used
        if self.least[0] * height >= self.least[1] * width:
            return self.least[0], max(self.least[1], int(self.least[0] * height / width))
        return max(self.least[0], int(self.least[1] * width / height)), self.least[1]

    def apply(self, image: Image.Image) -> Image.Image:
        return image.resize(self.out_size(image.size), INTERPOLATION[self.interpolation])

    def steps(self, size: tuple) -> list:
        return []


class CentreCrop(NamedTuple):
    """The centre box of `out` = (width, height) pixels."""

    out: tuple

    def _corner(self, size: tuple) -> tuple:
        return round((size[0] - self.out[0]) / 2), round((size[1] - self.out[1]) / 2)

    def apply(self, image: Image.Image) -> Image.Image:
        left, top = self._corner(image.size)
        return image.crop((left, top, left + self.out[0], top + self.out[1]))

    def steps(self, size: tuple) -> list:
        return [geometry.crop(*self._corner(size), *self.out, size)]

    def out_size(self, size: tuple) -> tuple:
        return self.out


class Warp(NamedTuple):
    """Rotate (degrees), ShearX, ShearY (pixels per pixel), TranslateX, TranslateY (fractions of the side).

    What comes from outside the picture has the colour `fill`.
    """

    name: str
    amount: float
    fill: tuple = (128, 128, 128)
    interpolation: str = "bilinear"

    def apply(self, image: Image.Image) -> Image.Image:
        resample = INTERPOLATION[self.interpolation]
        if self.name == "Rotate":
            return image.rotate(self.amount, resample, fillcolor=self.fill)
        width, height = image.size
        matrix = {
            "ShearX": (1, self.amount, 0, 0, 1, 0),
            "ShearY": (1, 0, 0, self.amount, 1, 0),
            "TranslateX": (1, 0, self.amount * width, 0, 1, 0),
            "TranslateY": (1, 0, 0, 0, 1, self.amount * height),
        }[self.name]
        return image.transform(image.size, Image.Transform.AFFINE, matrix, resample, fillcolor=self.fill)

    def steps(self, size: tuple) -> list:
        if self.name == "Rotate":
            return [geometry.rotate(self.amount, size)]
        if self.name == "ShearX":
            return [geometry.shear_x(self.amount, size)]
        if self.name == "ShearY":
            return [geometry.shear_y(self.amount, size)]
        return [geometry.translate(*((self.amount, 0) if self.name == "TranslateX" else (0, self.amount)))]

    def out_size(self, size: tuple) -> tuple:
        return size


def auto_contrast(image: Image.Image, _: float = 0) -> Image.Image:
    """Every channel stretched to 0..255."""
    return image.point([value for low, high in image.getextrema() for value in _stretch(low, high)])


def _stretch(low: int, high: int) -> list:
    if high <= low:
        return list(range(256))
    scale = 255.0 / (high - low)
    return np.clip((LEVELS * scale + -low * scale).astype(int), 0, 255).tolist()


def equalize(image: Image.Image, _: float = 0) -> Image.Image:
    """Every channel's histogram made flat."""
    counts = np.array(image.histogram()).reshape(3, 256)
    return image.point([value for count in counts for value in _flatten(count)])


def _flatten(count: np.ndarray) -> list:
    used = count[count > 0]
    step = (count.sum() - used[-1]) // 255
    if len(used) <= 1 or step == 0:
        return list(range(256))
    below = np.cumsum(count) - count
    return np.minimum((step // 2 + below) // step, 255).tolist()


def posterize(image: Image.Image, bits: float) -> Image.Image:
    """The highest `bits` bits kept; at least one, since a black picture teaches nothing."""
    return image.point((LEVELS & (256 - (1 << (8 - max(1, int(bits)))))).tolist() * 3)


def contrast(image: Image.Image, factor: float) -> Image.Image:
    """Away from (factor > 1) or towards the picture's mean grey."""
    grey = image.convert("L").histogram()
    return image.point(_blend(int(np.dot(grey, LEVELS) / sum(grey) + 0.5), factor) * 3)


def _blend(base: int, factor: float) -> list:
    """Pillow's blend of a constant picture with this one, in its own single precision."""
    mixed = np.float32(base) + np.float32(factor) * (LEVELS - base).astype(np.float32)
    return np.clip(mixed, 0, 255).astype(int).tolist()


COLOUR = {
    "AutoContrast": auto_contrast,
    "Equalize": equalize,
    "Invert": lambda image, _: image.point((255 - LEVELS).tolist() * 3),
    "Posterize": posterize,
    "Solarize": lambda image, at: image.point(np.where(LEVELS < at, LEVELS, 255 - LEVELS).tolist() * 3),
    "SolarizeAdd": lambda image, add: image.point(
        np.where(LEVELS < 128, np.minimum(255, LEVELS + int(add)), LEVELS).tolist() * 3),
    "Color": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "Contrast": contrast,
    "Brightness": lambda image, factor: image.point(_blend(0, factor) * 3),
    "Sharpness": lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor),
}


class Colour(NamedTuple):
    """A change of colours that moves nothing: a name of `COLOUR` and its amount."""

    name: str
    amount: float = 0.0

    def apply(self, image: Image.Image) -> Image.Image:
        return COLOUR[self.name](image, self.amount)

    def steps(self, size: tuple) -> list:
        return []

    def out_size(self, size: tuple) -> tuple:
        return size


def eval_view(image_hw: tuple, crop_pct: float, interpolation: str = "bicubic") -> list:
    """The evaluation view: short side to floor(size / crop_pct), centre crop (the original code's; recipes' crop_pct).

    Raises:
        ValueError: crop_pct is not in (0, 1].
    """
    if not 0 < crop_pct <= 1:
        raise ValueError(f"crop_pct wants a number in (0, 1]; got {crop_pct}")
    height, width = image_hw
    least = (math.floor(width / crop_pct), math.floor(height / crop_pct))
    return [ResizeShort(least, interpolation), CentreCrop((width, height))]


def apply_all(ops: Sequence, image: Image.Image) -> Image.Image:
    for op in ops:
        image = op.apply(image)
    return image


def history(ops: Sequence, size: tuple) -> list:
    """The geometric steps of operations on a photo of `size`, in the order applied."""
    steps = []
    for op in ops:
        steps += op.steps(size)
        size = op.out_size(size)
    return steps


def to_array(image: Image.Image) -> np.ndarray:
    """RGB picture -> uint8 (3, h, w). Pillow takes the channels apart faster than numpy transposes."""
    planes = b"".join(image.tobytes("raw", channel) for channel in "RGB")
    return np.frombuffer(planes, np.uint8).reshape(3, image.height, image.width)
