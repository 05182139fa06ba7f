"""One training run, from its configuration to its last evaluation.

There is one loop. Plain labels, token labels and every way of mixing differ in what the loader and the objective are
handed, not here.
"""
from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import paddle
from yacs.config import CfgNode

from ppim import config as configuration
from ppim.data.loader import EvalSamples, TrainBatches, make_loader
from ppim.engine import best, build
from ppim.engine.checkpoint import Checkpoint, arithmetic, remove_leftovers, save_checkpoint, unlike
from ppim.engine.distributed import World, average_statistics
from ppim.engine.ema import swapped_in
from ppim.engine.evaluate import Evaluation, evaluate_samples
from ppim.engine.interrupt import StopRequest
from ppim.engine.introduce import introduction
from ppim.engine.learner import Learner, as_arrays, build_learner, build_model_for, capture, restore
from ppim.engine.log import Log, peak_memory_mb
from ppim.engine.optimizer import take_step
from ppim.engine.run_folder import RunFolder, find_resumed
from ppim.engine.schedule import Schedule
from ppim.engine.steps import Steps, resumed_micro_step
from ppim.files import write_whole
from ppim.mixing import draw_blocks, mixed_rows, shard
from ppim.objective.objective import LossTerms
from ppim.objective.pixels import as_tensors
from ppim.objective.teacher import build_teacher
from ppim.paddle_compat import be_deterministic
from ppim.seeds import dropout_seed, mix_rng
from ppim.weights.load import load_weights
from ppim.weights.recognise import head_classes
from ppim.weights.write import save_state

_OVERFLOWS = 8  # micro-batches in a row whose loss may overflow float16; their steps are left out


@dataclass
class Run:
    """What a run is made of; only `learner` and `meter` change."""

    config: CfgNode
    world: World
    folder: RunFolder
    learner: Learner
    batches: TrainBatches
    steps: Steps
    schedule: Schedule
    val: EvalSamples
    log: Log
    meter: Meter

    @property
    def last(self) -> int:
        """The step to stop after."""
        return min(self.steps.total, self.config.TRAIN.MAX_STEPS or self.steps.total)


@dataclass
class Meter:
    """What happened since the last report; losses stay on the device until then.

    `overflows`: micro-batches in a row without a finite loss, up to the last report.
    """

    terms: list[LossTerms] = field(default_factory=list)
    overflows: int = 0
    images: int = 0
    waited: float = 0.0
    since: float = field(default_factory=time.perf_counter)

    def restart(self) -> None:
        self.terms.clear()
        self.images, self.waited, self.since = 0, 0.0, time.perf_counter()


def train(config: CfgNode, recipe: CfgNode, world: World) -> tuple[Evaluation, dict]:
    """Train as configured; the last evaluation, of the better of the weights and their average, and the best's card.

    Args:
        config: the resolved configuration. MODEL.RESUME None starts anew; "auto" goes on from the newest checkpoint of
            the run folder; else it is a checkpoint folder or a run folder.
        recipe: the same before changes on the command line.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, in a line that says what to do.
        FloatingPointError: the loss is no longer finite.
        KeyboardInterrupt: a signal asked to stop; the state has been saved.
    """
    if config.DETERMINISTIC:
        be_deterministic()
    folder = RunFolder(config.SAVE)
    checkpoint, notes = find_resumed(folder, config.MODEL.RESUME)
    images = build.train_images(config)
    val_images = build.val_images(config, images)
    paddle.seed(config.SEED)
    model = build_model_for(config)
    if config.MODEL.PRETRAINED and checkpoint is None:
        notes.append(str(load_weights(model, config.MODEL.PRETRAINED, new_heads=_starts_new_heads(config.MODEL))))
        model.note_source(())  # from here on the weights are this project's, after --resume as well
    samples = build.train_samples(config, recipe, images, model.grid)
    val = build.eval_samples(config, recipe, val_images, model.grid)
    notes += [f"label maps in {maps}" for maps in (samples.maps, val.maps) if maps]
    teacher, report = build_teacher(config)
    if teacher:
        notes.append(f"teacher: {report}")
    learner = build_learner(config, model, world, teacher)
    batches = build.train_batches(config, len(images), world)
    epochs = config.TRAIN.NUM_EPOCHS + config.TRAIN.COOLDOWN_EPOCHS
    steps = Steps(batches.steps_per_epoch, config.TRAIN.ACCUM_ITER, epochs)
    schedule = build.schedule(config, batches.global_batch * steps.accumulate)
    first = 0
    if checkpoint:
        first = _go_on_from(checkpoint, learner, batches, steps)
        notes += unlike(checkpoint.state, world.size)
    if world.is_main:
        folder.prepare()
        remove_leftovers(folder.checkpoints)
        configuration.save(_without_sources(config), folder.config)
    log = Log(world.is_main, folder, steps.total)
    run = Run(config, world, folder, learner, batches, steps, schedule, val, log, Meter())
    try:
        for line in [*notes, *introduction(config, recipe, schedule, steps, processes=world.size,
                                           parameters=_trainable(model), images=(len(images), len(val_images)))]:
            log.say(line)
        ahead = build.train_batches(config, len(images), world, first, run.last * steps.accumulate)
        last = fit(run, _timed(make_loader(samples, ahead, config.DATA.NUM_WORKERS), run.meter), first)
        log.say(best.summary(learner.best))
        return last, learner.best
    finally:
        log.close()


