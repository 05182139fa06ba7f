"""What do batches need of the host on paper? Cores, disk, memory on the way to training; and a rate measured here."""
from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import NamedTuple

from yacs.config import CfgNode

from ppim.config import has_teacher, teaches_tokens
from ppim.data.loader import TrainSamples
from ppim.data.workers import AHEAD
from ppim.geometry import HW
from ppim.models.base import as_pair

_TRIPLETS = 6  # of a token's target, about: the best classes of the few cells of its map that it covers
_ERASED = 0.17  # of a picture where random erasing strikes: the mean of its draws
_SIZES = {"uint8": 1, "int32": 4, "float32": 4, "int64": 8}

Fields = dict[str, tuple[list[int], str]]  # name -> shape, type


class Rate(NamedTuple):
    """What one core makes of photos: samples per second, and the bytes of a file; by whose word."""

    per_core: float = 380.0
    file_bytes: float = 110e3
    source: str = "stated, of ImageNet's photos; --measure-loader measures yours"


_OF_MASKS = Rate(60.0, 62e3, "measured on drawn photos of 683 x 512; --measure-loader measures yours")


def usual_rate(config: CfgNode) -> Rate:
    """What is stated where nothing is measured."""
    return _OF_MASKS if config.TASK == "segment" else Rate()


def batch_fields(config: CfgNode, grid: HW, classes: int, images: int) -> Fields:
    """Arrays of a batch of so many images as the loader ships it: everything that mixing may add is there."""
    (height, width), tokens = as_pair(config.DATA.IMAGE_SIZE), grid[0] * grid[1]
    train, mix = config.TRAIN, config.MIX
    erased = max(1, int(images * height * width * train.RANDOM_ERASE_PROB * _ERASED))
    fields: Fields = {"image": ([images, 3, height, width], "uint8"), "label": ([images], "int64"),
                      "index": ([images], "int64"), "erase_at": ([erased], "int64"),
                      "erase_value": ([erased, 3], "float32")}
    fields.update(_targets("class", images, _TRIPLETS if config.TOKEN_LABEL.ENABLE else 1))
    if config.TOKEN_LABEL.ENABLE:
        fields.update(_targets("token", images * tokens, min(_TRIPLETS, classes)))
    changes_pixels = train.MIXUP_ALPHA > 0 or train.CUTMIX_ALPHA > 0 or train.CUTMIX_MINMAX is not None
    if changes_pixels or mix.TOKEN_ALPHA > 0:
        fields.update(mix_partner=([images], "int64"), mix_class_share=([images], "float32"))
    if changes_pixels:
        fields.update(mix_blend=([images], "float32"), mix_pixel_box=([images, 4], "int64"),
                      mix_token_partner=([images * tokens], "int64"), mix_token_share=([images * tokens], "float32"))
    if mix.TOKEN_ALPHA > 0:
        fields["mix_owner"] = [images * tokens], "int64"
    if (changes_pixels or mix.TOKEN_ALPHA > 0) and mix.CLASS_SHARE != "area":
        fields["mix_partner_share"] = [images, tokens], "float32"
    return fields


def pixel_fields(config: CfgNode) -> Fields:
    """Arrays of a segmenter's batch: pictures and the classes of their pixels."""
    images, side = config.DATA.BATCH_SIZE, config.DATA.IMAGE_SIZE
    return {"image": ([images, 3, side, side], "uint8"), "mask": ([images, side, side], "uint8"),
            "index": ([images], "int64")}


def _targets(kind: str, rows: int, each: int) -> Fields:
    return {f"{kind}_row": ([rows * each], "int32"), f"{kind}_id": ([rows * each], "int32"),
            f"{kind}_weight": ([rows * each], "float32"), f"{kind}_const": ([rows, 3], "float32")}


def batch_bytes(fields: Fields) -> int:
    """Bytes of a batch."""
    return sum(math.prod(shape) * _SIZES[dtype] for shape, dtype in fields.values())


def needs(images_per_second: float, rate: Rate, fields: Fields, workers: int, processes: int) -> Mapping[str, float]:
    """What a machine's loaders need for so many images per second of all its processes.

    Args:
        fields: of a process's batch; workers: of each process; processes: on the machine.
    """
    return {"cores": images_per_second / rate.per_core, "workers": workers * processes,
            "disk_mb_per_second": images_per_second * rate.file_bytes / 1e6,
            "batch_mb": batch_bytes(fields) / 1e6,
            "prefetched_gb": processes * workers * (AHEAD + 1) * batch_bytes(fields) / 1e9}


def measured(samples: TrainSamples, count: int) -> Rate:
    """What one core of this machine makes of these photos, the first `count` of them, read as training reads them."""
    keys = [(0, index, 0) for index in range(min(count, len(samples)))]
    sizes = [samples.images.size(index) for _, index, _ in keys]
    before = time.perf_counter()
    for key in keys:
        samples[key]
    rate = len(keys) / (time.perf_counter() - before)
    return Rate(rate, sum(sizes) / len(sizes), f"measured here on {len(keys)} photos of {samples.images.root}")


def token_weight(config: CfgNode) -> float:
    """Of the loss of tokens, whoever teaches them; 0 where nobody does."""
    by_maps = config.LOSS.DENSE_WEIGHT if config.TOKEN_LABEL.ENABLE else 0.0
    return by_maps or float(teaches_tokens(config) and has_teacher(config))
