"""Label maps of photos from a trained model: the annotator.

The photo is squashed to the model's input size, so a map covers the whole photo whatever its shape, or its centre
square is cut, as in evaluation. Of every cell the K best raw logits, their class ids and the log-sum-exp over all
classes are kept (re-labelling with per-region scores: arXiv 2101.05022; token labels: arXiv 2104.10858, section 3.2).

Files: `<output>/<path of the image without its last suffix>.npy`, in the form of `ppim.token_labels.maps`, and the card
(`ppim.token_labels.card`), which says what made them and how they are to be read. A map appears under its name only
when it is complete.
"""
from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle

from ppim.annotate.folder import claim, is_valid_map
from ppim.annotate.write import Cells, Report, Source, write_maps
from ppim.data.datasets import images_below
from ppim.data.photos import SUFFIXES, read_photo
from ppim.data.transforms import INTERPOLATION, apply_all, eval_view, to_array
from ppim.engine.loaded import of_file
from ppim.engine.run_folder import tokens_were_trained
from ppim.files import sha256
from ppim.geometry import HW
from ppim.models.paddle_vision import PaddleVision
from ppim.objective.pixels import normalise
from ppim.token_labels.card import WHOLE, Reading
from ppim.weights.load import load_weights
from ppim.weights.read import find_weights

__all__ = ["Report", "View", "generate", "image_files", "is_valid_map", "load_annotator", "load_network", "look",
           "of_network", "origin_of", "reading_of", "top_scores", "write_card"]


class View(NamedTuple):
    """How a photo is shown to the annotator."""

    hw: HW  # (height, width) in pixels
    mean: Sequence[float] = (0.485, 0.456, 0.406)  # of pixel values in [0, 1]
    std: Sequence[float] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    centre_crop: float | None = None  # side of the square cut per resized short side, in (0, 1]; None: squashed whole
    exif: str = "ignore"  # see `photos.read_photo`


def load_annotator(config, weights):
    """The model of `load_network`, ready to score cells.

    Raises:
        ValueError: the weights were trained with plain labels, so that the token head knows nothing.
    """
    model = load_network(config, weights)
    silent = model.has_token_head and model.is_token_head_silent
    is_taught = bool(model.num_classes) and tokens_were_trained(str(weights)) and not silent
    if not isinstance(model, PaddleVision) and not is_taught:
        raise ValueError(f"{weights}: trained without token labels, its token head knows no classes; take weights "
                         "trained with them, a classifier of paddle.vision (MODEL.TYPE paddle_vision), or show it "
                         "labelled pictures (--labelled DIR, which may be the photos it was trained on)")
    return model


def load_network(config, weights):
    """The model a config describes, with these weights and their number of classes (0: no head), in evaluation mode."""
    model, _ = of_file(config, weights)
    load_weights(model, weights)
    model.eval()
    return model


def image_files(folder) -> list[str]:
    """Paths of the images below `folder`, as training finds them: relative to it, with forward slashes, sorted.

    Raises:
        FileNotFoundError: no such folder, or no image in it. OSError: as `datasets.images_below`.
    """
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"no image folder at {folder}")
    found = images_below(os.fspath(folder), ".", Counter())
    if not found:
        raise FileNotFoundError(f"no image in {folder} or below; looked for {' '.join(SUFFIXES)}")
    return [path[len("./"):] for path in found]


def look(path, view: View) -> np.ndarray:
    """A photo as the annotator sees it, (3, h, w) uint8: squashed to `view.hw` as a whole, or its centre square.

    Raises:
        ValueError: not a readable image, the message names the path; or a centre crop that is not square.
    """
    photo, (height, width) = read_photo(path, view.exif), view.hw
    if view.centre_crop is None:
        return to_array(photo.resize((width, height), INTERPOLATION[view.interpolation]))
    if height != width:
        raise ValueError(f"a centre crop is square; got a view of {height} x {width} pixels")
    return to_array(apply_all(eval_view(view.hw, view.centre_crop, view.interpolation), photo))


