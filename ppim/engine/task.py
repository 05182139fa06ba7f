"""What does a run learn: one class a photo, or one a pixel? In a run, all else asks the task instead of TASK."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from paddle import nn
from yacs.config import CfgNode

from ppim.checks.finding import Finding
from ppim.data.batches import TrainBatches
from ppim.data.images import ImageList
from ppim.data.loader import EvalSamples, TrainSamples
from ppim.engine.checked import Effort, Parts
from ppim.engine.checkpoint import Checkpoint
from ppim.engine.classifying import Classifying
from ppim.engine.distributed import World
from ppim.engine.ema import Ema
from ppim.engine.evaluate import Evaluation
from ppim.engine.segmenting import Segmenting
from ppim.mixing import Mixed
from ppim.objective.teacher import Teacher
from ppim.segment.figures import Segmented
from ppim.segment.samples import EvalPairs, TrainPairs


class Task(Protocol):
    """What a run asks of its task; every answer follows from the configuration.

    Samples have `images`, `path`, `in_order_of_reading`, `maps` (or None) and numpy dicts by key; an evaluation has
    `is_sound`, `as_dict`, `parts` and prints as a line; an objective is called with a batch and gives `LossTerms`.

    Attributes:
        terms: names of the second and the third term of the loss in a training record.
    """

    terms: tuple[str, str]

    def train_images(self, config: CfgNode, checkpoint: Checkpoint | None) -> ImageList:
        """The training photos, with the classes of the run that goes on from `checkpoint`."""

    def val_images(self, config: CfgNode, train: ImageList) -> ImageList:
        """The photos to evaluate on, of the classes of `train`."""

    def keeps_heads(self, config: CfgNode, images: ImageList) -> bool:
        """Are there weights to start from, and do their heads stay?"""

    def model(self, config: CfgNode) -> nn.Layer:
        """The network with fresh weights."""

    def samples(self, config: CfgNode, recipe: CfgNode, train: ImageList, val: ImageList, model: nn.Layer,
                ) -> tuple[TrainSamples, EvalSamples] | tuple[TrainPairs, EvalPairs]:
        """Training samples by (epoch, index, copy), and validation samples by index."""

    def notes(self, config: CfgNode, images: ImageList) -> list[str]:
        """Lines to tell of the training photos."""

    def objective(self, config: CfgNode, model: nn.Layer, teacher: Teacher | None) -> nn.Layer:
        """Network and loss as one layer."""

    def checks(self, parts: Parts, effort: Effort) -> list[Finding]:
        """What can be found out of data and weights before the first step."""

    def mix_of_step(self, config: CfgNode, batches: TrainBatches, model: nn.Layer) -> Callable[[int], Mixed] | None:
        """Number of a micro-batch -> what mixing does to its rows; None where nothing is mixed."""

    def card(self, config: CfgNode, images: ImageList) -> dict[str, Any]:
        """What the weights of the run say of themselves."""

    def summary(self, config: CfgNode) -> list[str]:
        """Lines on what is taught, and by which views."""

    def forecast(self, config: CfgNode, model: nn.Layer, parameters: int) -> list[str]:
        """Lines on the memory that a step will take."""

    def evaluate_both(self, model: nn.Layer, ema: Ema | None, samples: EvalSamples | EvalPairs, world: World,
                      config: CfgNode, **how) -> dict[str, Evaluation] | dict[str, Segmented]:
        """Evaluations of the weights (`raw`) and, where there is one, of their running average (`ema`).

        Args:
            how: `cut`, see `evaluate.evaluate`; `workers` in place of the configuration's.
        """

    def evaluate_weights(self, config: CfgNode, recipe: CfgNode, world: World) -> Evaluation | Segmented:
        """`--evaluate-only`: the evaluation of the weights that are named."""


def task_of(config: CfgNode) -> Task:
    """The task that TASK names."""
    return Segmenting() if config.TASK == "segment" else Classifying()
