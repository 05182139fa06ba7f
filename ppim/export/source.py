"""What is exported: which network with which weights, what it sees of a photo, and what its logits are called?"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ppim.export import compare
from ppim.export.pictures import DRAWN
from ppim.models.base import TokenModel
from ppim.trained.ready import of_weights
from ppim.weights.card import read_card


class Kind(NamedTuple):
    """What a bundle is to whoever gets it.

    Attributes:
        program: files of this room by the names they have in a bundle.
        page: its README, a file of this room with places to be filled in.
        comparison: how its logits are asked for.
        drawn: pictures that are drawn to check on.
    """

    program: dict[str, str]
    page: str
    comparison: compare.Comparison
    drawn: int


OF_PHOTOS = Kind({"infer.py": "infer.py"}, "bundle_readme.md", compare.OF_PHOTOS, DRAWN)


class Source(NamedTuple):
    """A trained network and what belongs to it.

    Attributes:
        model: in evaluation mode, the say of its token head settled.
        preprocess: what stands in preprocess.json: image_size [h, w], crop_pct, interpolation, mean, std, exif.
        ids: of the classes, one for each logit, as data sets call them; a number where there is no name.
        names: the same in words.
        card: what is told of the weights besides.
        told: lines about what was loaded.
        kind: of the bundle.
    """

    model: TokenModel
    preprocess: dict[str, Any]
    ids: tuple[str, ...]
    names: tuple[str, ...]
    card: dict[str, Any]
    told: tuple[str, ...]
    kind: Kind = OF_PHOTOS


def load(weights: str, named: str | None = None, classes: str | None = None, overrides: Sequence[str] = ()) -> Source:
    """The network of a weights file or of a run's folder, as `ppim evaluate --load` takes it.

    Args:
        named: a recipe, or the name of a published model; None: the run's own, the card's, or the one recognised.
        classes: file with the name of every class, one a line; None: as the weights have them.
        overrides: alternating keys and values that count more than recipe and card.

    Raises:
        FileNotFoundError: no such weights. ValueError: it is not known what they are of, or they do not fit.
    """
    card = read_card(weights) or {}
    ready = of_weights(weights, named, classes, overrides)
    keep = ready.config.EVAL.KEEP
    if keep < 1:
        raise ValueError(f"EVAL.KEEP {keep:g} merges patches in ppim evaluate and ppim predict, and the network of a "
                         "bundle keeps them all; export it with -o EVAL.KEEP 1")
    model, data, told = ready.model, ready.config.DATA, list(ready.notes)
    model.eval()
    if card and card["num_classes"] != model.num_classes:
        raise ValueError(f"the card of {weights} is of other weights: it has {card['num_classes']} classes, their head "
                         f"{model.num_classes}; remove it, or put their own beside them")
    known = [one for row, (one, name) in enumerate(zip(ready.ids, ready.names)) if name != f"class {row}"]
    if not known:
        told.append(f"{weights} knows no names of its classes, so they are numbers; give them with --classes FILE")
    preprocess = {"image_size": list(model.image_size), "crop_pct": data.CROP_PCT, "interpolation": data.INTERPOLATION,
                  "mean": list(data.IMAGENET_MEAN), "std": list(data.IMAGENET_STD), "exif": data.EXIF}
    about = {"form": 1, "model": ready.config.MODEL.NAME, "num_classes": model.num_classes, "classes": known,
             **preprocess, "eval_token_weight": model.eval_token_weight}
    return Source(model, preprocess, ready.ids, ready.names, about, tuple(told))


def lines_of(ids: Sequence[str], names: Sequence[str]) -> str:
    """What stands in classes.txt: an id a line, and behind a tab the name where that is another word."""
    return "".join(f"{one}\n" if one == name else f"{one}\t{name}\n" for one, name in zip(ids, names))
