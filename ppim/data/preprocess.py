"""What does a model get of an image file in evaluation? Decoded as 8-bit RGB, resized, its centre cut out, normalised.

Exported bundles carry a copy of this very file: Pillow, numpy and the standard library are all it may import.

What is in a file decides, not its suffix, and only decoders of FORMATS are asked: others of Pillow's start programs
(PostScript) or are seldom used and little tested. Of an animation the first frame is taken, of a TIFF the first page.
Transparency is dropped: what was saved below it shows.
"""
from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF", "GIF")
EXIF = ("apply", "ignore")  # what is done about the orientation that a camera has noted

_ORIENTATION = 0x0112
_WIDTH, _LENGTH = 0x0100, 0x0101  # of a TIFF as it is stored
_SIXTEEN_BITS = 65535
_METHODS = Image.Transpose
_UPRIGHT = {2: _METHODS.FLIP_LEFT_RIGHT, 3: _METHODS.ROTATE_180, 4: _METHODS.FLIP_TOP_BOTTOM, 5: _METHODS.TRANSPOSE,
            6: _METHODS.ROTATE_270, 7: _METHODS.TRANSVERSE, 8: _METHODS.ROTATE_90}
_ELSEWHERE = ((b"%!PS", "PostScript"), (b"<!doc", "a web page"), (b"<html", "a web page"), (b"%pdf", "PDF"),
              (b"<svg", "SVG"), (b"<?xml", "XML"), (b"\xff\x0a", "JPEG XL"))
INTERPOLATION = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


# ---- from bytes to RGB ---------------------------------------------------------------------------------------------


def decode(file: BinaryIO, exif: str = "ignore") -> Image.Image:
    """An open image file as 8-bit RGB, decoded completely.

    Args:
        exif: `apply` turns the picture upright as its EXIF orientation says, `ignore` leaves it as it is stored.

    Raises:
        ValueError: another format, or grey values whose range is not known (`as_rgb`).
        Exception: whatever decoders raise on damaged files: OSError, SyntaxError, struct.error, MemoryError, ...
    """
    with _open(file) as image:
        image.load()
        return _upright(image) if exif == "apply" else as_rgb(image)


def decode_turned(file: BinaryIO, exif: str = "ignore") -> tuple[Image.Image, bool]:
    """The same, and whether the file notes an orientation that turns or mirrors it."""
    with _open(file) as image:
        image.load()
        turned = _orientation(image) in _UPRIGHT
        return _upright(image) if exif == "apply" else as_rgb(image), turned


def stated_size(file: BinaryIO, exif: str = "ignore") -> tuple[int, int]:
    """(width, height) of an open image file as `decode` would give it, by its head alone; raises what `decode` raises.
    """
    with _open(file) as image:
        is_tiff = image.format == "TIFF"
        # Pillow turns a TIFF whenever it decodes one, and only some of its versions say so in `size` before
        stored = (image.tag_v2[_WIDTH], image.tag_v2[_LENGTH]) if is_tiff else image.size
        is_lying = (is_tiff or exif == "apply") and _orientation(image) in (5, 6, 7, 8)
        return stored[::-1] if is_lying else stored


def as_rgb(image: Image.Image) -> Image.Image:
    """A decoded picture of any mode as 8-bit RGB.

    Transparency is dropped. Grey of 16 bits (modes `I;16...`, and `I` within 0..65535) is divided by 257, so that white
    stays white; floats count from black at 0 to white at 1.

    Raises:
        ValueError: grey values whose range is not known: not finite, floats beyond 0..1, 32-bit numbers that are not
            16-bit values; or a mode that Pillow cannot convert.
    """
    if image.mode == "RGB":
        return image
    if image.mode == "F":
        return _from_floats(np.asarray(image)).convert("RGB")
    if image.mode.startswith("I"):
        return _from_sixteen_bits(np.asarray(image), image.mode).convert("RGB")
    if image.mode in ("RGBa", "La"):  # Pillow knows no direct way
        return image.convert(image.mode.upper()).convert("RGB")
    return image.convert("RGB")


def _from_sixteen_bits(values: np.ndarray, mode: str) -> Image.Image:
    low, high = int(values.min()), int(values.max())
    # 32-bit numbers that end at 255 may just as well be 8-bit ones
    if mode == "I" and not (low >= 0 and (255 < high <= _SIXTEEN_BITS or high == 0)):
        raise ValueError(f"32-bit grey values from {low} to {high}, wanted the range of 16 bits; save it with 8 or 16 "
                         "bits a value")
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _from_floats(values: np.ndarray) -> Image.Image:
    low, high = values.min(), values.max()
    if not (low >= 0 and high <= 1):  # NaN compares as false
        raise ValueError(f"float grey values from {low:g} to {high:g}, wanted 0 (black) to 1 (white); save it with 8 "
                         "or 16 bits a value")
    return Image.fromarray(np.rint(values.astype(np.float64) * 255).astype(np.uint8))


