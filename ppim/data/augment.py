"""Which view of a photo is trained on: everything random about a sample, drawn here and applied elsewhere.

RandomResizedCrop and flips as in torchvision and timm, RandAugment (arXiv 1909.13719) with timm's policy strings,
random erasing (arXiv 1708.04896) with pixel noise. A draw takes the generator it draws from; a sample's is keyed by
(seed, epoch, index, copy) (`ppim.seeds`): a sample is the same for any number of workers and processes.
"""
from __future__ import annotations

import math
import re
from typing import NamedTuple

import numpy as np

from ppim.data.transforms import Box, Colour, CropResize, HFlip, Operation, Warp
from ppim.geometry import HW, WH

Range = tuple[float, float]  # least and largest
LEVELS = 10.0  # magnitudes run from 0 to 10, as in the TensorFlow original
ERASE_AREA, ERASE_ASPECT = (0.02, 1 / 3), (0.3, 1 / 0.3)  # shares of the picture; height / width

# the operations, and their weights in the policy w0 of timm
_W0 = {"AutoContrast": 0.025, "Equalize": 0.005, "Invert": 0.0, "Rotate": 0.3, "Posterize": 0.0, "Solarize": 0.005}
_W0 |= {"SolarizeAdd": 0.005, "Color": 0.025, "Contrast": 0.005, "Brightness": 0.005, "Sharpness": 0.025}
_W0 |= {"ShearX": 0.2, "ShearY": 0.2, "TranslateX": 0.1, "TranslateY": 0.1}
NAMES = list(_W0)
WEIGHTS = np.array(list(_W0.values())) / sum(_W0.values())
WARPS = {"Rotate": 30.0, "ShearX": 0.3, "ShearY": 0.3, "TranslateX": 0.45, "TranslateY": 0.45}  # at magnitude 10


class RandAugment(NamedTuple):
    """A policy: `count` operations, each applied with probability `prob` at about `magnitude` of 10."""

    magnitude: float = 10.0
    count: int = 2
    std: float = 0.0  # of the magnitude, normal; infinite: uniform in [0, magnitude]
    prob: float = 0.5
    increasing: bool = False  # posterize, solarize and the enhancements grow with the magnitude
    weighted: bool = False  # timm's w0: mostly geometric, without replacement


class Policy(NamedTuple):
    """How views are drawn."""

    image_hw: HW  # (height, width) of a view in pixels
    order: str = "crop-first"  # or "released": flip, RandAugment on the whole photo, crop last
    scale: Range = (0.08, 1.0)  # crop area as a share of the photo's
    ratio: Range = (0.75, 4 / 3)  # crop width / height
    interpolation: str = "random"  # bilinear, bicubic, or one of the two at random
    hflip: float = 0.5
    rand_augment: RandAugment | None = None
    color_jitter: float = 0.0  # used without RandAugment only, as in timm
    fill: tuple[int, ...] = (124, 116, 104)  # colour of what a warp uncovers: the images' mean
    erase_prob: float = 0.0
    erase_mode: str = "pixel"  # pixel: noise per pixel, rand: one colour, const: the mean
    erase_count: int = 1  # at most so many boxes


def parse_rand_augment(text: str) -> RandAugment:
    """timm's policy string, such as `rand-m9-mstd0.5-inc1`: m magnitude, n operations, mstd spread, p probability,
    inc1 increasing severity, w0 weighted choice, in any order.

    Raises:
        ValueError: another kind of policy, an unknown part, a value out of range.
    """
    head, *parts = text.split("-")
    wanted = "wanted rand-m9-mstd0.5-inc1 or the like (parts m n mstd p inc w)"
    if head != "rand":
        raise ValueError(f"RandAugment policy {text!r} does not start with 'rand'; {wanted}")
    values = {}
    for part in parts:
        found = re.fullmatch(r"(mstd|inc|m|n|p|w)([0-9]+(?:\.[0-9]+)?)", part)
        if not found:
            raise ValueError(f"RandAugment policy {text!r} has an unknown part {part!r}; {wanted}")
        values[found[1]] = float(found[2])
    std = values.get("mstd", 0.0)
    policy = RandAugment(values.get("m", LEVELS), int(values.get("n", 2)), math.inf if std > 100 else std,
                         values.get("p", 0.5), bool(values.get("inc", 0)), "w" in values)
    if not 0 <= policy.magnitude <= LEVELS or not 0 <= policy.prob <= 1 or values.get("w", 0) != 0:
        raise ValueError(f"RandAugment policy {text!r}: m lies in 0..10, p in 0..1, and w0 is the only weighting")
    drawable = int(np.count_nonzero(WEIGHTS))
    if policy.weighted and policy.count > drawable:
        raise ValueError(f"RandAugment policy {text!r}: wanted n at most {drawable} with w0, which draws no operation "
                         f"twice, got {policy.count}")
    return policy


