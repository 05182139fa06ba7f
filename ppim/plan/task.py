"""What is different in the plan of a segmenter? Its network and loss, its batches, and how often it evaluates."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import paddle
from yacs.config import CfgNode

from ppim.config import teaches_tokens
from ppim.data.loader import TrainSamples
from ppim.engine import build
from ppim.engine.classes import with_rows
from ppim.engine.task import task_of
from ppim.models import build_model
from ppim.models.base import TokenModel
from ppim.objective.objective import Objective
from ppim.plan import loader
from ppim.segment.samples import TrainPairs
from ppim.segment.sliding import windows
from ppim.segment.view import fitted

IMAGENET = 1_281_167, 50_000  # photos to train on, to evaluate
_PHOTOS = {"classify": IMAGENET, "segment": (20_210, 2_000)}  # of ADE20K
_CLASSES = 150  # ADE20K's, for a recipe that leaves them open
_SHAPE = (4, 3)  # sides of a usual photo

Loss = Callable[[Mapping[str, paddle.Tensor]], paddle.Tensor]


def photos_of(config: CfgNode) -> tuple[int, int]:
    """Photos to train on and to evaluate, where nobody says otherwise."""
    return _PHOTOS[config.TASK]


def settled(config: CfgNode) -> CfgNode:
    """The configuration with a number of classes, where a segmenter's leaves it open."""
    return with_rows(config, _CLASSES) if config.TASK == "segment" else config


def network_and_loss(config: CfgNode, amp: dict[str, Any] | None) -> tuple[TokenModel, Loss]:
    """The network and the function that computes its loss of a batch.

    Args:
        amp: `paddle.amp.auto_cast` arguments, or None.
    """
    if config.TASK == "segment":
        model = task_of(config).model(config)
        objective = task_of(config).objective(config, model, None)
        objective.amp = amp
        return model, lambda batch: objective.forward(batch).total
    model = build_model(config)
    model.share_rule = config.MIX.CLASS_SHARE
    if model.has_token_head and not teaches_tokens(config):
        for parameter in model.aux_head.parameters():
            parameter.stop_gradient = True
    objective = Objective(model, config.LOSS.CLASS_WEIGHT, loader.token_weight(config), config.DATA.IMAGENET_MEAN,
                          config.DATA.IMAGENET_STD, amp)
    return model, lambda batch: objective.forward(batch).total


def train_samples(config: CfgNode) -> TrainSamples | TrainPairs:
    """The training samples of the data that the configuration names."""
    task = task_of(config)
    images = task.train_images(config, None)
    whole = with_rows(config, len(images.classes))
    if config.TASK == "segment":
        return task.samples(whole, config, images, images, None)[0]
    return build.train_samples(whole, config, images, build_model(whole).grid)


def fields_of(config: CfgNode, grid: tuple[int, int], classes: int) -> loader.Fields:
    """Arrays of a batch as the loader ships it."""
    if config.TASK == "segment":
        return loader.pixel_fields(config)
    return loader.batch_fields(config, grid, classes, config.DATA.BATCH_SIZE)


def looks_of(config: CfgNode) -> float:
    """How many pictures of the training size the evaluation of a photo takes: of a photo of 4 x 3, the windows."""
    if config.TASK != "segment":
        return 1.0
    width, height = fitted((1000 * _SHAPE[0], 1000 * _SHAPE[1]), config.SEGMENT.SCALE)
    side = config.DATA.IMAGE_SIZE
    slid = config.SEGMENT.MODE == "slide"
    return float(len(windows((height, width), side, config.SEGMENT.STRIDE))) if slid else height * width / side**2
