"""Which annotator is meant by what was typed? A network of ours or of others, masks, boxes, labelled pictures."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from yacs.config import CfgNode

from ppim.annotate import onnx_file, saved
from ppim.annotate.chance import judge
from ppim.annotate.coco import read_coco, renumbered
from ppim.annotate.drawn import SCORES, Frame, of_boxes, of_masks
from ppim.annotate.fitted import Labelled, fitted
from ppim.annotate.generate import (
    View,
    image_files,
    load_annotator,
    load_network,
    of_network,
    origin_of,
    reading_of,
)
from ppim.annotate.outputs import Asked, of_cells
from ppim.annotate.write import Source
from ppim.config import get_config
from ppim.data.classes import read_names
from ppim.data.datasets import find_images
from ppim.data.masks import UNKNOWN, check_shape, mask_path, read_mask
from ppim.data.photos import photo_size
from ppim.data.shapes import BACKGROUND, area_shares
from ppim.engine.build import engine_arguments
from ppim.engine.classes import known_names
from ppim.engine.inference import Inferred, answerer
from ppim.engine.loaded import refuse_pixels
from ppim.engine.run_folder import recipe_of, weights_file
from ppim.files import sha256
from ppim.geometry import centre_window
from ppim.models.base import as_pair
from ppim.token_labels.card import Reading
from ppim.weights.read import find_weights


class Annotation(NamedTuple):
    """What makes maps, and what is to be said of it."""

    source: Source
    reading: Reading
    origin: dict[str, Any]  # for the card
    told: list[str]  # lines


class _Network(NamedTuple):
    """A network before it is asked anything: how it is to be shown photos, and what it is of."""

    model: Any
    view: View
    name: str
    file: str  # of its weights
    names: tuple[str, ...]  # of its classes


def annotation(args, files: Sequence[str], is_asked: bool) -> Annotation:
    """The annotator that the options of `ppim labels make` ask for.

    Args:
        args: the options, see `ppim.commands.labels`.
        files: the photos, relative to `args.images`.
        is_asked: whether to find out how good it is, which costs a look at some photos.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, in a line that says what to do.
    """
    if args.masks or args.boxes:
        return _drawn(args, files)
    network, told = _network(args, files)
    model, view, name, file, names = network
    more: Mapping[str, Any] = {}
    if args.labelled:
        labelled, names, more = _labelled(args, model, view)
        model, line = fitted(model, labelled, view, args.head, args.batch_size)
        told.append(line)
    elif is_asked:
        told += _verdict(model, args.images, files, names, view, args.batch_size)
    top_k = args.top_k or min(5, model.num_classes)
    source = of_network(model, args.images, view, top_k, args.batch_size)
    engine = {"engine": f"inference, {model.precision}"} if isinstance(model, Inferred) else {}
    origin = {**origin_of(model, view, top_k, name, file, names), **onnx_file.beside(file), **engine, **more}
    return Annotation(source, reading_of(view), origin, told)


def _verdict(model, folder, files: Sequence[str], names: Sequence[str], view: View, batch_size: int) -> list[str]:
    found = judge(model, folder, files, names, view, batch_size)
    if found is None:
        return []
    if not found.is_chance:
        return [str(found)]
    return [f"warning: {found}: its maps teach nothing; train it longer, or from weights that have learnt something "
            "(--load WEIGHTS --new-heads)"]


def _network(args, files: Sequence[str]) -> tuple[_Network, list[str]]:
    recipe, implied, told = args.config, [], []
    if args.load and recipe is None:
        refuse_pixels(args.load)
        recipe, implied, told = recipe_of(args.load)
    # a model of ours is built for a size that its patches fill; what others have made knows itself
    sides = args.input_size or []
    size = None if args.annotator or not sides else sides[0] if len(sides) == 1 else list(sides)
    typed = {"DATA.IMAGE_SIZE": size, "DATA.IMAGENET_MEAN": args.mean, "DATA.IMAGENET_STD": args.std}
    typed = [word for key, value in typed.items() if value is not None for word in (key, str(value))]
    config = get_config(recipe, [*implied, *args.override, *typed])
    data = config.DATA
    view = View((*sides, *sides)[:2] or as_pair(data.IMAGE_SIZE), tuple(data.IMAGENET_MEAN), tuple(data.IMAGENET_STD),
                data.INTERPOLATION, args.centre_crop, data.EXIF)
    listed = args.classes or config.MODEL.CLASSES
    if args.annotator:
        return _foreign(args, view, read_names(listed) if listed else ()), told
    return _ours(args, config, view, files, listed), told


def _ours(args, config: CfgNode, view: View, files: Sequence[str], listed: str | None) -> _Network:
    weights = weights_file(args.load, "", config.EVAL.WEIGHTS)[0] if Path(args.load).is_dir() else args.load
    model = (load_network if args.labelled else load_annotator)(config, weights)
    if args.labelled:
        names: tuple[str, ...] = ()
    elif listed:
        names = read_names(listed)
    else:
        names = known_names(weights, {name.split("/")[0] for name in files}, model.num_classes)
    return _Network(_by_engine(model, config, bool(args.labelled)), view, config.MODEL.NAME, find_weights(weights),
                    names)


def _by_engine(model, config: CfgNode, is_for_features: bool):
    """The model, or the program that EVAL.ENGINE asks for; of "auto" the model: no clock decides what maps hold."""
    if config.EVAL.KEEP < 1:
        raise ValueError(f"EVAL.KEEP {config.EVAL.KEEP:g} merges patches, and a label map wants one answer for each; "
                         "leave it 1")
    if not is_for_features:
        return answerer(model, 0, tokens=True, **engine_arguments(config))[0]
    if config.EVAL.ENGINE == "inference" or config.EVAL.PRECISION != "float32":
        raise ValueError("EVAL.ENGINE inference gives logits and --labelled wants features; leave it dygraph")
    return model


def _foreign(args, view: View, names: tuple[str, ...]) -> _Network:
    path = Path(args.annotator)
    if path.suffix not in (*saved.SUFFIXES, *onnx_file.SUFFIXES):
        raise ValueError(f"--annotator {path}: wanted a file of paddle.jit.save (.json, .pdmodel) or an .onnx file; "
                         "weights of models of ours go with --load")
    run = onnx_file.open_onnx(path) if path.suffix in onnx_file.SUFFIXES else saved.open_saved(path)
    classes = len(names) if names and not args.labelled else None
    model = of_cells(path, run, view.hw, Asked(classes, args.cells, args.output_name))
    file = path if path.suffix in onnx_file.SUFFIXES else path.with_suffix(".pdiparams")
    return _Network(model, view, path.stem, str(file), () if args.labelled else names)


def _labelled(args, model, view: View) -> tuple[Labelled, tuple[str, ...], dict[str, Any]]:
    """Labelled pictures, the names of their classes, and what the card says of them."""
    about = {"head": args.head, "labelled": Path(args.labelled).name}
    if args.head == "knn" or args.labelled_masks:
        about["scores"] = "log(1 + 100 x share)"
    if args.labelled_masks is None:
        images = find_images(args.labelled)
        labels, names = images.labels, images.names
        paths, files = images.paths, [images.full_path(index) for index in range(len(images))]
        targets = None
    else:
        names, about["labelled_masks"] = _listed(args, "--labelled-masks"), Path(args.labelled_masks).name
        paths = image_files(args.labelled)
        files = [str(Path(args.labelled) / path) for path in paths]
        targets = np.stack([_shown(mask_path(args.labelled_masks, path), file, model.grid, len(names), view)
                            for path, file in zip(paths, files)])
        labels = np.full(len(files), -1, np.int64)
    said = "\n".join(f"{path} {label}" for path, label in zip(paths, labels))
    about.update(labelled_photos=len(files), labelled_sha256=hashlib.sha256(os.fsencode(said)).hexdigest())
    classes = len(names) or int(labels.max()) + 1
    return Labelled(files, labels, classes, targets), tuple(names), about


def _shown(mask: str, photo: str, grid, classes: int, view: View) -> np.ndarray:
    """(cells, 1 + C) float32: what each cell of a photo shows by its mask, nothing first; all zero where that is not
    known."""
    found = read_mask(mask, classes)
    wh, window = (found.shape[1], found.shape[0]), (0.0, 0.0, 1.0, 1.0)
    check_shape(mask, wh, photo, photo_size(photo, view.exif), view.exif)
    if view.centre_crop is not None:
        window = centre_window(wh, view.centre_crop)
    owner = np.where(found == UNKNOWN, BACKGROUND, found.astype(np.int64))
    shares = area_shares(owner, grid, 1 + classes, window).reshape(1 + classes, -1).T
    whole = shares.sum(axis=1, keepdims=True)
    return (shares / np.where(whole > 0, whole, 1)).astype(np.float32)


def _drawn(args, files: Sequence[str]) -> Annotation:
    exif = get_config(args.config, args.override).DATA.EXIF
    grid, told = tuple(args.grid) if len(args.grid) == 2 else (args.grid[0],) * 2, []
    coco = read_coco(args.boxes) if args.boxes else None
    if coco:
        coco.check_photos(files)
    if coco and args.classes:
        coco = renumbered(coco, read_names(args.classes))
    names = coco.names if coco else _listed(args, "--masks")
    if coco and coco.polygons:
        told.append(f"note: of {coco.polygons:,} outlines in {args.boxes} the boxes are taken; draw them as masks "
                    "(--masks) to have their shapes")
    top_k = args.top_k or min(5, len(names))
    frame = Frame(args.images, grid, len(names), top_k, args.centre_crop, exif)
    origin: dict[str, Any] = {"form": 1, "model": "boxes" if coco else "masks"}
    if coco:
        origin.update(boxes=Path(args.boxes).name, boxes_sha256=sha256(args.boxes))
    else:
        origin.update(masks=Path(args.masks).name)
    origin.update(grid=list(grid), top_k=top_k, num_classes=len(names), scores=SCORES, classes=list(names))
    reading = reading_of(View((1, 1), centre_crop=args.centre_crop, exif=exif))
    return Annotation(of_boxes(coco, frame) if coco else of_masks(args.masks, frame), reading, origin, told)


def _listed(args, flag: str) -> tuple[str, ...]:
    if not args.classes:
        raise ValueError(f"{flag} needs --classes FILE: the names of the classes, one a line; 1 in a mask is the first")
    return read_names(args.classes)
