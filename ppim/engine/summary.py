"""What is a run about to do, and where does that depart from its recipe? Told before the first step."""
from __future__ import annotations

import os
from collections.abc import Sequence

import paddle
from yacs.config import CfgNode

from ppim.config import differences, has_teacher
from ppim.engine import build
from ppim.engine.schedule import Schedule
from ppim.engine.steps import Steps
from ppim.models import changed_size

# What an accuracy in the tables hangs on.
_RECIPE_KEYS = ("TRAIN.", "DATA.BATCH_SIZE", "DATA.IMAGE_SIZE", "DATA.CROP", "DATA.HFLIP", "DATA.AUG_ORDER",
                "DATA.EXIF", "DATA.REPEATED_AUG", "DATA.TRAIN_INTERPOLATION", "MIX.", "LOSS.", "DISTILL.",
                "MODEL.DROPPATH", "SEGMENT.")
# What it hangs on most: told first.
_ESSENTIAL = ("DATA.IMAGE_SIZE", "DATA.BATCH_SIZE", "TRAIN.ACCUM_ITER", "TRAIN.NUM_EPOCHS", "TRAIN.BASE_LR",
              "TRAIN.OPTIMIZER.NAME")
_HARMLESS = ("DATA.BATCH_SIZE_EVAL", "TRAIN.MAX_STEPS", "TRAIN.EARLY_STOP", "TRAIN.MAX_HOURS", "TRAIN.RECOMPUTE",
             "SEGMENT.MASKS")
# What besides makes another run of one that goes on; where maps lie may change.
_KEPT_KEYS = (*_RECIPE_KEYS, "SEED", "TOKEN_LABEL.")
_PLACES = ("TOKEN_LABEL.PATH", "TOKEN_LABEL.VAL_PATH")


def summary(
    config: CfgNode, recipe: CfgNode, schedule: Schedule, steps: Steps, *, processes: int, parameters: int,
    images: tuple[int, int], task: Sequence[str] | None = None,
) -> list[str]:
    """Lines that name model, data, batch, learning rate, augmentation and precision as they really are.

    Args:
        task: lines on what is taught and how photos are shown, the first before the batch; None: as `of_classes`.
    """
    taught, *shown = of_classes(config) if task is None else task
    train, data = config.TRAIN, config.DATA
    amp = build.amp_arguments(config)
    warmup = f" after {_counted(schedule.warmup, 'epoch')} of warm-up" if schedule.warmup else ""
    end = "" if schedule.name == "constant" else f" to {schedule.end:.4g}"
    lines = [
        f"model      {config.MODEL.NAME}, {parameters:,} trainable parameters, {_size(data.IMAGE_SIZE)} px, "
        f"{config.MODEL.NUM_CLASSES} classes{_frozen(train.FREEZE)}",
        f"data       {images[0]:,} training and {images[1]:,} validation images in {data.DATA_PATH}",
        taught,
        f"batch      {_batch(processes, data.BATCH_SIZE, steps.accumulate)}",
        f"rate       {schedule.base:.4g}{warmup}, {schedule.name}{end}"
        f"{f', x {train.LAYER_DECAY:g} from layer to layer' if train.LAYER_DECAY < 1 else ''}",
        f"length     {_counted(steps.epochs, 'epoch')}, {_counted(steps.total, 'step')}{_ends_early(config)}",
        *shown,
        f"computing  {'float32' if amp is None else amp['dtype'] + ' mixed precision'} on {paddle.get_device()}, "
        f"{_counted(int(os.environ.get('OMP_NUM_THREADS') or 1), 'thread')}{' a process' if processes > 1 else ''}",
        f"writing to {config.SAVE}",
    ]
    if config.AMP == "always" and amp is None:
        lines.append("note: AMP is asked for, but this device has none; computing in float32")
    return lines + departures(config, recipe, processes * data.BATCH_SIZE * steps.accumulate)


def _size(image_size: int | list[int]) -> str:
    return f"{image_size}" if isinstance(image_size, int) else " x ".join(map(str, image_size))


def of_classes(config: CfgNode) -> list[str]:
    """The lines of a run whose photos have one class each: labels, augmentation, mixing."""
    train, data = config.TRAIN, config.DATA
    return [
        f"teaching   {_teaching(config)}",
        f"augment    {train.AUTO_AUGMENT or 'no RandAugment'}, "
        f"{f'erasing {train.RANDOM_ERASE_PROB:g}' if train.RANDOM_ERASE_PROB else 'no erasing'}"
        f"{', in the order of the released code' if data.AUG_ORDER == 'released' else ''}",
        f"mixing     {_mixing(config)}",
    ]


