"""One training run: the loop over its steps, what is reported, evaluated and saved on the way.

There is one loop. Plain labels, token labels and every way of mixing differ in what the loader and the objective are
handed, not here.
"""
from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Iterable, Iterator

import numpy as np
import paddle
from yacs.config import CfgNode

from ppim.engine import best, pictures
from ppim.engine.distributed import World, average_statistics
from ppim.engine.ending import Ending
from ppim.engine.evaluate import Evaluation, EvaluationCut
from ppim.engine.first_step import FirstStep
from ppim.engine.interrupt import StopRequest
from ppim.engine.log import peak_memory_mb
from ppim.engine.optimizer import gradient_norm, take_step
from ppim.engine.rescue import Rescue
from ppim.engine.run import Run, start
from ppim.engine.saving import finish, save, save_alone, save_best, settle
from ppim.engine.sound import Guard
from ppim.engine.steps import LOGGED
from ppim.objective.objective import LossTerms
from ppim.paddle_compat import be_deterministic
from ppim.seeds import dropout_seed
from ppim.stopping import Stopped
from ppim.weights.checkpoints import checkpoint_name


def train(config: CfgNode, recipe: CfgNode, world: World) -> tuple[Evaluation, dict[str, object]]:
    """Train as configured; the last evaluation, of the better of the weights and their average, and the best's card.

    Args:
        config: the resolved configuration. MODEL.RESUME None starts anew; "auto" goes on from the newest checkpoint of
            the run folder; else it is a checkpoint folder or a run folder.
        recipe: the same before changes on the command line.

    Raises:
        ValueError, FileNotFoundError: a mistake of the user's, in a line that says what to do.
        FloatingPointError: numbers are no longer finite.
        Stopped: a signal asked to stop; the state has been saved.
    """
    if config.DETERMINISTIC:
        be_deterministic()
    run, batches, micro = start(config, recipe, world)
    try:
        owed = _is_evaluation_owed(run)  # asked before anything is written
        settle(run, micro)
        pictures.show_samples(run)
        run.log.at(run.state.step)
        ending = Ending(run)
        last = fit(run, batches, micro, ending, owed)
        finish(run)
        further = ending.further() if ending.is_reached else _further(run)
        for line in best.conclusion(run.state.best, run.folder, further, run.world.size):
            run.log.say(line)
        return last, run.state.best
    finally:
        batches.close()
        run.close()


def fit(run: Run, batches: Iterator[dict[str, paddle.Tensor]], micro: int, ending: Ending | None = None,
        owed: bool = False) -> Evaluation:
    """The loop over optimizer steps; `batches` starts with micro-batch number `micro`.

    Args:
        owed: evaluate before the first of them, as the step before it left it.
    """
    state, ending = run.state, ending or Ending(run)
    evaluation = None
    with StopRequest() as stop, Rescue(run, micro, save_alone, stop) as rescue:
        if owed:
            evaluation = _evaluate_or_stop(run, micro, rescue, stop, ending)
            run.meter.restart()
        guard = Guard(run)
        watch = None if state.step >= run.last or ending.is_reached else FirstStep(run)
        while state.step < run.last and not ending.is_reached:
            with rescue.giving_up():
                run.writer.check()
            micro = one_step(run, batches, micro, guard, watch, rescue)
            run.log.at(state.step)
            if watch:
                with rescue.giving_up():
                    run.tell(watch.findings())
                watch = None if watch.is_done else watch.renewed()
            evaluation = _see_what_is_due(run, micro, guard, rescue, stop, ending) or evaluation
        if ending.is_reached:
            run.log.say(str(ending))
        return evaluation or _evaluate_or_stop(run, micro, rescue, stop, ending)


