"""What is asked of a run whose pixels have one class each, see `ppim.engine.task`."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from paddle import nn
from yacs.config import CfgNode

from ppim.checks import photos, samples
from ppim.checks.finding import Finding
from ppim.data.batches import EvalBatches, TrainBatches
from ppim.data.classes import difference
from ppim.data.images import ImageList
from ppim.data.loader import make_loader
from ppim.engine import build, classes
from ppim.engine.best import WORDS
from ppim.engine.checked import Effort, Parts, of_the_network, of_the_processes, of_the_rate
from ppim.engine.checkpoint import Checkpoint
from ppim.engine.distributed import World
from ppim.engine.ema import Ema, swapped_in
from ppim.engine.evaluate import EvaluationCut
from ppim.engine.loaded import Loaded, named_weights
from ppim.engine.log import Log
from ppim.engine.run_folder import weights_file
from ppim.models import build_model
from ppim.objective.teacher import Teacher
from ppim.segment.evaluate import Asking, counted
from ppim.segment.figures import Segmented, figures_of
from ppim.segment.network import Segmenter
from ppim.segment.objective import SegmentObjective
from ppim.segment.pairs import Places, names_of, photos_of, places_of
from ppim.segment.samples import EvalPairs, TrainPairs
from ppim.segment.view import Crops
from ppim.weights.card import names_in, read_card
from ppim.weights.load import load_weights
from ppim.weights.recognise import pixel_classes


class Segmenting:
    """The task `segment`; methods as of `ppim.engine.task.Task`."""

    terms = ("head_loss", "auxiliary_loss")

    def train_images(self, config: CfgNode, checkpoint: Checkpoint | None) -> ImageList:
        """Photos that have masks; their `classes` are those of the head's rows."""
        names = _names(config)
        before = names_in(checkpoint.state.card) if checkpoint else ()
        differ = difference({"the masks": names, "the run's checkpoints": before}) if before else ""
        if differ:
            raise ValueError(f"{config.DATA.DATA_PATH} has {len(names)} classes, the run to go on with {len(before)}: "
                             f"{differ}; start another run from its weights with --load WEIGHTS --new-heads")
        return photos_of(_places(config, "train"), names)

    def val_images(self, config: CfgNode, train: ImageList) -> ImageList:
        """Likewise."""
        return photos_of(_places(config, "val"), train.classes)

    def keeps_heads(self, config: CfgNode, images: ImageList) -> bool:
        """A classifier's weights have no heads to keep; a segmenter's are kept where its classes are the same."""
        weights, setting = config.MODEL.PRETRAINED, config.MODEL.NEW_HEADS
        if not weights or setting == "always" or not pixel_classes(weights):
            return False
        differ = _difference(weights, images.classes)
        if differ and setting == "never":
            raise ValueError(f"{weights} and {images.root} have not the same classes: {differ}; start the heads "
                             "afresh, with --new-heads")
        return not differ

    def model(self, config: CfgNode) -> nn.Layer:
        """UperNet on the configured model."""
        segment = config.SEGMENT
        backbone = build_model(config, num_classes=1)  # whose heads are taken off
        backbone.recompute = config.TRAIN.RECOMPUTE
        return Segmenter(backbone, config.MODEL.NUM_CLASSES, layers=segment.LAYERS, channels=segment.CHANNELS,
                         top_channels=segment.TOP_CHANNELS, dropout=segment.DROPOUT)

    def samples(self, config: CfgNode, recipe: CfgNode, train: ImageList, val: ImageList, model: nn.Layer,
                ) -> tuple[TrainPairs, EvalPairs]:
        """Random crops, and whole photos."""
        return (TrainPairs(train, **_reading(config, "train"), crops=_crops(config), seed=config.SEED),
                EvalPairs(val, **_reading(config, "val"), scale=tuple(config.SEGMENT.SCALE)))

    def notes(self, config: CfgNode, images: ImageList) -> list[str]:
        """Where the masks are."""
        return [f"masks in {_places(config, 'train').masks}"]

    def objective(self, config: CfgNode, model: nn.Layer, teacher: Teacher | None) -> nn.Layer:
        """Both heads; there is no teacher."""
        return SegmentObjective(model, config.SEGMENT.AUX_WEIGHT, config.DATA.IMAGENET_MEAN, config.DATA.IMAGENET_STD,
                                build.amp_arguments(config))

    def checks(self, parts: Parts, effort: Effort) -> list[Finding]:
        """Of those of `ppim.engine.checked` what makes sense of pixels."""
        found = of_the_network(parts) + of_the_rate(parts) + of_the_processes(parts)
        if not parts.world.is_main:
            return found
        some = [(0, 0, 0), (0, len(parts.train) - 1, 0), (1, 0, 0)]
        return [*found, samples.samples_are_repeatable(parts.train, some),
                photos.splits_are_apart(parts.train.images, parts.val.images, effort.reads)]

    def mix_of_step(self, config: CfgNode, batches: TrainBatches, model: nn.Layer) -> None:
        """Nothing is mixed."""

    def card(self, config: CfgNode, images: ImageList) -> dict[str, Any]:
        """As of classifiers; `task` says what the rows are of, `ground` whether the first is that of unnamed pixels."""
        return {**classes.card_of(config, images), "task": "segment", "ground": _ground(config)}

    def summary(self, config: CfgNode) -> list[str]:
        """Masks and views."""
        segment = config.SEGMENT
        low, high = segment.FACTORS
        return [
            f"teaching   every pixel, by masks in {_places(config, 'train').masks}; auxiliary head x "
            f"{segment.AUX_WEIGHT:g}",
            f"views      crops of {config.DATA.IMAGE_SIZE} px of photos within {segment.SCALE[0]:g}x"
            f"{segment.SCALE[1]:g}, times {low:g} to {high:g}{', colours distorted' if segment.DISTORT else ''}",
        ]

    def forecast(self, config: CfgNode, model: nn.Layer, parameters: int) -> list[str]:
        """None so far."""
        return []

    def evaluate_both(self, model: nn.Layer, ema: Ema | None, samples: EvalPairs, world: World, config: CfgNode,
                      **how) -> dict[str, Segmented]:
        """mIoU and its kin."""
        results = {"raw": evaluate(model, samples, world, config, **how)}
        if ema:
            with swapped_in(model, ema.state_dict()):
                results["ema"] = evaluate(model, samples, world, config, **how)
        return results

    def evaluate_weights(self, config: CfgNode, recipe: CfgNode, world: World) -> Segmented:
        """With a line for each class."""
        log = Log(world.is_main)
        with world.together():
            model, config, file, kind, report = load_segmenter(config, named_weights(config))
            log.say(str(report))
            images = photos_of(_places(config, "val"), names_in(read_card(file) or {}) or _names(config))
            log.say(f"evaluating the {WORDS[kind]} on {len(images):,} photos in {images.root}, {model.num_classes} "
                    f"classes, SEGMENT.MODE {config.SEGMENT.MODE}")
            samples = EvalPairs(images, **_reading(config, "val"), scale=tuple(config.SEGMENT.SCALE))
        result = evaluate(model, samples, world, config)
        for line in [*result.table(), str(result)]:
            log.say(line)
        return result


