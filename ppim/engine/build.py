"""From a configuration to the plain arguments of the functions that build things; nothing is decided here twice."""
from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import paddle
from paddle import nn
from yacs.config import CfgNode

from ppim.data.augment import Policy, parse_rand_augment
from ppim.data.balance import class_weights
from ppim.data.batches import TrainBatches
from ppim.data.classes import match
from ppim.data.datasets import find_images, validation_path
from ppim.data.images import ImageList
from ppim.data.loader import EvalSamples, TrainSamples
from ppim.data.split import has_validation, set_aside
from ppim.data.transforms import eval_view
from ppim.engine.depth import rate_scales
from ppim.engine.distributed import World
from ppim.engine.maps_of_run import label_maps
from ppim.engine.optimizer import build_optimizer
from ppim.mixing import Mixed, draw_mixed_rows
from ppim.models.base import as_pair
from ppim.paddle_compat import half_precision_pays
from ppim.seeds import mix_rng


def train_images(config: CfgNode) -> ImageList:
    """The training images; the model must have a row for each of their classes."""
    images = _checked(find_images(config.DATA.DATA_PATH, "train"), config)
    return set_aside(images, config.DATA.VAL_SHARE)[0] if sets_aside(config) else images


def val_images(config: CfgNode, train: ImageList | None = None) -> ImageList:
    """The validation images; touches no training file unless `train` is given, whose classes then are theirs.

    Raises:
        ValueError: they would be the training images themselves.
    """
    if train is not None and not has_validation(config.DATA.DATA_PATH) and not sets_aside(config):
        raise ValueError(f"{config.DATA.DATA_PATH} has no validation photos (val/ or val_list.txt), and training "
                         "photos say nothing of what was learnt; to set some aside by name: -o DATA.VAL_SHARE 0.2")
    if sets_aside(config):
        images = set_aside(find_images(config.DATA.DATA_PATH, "train"), config.DATA.VAL_SHARE)[1]
    else:
        path = config.DATA.DATA_PATH if train is None else validation_path(config.DATA.DATA_PATH)
        images = find_images(path, "val")
    return images if train is None else match(images, train.classes, train.root)


def sets_aside(config: CfgNode) -> bool:
    """Are the validation images a share of the training images, set aside by name?"""
    return bool(config.DATA.VAL_SHARE) and not has_validation(config.DATA.DATA_PATH)


def _checked(images: ImageList, config: CfgNode) -> ImageList:
    rows = config.MODEL.NUM_CLASSES
    if rows is not None and len(images.classes) > rows:
        raise ValueError(
            f"{images.root} has {len(images.classes)} classes, the model MODEL.NUM_CLASSES {rows}; "
            f"leave the key out, or set it with -o MODEL.NUM_CLASSES {len(images.classes)}"
        )
    return images


def train_samples(config: CfgNode, recipe: CfgNode, images: ImageList, grid: tuple[int, int]) -> TrainSamples:
    """The training samples, with token labels where the configuration asks for them; `recipe`: see `maps_of_run`."""
    labels = config.TOKEN_LABEL
    return TrainSamples(
        images,
        train_policy(config),
        seed=config.SEED,
        num_classes=config.MODEL.NUM_CLASSES,
        smoothing=config.TRAIN.SMOOTHING,
        maps=label_maps(config, recipe, images, labels.PATH) if labels.ENABLE else None,
        grid=grid,
        target=labels.TARGET,
        fill=labels.FILL,
        geometry=labels.GEOMETRY,
        ground_truth=config.LOSS.GROUND_TRUTH,
        class_target=labels.CLASS_TARGET,
        blank=labels.BLANK,
        confidence=labels.WEIGHT,
        place=labels.PLACE,
        displacement=labels.DISPLACEMENT,
        exif=config.DATA.EXIF,
        weights=sample_weights(config, images),
        on_bad=config.DATA.ON_BAD,
    )


def sample_weights(config: CfgNode, images: ImageList) -> np.ndarray | None:
    """(classes,) what a training photo of each class counts; None: all the same."""
    loss = config.LOSS
    if loss.CLASS_BALANCE == "none":
        return None
    return class_weights(images.counts(), loss.CLASS_BALANCE, loss.BALANCE_BETA)


def train_policy(config: CfgNode) -> Policy:
    """How training views are drawn."""
    data, train = config.DATA, config.TRAIN
    return Policy(
        image_hw=as_pair(data.IMAGE_SIZE),
        order=data.AUG_ORDER,
        scale=tuple(data.CROP_SCALE),
        ratio=tuple(data.CROP_RATIO),
        interpolation=data.TRAIN_INTERPOLATION,
        hflip=data.HFLIP,
        rand_augment=parse_rand_augment(train.AUTO_AUGMENT) if train.AUTO_AUGMENT else None,
        color_jitter=train.COLOR_JITTER,
        fill=tuple(round(255 * mean) for mean in data.IMAGENET_MEAN),
        erase_prob=train.RANDOM_ERASE_PROB,
        erase_mode=train.RANDOM_ERASE_MODE,
        erase_count=train.RANDOM_ERASE_COUNT,
    )


