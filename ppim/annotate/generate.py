"""Label maps of photos from a trained model: the annotator.

The photo is squashed to the model's input size, so a map covers the whole photo whatever its shape, or its centre
square is cut, as in evaluation. Of every cell the K best raw logits, their class ids and the log-sum-exp over all
classes are kept (re-labelling with per-region scores: arXiv 2101.05022; token labels: arXiv 2104.10858, section 3.2).

Files: `<output>/<path of the image without its last suffix>.npy`, in the form of `ppim.token_labels.maps`, and the card
(`ppim.token_labels.card`), which says what made them and how they are to be read. A map appears under its name only
when it is complete.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle

from ppim.data.photos import SUFFIXES, read_photo
from ppim.data.transforms import INTERPOLATION, apply_all, eval_view, to_array
from ppim.engine.classes import ROWS, with_rows
from ppim.engine.run_folder import tokens_were_trained
from ppim.files import sha256
from ppim.geometry import HW
from ppim.models import build_model
from ppim.models.paddle_vision import PaddleVision
from ppim.objective.pixels import normalise
from ppim.token_labels.card import WHOLE, Reading, card_fields, load_card, save_card
from ppim.token_labels.maps import MapError, map_path, read_map, write_map
from ppim.token_labels.store import first_shared
from ppim.weights.load import load_weights
from ppim.weights.read import find_weights
from ppim.weights.recognise import head_classes


class View(NamedTuple):
    """How a photo is shown to the annotator."""

    hw: HW  # (height, width) in pixels
    mean: Sequence[float] = (0.485, 0.456, 0.406)  # of pixel values in [0, 1]
    std: Sequence[float] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    centre_crop: float | None = None  # side of the square cut per resized short side, in (0, 1]; None: squashed whole
    exif: str = "ignore"  # see `photos.read_photo`


class Report(NamedTuple):
    """What `generate` did."""

    written: int
    skipped: int  # a valid map was there already


def load_annotator(config, weights):
    """The model a config describes, with these weights and as many classes as they have, ready to score cells.

    Raises:
        ValueError: the weights were trained with plain labels, so that the token head knows nothing.
    """
    model = build_model(with_rows(config, head_classes(weights) or ROWS))
    load_weights(model, weights)
    is_taught = tokens_were_trained(str(weights)) and not (model.has_token_head and model.is_token_head_silent)
    if not isinstance(model, PaddleVision) and not is_taught:
        raise ValueError(f"{weights}: trained without token labels, its token head knows no classes; take weights "
                         "trained with them, or a classifier of paddle.vision (MODEL.TYPE paddle_vision)")
    model.eval()
    return model


def image_files(folder) -> list[str]:
    """Paths of the images below `folder`, relative to it, with forward slashes, sorted.

    Raises:
        FileNotFoundError: no such folder, or no image in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no image folder at {folder}")
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise FileNotFoundError(f"no image in {folder} or below; looked for {' '.join(SUFFIXES)}")
    return found


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


def is_valid_map(path, grid, top_k: int, num_classes: int) -> bool:
    """Is there a readable map of this shape at `path`?"""
    try:
        found = read_map(str(path), num_classes)
    except (MapError, FileNotFoundError):
        return False
    return found.scores.shape == (top_k, *grid) and found.log_z is not None


def write_card(output, model, view: View, top_k: int, name: str, weights, overwrite: bool = False,
               classes: Sequence[str] = ()) -> None:
    """Write down what makes the maps in `output`, or check that it is what made those already there.

    Args:
        name: the model's name.
        weights: path of its weights file, whose name and SHA-256 are kept.
        classes: the names of its classes; () where they are not known.

    Raises:
        ValueError: the folder holds maps of another annotator.
    """
    weights = Path(find_weights(weights))
    whole = view.centre_crop is None
    reading = WHOLE if whole else Reading("centre-crop", view.centre_crop)
    reading = reading._replace(log_z=True, exif=view.exif)
    origin = {
        "form": 1,
        "model": name,
        "weights": weights.name,
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
    if classes:
        origin["classes"] = list(classes)
    there = None if overwrite else load_card(output)
    if there is not None:
        card = {**origin, **card_fields(reading)}
        # maps of before do not name their classes; the weights, which say the same then, are theirs
        different = [key for key in card if there.get(key) != card[key] and (key != "classes" or key in there)]
        if different:
            says = ", ".join(f"{key} {there.get(key)!r:.99} (now {card[key]!r:.99})" for key in different)
            raise ValueError(f"{output} holds maps of another annotator: {says}; choose another folder or --overwrite")
    save_card(output, reading, origin)


def _batches(files: Sequence[str], batch_size: int, read, threads: int) -> Iterator[tuple[Sequence[str], np.ndarray]]:
    """Batches of (names, images), read by threads one batch ahead of the model."""
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque = deque()
        for start in range(0, len(files), batch_size):
            names = files[start : start + batch_size]
            ahead.append((names, [pool.submit(read, name) for name in names]))
            if len(ahead) == 2:
                names, images = ahead.popleft()
                yield names, np.stack([image.result() for image in images])
        for names, images in ahead:
            yield names, np.stack([image.result() for image in images])


def _places(files: Sequence[str], output) -> dict[str, str]:
    """Where the map of each file goes; two photos whose names differ by the last suffix alone would share one."""
    place, pair = {name: map_path(str(output), name) for name in files}, first_shared(files)
    if pair:
        raise ValueError(f"{pair[0]} and {pair[1]} would share the map {place[pair[0]]}; rename one of them")
    return place


def generate(model, folder, files: Sequence[str], output, view: View, *, top_k: int = 5, batch_size: int = 64,
             overwrite: bool = False, threads: int = 2, advance: Callable[[int], None] = lambda count: None) -> Report:
    """Write the label maps of `files` (relative to `folder`) below `output`; maps that are there and valid are kept.

    Args:
        model: see `top_scores`; `grid` must be that of this view.
        advance: told the number of photos done since the last call.

    Raises:
        ValueError: an unreadable photo, or more scores asked for than there are classes.
    """
    if not 1 <= top_k <= model.num_classes:
        raise ValueError(f"top-k wants 1 to {model.num_classes}, the model's number of classes; got {top_k}")
    place = _places(files, output)
    todo = [n for n in files if overwrite or not is_valid_map(place[n], model.grid, top_k, model.num_classes)]
    advance(len(files) - len(todo))
    for names, images in _batches(todo, batch_size, lambda name: look(Path(folder) / name, view), threads):
        for name, *cells in zip(names, *top_scores(model, images, view, top_k)):
            write_map(place[name], *cells)
        advance(len(names))
    return Report(len(todo), len(files) - len(todo))
