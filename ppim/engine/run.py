"""What is a training run made of, and how is it put together from its configuration, or taken up where it stopped?"""
from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import paddle
from paddle import nn
from yacs.config import CfgNode

from ppim import config as configuration
from ppim.checks.finding import Finding
from ppim.config import has_teacher, teaches_tokens
from ppim.data.bad_photos import BadPhotos
from ppim.data.batches import TrainBatches
from ppim.data.classes import write_names
from ppim.data.datasets import skipped_note
from ppim.data.images import ImageList
from ppim.data.loader import EvalSamples, TrainSamples, make_loader
from ppim.data.split import as_list
from ppim.engine import best, build, classes
from ppim.engine.checked import QUICK, Effort, Parts, judge, load_and_check
from ppim.engine.checkpoint import Checkpoint, State, unlike
from ppim.engine.distributed import World
from ppim.engine.lock import FolderLock
from ppim.engine.log import Log
from ppim.engine.progress import Span
from ppim.engine.run_folder import RunFolder, find_resumed
from ppim.engine.schedule import Schedule, schedule_of
from ppim.engine.steps import Steps, resumed_micro_step
from ppim.engine.summary import changed_since, summary
from ppim.engine.task import Task, task_of
from ppim.engine.train_state import TrainState, build_train_state, restore
from ppim.engine.writer import Writer
from ppim.files import write_whole
from ppim.objective.objective import LossTerms
from ppim.objective.teacher import Teacher, build_teacher
from ppim.weights.run_folders import config_of


@dataclass
class Run:
    """What a run is made of; only `state`, `meter`, `findings` and what the writer does change.

    `resumed`: of the checkpoint it goes on from; None where it starts anew.
    """

    config: CfgNode
    world: World
    folder: RunFolder
    state: TrainState
    batches: TrainBatches
    steps: Steps
    schedule: Schedule
    train: TrainSamples
    val: EvalSamples
    log: Log
    meter: Meter
    lock: FolderLock
    writer: Writer
    card: dict[str, Any]  # what its weights say of themselves, see `ppim.weights.card`
    resumed: State | None = None
    findings: list[Finding] = field(default_factory=list)

    def tell(self, found: list[Finding]) -> None:
        """Keep what checks have found and tell of mistakes; raises as `checked.judge`."""
        self.findings += found
        for line in judge(found, self.config.CHECKS, self.world):
            self.log.say(line)

    @property
    def task(self) -> Task:
        """What is learnt."""
        return task_of(self.config)

    @property
    def last(self) -> int:
        """The step to stop after."""
        return _last(self.config, self.steps)

    def reports(self, step: int) -> bool:
        """Is a line due after this step?"""
        return step == self.last or step % self.config.REPORT_FREQ == 0

    def close(self) -> None:
        """Wait until all is written, whatever ended the run, and let go of its folder."""
        try:
            self.writer.wait()
        finally:
            self.log.close()
            self.lock.release()


@dataclass
class Meter:
    """What happened since the last report; losses stay on the device until then.

    `gradient_norm`: of the step that is reported. `terms`: of the micro-batches that were learned from. `left_out`:
    steps that were not taken, because their numbers were not finite; `left_out_in_a_row`: the newest of them, of this
    report or before.
    """

    terms: list[LossTerms] = field(default_factory=list)
    left_out: int = 0
    left_out_in_a_row: int = 0
    images: int = 0
    waited: float = 0.0
    gradient_norm: float | None = None
    since: float = field(default_factory=time.perf_counter)

    def restart(self) -> None:
        """Begin to count anew; steps left out in a row stay counted."""
        self.terms.clear()
        self.left_out, self.gradient_norm = 0, None
        self.images, self.waited, self.since = 0, 0.0, time.perf_counter()


def start(
    config: CfgNode, recipe: CfgNode, world: World, effort: Effort = QUICK
) -> tuple[Run, Iterator[dict[str, paddle.Tensor]], int]:
    """The run, its micro-batches, and the number of the first of them; arguments and errors as of `train.train`.

    Args:
        effort: how much the checks look at.
    """
    lock = FolderLock()
    try:
        return _start(config, recipe, world, lock, effort)
    except BaseException:
        lock.release()
        raise


