"""What is asked of a run whose photos have one class each, see `ppim.engine.task`."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from paddle import nn
from yacs.config import CfgNode

from ppim.checks.finding import Finding
from ppim.data import balance
from ppim.data.batches import TrainBatches
from ppim.data.classes import are_numbers
from ppim.data.corruptions import corrupted_folders, corrupted_images
from ppim.data.datasets import skipped_note
from ppim.data.images import ImageList
from ppim.data.loader import EvalSamples, TrainSamples
from ppim.engine import build, classes
from ppim.engine.activations import forecast_for
from ppim.engine.best import WORDS
from ppim.engine.checked import Effort, Parts, before_first_step
from ppim.engine.checkpoint import Checkpoint
from ppim.engine.distributed import World
from ppim.engine.ema import Ema
from ppim.engine.evaluate import Evaluation, evaluate_both
from ppim.engine.loaded import load, named_weights, refuse_pixels
from ppim.engine.log import Log
from ppim.engine.reporting import evaluate_and_report
from ppim.engine.summary import of_classes
from ppim.engine.train_state import build_model_for, objective_of_classes
from ppim.mixing import Mixed
from ppim.objective.teacher import Teacher


class Classifying:
    """The task `classify`; methods as of `ppim.engine.task.Task`."""

    terms = ("class_loss", "token_loss")

    def train_images(self, config: CfgNode, checkpoint: Checkpoint | None) -> ImageList:
        """Photos in class folders, or of a list."""
        return classes.of_run(config, build.train_images(config), checkpoint)

    def val_images(self, config: CfgNode, train: ImageList) -> ImageList:
        """Likewise, or a share set aside."""
        return build.val_images(config, train)

    def keeps_heads(self, config: CfgNode, images: ImageList) -> bool:
        """Then the weights must be of the images' classes, or ValueError is raised."""
        weights = config.MODEL.PRETRAINED
        if weights:
            refuse_pixels(weights)
        if not weights or classes.starts_new_heads(config, images):
            return False
        classes.check_same(weights, images, "start the heads afresh, with --new-heads; or, where the images are some "
                           "of the weights' classes, give those in --classes FILE")
        return True

    def model(self, config: CfgNode) -> nn.Layer:
        """A model of a family, by its name."""
        return build_model_for(config)

    def samples(self, config: CfgNode, recipe: CfgNode, train: ImageList, val: ImageList, model: nn.Layer,
                ) -> tuple[TrainSamples, EvalSamples]:
        """With token labels where the configuration asks for them."""
        return (build.train_samples(config, recipe, train, model.grid),
                build.eval_samples(config, recipe, val, model.grid))

    def notes(self, config: CfgNode, images: ImageList) -> list[str]:
        """Classes with unequal numbers of photos, and what is done about them."""
        return balance.told(images.counts(), config.LOSS.CLASS_BALANCE, config.LOSS.BALANCE_BETA,
                            config.DATA.SAMPLING)

    def objective(self, config: CfgNode, model: nn.Layer, teacher: Teacher | None) -> nn.Layer:
        """Classes, and tokens where they are taught."""
        return objective_of_classes(config, model, teacher)

    def checks(self, parts: Parts, effort: Effort) -> list[Finding]:
        """All of `ppim.engine.checked`."""
        return before_first_step(parts, effort)

    def mix_of_step(self, config: CfgNode, batches: TrainBatches, model: nn.Layer) -> Callable[[int], Mixed]:
        """Mixup, cutmix and MixToken as configured."""
        return build.mix_of_step(config, batches, model)

    def card(self, config: CfgNode, images: ImageList) -> dict[str, Any]:
        """Names of the classes, and how photos are shown."""
        return classes.card_of(config, images)

    def summary(self, config: CfgNode) -> list[str]:
        """Labels, augmentation, mixing."""
        return of_classes(config)

    def forecast(self, config: CfgNode, model: nn.Layer, parameters: int) -> list[str]:
        """Measured where it is asked."""
        return forecast_for(config, model, parameters)

    def evaluate_both(self, model: nn.Layer, ema: Ema | None, samples: EvalSamples, world: World, config: CfgNode,
                      **how) -> dict[str, Evaluation]:
        """Top-1, top-5, and of the tokens where validation maps are given."""
        return evaluate_both(model, ema, samples, world, **{**build.evaluation_arguments(config), **how})

    def evaluate_weights(self, config: CfgNode, recipe: CfgNode, world: World) -> Evaluation:
        """With whatever reports are asked for."""
        return evaluate_weights(config, recipe, world)


def evaluate_weights(config: CfgNode, recipe: CfgNode, world: World) -> Evaluation:
    """`--evaluate-only`: the weights named on exactly one of the ways there are, on the validation images.

    Args:
        config: the resolved configuration; `recipe`: the same before changes on the command line.

    Raises:
        ValueError: no weights are named, or more than one file.
        FileNotFoundError: a path does not exist.
    """
    log = Log(world.is_main)
    with world.together():
        weights = named_weights(config)
        path = config.DATA.DATA_PATH
        images = corrupted_images(path) if corrupted_folders(path) else build.val_images(config)
        model, config, file, kind, report = load(config, weights, config.SAVE)
        log.say(str(report))
        folders = images.names
        images = classes.meant_by(file, images, model.num_classes, config.MODEL.CLASSES)
        if are_numbers(folders) and not are_numbers(images.names):
            log.say("class folders called by numbers are taken for rows of ImageNet's list, as in ImageNet-V2")
        shown = int((images.counts() > 0).sum())
        log.say(f"evaluating the {WORDS[kind]} on {len(images):,} images of {shown} of {model.num_classes} classes in "
                f"{images.root}, token head {'on' if model.eval_token_weight else 'off'} "
                f"(MODEL.EVAL_TOKENS {config.MODEL.EVAL_TOKENS})")
        for line in skipped_note(images):
            log.say(line)
        samples = build.eval_samples(config, recipe, images, model.grid)
        if samples.maps:
            log.say(f"label maps in {samples.maps}")
    result = evaluate_and_report(model, samples, world, config, log, f"the {WORDS[kind]} of {file} on {images.root}",
                                 classes.class_names_of(file) or ())
    log.say(str(result))
    return result
