"""What is exported of a segmenter, and does the bundle say of pixels what the segmenter says?

The network sees windows of one size; the bundle's program slides them over a photo as evaluation does. The one
difference: where a photo is smaller than a window, it is filled up to one with the mean colour, since the exported
network knows no other size. The segmenter is asked in the same way here.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from PIL import Image

from ppim.data.masks import palette
from ppim.data.photos import read_photo
from ppim.data.transforms import to_array
from ppim.export.compare import Comparison
from ppim.export.source import Kind, Source
from ppim.objective.pixels import normalise
from ppim.segment.network import Segmenter
from ppim.segment.sliding import slid
from ppim.segment.view import fitted
from ppim.trained.masks import reader_of

_AT_ONCE = 4  # photos whose logits are held, of every class and pixel
_BATCH = 4  # windows computed together


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


def logits_of_model(
    model: Segmenter, preprocess: dict[str, Any], photos: Sequence[str], tokens: bool
) -> list[Sequence[np.ndarray]]:
    """A part for each photo: (1, rows, h, w); a segmenter has no logits of tokens."""
    return [[logits_of(model, preprocess, path)[None]] for path in photos]


def logits_of_bundle(arrays: Mapping[str, np.ndarray]) -> list[Sequence[np.ndarray]]:
    """The same by the bundle's program."""
    return [[arrays[f"logits_{number}"][None]] for number in range(len(arrays))]


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


OF_PIXELS = Kind({"infer.py": "infer_masks.py", "engines.py": "infer.py"}, "bundle_readme_masks.md",
                 Comparison(_AT_ONCE, logits_of_model, logits_of_bundle), _AT_ONCE)
