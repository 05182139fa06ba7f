"""From a configuration to the plain arguments of the functions that build things; nothing is decided here twice."""
from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

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
from ppim.engine.classes import check_maps
from ppim.engine.depth import rate_scales
from ppim.engine.distributed import World
from ppim.engine.optimizer import build_optimizer
from ppim.mixing import Mixed, draw_mixed_rows
from ppim.models.base import as_pair
from ppim.paddle_compat import half_precision_pays
from ppim.seeds import mix_rng
from ppim.token_labels.card import Reading, card_place, read_card
from ppim.token_labels.maps import stem_of
from ppim.token_labels.store import Maps, first_shared, open_maps


def train_images(config: CfgNode) -> ImageList:
    """The training images; the model must have a row for each of their classes."""
    images = _checked(find_images(config.DATA.DATA_PATH, "train"), config)
    return set_aside(images, config.DATA.VAL_SHARE)[0] if sets_aside(config) else images


def val_images(config: CfgNode, train: ImageList | None = None) -> ImageList:
    """The validation images; touches no training file unless `train` is given, whose classes then are theirs."""
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


def map_reading(config: CfgNode, recipe: CfgNode, path: str) -> tuple[Reading, str]:
    """How the maps in `path` are to be read, and by whose word: their card's, or, without one, the configuration's.

    Raises:
        ValueError: the card is damaged; the configuration departs from its recipe to say what the card denies; or the
            maps are of photos read in another way than this run reads them.
    """
    labels, exif = config.TOKEN_LABEL, config.DATA.EXIF
    crop_pct = labels.FRAME_CROP_PCT if labels.FRAME == "centre-crop" else 1.0
    stated, card = Reading(labels.FRAME, crop_pct, labels.ORIENTATION, exif=exif), read_card(path)
    if card is None:
        return stated, "the configuration"
    if card.exif != exif:
        raise ValueError(
            f"{card_place(path)} says that its maps are of photos read with DATA.EXIF {card.exif}, this run has "
            f"DATA.EXIF {exif}: labels would lie beside what they mean; set -o DATA.EXIF {card.exif}, or make the maps "
            "again"
        )
    keys = {"frame": "FRAME", "crop_pct": "FRAME_CROP_PCT", "orientation": "ORIENTATION"}
    denied = {keys[name]: said for name, said in card._asdict().items()
              if name in keys and said != getattr(stated, name)}
    for key, said in denied.items():
        if labels[key] != recipe.TOKEN_LABEL[key]:
            raise ValueError(
                f"TOKEN_LABEL.{key} is set to {labels[key]}, but {card_place(path)} says {said} ({card}); leave the "
                "key out, a card counts more than a recipe, or correct the card where it is wrong"
            )
    ours = ", ".join(f"{key} {labels[key]}" for key in denied)
    return card, f"{card_place(path).name} there" + (f", against {ours} in the recipe" if ours else "")


def label_maps(config: CfgNode, recipe: CfgNode, images: ImageList, path: str) -> Maps:
    """The label maps of `images`; every one must be there before training starts, not at hour nine.

    Args:
        recipe: the configuration before changes on the command line, see `map_reading`.
    """
    labels = config.TOKEN_LABEL
    if not Path(path).is_dir():
        trains = labels.ENABLE and path == labels.PATH
        key, without = ("PATH", "train with plain labels: -o TOKEN_LABEL.ENABLE False") if trains else (
            "VAL_PATH", "evaluate without them: -o TOKEN_LABEL.VAL_PATH ''")
        raise FileNotFoundError(
            f"no folder of label maps at {path}; set TOKEN_LABEL.{key} to it, make one with `ppim labels make`, "
            f"or {without}"
        )
    reading, source = map_reading(config, recipe, path)
    check_maps(path, images, config.MODEL.NUM_CLASSES)
    maps = open_maps(path, config.MODEL.NUM_CLASSES, reading, source)
    asking = _asking_for_log_z(config) if path == labels.PATH else ""
    if asking and reading.log_z is False:
        raise _no_log_z(card_place(path), asking)
    if images.stems and images.stems == maps.digest:  # every image has its map, and none shares one with another
        missing, shared = [], None
    else:
        # a manifest has a digest only where no two images share a stem
        missing, shared = maps.missing(images.paths), None if images.stems else first_shared(images.paths)
    if shared:
        raise ValueError(
            f"{shared[0]} and {shared[1]} of {images.root} would share one label map in {path}; rename one of them and "
            "its map, or remove it"
        )
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {len(images)} images have no label map in {path}, the first is {missing[0]}; "
            "`ppim labels make` writes those that are missing"
        )
    if asking and maps.read(images.paths[0], (1, 1)).log_z is None:
        raise _no_log_z(Path(path) / maps.place(stem_of(images.paths[0])), asking)
    return maps


def _asking_for_log_z(config: CfgNode) -> str:
    """The key that wants maps with log-sum-exp; '' where none does."""
    labels = config.TOKEN_LABEL
    return "TARGET" if labels.TARGET == "probs" else "WEIGHT" if labels.WEIGHT == "confidence" else ""


def _no_log_z(source, asking: str) -> ValueError:
    value, instead = {"TARGET": ("probs", "released"), "WEIGHT": ("confidence", "none")}[asking]
    return ValueError(
        f"{source}: no log-sum-exp, which TOKEN_LABEL.{asking} {value} needs; take maps written by "
        f"`ppim labels make`, or TOKEN_LABEL.{asking} {instead}"
    )


def train_samples(config: CfgNode, recipe: CfgNode, images: ImageList, grid: tuple[int, int]) -> TrainSamples:
    """The training samples, with token labels where the configuration asks for them; `recipe`: see `label_maps`."""
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
    loss, counts = config.LOSS, class_counts(images)
    return None if loss.CLASS_BALANCE == "none" else class_weights(counts, loss.CLASS_BALANCE, loss.BALANCE_BETA)


def class_counts(images: ImageList) -> np.ndarray:
    """(classes,) the photos of each class."""
    return images.counts()


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