def _upright(image: Image.Image) -> Image.Image:
    method = _UPRIGHT.get(_orientation(image))
    photo = as_rgb(image)
    return photo if method is None else photo.transpose(method)


def _orientation(image: Image.Image) -> object:
    """What the EXIF block says, 1 where there is none or it cannot be read."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # as many kinds of errors as there are ways to write a block wrongly
        return 1


def _open(file) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise ValueError(f"{_looks_like(file)}, wanted one of {', '.join(FORMATS)}") from None


def _looks_like(file) -> str:
    """What a file that is no image seems to be, for people."""
    file.seek(0)
    head = file.read(64)
    if not head.strip(b"\0"):
        return "it is empty" if not head else "it holds zeros"
    if head[4:8] == b"ftyp":
        return f"it looks like {'AVIF' if head[8:12] == b'avif' else 'HEIC or a video'}"
    text = head.lstrip().lower()
    return next((f"it looks like {name}" for start, name in _ELSEWHERE if text.startswith(start.lower())),
                "another format or a damaged file")


# ---- the evaluation view -------------------------------------------------------------------------------------------


def least_wh(image_hw: tuple[int, int], crop_pct: float) -> tuple[int, int]:
    """(width, height) that a photo has to cover before a centre of `image_hw`, (height, width), is cut out of it.

    Raises:
        ValueError: crop_pct is not in (0, 1].
    """
    if not 0 < crop_pct <= 1:
        raise ValueError(f"crop_pct wants a number in (0, 1]; got {crop_pct}")
    height, width = image_hw
    return math.floor(width / crop_pct), math.floor(height / crop_pct)


def covering_wh(wh: tuple[int, int], least: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of a picture of `wh` once resized, its sides' ratio kept, until it covers `least`."""
    (width, height), (least_width, least_height) = wh, least
    # the short side exactly, the other cut to whole pixels: torchvision's rule, which the published numbers used
    if least_width * height >= least_height * width:
        return least_width, max(least_height, int(least_width * height / width))
    return max(least_width, int(least_height * width / height)), least_height


def centre_corner(wh: tuple[int, int], cut: tuple[int, int]) -> tuple[int, int]:
    """(left, top) of the centre box of `cut` in a picture of `wh`, all (width, height) in pixels."""
    return round((wh[0] - cut[0]) / 2), round((wh[1] - cut[1]) / 2)


def view(photo: Image.Image, image_hw: tuple[int, int], crop_pct: float, interpolation: str) -> np.ndarray:
    """An RGB picture's evaluation view: uint8 (3, h, w) of `image_hw`."""
    height, width = image_hw
    photo = photo.resize(covering_wh(photo.size, least_wh(image_hw, crop_pct)), INTERPOLATION[interpolation])
    left, top = centre_corner(photo.size, (width, height))
    return np.asarray(photo.crop((left, top, left + width, top + height))).transpose(2, 0, 1)


def normalised(pixels: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """uint8 (..., 3, h, w) -> float32 (x - 255 mean) / (255 std), mean and std of pixel values in [0, 1]."""
    mean, std = ((255.0 * np.asarray(values, np.float64)).astype(np.float32).reshape(-1, 1, 1)
                 for values in (mean, std))
    return (pixels.astype(np.float32) - mean) / std


# ---- which files ---------------------------------------------------------------------------------------------------


def photos_in(paths: Iterable[str]) -> list[str]:
    """Files as they are named, and of folders all files with an image's suffix, sub-folders and links to such
    included, sorted; there names that begin with a dot are passed over."""
    found = []
    for path in paths:
        found += sorted(_images_below(path)) if os.path.isdir(path) else [path]
    return found


def _images_below(folder: str) -> Iterator[str]:
    been = set()  # links are followed, but not in a circle
    for here, inside, names in os.walk(folder, followlinks=True):
        been.add(os.path.realpath(here))
        inside[:] = sorted(name for name in inside
                           if name[0] != "." and os.path.realpath(os.path.join(here, name)) not in been)
        yield from (os.path.join(here, name) for name in names
                    if name[0] != "." and name.lower().endswith(SUFFIXES))