def one_step(run: Run, batches: Iterator[dict[str, paddle.Tensor]], micro: int, guard: Guard,
             watch: FirstStep | None = None, rescue: Rescue | None = None) -> int:
    """One optimizer step; `batches` goes on with micro-batch `micro`, the result is the number of the one behind it."""
    state, steps = run.state, run.steps
    if rescue:
        rescue.keep_statistics()
    # accumulate the gradients of one step
    state.optimizer.set_lr(run.schedule.at(steps.epoch(state.step)))
    guard.begin_step()
    for part in range(steps.accumulate):
        batch = next(batches)
        if watch:
            watch.batch(batch, micro)
        guard.note(batch, _forward_backward(run, batch, micro, part == steps.accumulate - 1))
        run.meter.images += run.batches.global_batch
        micro += 1
    if watch:
        watch.entered()
    # take it, if its numbers are finite
    is_taken = guard.allows_step()
    if is_taken:
        average_statistics(state.model, run.world)
    if watch and is_taken:
        watch.gradients()
    if is_taken and run.world.is_main and run.reports(state.step + 1):
        run.meter.gradient_norm = gradient_norm(state.optimizer, state.loss_scale)
    with rescue.taking_step(micro) if rescue else contextlib.nullcontext():
        if is_taken:
            take_step(state.optimizer, state.scaler, run.config.TRAIN.GRAD_CLIP)
            if state.ema:
                state.ema.update()
        state.step += 1
    if watch and is_taken:
        watch.update()
    return micro


def _see_what_is_due(run: Run, micro: int, guard: Guard, rescue: Rescue, stop: StopRequest, ending: Ending,
                     ) -> Evaluation | None:
    """Report, save, evaluate, in this order: an evaluation takes long and reads files that may be bad.

    Raises:
        Stopped: this is the step to stop after.
    """
    config, state = run.config, run.state
    is_last = ending.step_is_done() or state.step == run.last
    epochs = run.steps.ends_epochs(state.step)
    is_report = run.reports(state.step)
    stopping = not is_last and rescue.agreement.ends_after(state.step)
    saves = is_last or stopping or _is_due(config.SAVE_STEPS, [state.step]) or _is_due(config.SAVE_FREQ, epochs)
    evaluates = is_last or _is_due(config.VALIDATE_FREQ, epochs)
    evaluation = None
    if is_report or saves or evaluates:
        _report(run, shown=is_report)
    if saves or evaluates:
        rescue.keep_statistics()
        guard.check()
    if saves:
        with rescue.saving():
            save(run, micro)
    if stopping:
        raise _stopped(run, rescue, stop)
    if evaluates:
        evaluation = _evaluate_or_stop(run, micro, rescue, stop, ending)
        if ending.is_reached and not rescue.is_saved:
            with rescue.saving():
                save(run, micro)
    if saves or evaluates:
        run.meter.restart()
    return evaluation


def _evaluate_or_stop(run: Run, micro: int, rescue: Rescue, stop: StopRequest, ending: Ending) -> Evaluation:
    """As `_evaluate_and_keep_best`.

    Raises:
        Stopped: somebody asked to stop meanwhile; the evaluation is left to the run that goes on.
    """
    try:
        return _evaluate_and_keep_best(run, rescue, stop, ending)
    except EvaluationCut:
        if not rescue.is_saved:
            with rescue.saving():
                save(run, micro)
        raise _stopped(run, rescue, stop) from None


def _stopped(run: Run, rescue: Rescue, stop: StopRequest) -> Stopped:
    """What to end a run with that was asked to stop, when all is written."""
    with rescue.giving_up():
        finish(run)
    return Stopped(stop.requested or signal.SIGTERM,
                   f"stopped by a signal after step {run.state.step}; saved, go on with --resume")


def _is_evaluation_owed(run: Run) -> bool:
    """Does a run that goes on here still have to evaluate? A checkpoint is written before the evaluation of its step;
    the best's card shows whether that came about."""
    state, folder, resumed = run.state, run.folder, run.resumed
    if not state.step or resumed.best.get("last", {}).get("step") == resumed.step:  # saved behind it, by an early end
        return False
    card = best.card_since(folder.checkpoints / checkpoint_name(resumed.step), folder.best_card, resumed.step)
    card = best.counted_anew(card, resumed.step, state.step)
    seen, stale = run.world.is_main and bool(card), 0 if best.is_new(state.best, card) else state.stale + 1
    found, stale = run.world.all_sum([int(seen), stale if seen else 0], "int64")
    if found:
        state.best, state.stale = card or state.best, stale
        return False
    return state.step < run.last and _is_due(run.config.VALIDATE_FREQ, run.steps.ends_epochs(state.step))