def _start(
    config: CfgNode, recipe: CfgNode, world: World, lock: FolderLock, effort: Effort
) -> tuple[Run, Iterator[dict[str, paddle.Tensor]], int]:
    found: list[Finding] = []
    folder = RunFolder(config.SAVE)
    # a new folder is made and locked as late as in `_open`, so that a start that fails leaves none
    is_new = not folder.path.is_dir()
    with world.together():
        warned = _take(lock, folder) if world.is_main and not is_new else []
        checkpoint, notes = find_resumed(folder, config.MODEL.RESUME)
        # the data, looked at before anything is built
        task = task_of(config)
        images = task.train_images(config, checkpoint)
        config = classes.with_rows(config, len(images.classes))
        val_images = task.val_images(config, images)
        # the model, what teaches it, and what it is taught
        keeps_heads = checkpoint is None and task.keeps_heads(config, images)
        model = _fresh_model(config, keeps_heads, notes, found) if checkpoint is None else _model(config)
        samples, val = task.samples(config, recipe, images, val_images, model)
        notes += [*skipped_note(images), *skipped_note(val_images)]
        notes += [f"label maps in {maps}" for maps in (samples.maps, val.maps) if maps]
        notes += task.notes(config, images)
        teacher = _teacher(config, images, notes)
    state = build_train_state(config, model, world, task.objective(config, model, teacher))
    # the plan, and where it stands
    batches = build.train_batches(config, len(images), world, labels=images.labels, shards=images.shard_starts())
    epochs = config.TRAIN.NUM_EPOCHS + config.TRAIN.COOLDOWN_EPOCHS
    steps = Steps(batches.steps_per_epoch, config.TRAIN.ACCUM_ITER, epochs)
    steps.check()
    schedule = schedule_of(config, batches.global_batch * steps.accumulate)
    micro = _go_on_from(checkpoint, state, batches, steps) if checkpoint else 0
    notes += warned
    if checkpoint:
        notes += [*unlike(checkpoint.state, world.size, images), *_changed(config, recipe, folder)]
    # mistakes that nothing raises
    found += task.checks(Parts(config, recipe, world, state, samples, val, teacher, schedule, steps, batches,
                               keeps_heads), effort)
    notes += judge(found, config.CHECKS, world)
    if world.is_main:
        notes += _open(folder, config, lock, is_new) + _list_data(folder, config, images, val_images)
    log = Log(world.is_main, folder, Span(state.step, _last(config, steps), steps.total), _silent(config, state),
              steps.counted_now)
    run = Run(config, world, folder, state, batches, steps, schedule, samples, val, log, Meter(), lock,
              Writer(log.say, config.DATA.TIMEOUT), task.card(config, images),
              checkpoint.state if checkpoint else None, found)
    for line in [*notes, *_about(run, recipe)]:
        log.say(line)
    return run, _timed(_batches_from(run, micro), run.meter), micro


def _about(run: Run, recipe: CfgNode) -> list[str]:
    """What the run is about to do, and the memory it will take."""
    model, images = run.state.model, (len(run.train), len(run.val))
    about = summary(run.config, recipe, run.schedule, run.steps, processes=run.world.size, parameters=_trainable(model),
                    images=images, task=run.task.summary(run.config))
    return [*about, *run.task.forecast(run.config, model, _trainable(model))]


def _batches_from(run: Run, micro: int) -> Iterator[dict[str, paddle.Tensor]]:
    """The micro-batches from number `micro` on; of photos that cannot be read it is told."""
    ahead = build.train_batches(run.config, len(run.train), run.world, micro, run.last * run.steps.accumulate,
                                run.train.images.labels, run.train.images.shard_starts())
    mix = run.task.mix_of_step(run.config, ahead, run.state.model)
    bad = BadPhotos(len(run.train), run.log.say if run.world.is_main else functools.partial(print, flush=True))
    return bad.taken_out(make_loader(run.train, ahead, run.config.DATA.NUM_WORKERS, mix,
                                     run.config.DATA.TIMEOUT))


def _model(config: CfgNode) -> nn.Layer:
    paddle.seed(config.SEED)
    return task_of(config).model(config)