def top_scores(model, images: np.ndarray, view: View, top_k: int):
    """Score every cell of a batch of photos.

    Args:
        model: in evaluation mode; `model.tokens(x)` gives `token_logits` (B, N, C), N = rows * columns of `grid`.
        images: (B, 3, h, w) uint8.

    Returns:
        scores (B, K, rows, columns) float32, best first; ids (B, K, rows, columns) int32; log_z (B, rows, columns)
        float32, the log-sum-exp over all C classes.
    """
    with paddle.no_grad():
        logits = model.tokens(normalise(paddle.to_tensor(images), view.mean, view.std)).token_logits
        if logits is None:
            raise ValueError(
                "this model scores no cells; take an LV-ViT (MODEL.TYPE LV-ViT) or a resnet, resnext, wide_resnet, "
                "densenet, mobilenet or shufflenet of paddle.vision (MODEL.TYPE paddle_vision)"
            )
        logits = logits.astype("float32")
        scores, ids = paddle.topk(logits, top_k, axis=-1)
        log_z = paddle.logsumexp(logits, axis=-1)
    # (B, N, K) -> (B, K, rows, columns)
    shape = (len(images), *model.grid, top_k)
    scores, ids = (t.numpy().reshape(shape).transpose(0, 3, 1, 2) for t in (scores, ids))
    # (B, N) -> (B, rows, columns)
    return scores, ids.astype(np.int32), log_z.numpy().reshape(shape[:3])


def reading_of(view: View) -> Reading:
    """How maps of what is seen in this way are to be read."""
    reading = WHOLE if view.centre_crop is None else Reading("centre-crop", view.centre_crop)
    return reading._replace(log_z=True, exif=view.exif)


def origin_of(model, view: View, top_k: int, name: str, weights, classes: Sequence[str] = ()) -> dict[str, object]:
    """What a card says of maps by a network.

    Args:
        name: the model's name.
        weights: path of the file it was made of, whose name and SHA-256 are kept.
        classes: the names of its classes; () where they are not known.
    """
    origin = {
        "form": 1,
        "model": name,
        "weights": Path(weights).name,
        "weights_sha256": sha256(weights),
        "input_size": list(view.hw),
        "mean": list(view.mean),
        "std": list(view.std),
        "interpolation": view.interpolation,
        "grid": list(model.grid),
        "top_k": top_k,
        "num_classes": model.num_classes,
        "scores": "raw logits",
    }
    return {**origin, "classes": list(classes)} if classes else origin


def write_card(output, model, view: View, top_k: int, name: str, weights, overwrite: bool = False,
               classes: Sequence[str] = ()) -> None:
    """Write down which network makes the maps in `output`, see `origin_of`, or check that it made those already there.

    Raises:
        ValueError: the folder holds maps of another annotator.
    """
    claim(output, reading_of(view), origin_of(model, view, top_k, name, find_weights(weights), classes), overwrite)


def of_network(model, folder, view: View, top_k: int, batch_size: int) -> Source:
    """Maps by a network of the photos below `folder`; `model`: see `top_scores`, its `grid` that of this view."""
    def maps(images: Sequence[np.ndarray]) -> list[Cells]:
        # always so many, see `ppim.annotate.write`
        filled = np.stack([*images, *[images[-1]] * (batch_size - len(images))])
        return list(zip(*top_scores(model, filled, view, top_k)))[:len(images)]

    return Source(model.num_classes, tuple(model.grid), top_k, batch_size,
                  lambda name: look(Path(folder) / name, view), maps)


def generate(model, folder, files: Sequence[str], output, view: View, *, top_k: int = 5, batch_size: int = 64,
             threads: int = 2, advance: Callable[[int], None] = lambda count: None) -> Report:
    """Write the label maps of `files` (relative to `folder`) by a network below `output`; see `write_maps`."""
    return write_maps(of_network(model, folder, view, top_k, batch_size), files, output, threads=threads,
                      advance=advance)