def _further(run: Run) -> list[str]:
    """Key and value with which `run` would train on: all of its epochs if it was cut short, else half as many again."""
    if run.last < run.steps.total:
        return ["TRAIN.MAX_STEPS", "0"]
    return ["TRAIN.NUM_EPOCHS", str(math.ceil(1.5 * run.config.TRAIN.NUM_EPOCHS))]


def _forward_backward(run: Run, batch: dict[str, paddle.Tensor], micro: int, is_last_part: bool) -> LossTerms:
    """One micro-batch: gradients add up; with the last of a step they are averaged over the processes."""
    state, batches, world = run.state, run.batches, run.world
    paddle.seed(dropout_seed(run.config.SEED, world.rank, micro))
    start, stop = batches.rows
    # processes weigh the same in the average, though their shares of a batch may be a pair of samples apart
    share = (stop - start) * world.size / batches.global_batch
    with contextlib.nullcontext() if is_last_part or world.size == 1 else state.forward.no_sync():
        terms = state.forward(batch)
        state.scaler.scale(terms.total * (share / run.steps.accumulate)).backward()
    return LossTerms(*(term.detach() * share for term in terms))


def _is_due(every: int, counts: Iterable[int]) -> bool:
    return any(every and count % every == 0 for count in counts)


def _report(run: Run, shown: bool) -> None:
    """Fetch the losses since the last report, record and tell."""
    state, steps, meter = run.state, run.steps, run.meter
    # (micro-batches, 3), mean over the processes
    losses = np.array([[term.item() for term in terms] for terms in meter.terms])
    if meter.terms:
        losses = np.reshape(run.world.all_sum(losses.reshape(-1).tolist(), "float64"), losses.shape) / run.world.size
    elapsed = time.perf_counter() - meter.since
    means = losses.mean(axis=0) if meter.terms else (math.nan,) * 3
    values = {
        "epoch": round(steps.epoch(state.step), LOGGED),
        **dict(zip(("loss", *run.task.terms), means)),
        "lr": state.optimizer.get_lr(),
        **({} if meter.gradient_norm is None else {"gradient_norm": meter.gradient_norm}),
        "images_per_second": round(meter.images / elapsed, 2),
        "data_wait": round(meter.waited / elapsed, 4),
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "loss_scale": state.loss_scale,
        "left_out": meter.left_out,
        "left_out_in_a_row": meter.left_out_in_a_row,
    }
    run.log.record("train", state.step, values)
    if shown:
        run.log.report(state.step, values)
    if meter.left_out:
        run.log.say(f"step {state.step}: {meter.left_out} of the steps since the last report left out, because their "
                    f"numbers were not finite; {meter.left_out_in_a_row} in a row by now, "
                    f"{run.config.TRAIN.MAX_BAD_STEPS} end the run (TRAIN.MAX_BAD_STEPS)")
    meter.restart()


def _evaluate_and_keep_best(run: Run, rescue: Rescue, stop: StopRequest, ending: Ending) -> Evaluation:
    """Evaluate the weights and their running average; what is best so far goes to best.pdparams. Returns the better."""
    state = run.state
    results = run.task.evaluate_both(state.model, state.ema, run.val, run.world, run.config,
                                     cut=lambda: stop.requested is not None)
    epoch = round(run.steps.epoch(state.step), LOGGED)
    for weights, result in results.items():
        run.log.record(f"eval_{weights}", state.step, {"epoch": epoch, **result.as_dict()})
        run.log.evaluated(epoch, best.WORDS[weights].ljust(max(len(best.WORDS[name]) for name in results)), result)
    pictures.show_tokens(run)
    before, state.best = state.best, best.after(state.best, results, state.step, epoch)
    is_new = best.is_new(before, state.best)
    ending.evaluated(is_new)
    with rescue.giving_up():
        save_best(run, state.best["weights"] if is_new else None)
    return results[best.better(results)]
