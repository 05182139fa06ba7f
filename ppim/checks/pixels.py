"""Does the network see what was photographed: red as red, normalised as it should be, in the view that is meant?"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from ppim.checks.finding import Finding, error, fine, warning
from ppim.data.images import ImageList
from ppim.geometry import HW

_COLOUR = (200, 120, 40)  # of the test photos: every channel another
_FILES = ("colour.jpg", "colour.png")
_NEAR = 6  # levels that coding a JPEG and resizing may change
_USUAL_MEAN, _USUAL_SPREAD = 3.0, (0.1, 5.0)  # of what a network sees


def photos_keep_their_colours(samples, key, split: str, folder: Path) -> Finding:
    """Do samples of photos of one colour have that colour, channel by channel?

    Args:
        samples: `TrainSamples` or `EvalSamples`; key: index -> the name of its sample.
        folder: where the photos are written.
    """
    check = f"colours of {split} photos"
    for name in _FILES:
        Image.new("RGB", (96, 64), _COLOUR).save(folder / name, quality=95)
    images = ImageList(str(folder), list(_FILES), np.zeros(len(_FILES), np.int64), ["colour"])
    plain = {"images": images, "maps": None}
    if hasattr(samples, "policy"):
        plain["policy"] = samples.policy._replace(rand_augment=None, color_jitter=0.0, erase_prob=0.0)
    samples = replace(samples, **plain)
    for index, name in enumerate(_FILES):
        seen = samples[key(index)]["image"].astype(float).mean(axis=(1, 2))
        if np.abs(seen - _COLOUR).max() > _NEAR:
            swapped = np.abs(seen[::-1] - _COLOUR).max() <= _NEAR
            return error(check, where=f"a {Path(name).suffix[1:].upper()} of one colour, read as the data is",
                         wanted=f"red, green, blue {_COLOUR}", got=f"{tuple(seen.round().astype(int).tolist())}"
                         + (", which is blue, green, red" if swapped else ""),
                         hint="look at what reads photos and at what makes arrays of them")
    return fine(check, "one colour written as JPEG and as PNG is read as it is")


def network_sees_the_batch(
    seen: np.ndarray, batch: Mapping[str, np.ndarray], mean, std, rows: Sequence[int]
) -> Finding:
    """Is what entered the network (B, 3, H, W) the pictures of the batch, normalised, erased and mixed as it says?"""
    check = "pixels that the network sees"
    for row in rows:
        wanted, got = _shown(batch, row, mean, std), seen[row]
        if np.allclose(wanted, got, atol=2e-2):
            continue
        swapped = np.allclose(_shown(batch, row, mean, std, swapped=True), got, atol=2e-2)
        return error(check, where=f"row {row} of the first batch",
                     wanted="(pixel / 255 - DATA.IMAGENET_MEAN) / DATA.IMAGENET_STD, red first, mixed as drawn",
                     got="blue and red exchanged" if swapped else f"channel means {_means(got)} instead of "
                     f"{_means(wanted)}", hint="look at what happens to pixels between the loader and the network")
    return fine(check, f"{len(rows)} pictures are what the batch says")


def inputs_are_of_usual_size(seen: np.ndarray) -> Finding:
    """Are the normalised pictures (B, 3, H, W) of about zero mean and unit spread?"""
    check = "size of the inputs"
    mean, spread = np.abs(seen.mean(axis=(0, 2, 3))).max(), seen.std()
    low, high = _USUAL_SPREAD
    if mean < _USUAL_MEAN and low < spread < high:
        return fine(check, f"largest channel mean {mean:.2g}, spread {spread:.2g}")
    return warning(check, where="the first batch", wanted="normalised pictures of about zero mean and unit spread",
                   got=f"a channel mean of {mean:.3g} and a spread of {spread:.3g}", hint="DATA.IMAGENET_MEAN and "
                   "DATA.IMAGENET_STD are of pixel values between 0 and 1")


def view_is_meant(ops, hw: HW, crop_pct: float, interpolation: str) -> Finding:
    """Is the evaluation view of a photo the one that crop and interpolation say?

    Args:
        ops: what `EvalSamples` does to a photo; hw: (height, width) of the view in pixels.
    """
    check = "view of evaluation"
    height, width = hw
    noise = np.random.default_rng(0).integers(0, 256, (3 * height // 2, 2 * width, 3), dtype=np.uint8)
    photo = shown = Image.fromarray(noise)
    for op in ops:
        shown = op.apply(shown)
    wanted = _centre_view(photo, hw, crop_pct, interpolation)
    if shown.size == wanted.size and np.abs(np.asarray(shown, int) - np.asarray(wanted, int)).mean() < 1:
        return fine(check, f"{crop_pct:g} of the short side, {interpolation}")
    for other in ("bilinear", "bicubic", "nearest"):
        if other != interpolation and np.array_equal(shown, _centre_view(photo, hw, crop_pct, other)):
            return error(check, where="evaluation", wanted=f"DATA.INTERPOLATION {interpolation}", got=other,
                         hint="look at what builds the view")
    return error(check, where="evaluation", wanted=f"the centre {width}x{height} of a photo whose short side is "
                 f"{math.floor(min(hw) / crop_pct)}", got="other pixels", hint="look at what builds the view")


def _centre_view(photo: Image.Image, hw: HW, crop_pct: float, interpolation: str) -> Image.Image:
    """Written down once more, for a photo wider than the view: resized by the short side, the centre cut out."""
    (height, width), (photo_width, photo_height) = hw, photo.size
    least_width, least_height = math.floor(width / crop_pct), math.floor(height / crop_pct)
    scale = max(least_width / photo_width, least_height / photo_height)
    size = max(least_width, int(photo_width * scale + 1e-6)), max(least_height, int(photo_height * scale + 1e-6))
    resized = photo.resize(size, Image.Resampling[interpolation.upper()])
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    return resized.crop((left, top, left + width, top + height))


def _shown(batch: Mapping[str, np.ndarray], row: int, mean, std, swapped: bool = False) -> np.ndarray:
    """Picture `row` of a batch as the network is to see it (3, H, W): normalised, erased, mixed with its partner."""
    own = _normalised(batch, row, mean, std, swapped)
    if "mix_blend" not in batch:
        return own
    other = _normalised(batch, int(batch["mix_partner"][row]), mean, std, swapped)
    blend = batch["mix_blend"][row]
    shown = blend * own + (1 - blend) * other
    top, left, bottom, right = batch["mix_pixel_box"][row]
    shown[:, top:bottom, left:right] = other[:, top:bottom, left:right]
    return shown


def _normalised(batch, row: int, mean, std, swapped: bool) -> np.ndarray:
    pixels = batch["image"][row].astype(np.float32)
    pixels = np.ascontiguousarray(pixels[::-1]) if swapped else pixels
    picture = (pixels / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    if "erase_at" not in batch:
        return picture
    plane = pixels.shape[1] * pixels.shape[2]
    at, value = batch["erase_at"], batch["erase_value"]
    here = (at // plane == row) & ~np.isnan(value).any(axis=1)
    picture.reshape(3, -1)[:, at[here] % plane] = value[here].T
    return picture


def _means(picture: np.ndarray) -> str:
    return ", ".join(f"{value:.2f}" for value in picture.mean(axis=(1, 2)))
