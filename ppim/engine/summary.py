"""What is a run about to do, and where does that depart from its recipe? Told before the first step."""
from __future__ import annotations

import os

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
                "MODEL.DROPPATH")
_HARMLESS = ("DATA.BATCH_SIZE_EVAL", "TRAIN.MAX_STEPS", "TRAIN.RECOMPUTE")


def summary(
    config: CfgNode, recipe: CfgNode, schedule: Schedule, steps: Steps, *, processes: int, parameters: int,
    images: tuple[int, int],
) -> list[str]:
    """Lines that name model, data, batch, learning rate, augmentation and precision as they really are."""
    train, data = config.TRAIN, config.DATA
    global_batch = processes * data.BATCH_SIZE * steps.accumulate
    amp = build.amp_arguments(config)
    drawn_for = f"{config.MIX.GROUP} images" if train.MIXUP_MODE == "batch" else f"each {train.MIXUP_MODE}"
    teaching = "plain labels"
    if config.TOKEN_LABEL.ENABLE:
        teaching = f"label maps in {config.TOKEN_LABEL.PATH} ({config.TOKEN_LABEL.TARGET} targets)"
    if has_teacher(config):
        distill = config.DISTILL
        teaching += f", {distill.TEACHER} (classes {distill.TYPE}, tokens {distill.DENSE_WEIGHT:g})"
    lines = [
        f"model      {config.MODEL.NAME}, {parameters:,} trainable parameters, {data.IMAGE_SIZE} px, "
        f"{config.MODEL.NUM_CLASSES} classes",
        f"data       {images[0]:,} training and {images[1]:,} validation images in {data.DATA_PATH}",
        f"teaching   {teaching}",
        f"batch      {global_batch} = {processes} processes x {data.BATCH_SIZE} x {steps.accumulate} accumulated",
        f"rate       {schedule.base:.4g} after {schedule.warmup:g} warm-up epochs, {schedule.name} to "
        f"{schedule.end:.4g}; {steps.epochs:g} epochs, {steps.total:,} steps",
        f"augment    {train.AUTO_AUGMENT or 'no RandAugment'}, {data.AUG_ORDER}, erasing {train.RANDOM_ERASE_PROB:g}",
        f"mixing     mixup {train.MIXUP_ALPHA:g}, cutmix {train.CUTMIX_ALPHA:g} (boxes of {config.MIX.CUTMIX_GRID}), "
        f"MixToken {config.MIX.TOKEN_ALPHA:g}; one draw for {drawn_for}; "
        f"class target shared by {config.MIX.CLASS_SHARE}",
        f"computing  {'float32' if amp is None else amp['dtype'] + ' mixed precision'} on {paddle.get_device()}, "
        f"{os.environ.get('OMP_NUM_THREADS')} threads a process",
        f"writing to {config.SAVE}",
    ]
    if config.AMP == "always" and amp is None:
        lines.append("note: AMP is asked for, but this device has none; computing in float32")
    return lines + departures(config, recipe, global_batch)


def departures(config: CfgNode, recipe: CfgNode, global_batch: int) -> list[str]:
    """Where the network differs from the model it is named after, and rate, batch or augmentation from the recipe."""
    lines = [f"differs from {config.MODEL.NAME}: {key} is {here!r}, the model has {there!r}"
             for key, here, there in changed_size(config)]
    lines += [
        f"differs from the recipe: {key} is {here!r}, the recipe has {there!r}"
        for key, here, there in differences(config, recipe)
        if key.startswith(_RECIPE_KEYS) and key not in _HARMLESS
    ]
    meant = config.TRAIN.LINEAR_SCALED_LR
    if meant is not None and global_batch != meant:
        lines.append(
            f"differs from the recipe: the global batch is {global_batch}, the rate is meant for {meant} and scaled "
            f"by {global_batch / meant:.4g}"
        )
    return lines
