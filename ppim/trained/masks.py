"""What does a segmenter say lies where in photos? Masks of palette indices, as they are read for training."""
from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
from PIL import Image
from yacs.config import CfgNode

from ppim.config import find_recipe, get_config
from ppim.data.classes import read_names
from ppim.data.masks import palette
from ppim.data.paths import Meant
from ppim.data.photos import read_photo
from ppim.data.transforms import to_array
from ppim.engine.run_folder import recipe_of
from ppim.engine.segmenting import asking_of, load_segmenter
from ppim.files import write_whole
from ppim.models.base import evaluating
from ppim.segment.network import Segmenter
from ppim.segment.pairs import GROUND
from ppim.segment.sliding import best_class
from ppim.segment.view import fitted
from ppim.weights.card import names_in, read_card


class Written(NamedTuple):
    """A photo's path, and its mask's, or why there is none.

    Attributes:
        counts: (rows,) pixels of each class, by the row of the head.
    """

    path: str
    mask: str = ""
    counts: np.ndarray | None = None
    error: str = ""

    def told(self, reader: Reader, most: int | None = None) -> list[dict[str, object]]:
        """The classes that were seen, at most so many, the largest first: index in masks, name, share of the pixels."""
        order = np.argsort(-self.counts, kind="stable")[:most]
        return [{"index": int(row) + reader.first, "name": reader.names[row],
                 "share": float(self.counts[row] / self.counts.sum())} for row in order if self.counts[row]]


class Reader(NamedTuple):
    """A segmenter, with a configuration that says how photos are shown to it."""

    model: Segmenter
    config: CfgNode
    names: tuple[str, ...]  # of the classes, in the order of the head's rows
    notes: tuple[str, ...]  # lines to tell

    @property
    def first(self) -> int:
        """The index of row 0 in a mask: 0 where the ground is a class, else 1."""
        return int(self.config.SEGMENT.GROUND != "class")


def reader_of(weights: str, recipe: str | None = None, overrides: Sequence[str] = (), classes: str | None = None,
              ) -> Reader:
    """The segmenter of these weights.

    Args:
        recipe: a yaml file or a published name; None: that of the run the weights lie in.
        classes: file with the names of the classes of masks, one a line, from 1 on; None: as the weights have them.

    Raises:
        FileNotFoundError: no such weights. ValueError: they are no segmenter's, or it is not known of which recipe; or
            other classes are named.
    """
    notes: list[str] = []
    if recipe is None:
        recipe, implied, notes = recipe_of(weights)
        overrides = [*implied, *overrides]
    config = get_config(str(find_recipe(recipe)), overrides)
    if config.TASK != "segment":
        raise ValueError(f"{recipe} is of a model of whole photos (TASK {config.TASK}), which draws no masks; give a "
                         "segmenter's recipe with --model, such as upernet_lvvit_s")
    loaded = load_segmenter(config, weights)
    ground = config.SEGMENT.GROUND == "class"
    names = _called(names_in(read_card(loaded.file)), loaded.model.num_classes, ground, classes)
    return Reader(loaded.model, loaded.config, names, (*notes, str(loaded.report)))


def _called(known: Sequence[str], rows: int, ground: bool, listed: str | None) -> tuple[str, ...]:
    """Names of all rows: those of a file, those of the weights, or the numbers that masks have for them."""
    if listed is None:
        return (*known, *((GROUND if ground and not row else f"class {row + (not ground)}")
                          for row in range(len(known), rows)))
    named = (*((GROUND,) * ground), *read_names(listed))
    if len(named) != rows:
        raise ValueError(f"{listed} names {len(named) - ground} classes, masks of these weights have {rows - ground}; "
                         "wanted one name a line for each, without the ground")
    return named


@paddle.no_grad()
def write_masks(reader: Reader, photos: Sequence[Meant], folder: str | os.PathLike[str],
                pictures: str | os.PathLike[str] | None = None) -> Iterator[Written]:
    """Write NAME.png into a folder for each photo that can be read, one after the other.

    Args:
        pictures: folder for NAME.jpg, each photo half covered by its mask's colours; None: none are written.

    Raises:
        ValueError: two photos have one name, or a photo would be written over.
    """
    places = [Path(folder) / f"{Path(photo.path).stem}.png" for photo in photos]
    double = next((place for place, count in Counter(places).items() if count > 1), None)
    if double:
        raise ValueError(f"{double} would be the mask of two photos; give those of one name by themselves, each with a "
                         "--masks DIR of its own")
    covers = [None if pictures is None else Path(pictures) / f"{place.stem}.jpg" for place in places]
    for option, files in (("--masks", places), ("--pictures", filter(None, covers))):
        _keep_photos(photos, files, option)
    colours = palette(reader.model.num_classes - 1 + reader.first)
    with evaluating(reader.model):
        for photo, place, cover in zip(photos, places, covers):
            try:
                if photo.error:
                    raise ValueError(photo.error)
                shown = read_photo(photo.path, reader.config.DATA.EXIF)
                rows = _said(reader, shown)
            except (OSError, ValueError) as error:
                yield Written(photo.path, error=str(error))
                continue
            mask = Image.fromarray((rows + reader.first).astype(np.uint8), mode="P")
            mask.putpalette(colours)
            write_whole(place, lambda file, mask=mask: mask.save(file, "PNG"), durable=False)
            if cover:
                covered = Image.blend(shown, mask.convert("RGB"), 0.5)
                write_whole(cover, lambda file, covered=covered: covered.save(file, "JPEG", quality=90), durable=False)
            yield Written(photo.path, str(place), np.bincount(rows.ravel(), minlength=reader.model.num_classes))


def _keep_photos(photos: Sequence[Meant], files: Iterable[Path], option: str) -> None:
    """Raise ValueError if one of the photos is among the files that are about to be written."""
    own = {os.path.realpath(photo.path) for photo in photos}
    lost = next((file for file in files if os.path.realpath(file) in own), None)
    if lost:
        raise ValueError(f"{lost} is one of the photos and would be written over; give another {option} DIR")


def _said(reader: Reader, photo: Image.Image) -> np.ndarray:
    """(H, W) int64: the row of each pixel of a photo."""
    shown = photo.resize(fitted(photo.size, reader.config.SEGMENT.SCALE), Image.Resampling.BILINEAR)
    logits = asking_of(reader.config).logits(reader.model, paddle.to_tensor(to_array(shown)[None]))
    return best_class(logits, photo.size[::-1]).numpy()
