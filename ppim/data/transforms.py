"""What is done to a photo: deterministic operations as plain values, drawn by `augment`, applied here.

Sizes are `wh`, (width, height). The colour operations are those of RandAugment (arXiv 1909.13719) and give the same
bytes as Pillow's own `ImageOps` and `ImageEnhance`, most of them through look-up tables.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from ppim import geometry
from ppim.data.preprocess import INTERPOLATION, centre_corner, covering_wh, least_wh
from ppim.geometry import HW, WH, Step

Box = tuple[int, int, int, int]  # left, top, width, height in pixels
LEVELS = np.arange(256)


class Operation:
    """What is done to a photo, by itself nothing."""

    def apply(self, image: Image.Image) -> Image.Image:
        """The picture it makes of a picture, both RGB."""
        return image

    def steps(self, wh: WH) -> list[Step]:
        """What a label map has to follow when this is done to a picture of `wh`."""
        return []

    def out_wh(self, wh: WH) -> WH:
        """(width, height) of what becomes of a picture of `wh`."""
        return wh


@dataclass(frozen=True)
class HFlip(Operation):
    """Left and right exchanged."""

    def apply(self, image: Image.Image) -> Image.Image:
        """(width, height) -> the same size, mirrored."""
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    def steps(self, wh: WH) -> list[Step]:
        """One step, the same for every size."""
        return [geometry.hflip()]


@dataclass(frozen=True)
class CropResize(Operation):
    """The box `left, top, width, height` (pixels), resized to `wh`."""

    box: Box
    wh: WH
    interpolation: str = "bicubic"

    def apply(self, image: Image.Image) -> Image.Image:
        """A picture that holds the box -> one of `self.wh`."""
        left, top, width, height = self.box
        # a crop of its own keeps the kernel inside the box, as crop-then-resize does; Pillow's box= argument would not
        crop = image.crop((left, top, left + width, top + height))
        return crop.resize(self.wh, INTERPOLATION[self.interpolation])

    def steps(self, wh: WH) -> list[Step]:
        """One step, the crop; resizing is none."""
        return [geometry.crop(*self.box, wh)]

    def out_wh(self, wh: WH) -> WH:
        """`self.wh`, whatever the picture's."""
        return self.wh


@dataclass(frozen=True)
class ResizeShort(Operation):
    """The whole picture, resized until it covers `least_wh`, its sides' ratio kept."""

    least_wh: WH
    interpolation: str = "bicubic"

    def apply(self, image: Image.Image) -> Image.Image:
        """(width, height) -> `out_wh` of it."""
        return image.resize(self.out_wh(image.size), INTERPOLATION[self.interpolation])

    def out_wh(self, wh: WH) -> WH:
        """At least `least_wh`, and equal to it in one side or both."""
        return covering_wh(wh, self.least_wh)


@dataclass(frozen=True)
class CentreCrop(Operation):
    """The centre box of `wh` pixels."""

    wh: WH

    def apply(self, image: Image.Image) -> Image.Image:
        """A picture of at least `self.wh` -> one of `self.wh`."""
        left, top = centre_corner(image.size, self.wh)
        return image.crop((left, top, left + self.wh[0], top + self.wh[1]))

    def steps(self, wh: WH) -> list[Step]:
        """One step, the crop out of a picture of `wh`."""
        return [geometry.crop(*centre_corner(wh, self.wh), *self.wh, wh)]

    def out_wh(self, wh: WH) -> WH:
        """`self.wh`, whatever the picture's."""
        return self.wh


@dataclass(frozen=True)
class Warp(Operation):
    """Rotate (degrees), ShearX, ShearY (pixels per pixel), TranslateX, TranslateY (fractions of the side).

    What comes from outside the picture has the colour `fill`.
    """

    name: str
    amount: float
    fill: tuple[int, ...] = (128, 128, 128)
    interpolation: str = "bilinear"

    def apply(self, image: Image.Image) -> Image.Image:
        """(width, height) -> the same size."""
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

    def steps(self, wh: WH) -> list[Step]:
        """One step."""
        if self.name == "Rotate":
            return [geometry.rotate(self.amount, wh)]
        if self.name == "ShearX":
            return [geometry.shear_x(self.amount, wh)]
        if self.name == "ShearY":
            return [geometry.shear_y(self.amount, wh)]
        return [geometry.translate(*((self.amount, 0) if self.name == "TranslateX" else (0, self.amount)))]


def auto_contrast(image: Image.Image, _: float = 0) -> Image.Image:
    """Every channel stretched to 0..255."""
    return image.point([value for low, high in image.getextrema() for value in _stretch(low, high)])


def _stretch(low: int, high: int) -> list[int]:
    if high <= low:
        return list(range(256))
    scale = 255.0 / (high - low)
    return np.clip((LEVELS * scale + -low * scale).astype(int), 0, 255).tolist()


def equalize(image: Image.Image, _: float = 0) -> Image.Image:
    """Every channel's histogram made flat."""
    counts = np.array(image.histogram()).reshape(3, 256)
    return image.point([value for count in counts for value in _flatten(count)])


def _flatten(count: np.ndarray) -> list[int]:
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


def _blend(base: int, factor: float) -> list[int]:
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


@dataclass(frozen=True)
class Colour(Operation):
    """A change of colours that moves nothing: a name of `COLOUR` and its amount."""

    name: str
    amount: float = 0.0

    def apply(self, image: Image.Image) -> Image.Image:
        """(width, height) -> the same size."""
        return COLOUR[self.name](image, self.amount)


def eval_view(image_hw: HW, crop_pct: float, interpolation: str = "bicubic") -> list[Operation]:
    """The evaluation view: short side to floor(side / crop_pct), centre crop (the original code's; recipes' crop_pct).

    Raises:
        ValueError: crop_pct is not in (0, 1].
    """
    height, width = image_hw
    return [ResizeShort(least_wh(image_hw, crop_pct), interpolation), CentreCrop((width, height))]


def apply_all(ops: Sequence[Operation], image: Image.Image) -> Image.Image:
    """What becomes of an RGB picture by one operation after the other."""
    for op in ops:
        image = op.apply(image)
    return image


def history(ops: Sequence[Operation], wh: WH) -> list[Step]:
    """The geometric steps of operations on a photo of `wh`, in the order applied."""
    steps = []
    for op in ops:
        steps += op.steps(wh)
        wh = op.out_wh(wh)
    return steps


def to_array(image: Image.Image) -> np.ndarray:
    """RGB picture -> uint8 (3, h, w). Pillow takes the channels apart faster than numpy transposes."""
    planes = b"".join(image.tobytes("raw", channel) for channel in "RGB")
    return np.frombuffer(planes, np.uint8).reshape(3, image.height, image.width)