def evaluate(model: nn.Layer, samples: EvalPairs, world: World, config: CfgNode,
             cut: Callable[[], bool] = lambda: False, workers: int | None = None) -> Segmented:
    """Evaluate on all samples, this process on its share; every process gets the result for all of them.

    Args:
        cut: see `ppim.engine.evaluate.evaluate`; workers: in place of DATA.NUM_WORKERS.

    Raises:
        EvaluationCut: in all processes, when `cut` said so in one.
    """
    shares = EvalBatches(len(samples), 1, rank=world.rank, world=world.size)
    loader = make_loader(samples, shares, config.DATA.NUM_WORKERS if workers is None else workers,
                         timeout=config.DATA.TIMEOUT)
    mine = counted(model, loader, asking_of(config), cut)
    together = world.all_sum([*mine.confusion.ravel().tolist(), mine.photos, mine.broken, int(mine.is_cut)], "int64")
    *cells, count, broken, cuts = together
    if cuts:
        raise EvaluationCut
    if count != len(samples):
        raise RuntimeError(f"evaluation counted {count} photos of {len(samples)}; please report this with your command")
    return figures_of(np.array(cells, np.int64).reshape(mine.confusion.shape), samples.images.classes, count, broken)


def load_segmenter(config: CfgNode, weights: str) -> Loaded:
    """The segmenter that a configuration describes with these weights; arguments and errors as of `loaded.load`."""
    file, kind = weights_file(weights, config.SAVE, config.EVAL.WEIGHTS)
    rows = pixel_classes(file)
    if not rows:
        raise ValueError(f"{file} names no pixels: it has no decode_head.conv_seg; with TASK segment give a "
                         "segmenter's weights, or train one from these with ppim train --load")
    config = classes.with_rows(config, rows)
    model = Segmenting().model(config)
    report = load_weights(model, file, which="auto" if kind else config.EVAL.WEIGHTS)
    return Loaded(model, config, file, kind or ("ema" if report.averaged else "raw"), report)


def _difference(weights: str, names: list[str]) -> str:
    """In what the classes of a segmenter's weights are others than these; '' where they are not."""
    theirs, rows = names_in(read_card(weights) or {}), pixel_classes(weights)
    if theirs:
        return difference({"the masks": names, "the weights": theirs})
    return "" if rows == len(names) else f"{len(names)} by the masks, {rows} in the weights"


def _ground(config: CfgNode) -> bool:
    return config.SEGMENT.GROUND == "class"


def _names(config: CfgNode) -> list[str]:
    return names_of(config.DATA.DATA_PATH, config.MODEL.CLASSES, config.MODEL.NUM_CLASSES, _ground(config))


def _places(config: CfgNode, split: str) -> Places:
    return places_of(config.DATA.DATA_PATH, config.SEGMENT.MASKS, split)


def _reading(config: CfgNode, split: str) -> dict[str, Any]:
    """Arguments of `Pairs` besides the photos."""
    return {"masks": str(_places(config, split).masks), "ground": _ground(config), "exif": config.DATA.EXIF}


def _crops(config: CfgNode) -> Crops:
    segment, data = config.SEGMENT, config.DATA
    return Crops(
        data.IMAGE_SIZE, tuple(segment.SCALE), tuple(segment.FACTORS), segment.MOST_OF_ONE, data.HFLIP, segment.DISTORT,
        fill=tuple(round(255 * mean) for mean in data.IMAGENET_MEAN),
    )


def asking_of(config: CfgNode) -> Asking:
    """How photos are shown to a segmenter."""
    segment, data = config.SEGMENT, config.DATA
    return Asking(segment.MODE, data.IMAGE_SIZE, segment.STRIDE, data.BATCH_SIZE_EVAL, tuple(data.IMAGENET_MEAN),
                  tuple(data.IMAGENET_STD), build.amp_arguments(config))