def departures(config: CfgNode, recipe: CfgNode, global_batch: int) -> list[str]:
    """Where the network differs from the model it is named after, and rate, batch or augmentation from the recipe.

    A line each, what the accuracy hangs on most first; in brackets what the model and the recipe have.
    """
    changed = {key: f"{key} {_value(here)} ({_value(there)})" for key, here, there in differences(config, recipe)
               if key.startswith(_RECIPE_KEYS) and key not in _HARMLESS}
    meant = config.TRAIN.LINEAR_SCALED_LR
    if meant is not None and global_batch != meant:
        for key in ("DATA.BATCH_SIZE", "TRAIN.ACCUM_ITER"):
            changed.pop(key, None)
        changed = {"": f"batch {global_batch} ({meant}, so rates are scaled by {global_batch / meant:.4g})", **changed}
    said = {
        config.MODEL.NAME: [f"{key} {_value(here)} ({_value(there)})" for key, here, there in changed_size(config)],
        "the recipe": [changed[key] for key in sorted(changed, key=lambda key: key not in ("", *_ESSENTIAL))],
    }
    return [f"differs from {what}: {', '.join(points)}" for what, points in said.items() if points]


def changed_since(config: CfgNode, recipe: CfgNode, before: CfgNode) -> list[str]:
    """Where a run that goes on departs from `before`, its configuration so far, in a line; without what `departures`
    says in the same words. What was typed behind the first start's -o is easily left out of the next."""
    said = [point for point in differences(config, recipe) if point[0].startswith(_RECIPE_KEYS)]
    points = [f"{key} {_value(here)} ({_value(there)})" for key, here, there in differences(config, before)
              if key.startswith(_KEPT_KEYS) and key not in (*_HARMLESS, *_PLACES) and (key, here, there) not in said]
    return [f"differs from the run so far: {', '.join(points)}"] if points else []


def _counted(count: float, what: str) -> str:
    return f"{count:,.10g} {what}{'' if count == 1 else 's'}"


def _frozen(what: str) -> str:
    if what == "none":
        return ""
    kept = {"embedding": "the embedding", "backbone": "all but the heads"}.get(what)
    return f"; kept as it is: {kept or 'the embedding and ' + _counted(int(what), 'block')}"


def _ends_early(config: CfgNode) -> str:
    hours, evaluations = config.TRAIN.MAX_HOURS, config.TRAIN.EARLY_STOP
    return ((f"; ends after {_counted(hours, 'hour')}" if hours else "")
            + (f"; ends after {_counted(evaluations, 'evaluation')} without a better best" if evaluations else ""))


def _batch(processes: int, images: int, accumulated: int) -> str:
    if processes == accumulated == 1:
        return _counted(images, "image")
    total = processes * images * accumulated
    many = f"{processes} process{'es' if processes > 1 else ''} x {images}"
    return f"{total:,} images = {many}{f' x {accumulated} accumulated' if accumulated > 1 else ''}"


def _teaching(config: CfgNode) -> str:
    labels, distill = config.TOKEN_LABEL, config.DISTILL
    taught = f"label maps in {labels.PATH} ({labels.TARGET} targets)" if labels.ENABLE else "plain labels"
    if has_teacher(config):
        taught += f", {distill.TEACHER} (classes {distill.TYPE}, tokens {distill.DENSE_WEIGHT:g})"
    return taught


def _mixing(config: CfgNode) -> str:
    """What is mixed, how strongly, and for how many images a draw counts; what is off goes unsaid."""
    train, mix = config.TRAIN, config.MIX
    grid = " on the token grid" if mix.CUTMIX_GRID == "tokens" else ""
    sides = train.CUTMIX_MINMAX  # drawn from in place of the alpha, whatever that is
    cutmix = f"{train.CUTMIX_ALPHA:g}" if sides is None else f"{sides[0]:g} to {sides[1]:g} of a side"
    kinds = [("mixup", f"{train.MIXUP_ALPHA:g}", ""), ("cutmix", cutmix, grid),
             ("MixToken", f"{mix.TOKEN_ALPHA:g}", "")]
    told = [f"{name} {how}{where}" for name, how, where in kinds if how != "0"]
    if not told:
        return "none"
    drawn_for = f"{mix.GROUP} images" if train.MIXUP_MODE == "batch" else f"each {train.MIXUP_MODE}"
    told.append(f"one draw for {drawn_for}")
    if mix.CLASS_SHARE != "area":
        told.append(f"class target shared by {mix.CLASS_SHARE}")
    return ", ".join(told)


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value) or "''"