def _fresh_model(config: CfgNode, keeps_heads: bool, notes: list[str], found: list[Finding]) -> nn.Layer:
    """The model with the weights the run starts from; what was loaded is noted."""
    model, weights = _model(config), config.MODEL.PRETRAINED
    if weights:
        report, finding = load_and_check(model, weights, not keeps_heads)
        notes.append(str(report))
        found.append(finding)
        model.note_source(())  # from here on the weights are this project's, after --resume as well
    if keeps_heads and model.has_token_head and not teaches_tokens(config) and not model.is_token_head_silent:
        notes.append(f"the token head of {weights} is left behind: nothing teaches it in this run, so it is zero")
    return model


def _teacher(config: CfgNode, images: ImageList, notes: list[str]) -> Teacher | None:
    """The network that teaches, if any; what was loaded into it is noted."""
    if has_teacher(config):
        classes.check_same(config.DISTILL.WEIGHTS, images, "take a teacher of the same classes")
    teacher, report = build_teacher(config)
    notes += [f"teacher: {report}"] if teacher else []
    return teacher


def _take(lock: FolderLock, folder: RunFolder) -> list[str]:
    return lock.take(folder.path, f"wait for its end, or start another run with -o SAVE {folder.neighbour()}")


def _open(folder: RunFolder, config: CfgNode, lock: FolderLock, is_new: bool) -> list[str]:
    """Make the folder ready to be written into; lines to tell about it."""
    folder.prepare()
    notes = []
    if is_new:
        notes = _take(lock, folder)
        folder.check_free()  # another run may have been faster
    if lock.held:
        folder.remove_leftovers()
    configuration.save(_without_sources(config), folder.config)
    return notes


def _list_data(folder: RunFolder, config: CfgNode, images: ImageList, val_images: ImageList) -> list[str]:
    """Write down what the classes are called and which photos were set aside; lines to tell about it."""
    if images.names:
        write_names(folder.classes, images.names)
    if not build.sets_aside(config):
        return []
    write_whole(folder.val_list, lambda path: path.write_bytes(as_list(val_images)))
    return [f"validation photos set aside by name: {len(val_images)} of {len(images) + len(val_images)}, listed in "
            f"{folder.val_list}"]


def _go_on_from(checkpoint: Checkpoint, state: TrainState, batches: TrainBatches, steps: Steps) -> int:
    """Put the checkpoint's state back; the micro-batch to go on with. Steps are counted in today's batch."""
    restore(state, checkpoint)
    micro = resumed_micro_step(checkpoint.state, batches.global_batch, batches.steps_per_epoch, steps.accumulate)
    state.step = micro // steps.accumulate
    state.best = best.counted_anew(state.best, checkpoint.state.step, state.step)
    return micro


def _changed(config: CfgNode, recipe: CfgNode, folder: RunFolder) -> list[str]:
    """What is told of a run that goes on otherwise than it was configured so far, before that is written over."""
    own = config_of(folder.path if config.MODEL.RESUME == "auto" else config.MODEL.RESUME)
    try:
        return changed_since(config, recipe, configuration.get_config(own)) if own else []
    except (ValueError, FileNotFoundError):  # edited or damaged, which does not keep the run from going on
        return []


def _last(config: CfgNode, steps: Steps) -> int:
    return min(steps.total, config.TRAIN.MAX_STEPS or steps.total)


def _silent(config: CfgNode, state: TrainState) -> set[str]:
    """Numbers of a training record that say nothing in this run: losses of tokens nobody teaches, a scale of 1."""
    tokens = set() if teaches_tokens(config) else {"class_loss", "token_loss"}
    return tokens if state.scaler.is_enable() else tokens | {"loss_scale"}


def _trainable(model: nn.Layer) -> int:
    return sum(parameter.size for parameter in model.parameters() if not parameter.stop_gradient)


def _without_sources(config: CfgNode) -> CfgNode:
    """The configuration as a recipe: what this start began from is no part of it."""
    recipe = config.clone()
    recipe.defrost()
    recipe.MODEL.PRETRAINED = recipe.MODEL.RESUME = recipe.MODEL.CLASSES = None
    recipe.MODEL.NEW_HEADS = "never"
    return recipe


def _timed(loader, meter: Meter) -> Iterator[dict[str, paddle.Tensor]]:
    """The loader's batches; the time spent waiting for them goes to the meter."""
    batches = iter(loader)
    while True:
        before = time.perf_counter()
        batch = next(batches, None)
        meter.waited += time.perf_counter() - before
        if batch is None:
            return
        yield batch
