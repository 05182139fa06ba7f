"""How is one photo read? As 8-bit RGB, decoded completely, or not at all: whatever is wrong is one error with its path.

What is in a file decides, not its suffix, and only decoders of FORMATS are asked: others of Pillow's start programs
(PostScript) or are seldom used and little tested. Of an animation the first frame is taken, of a TIFF the first page.
Transparency is dropped: what was saved below it shows.
"""
from __future__ import annotations

import os
import warnings

import numpy as np
from PIL import Image

from ppim.files import open_regular

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF", "GIF")
EXIF = ("apply", "ignore")  # what is done about the orientation that a camera has noted

_ORIENTATION = 0x0112
_SIXTEEN_BITS = 65535
_METHODS = Image.Transpose
_UPRIGHT = {2: _METHODS.FLIP_LEFT_RIGHT, 3: _METHODS.ROTATE_180, 4: _METHODS.FLIP_TOP_BOTTOM, 5: _METHODS.TRANSPOSE,
            6: _METHODS.ROTATE_270, 7: _METHODS.TRANSVERSE, 8: _METHODS.ROTATE_90}
_ELSEWHERE = ((b"%!PS", "PostScript"), (b"<!doc", "a web page"), (b"<html", "a web page"), (b"%pdf", "PDF"),
              (b"<svg", "SVG"), (b"<?xml", "XML"), (b"\xff\x0a", "JPEG XL"))


def read_photo(path: str | os.PathLike[str], exif: str = "ignore") -> Image.Image:
    """An image file as 8-bit RGB of at least 1 x 1 pixels; how other modes become that: `as_rgb`.

    Args:
        exif: `apply` turns the photo upright as its EXIF orientation says; `ignore` leaves it as it is stored, which
            is what the published models have been trained and measured on. A damaged EXIF block says nothing. (A TIFF's
            own orientation is part of its pixels: Pillow applies it in either case.)

    Raises:
        FileNotFoundError: no such file.
        ValueError: anything else that keeps the file from being read, in one line with its path.
    """
    return read_turned(path, exif)[0]


def read_turned(path: str | os.PathLike[str], exif: str = "ignore") -> tuple[Image.Image, bool]:
    """The photo as of `read_photo`, and whether it carries an EXIF orientation that turns or mirrors it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's: large, or oddly written, which is no reason to refuse it
            with open_regular(path) as file, _open(file) as image:
                image.load()
                method = _UPRIGHT.get(_orientation(image))
                photo, turned = as_rgb(image), method is not None
                return (photo.transpose(method) if turned and exif == "apply" else photo), turned
    except FileNotFoundError:
        raise FileNotFoundError(f"{os.fspath(path)}: no such image; is the list or the folder out of date?") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, MemoryError, ... on damaged files
        name = os.fspath(path)
        why = " ".join(str(error).replace(name, "it").split()) or type(error).__name__
        raise ValueError(f"{name}: cannot be read as an image ({why}); replace or remove the file") from error


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
