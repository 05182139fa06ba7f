"""`ppim labels show`: what is there to be seen of photos, their label maps, what training makes of them, what a model
says?"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
from PIL import Image
from yacs.config import CfgNode

from ppim.config import find_recipe, get_config
from ppim.data.images import ImageList
from ppim.data.loader import TrainSamples
from ppim.data.transforms import apply_all, to_array
from ppim.engine import build, classes
from ppim.engine.loaded import names_photos
from ppim.engine.looking import Subject
from ppim.look import sample
from ppim.look.labelled import Colours, Labelled, colours_of, map_panels, said_panel
from ppim.look.paint import Panel
from ppim.look.photo import token_classes, window_of
from ppim.look.words import readable
from ppim.models import build_model
from ppim.objective.pixels import normalise
from ppim.token_labels.store import Maps


class Taught(NamedTuple):
    """How training makes samples of the photos."""

    samples: TrainSamples
    config: CfgNode
    epoch: int  # whose views are shown, 0 the first

    def panels(self, index: int, colours: Colours, name: Callable[[int], str]) -> list[Panel]:
        """The view of a photo, and what its tokens are taught."""
        data = self.config.DATA
        shown = sample.taught(self.samples, (self.epoch, index, 0), data.IMAGENET_MEAN, data.IMAGENET_STD)
        return [panel._replace(caption=caption) for panel, caption in zip(
            sample.panels(shown, self.samples.grid, name, colours),
            ("the part a training sample shows", "that sample, cut into tokens", "what its tokens are taught"))]


def taught_by(path: str, images: str, maps: Maps, epoch: int, overrides: Sequence[str] = ()) -> Taught:
    """Training samples as the recipe at `path` draws them, of these photos and maps.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, in a line that says what to do.
    """
    recipe = str(find_recipe(path))
    names_photos(get_config(recipe), recipe)
    config = get_config(recipe, [*overrides, "DATA.DATA_PATH", images, "TOKEN_LABEL.PATH", maps.path,
                                 "TOKEN_LABEL.ENABLE", "True"])
    config = classes.with_rows(config, maps.num_classes)
    photos = classes.of_run(config, build.train_images(config), None)
    return Taught(build.train_samples(config, get_config(recipe), photos, build_model(config).grid), config, epoch)


def show_labels(maps: Maps, images: ImageList, chosen: Sequence[int], name: Callable[[int], str],
                taught: Taught | None = None, subject: Subject | None = None) -> list[Labelled]:
    """The pictures of some photos: photo and map, with `taught` a training sample, with `subject` what a model says."""
    return [_labelled(maps, images, index, name, taught, subject) for index in chosen]


def _labelled(maps: Maps, images: ImageList, index: int, name: Callable[[int], str], taught: Taught | None,
              subject: Subject | None) -> Labelled:
    photo = images.photo(index, maps.reading.exif)
    label_map = maps.read(images.paths[index], photo.size)
    colours = colours_of(label_map)
    panels = map_panels(photo, label_map, colours, name)
    if taught is not None:
        panels += taught.panels(index, colours, name)
    if subject is not None:
        # under one name for a class in all pictures, where the model has the same classes
        panels.append(_said(subject, photo, colours, name if subject.names == images.names else subject.name))
    return Labelled(readable(images.paths[index]), name(int(images.labels[index])), panels)


def _said(subject: Subject, photo: Image.Image, colours: Colours, name: Callable[[int], str]) -> Panel:
    view = subject.view
    shown = paddle.to_tensor(to_array(apply_all(view.ops, photo))[None])
    with paddle.no_grad():
        said, best, sure = token_classes(subject.model, normalise(shown, view.mean, view.std))
    guess = int(said[0].argmax())
    return said_panel(photo, best[0], sure[0], window_of(view.ops, photo.size), colours,
                      f"{name(guess)}, {100 * said[0][guess]:.0f} %", name)


def chosen_photos(images: ImageList, named: Sequence[str], count: int) -> list[int]:
    """The places of the photos named, or of `count` of all, far apart.

    Args:
        named: paths relative to the images' folder, or ends of them.

    Raises:
        ValueError: no photo has such a name.
    """
    if not named:
        return np.unique(np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int)).tolist()
    found = []
    for word in named:
        tail = Path(word).as_posix()
        place = next((i for i, path in enumerate(images.paths) if path == tail or path.endswith("/" + tail)
                      or tail.endswith("/" + path)), None)
        if place is None:
            raise ValueError(f"--pick {word}: no photo of {images.root} is called so; give its path there, e.g. "
                             f"{images.paths[0]}")
        found.append(place)
    return found
