"""What is exported of a segmenter, and does the bundle say of pixels what the segmenter says?

The network sees windows of one size; the bundle's program slides them over a photo as evaluation does. The one
difference: where a photo is smaller than a window, it is filled up to one with the mean colour, since the exported
network knows no other size. The segmenter is asked in the same way here.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from PIL import Image

from ppim.data.masks import palette
from ppim.data.photos import read_photo
from ppim.data.transforms import to_array
from ppim.export.compare import TOLERANCE, answers_of_bundle
from ppim.export.source import Kind, Source
from ppim.objective.pixels import normalise
from ppim.segment.network import Segmenter
from ppim.segment.sliding import slid
from ppim.segment.view import fitted
from ppim.trained.masks import reader_of

_AT_ONCE = 4  # photos whose logits are held, of every class and pixel
_BATCH = 4  # windows computed together


class PixelAgreement(NamedTuple):
    """How far an engine's logits are from the segmenter's, `pixels` of `photos`, `same` of them of the same best class;
    all else as of `compare.Agreement`."""

    engine: str
    photos: int
    pixels: int
    largest: float
    limit: float
    range: float
    same: int

    @property
    def holds(self) -> bool:
        """Is it the same segmenter but for rounding?"""
        return self.largest <= self.limit

    def __str__(self) -> str:
        return (f"{self.engine:<9} class the same at {self.same:,} of {self.pixels:,} pixels of {self.photos:,} "
                f"photos; largest difference of a logit {self.largest:.2g}, of a range of {self.range:.3g}")


def load(weights: str, named: str | None = None, classes: str | None = None, overrides: Sequence[str] = ()) -> Source:
    """The segmenter of a weights file or of a run's folder; arguments and errors as of `source.load`."""
    reader = reader_of(weights, named, overrides, classes)
    model, config, segment = reader.model, reader.config, reader.config.SEGMENT
    model.eval()
    told = list(reader.notes)
    if segment.MODE != "slide":
        told.append(f"SEGMENT.MODE {segment.MODE}: an exported network has one size, so its program slides a window of "
                    f"{model.image_size[0]} pixels in steps of {segment.STRIDE} instead")
    data = config.DATA
    preprocess = {"image_size": list(model.image_size), "scale": list(segment.SCALE), "stride": segment.STRIDE,
                  "mean": list(data.IMAGENET_MEAN), "std": list(data.IMAGENET_STD), "exif": data.EXIF,
                  # Paddle 3.3 has no interpolation with oneDNN, and gives nonsense for products with maps
                  "onednn": False, "first": reader.first, "palette": palette(model.num_classes - 1 + reader.first)}
    about = {"form": 1, "task": "segment", "model": config.MODEL.NAME, "num_classes": model.num_classes,
             "classes": list(reader.names), **preprocess}
    return Source(model, preprocess, reader.names, reader.names, about, tuple(told), OF_PIXELS)


def compare(
    model: Segmenter, preprocess: dict[str, Any], bundle: Path, engines: Sequence[str], photos: Sequence[str],
    scratch: Path, tokens: bool, say: Callable[[str], object],
) -> list[PixelAgreement]:
    """The bundle against the segmenter on photos, for each of its engines; arguments and errors as of
    `compare.compare`."""
    found: dict[str, list[PixelAgreement]] = {engine: [] for engine in engines}
    for start in range(0, len(photos), _AT_ONCE):
        some = photos[start : start + _AT_ONCE]
        wanted = [logits_of(model, preprocess, path) for path in some]
        for engine in engines:
            with np.load(answers_of_bundle(bundle, engine, some, scratch)) as arrays:
                found[engine] += [_agreement(engine, one, arrays[f"logits_{at}"]) for at, one in enumerate(wanted)]
        if len(photos) > _AT_ONCE:
            say(f"checked on {start + len(some):,} of {len(photos):,} photos")
    return [_all(parts) for parts in found.values()]


@paddle.no_grad()
def logits_of(model: Segmenter, preprocess: dict[str, Any], path: str) -> np.ndarray:
    """(rows, h, w) float32 of a photo once resized, by eager computing.

    Raises:
        ValueError: the photo cannot be read, or logits are not finite.
    """
    photo = read_photo(path, preprocess["exif"])
    shown = photo.resize(fitted(photo.size, preprocess["scale"]), Image.Resampling.BILINEAR)
    picture = normalise(paddle.to_tensor(to_array(shown)[None]), preprocess["mean"], preprocess["std"])
    side = preprocess["image_size"][0]

    def asked(crops: paddle.Tensor) -> paddle.Tensor:
        height, width = crops.shape[2:]
        return model(F.pad(crops, [0, side - width, 0, side - height]))[:, :, :height, :width]

    logits = slid(asked, picture, side, preprocess["stride"], _BATCH)[0].numpy()
    if not np.isfinite(logits).all():
        raise ValueError(f"the model's logits of {path} are not finite; are its weights whole?")
    return logits


def _agreement(engine: str, wanted: np.ndarray, got: np.ndarray) -> PixelAgreement:
    span, pixels = float(np.ptp(wanted)), wanted[0].size
    largest = float(np.abs(wanted - got).max()) if wanted.shape == got.shape else np.inf
    if not np.isfinite(largest):
        return PixelAgreement(engine, 1, pixels, np.inf, TOLERANCE * span, span, 0)
    same = int((wanted.argmax(axis=0) == got.argmax(axis=0)).sum())
    return PixelAgreement(engine, 1, pixels, largest, TOLERANCE * span, span, same)


def _all(parts: Sequence[PixelAgreement]) -> PixelAgreement:
    """Of all photos; the range is that of the one that allows least."""
    least = min(parts, key=lambda part: part.limit)
    total = {name: sum(getattr(part, name) for part in parts) for name in ("photos", "pixels", "same")}
    return least._replace(largest=max(part.largest for part in parts), **total)


OF_PIXELS = Kind({"infer.py": "infer_masks.py", "engines.py": "infer.py"}, "bundle_readme_masks.md", compare, _AT_ONCE)