def _starts_new_heads(model: CfgNode) -> bool:
    """MODEL.NEW_HEADS; `auto` looks into the file."""
    if model.NEW_HEADS == "auto":
        return head_classes(model.PRETRAINED) != model.NUM_CLASSES
    return model.NEW_HEADS == "always"


def _go_on_from(checkpoint: Checkpoint, learner: Learner, batches: TrainBatches, steps: Steps) -> int:
    """Put the checkpoint's state back; the micro-batch to go on with. Steps are counted in today's batch."""
    restore(learner, checkpoint)
    micro = resumed_micro_step(checkpoint.state, batches.global_batch, batches.steps_per_epoch, steps.accumulate)
    learner.step = micro // steps.accumulate
    return micro


def _trainable(model) -> int:
    return sum(parameter.size for parameter in model.parameters() if not parameter.stop_gradient)


def _without_sources(config: CfgNode) -> CfgNode:
    """The configuration as a recipe: what this start began from is no part of it."""
    recipe = config.clone()
    recipe.defrost()
    recipe.MODEL.PRETRAINED = recipe.MODEL.RESUME = None
    recipe.MODEL.NEW_HEADS = "never"
    return recipe


def fit(run: Run, batches: Iterator[dict], micro: int) -> Evaluation:
    """The loop over optimizer steps; `batches` starts with micro-batch number `micro`."""
    config, learner, steps = run.config, run.learner, run.steps
    evaluation = None
    with StopRequest() as stop:
        while learner.step < run.last:
            # accumulate the gradients of one step
            learner.optimizer.set_lr(run.schedule.at(steps.epoch(learner.step)))
            for part in range(steps.accumulate):
                is_last_part = part == steps.accumulate - 1
                run.meter.terms.append(_forward_backward(run, next(batches), micro, is_last_part))
                run.meter.images += run.batches.global_batch
                micro += 1
            # take it
            take_step(learner.optimizer, learner.scaler, config.TRAIN.GRAD_CLIP)
            if learner.ema:
                learner.ema.update()
            learner.step += 1
            # see what is due
            is_last = learner.step == run.last
            epoch = steps.ends_epoch(learner.step)
            is_report = is_last or learner.step % config.REPORT_FREQ == 0
            stopping = (run.world.size == 1 or is_report) and run.world.any(stop.requested)
            saves = is_last or stopping or _is_due(config.SAVE_STEPS, learner.step) or _is_due(config.SAVE_FREQ, epoch)
            evaluates = is_last or _is_due(config.VALIDATE_FREQ, epoch)
            # report, evaluate, save
            if is_report or saves or evaluates:
                _report(run, shown=is_report)
            if saves or evaluates:
                average_statistics(learner.model, learner.ema, run.world)
            if evaluates and not stopping:
                evaluation = _evaluate_and_keep_best(run)
            if saves:
                _save(run, micro)
            if saves or evaluates:
                run.meter.restart()
            if stopping and not is_last:
                raise KeyboardInterrupt(f"stopped by a signal after step {learner.step}; saved, go on with --resume")
    return evaluation or _evaluate_and_keep_best(run)


def _forward_backward(run: Run, batch: dict, micro: int, is_last_part: bool) -> LossTerms:
    """One micro-batch: gradients add up; with the last of a step they are averaged over the processes."""
    learner, batches, world, model = run.learner, run.batches, run.world, run.learner.model
    paddle.seed(dropout_seed(run.config.SEED, world.rank, micro))
    rng_of = functools.partial(mix_rng, run.config.SEED, micro)
    image_hw = tuple(batch["image"].shape[2:])
    mix = draw_blocks(rng_of, batches.global_batch, image_hw, model.grid, **build.mix_arguments(run.config))
    start, stop = batches.rows
    mixed = mixed_rows(shard(mix, start, stop), image_hw, model.grid, with_shares=model.share_rule != "area")
    # processes weigh the same in the average, though their shares of a batch may be a pair of samples apart
    share = (stop - start) * world.size / batches.global_batch
    with contextlib.nullcontext() if is_last_part or world.size == 1 else learner.forward.no_sync():
        terms = learner.forward(batch, as_tensors(mixed))
        learner.scaler.scale(terms.total * (share / run.steps.accumulate)).backward()
    return LossTerms(*(term.detach() * share for term in terms))


def _is_due(every: int, count: int | None) -> bool:
    return bool(every and count) and count % every == 0


