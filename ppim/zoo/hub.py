"""Models as functions, PPIM's interface: `lvvit_s(pretrained=True, return_transforms=True)`.

One function for every name of a vision transformer that `create_model` knows, PPIM's and other short names included.
`from ppim import lvvit_s` gets them from here, and so does Paddle's hub through hubconf.py.
"""
from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import paddle.utils.download
import paddle.vision.transforms as T
from PIL import Image

from ppim import zoo
from ppim.config import get_config, recipe_path
from ppim.data.photos import as_rgb
from ppim.families import names
from ppim.models import create_model, in_our_words
from ppim.models.base import Origin, TokenModel
from ppim.names import normalise_name
from ppim.weights.load import load_weights
from ppim.weights.read import read_state
from ppim.weights.recognise import head_classes
from ppim.zoo.download import download, is_url

NAMES = sorted(names())


def _rgb(picture):
    """A PIL picture as RGB; arrays, which the other transforms take as well, as they are."""
    return as_rgb(picture) if isinstance(picture, Image.Image) else picture


def evaluation_transforms(image_size: tuple[int, int], row: zoo.Row | None = None) -> T.Compose:
    """PPIM's view for evaluation: a PIL picture to a normalised (3, h, w) tensor of `image_size`.

    The short side goes to 248 pixels for 224, else to the size itself, bicubic; then the centre is cut out. The
    originals' view, which the recipes use, has `crop_pct` instead, and so have models that PPIM has not; see the model
    zoo's pages. Pictures of any mode become RGB as photos of a data set do (`ppim.data.photos.as_rgb`); an EXIF
    orientation is not applied, whatever a card says: `PIL.ImageOps.exif_transpose` does it.

    Args:
        row: the view of the model that is to see them; None: as PPIM's.
    """
    side, row = max(image_size), row or zoo.ROWS[0]
    return T.Compose([
        _rgb,
        T.Resize(row.short_side(side), interpolation=row.interpolation),
        T.CenterCrop(image_size),
        T.ToTensor(),
        T.Normalize(mean=list(row.mean), std=list(row.std)),
    ])


def _seen_by(name: str, origin: Origin | None) -> zoo.Row:
    """The view of a model: as the card of its weights says, which a run of ours has trained; else that of the published
    model; of one that nobody has published, that of its recipe."""
    row = zoo.find(name)
    if row is None:
        data = get_config(str(recipe_path(normalise_name(name)))).DATA
        row = zoo.Row(name, "", data.IMAGE_SIZE, data.CROP_PCT, interpolation=data.INTERPOLATION,
                      mean=tuple(data.IMAGENET_MEAN), std=tuple(data.IMAGENET_STD), as_ppim=False)
    card = origin.card if origin else {}
    said = {key: card[key] for key in ("crop_pct", "interpolation", "mean", "std") if key in card}
    return row._replace(**said, as_ppim=False) if said else row


def published_weights(name: str) -> Path:
    """The published file of a model, Paddle's where there is one, downloaded into Paddle's cache unless it is there.

    Raises:
        ValueError: none has been published.
        DownloadError (an OSError): not to be had; says which file to put where.
    """
    row = zoo.find(name)
    if row is None or row.download is None:
        elsewhere = [file.url for file in row.files] if row else []
        hint = f"there is {elsewhere[0]}: fetch it and give its path" if elsewhere else "train it, or give a path"
        known = ", ".join(row.name for row in zoo.ROWS if row.download)
        raise ValueError(f"no weights of {name!r} that can be fetched have been published; {hint}. pretrained=True "
                         f"knows: {known}")
    folder = Path(paddle.utils.download.WEIGHTS_HOME)
    by_paddle = folder / row.download.url.rpartition("/")[2]  # what Paddle's own download, PPIM's, calls it
    if row.download.is_paddle and by_paddle.is_file():
        return by_paddle
    return download(row.download.url, folder, row.download.name, check=read_state)


def _find_weights(name: str, pretrained) -> str:
    if pretrained is True:
        return str(published_weights(name))
    if is_url(pretrained):
        # many addresses end in the same name (model.safetensors), so that each has a folder of its own
        folder = Path(paddle.utils.download.WEIGHTS_HOME) / hashlib.sha256(pretrained.encode()).hexdigest()[:16]
        return str(download(pretrained, folder, check=read_state))
    return os.fspath(pretrained)


def _load(model: TokenModel, path: str) -> None:
    """Strictly, but for heads: a model of another number of classes than the file's gets fresh ones, with a warning,
    and so does any model of a file without a head."""
    try:
        report = load_weights(model, path)
    except ValueError:
        if model.num_classes == zoo.CLASSES and head_classes(path):
            raise
        report = load_weights(model, path, new_heads=True)
    if any(report._replace(source="")):
        warnings.warn(str(report), stacklevel=4)


def _entry(name: str) -> Callable:
    def build(pretrained=False, return_transforms=False, **overrides):
        known = in_our_words(overrides)
        if known.get("num_classes", 1) < 1:
            raise ValueError("class_dim (num_classes) wants at least 1; model.features(x) gives maps without a head")
        path = _find_weights(name, pretrained) if pretrained else None
        model = create_model(name, **known)
        if path:
            _load(model, path)
        if not return_transforms:
            return model
        return model, evaluation_transforms(model.image_size, _seen_by(name, model.origin))

    build.__name__ = build.__qualname__ = name
    row = zoo.find(name)
    published = row.download.url if row and row.download else "none; pass a path"
    build.__doc__ = f"""The model `{normalise_name(name)}`.

    Args:
        pretrained: False for fresh weights, True for the published file, or a path or URL of a file of any project that
            `ppim.load_weights` knows. Published: {published}
        return_transforms: also return the transforms that evaluation applies to a PIL picture, as the card of the
            weights says where they have one.
        overrides: as of `ppim.create_model`, e.g. image_size, drop_path, class_dim. With another `class_dim` than the
            file's, heads start afresh, which a warning tells.
    Returns:
        the model, or (model, transforms).
    Raises:
        ValueError: nothing published, or a file that does not fit.
        OSError: the file cannot be downloaded or is not there.
    """
    return build


globals().update({name: _entry(name) for name in NAMES})
__all__ = NAMES
