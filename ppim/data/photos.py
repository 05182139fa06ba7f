"""How is one photo read? As 8-bit RGB, decoded completely, or not at all: whatever is wrong is one error with its path.

What its bytes mean stands in `ppim.data.preprocess`.
"""
from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any, BinaryIO

from PIL import Image

from ppim.data.preprocess import EXIF, FORMATS, SUFFIXES, as_rgb, decode, decode_turned, stated_size
from ppim.files import open_regular

__all__ = ["EXIF", "FORMATS", "SUFFIXES", "as_rgb", "photo_size", "read_photo", "read_turned"]


def read_photo(path: str | os.PathLike[str], exif: str = "ignore",
               opened: Callable[[], BinaryIO] | None = None) -> Image.Image:
    """An image file as 8-bit RGB of at least 1 x 1 pixels; how other modes become that: `as_rgb`.

    Args:
        exif: `apply` turns the photo upright as its EXIF orientation says; `ignore` leaves it as it is stored, which
            is what the published models have been trained and measured on. A damaged EXIF block says nothing. (A TIFF's
            own orientation is part of its pixels: Pillow applies it in either case.)
        opened: opens the photo, where `path` but says to people which it is.

    Raises:
        FileNotFoundError: no such file.
        ValueError: anything else that keeps the file from being read, in one line with its path.
    """
    return _read(path, lambda file: decode(file, exif), opened)


def read_turned(path: str | os.PathLike[str], exif: str = "ignore",
                opened: Callable[[], BinaryIO] | None = None) -> tuple[Image.Image, bool]:
    """The photo as of `read_photo`, and whether it carries an EXIF orientation that turns or mirrors it."""
    return _read(path, lambda file: decode_turned(file, exif), opened)


def photo_size(path: str | os.PathLike[str], exif: str = "ignore",
               opened: Callable[[], BinaryIO] | None = None) -> tuple[int, int]:
    """(width, height) of the photo as of `read_photo`, without decoding it; what it raises."""
    return _read(path, lambda file: stated_size(file, exif), opened)


def _read(path: str | os.PathLike[str], read: Callable[[BinaryIO], Any],
          opened: Callable[[], BinaryIO] | None = None) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's: large, or oddly written, which is no reason to refuse it
            with opened() if opened else open_regular(path) as file:
                return read(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"{os.fspath(path)}: no such image; is the list or the folder out of date?") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, MemoryError, ... on damaged files
        name = os.fspath(path)
        why = " ".join(str(error).replace(name, "it").split()) or type(error).__name__
        raise ValueError(f"{name}: cannot be read as an image ({why}); replace or remove the file") from error