def draw_crop(rng: np.random.Generator, wh: WH, scale: Range, ratio: Range) -> Box:
    """left, top, width, height in pixels of a random part of a photo of `wh` (width, height): ten tries, then the
    largest centre box whose ratio is allowed."""
    width, height = wh
    for _ in range(10):
        area = rng.uniform(*scale) * width * height
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1)), w, h
    w = max(1, min(width, round(height * ratio[1])))
    h = max(1, min(height, round(width / ratio[0])))
    return (width - w) // 2, (height - h) // 2, w, h


def draw_interpolation(rng: np.random.Generator, choice: str) -> str:
    """The interpolation `choice` names, or bilinear or bicubic where that is "random"."""
    return ("bilinear", "bicubic")[int(rng.integers(2))] if choice == "random" else choice


def draw_rand_augment(rng: np.random.Generator, policy: Policy) -> list[Operation]:
    """The operations that RandAugment applies this time."""
    augment = policy.rand_augment
    if augment.weighted:
        chosen = rng.choice(len(NAMES), augment.count, replace=False, p=WEIGHTS)
    else:
        chosen = rng.integers(len(NAMES), size=augment.count)
    ops = []
    for number in chosen:
        if rng.random() > augment.prob:
            continue
        if math.isinf(augment.std):
            level = rng.uniform(0, augment.magnitude)
        else:
            level = rng.normal(augment.magnitude, augment.std) if augment.std else augment.magnitude
        ops.append(_operation(rng, NAMES[number], min(LEVELS, max(0.0, level)) / LEVELS, policy))
    return ops


def _operation(rng: np.random.Generator, name: str, level: float, policy: Policy) -> Warp | Colour:
    """`level` in 0..1 -> the operation with the argument timm gives it."""
    sign = 1 if rng.random() < 0.5 else -1
    increasing = policy.rand_augment.increasing
    if name in WARPS:
        return Warp(name, sign * level * WARPS[name], policy.fill, draw_interpolation(rng, policy.interpolation))
    if name == "Posterize":
        return Colour(name, 4 - int(level * 4) if increasing else int(level * 4))
    if name == "Solarize":
        return Colour(name, 256 - int(level * 256) if increasing else int(level * 256))
    if name == "SolarizeAdd":
        return Colour(name, int(level * 110))
    if name in ("Color", "Contrast", "Brightness", "Sharpness"):
        return Colour(name, max(0.1, 1 + sign * 0.9 * level) if increasing else 0.1 + 1.8 * level)
    return Colour(name)


def draw_color_jitter(rng: np.random.Generator, strength: float) -> list[Operation]:
    """Brightness, contrast and saturation in random order, each by a factor in [1 - strength, 1 + strength]."""
    names = [("Brightness", "Contrast", "Color")[i] for i in rng.permutation(3)]
    return [Colour(name, rng.uniform(max(0.0, 1 - strength), 1 + strength)) for name in names]


def draw_view(rng: np.random.Generator, wh: WH, policy: Policy) -> list[Operation]:
    """The operations that make one training view out of a photo of `wh` (width, height)."""
    height, width = policy.image_hw
    crop = [CropResize(draw_crop(rng, wh, policy.scale, policy.ratio), (width, height),
                       draw_interpolation(rng, policy.interpolation))]
    flip = [HFlip()] if rng.random() < policy.hflip else []
    if policy.rand_augment is not None:
        colours = draw_rand_augment(rng, policy)
    else:
        colours = draw_color_jitter(rng, policy.color_jitter) if policy.color_jitter else []
    return flip + colours + crop if policy.order == "released" else crop + flip + colours


def draw_erasing(rng: np.random.Generator, policy: Policy) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels are erased, and what they become once the image is normalised.

    Returns:
        at (E,) int64: positions row * width + column, each at most once; value (E, 3) float32. E may be 0.
    """
    height, width = policy.image_hw
    at, value = np.empty(0, np.int64), np.empty((0, 3), np.float32)
    if rng.random() >= policy.erase_prob:
        return at, value
    count = int(rng.integers(1, policy.erase_count + 1))
    for box in (_draw_erase_box(rng, height, width, count) for _ in range(count)):
        if box is None:
            continue
        top, left, h, w = box
        pixels = (np.arange(top, top + h)[:, None] * width + np.arange(left, left + w)).ravel()
        if len(at):
            kept = ~np.isin(at, pixels)
            at, value = at[kept], value[kept]
        at = np.concatenate([at, pixels])
        value = np.concatenate([value, _erase_value(rng, h * w, policy.erase_mode)])
    return at, value


def _draw_erase_box(rng: np.random.Generator, height: int, width: int, count: int) -> tuple[int, ...] | None:
    """top, left, height, width in pixels; None where ten tries find none that fits."""
    for _ in range(10):
        area = rng.uniform(*ERASE_AREA) * height * width / count
        aspect = math.exp(rng.uniform(*map(math.log, ERASE_ASPECT)))
        h, w = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < h < height and 0 < w < width:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    return None


def _erase_value(rng: np.random.Generator, pixels: int, mode: str) -> np.ndarray:
    if mode == "pixel":
        return rng.standard_normal((pixels, 3), np.float32)
    colour = rng.standard_normal((1, 3), np.float32) if mode == "rand" else np.zeros((1, 3), np.float32)
    return np.repeat(colour, pixels, axis=0)