def _timed(loader, meter: Meter) -> Iterator[dict]:
    """The loader's batches; the time spent waiting for them goes to the meter."""
    batches = iter(loader)
    while True:
        before = time.perf_counter()
        batch = next(batches, None)
        meter.waited += time.perf_counter() - before
        if batch is None:
            return
        yield batch


def _report(run: Run, shown: bool) -> None:
    """Fetch the losses since the last report, stop if one is not finite, record and tell."""
    learner, steps, meter = run.learner, run.steps, run.meter
    if not meter.terms:
        return
    # (micro-batches, 3), mean over the processes
    losses = np.array([[term.item() for term in terms] for terms in meter.terms])
    losses = np.reshape(run.world.total(losses.reshape(-1).tolist(), "float64"), losses.shape) / run.world.size
    elapsed = time.perf_counter() - meter.since
    finite = _finite(losses, meter, learner, steps)
    total, classes, tokens = losses[finite].mean(axis=0) if finite.any() else losses[-1]
    values = {
        "epoch": round(steps.epoch(learner.step), 4),
        "loss": total,
        "class_loss": classes,
        "token_loss": tokens,
        "lr": learner.optimizer.get_lr(),
        "images_per_second": round(meter.images / elapsed, 2),
        "data_wait": round(meter.waited / elapsed, 4),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "loss_scale": learner.loss_scale,
    }
    run.log.record("train", learner.step, values)
    text = (
        f"epoch {values['epoch']:6.2f}  step {learner.step}/{steps.total}  loss {total:.4f} (class {classes:.4f}, "
        f"tokens {tokens:.4f})  lr {values['lr']:.3g}  {values['images_per_second']:.1f} images/s  "
        f"data wait {100 * values['data_wait']:.0f} %  memory {values['peak_memory_mb']:.0f} MB"
    )
    run.log.progress(learner.step, text, shown)
    meter.restart()


def _finite(losses: np.ndarray, meter: Meter, learner: Learner, steps: Steps) -> np.ndarray:
    """Which micro-batches have a finite loss: all of them, unless loss scaling has left out the steps of a few.

    Raises:
        FloatingPointError: more in a row are not finite than float16 and its scaling explain.
    """
    finite = np.isfinite(losses).all(axis=1)
    for at, is_finite in enumerate(finite):
        meter.overflows = 0 if is_finite else meter.overflows + 1
        if meter.overflows > (_OVERFLOWS if learner.scaler.is_enable() else 0):
            first = learner.step - (len(losses) - 1 - at + meter.overflows - 1) // steps.accumulate
            raise FloatingPointError(
                f"the loss is not finite from step {first} (epoch {steps.epoch(first):.2f}) on, loss scale "
                f"{learner.loss_scale:g}; nothing since the last checkpoint was saved. Lower TRAIN.BASE_LR, set "
                "TRAIN.GRAD_CLIP or switch AMP off, then go on with --resume"
            )
    return finite


def _evaluate_and_keep_best(run: Run) -> Evaluation:
    """Evaluate the weights and their running average; what is best so far goes to best.pdparams. Returns the better."""
    learner, folder = run.learner, run.folder
    results = {"raw": _evaluate(run)}
    if learner.ema:
        with swapped_in(learner.model, learner.ema.state_dict()):
            results["ema"] = _evaluate(run)
    epoch = round(run.steps.epoch(learner.step), 4)
    for weights, result in results.items():
        run.log.record(f"eval_{weights}", learner.step, {"epoch": epoch, **result.as_dict()})
        run.log.say(f"epoch {epoch:6.2f}  {weights:>3} weights  {result}")
    before, learner.best = learner.best, best.after(learner.best, results, learner.step, epoch)
    if run.world.is_main:
        if not before or learner.best["top1"] > before["top1"]:
            state = learner.ema.state_dict() if learner.best["weights"] == "ema" else learner.model.state_dict()
            save_state(as_arrays(state), folder.best)
        write_whole(folder.best_card, lambda path: path.write_text(json.dumps(learner.best, indent=1)))
    return results[best.better(results)]


def _evaluate(run: Run) -> Evaluation:
    return evaluate_samples(run.learner.model, run.val, run.world, **build.evaluation_arguments(run.config))


def _save(run: Run, micro: int) -> None:
    """A checkpoint and the newest weights; the main process writes, the others wait."""
    learner, folder, batches = run.learner, run.folder, run.batches
    if run.world.is_main:
        position = {
            "epoch": micro // batches.steps_per_epoch,
            "offset": micro % batches.steps_per_epoch * batches.global_batch,
            "samples_per_micro": batches.global_batch,
            "seed": run.config.SEED,
            **arithmetic(run.world.size),
        }
        checkpoint = capture(learner, **position)
        save_checkpoint(folder.checkpoints, checkpoint, learner.step, run.config.KEEP_CHECKPOINTS)
        save_state(checkpoint.tensors["model"], folder.last)
        if learner.ema:
            save_state(checkpoint.tensors["ema"], folder.last_ema)
    run.world.meet()
