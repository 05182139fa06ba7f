"""What does an annotator say of photos? Maps in memory, to hold other maps against; nothing is written."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ppim.annotate.generate import View, load_annotator, look, top_scores
from ppim.config import get_config
from ppim.models.base import as_pair
from ppim.token_labels.maps import LabelMap

_BATCH = 16
_KEPT = 16  # classes of a cell


def annotator(config: str, weights: str, input_size: int | None, exif: str):
    """The model that a recipe and weights make, and how it is shown whole photos (`View`).

    Args:
        input_size: side in pixels of what it sees; None: DATA.IMAGE_SIZE. exif: how photos are read.
    """
    size = [] if input_size is None else ["DATA.IMAGE_SIZE", str(input_size)]
    configured = get_config(config, size)
    data = configured.DATA
    view = View(as_pair(data.IMAGE_SIZE), tuple(data.IMAGENET_MEAN), tuple(data.IMAGENET_STD), data.INTERPOLATION,
                None, exif)
    return load_annotator(configured, weights), view


def said_of(model, view: View, folder: str, files: Sequence[str]) -> list[LabelMap]:
    """What a model says of the cells of photos, each as a map of the whole photo.

    Args:
        model, view: as `annotator` gives them; files: relative to `folder`.

    Raises:
        ValueError: a photo that cannot be read.
    """
    return said_of_views(model, view, (look(Path(folder) / name, view) for name in files))


def said_of_views(model, view: View, views) -> list[LabelMap]:
    """The same of pictures as the model sees them.

    Args:
        views: iterable of (3, h, w) uint8, of `view.hw`.
    """
    found, batch, kept = [], [], min(_KEPT, model.num_classes)

    def flush() -> None:
        if batch:
            found.extend(LabelMap(*cells) for cells in zip(*top_scores(model, np.stack(batch), view, kept)))
            batch.clear()

    for picture in views:
        batch.append(picture)
        if len(batch) == _BATCH:
            flush()
    flush()
    return found