def train_batches(config: CfgNode, length: int, world: World, start: int = 0, stop: int = 0,
                  labels: np.ndarray | None = None, shards: np.ndarray | None = None) -> TrainBatches:
    """This process's rows of the micro-batches `start` .. `stop`.

    Args:
        length: images; labels: the class of each, which DATA.SAMPLING balanced looks at; shards: where those of each
            tar shard begin.
    """
    return TrainBatches(
        length, config.DATA.BATCH_SIZE, seed=config.SEED, start=start, stop=stop, rank=world.rank, world=world.size,
        copies=config.DATA.REPEATED_AUG, labels=labels if config.DATA.SAMPLING == "balanced" else None,
        shards=shards,
    )


def mix_of_step(config: CfgNode, batches: TrainBatches, model: nn.Layer) -> Callable[[int], Mixed]:
    """Number of a micro-batch -> what mixing does to this process's rows of it, as the model wants to know it."""
    return functools.partial(
        draw_mixed_rows,
        rng_of=functools.partial(mix_rng, config.SEED),
        batch=batches.global_batch,
        rows=batches.rows,
        image_hw=as_pair(config.DATA.IMAGE_SIZE),
        grid=model.grid,
        with_shares=model.share_rule != "area",
        **mix_arguments(config),
    )


def shown_samples(config: CfgNode, images: ImageList) -> EvalSamples:
    """Images as an evaluation shows them, and nothing of their tokens."""
    data = config.DATA
    view = eval_view(as_pair(data.IMAGE_SIZE), data.CROP_PCT, data.INTERPOLATION)
    return EvalSamples(images, view, num_classes=config.MODEL.NUM_CLASSES, exif=data.EXIF)


def eval_samples(config: CfgNode, recipe: CfgNode, images: ImageList, grid: tuple[int, int]) -> EvalSamples:
    """The validation samples; with TOKEN_LABEL.VAL_PATH each carries the best class of its tokens."""
    path = config.TOKEN_LABEL.VAL_PATH
    maps = label_maps(config, recipe, images, path) if path else None
    return replace(shown_samples(config, images), maps=maps, grid=grid)


def evaluation_arguments(config: CfgNode) -> dict[str, object]:
    """Keyword arguments of `evaluate_samples`."""
    data = config.DATA
    return {
        "batch_size": data.BATCH_SIZE_EVAL,
        "workers": data.NUM_WORKERS,
        "timeout": data.TIMEOUT,
        "mean": data.IMAGENET_MEAN,
        "std": data.IMAGENET_STD,
        "amp": amp_arguments(config),
    }


def engine_arguments(config: CfgNode) -> dict[str, object]:
    """Keyword arguments of `answerer`, but for what is asked."""
    return {"engine": config.EVAL.ENGINE, "precision": config.EVAL.PRECISION, "keep": config.EVAL.KEEP,
            "batch_size": config.DATA.BATCH_SIZE_EVAL}


def mix_arguments(config: CfgNode) -> dict[str, object]:
    """Keyword arguments of `draw_blocks`."""
    train = config.TRAIN
    return {
        "mixup_alpha": train.MIXUP_ALPHA,
        "cutmix_alpha": train.CUTMIX_ALPHA,
        "cutmix_minmax": train.CUTMIX_MINMAX,
        "prob": train.MIXUP_PROB,
        "switch_prob": train.MIXUP_SWITCH_PROB,
        "mode": train.MIXUP_MODE,
        "group": config.MIX.GROUP,
        "token_alpha": config.MIX.TOKEN_ALPHA,
        "cutmix_grid": config.MIX.CUTMIX_GRID,
    }


def optimizer(config: CfgNode, model: paddle.nn.Layer) -> paddle.optimizer.Optimizer:
    """The optimizer of the model's trained weights."""
    train = config.TRAIN
    return build_optimizer(
        model,
        train.OPTIMIZER.NAME,
        weight_decay=train.WEIGHT_DECAY,
        betas=tuple(train.OPTIMIZER.BETAS),
        eps=train.OPTIMIZER.EPS,
        momentum=train.OPTIMIZER.MOMENTUM,
        scales=rate_scales(model, train.LAYER_DECAY),
    )


def amp_arguments(config: CfgNode) -> dict[str, object] | None:
    """Arguments of `paddle.amp.auto_cast`, or None without mixed precision (always on CPU, which has none)."""
    if not paddle.get_device().startswith("gpu"):
        return None
    return mixed_precision(config, half_precision_pays(), paddle.amp.is_bfloat16_supported)


def mixed_precision(config: CfgNode, pays: bool, has_bfloat16: Callable[[], bool]) -> dict[str, object] | None:
    """The same for a GPU on which half precision pays, or does not, and which has bfloat16, or has not."""
    if not (pays if config.AMP == "auto" else config.AMP == "always"):
        return None
    dtype = config.AMP_DTYPE
    if dtype == "auto":
        dtype = "bfloat16" if has_bfloat16() else "float16"
    return {"enable": True, "dtype": dtype, "level": "O1"}
