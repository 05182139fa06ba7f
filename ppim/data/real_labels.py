"""Which classes does an image of ImageNet's validation set really show? ReaL labels: none, one or several an image."""
from __future__ import annotations

import json
import re
from collections.abc import Sequence

_NUMBER = re.compile(r"ILSVRC2012_val_(\d{8})\.", re.IGNORECASE)


def read_real(path: str, images: Sequence[str], classes: int) -> list[list[int]]:
    """The accepted rows of each image, [] where there are none.

    Args:
        path: real.json of github.com/google-research/reassessed-imagenet: a list with one list of rows an image, in the
            order of the numbers that their files bear, ILSVRC2012_val_00000001.JPEG the first.
        images: paths of validation images, all or some, in any order.
        classes: rows of the head.

    Raises:
        FileNotFoundError: no such file. ValueError: another form, or an image without a number in its name.
    """
    accepted = _read(path, classes)
    found = []
    for image in images:
        name = _NUMBER.search(image)
        if not name or not 0 < int(name[1]) <= len(accepted):
            raise ValueError(f"{image}: wanted one of the {len(accepted):,} validation images of ImageNet that {path} "
                             "has labels of, called ILSVRC2012_val_00000001.JPEG, ...; leave --real out for others")
        found.append(accepted[int(name[1]) - 1])
    return found


def _read(path: str, classes: int) -> list[list[int]]:
    try:
        with open(path, "rb") as file:
            accepted = json.load(file)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file; real.json is to be had from "
                                "github.com/google-research/reassessed-imagenet") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: no JSON ({error}); take real.json anew") from None
    if not isinstance(accepted, list) or not accepted or not all(_are_rows(ones, classes) for ones in accepted):
        raise ValueError(f"{path}: wanted a list with a list of classes, 0 .. {classes - 1}, for every image")
    return accepted


def _are_rows(ones: object, classes: int) -> bool:
    return isinstance(ones, list) and all(type(one) is int and 0 <= one < classes for one in ones)
