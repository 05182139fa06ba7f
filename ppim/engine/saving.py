"""What of a run is written when, and in which order? Copied at once, written in the background.

A save writes the checkpoint first, then the newest weights, so that these can always be made of a checkpoint; the best
weights are written before any checkpoint that speaks of them. Only the main process writes.
"""
from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from ppim.engine import best
from ppim.engine.checkpoint import Checkpoint, arithmetic, learnt_from, save_checkpoint, set_aside
from ppim.engine.run import Run
from ppim.engine.run_folder import RunFolder
from ppim.engine.train_state import as_arrays, capture
from ppim.files import write_whole
from ppim.strict_json import dumps
from ppim.weights.checkpoints import checkpoint_name, list_checkpoints, step_of
from ppim.weights.write import save_state


def save(run: Run, micro: int) -> None:
    """A checkpoint and the newest weights; returns when they are copied, `micro` micro-batches into the run."""
    if run.world.is_main:
        _save_copy(run, micro)
    run.world.barrier()


def save_alone(run: Run, micro: int) -> None:
    """The same where the other processes cannot be counted on; returns when all is written."""
    _save_copy(run, micro)
    run.writer.wait()


def _save_copy(run: Run, micro: int) -> None:
    run.writer.wait()  # before the copy, so that there is one at a time
    batches = run.batches
    checkpoint = capture(
        run.state,
        epoch=micro // batches.steps_per_epoch,
        offset=micro % batches.steps_per_epoch * batches.global_batch,
        samples_per_micro=batches.global_batch,
        seed=run.config.SEED,
        card=run.card,
        **arithmetic(run.world.size),
        **learnt_from(run.train.images),
    )
    run.writer.start(partial(_write, run.folder, checkpoint, run.config.KEEP_CHECKPOINTS))


def save_best(run: Run, weights: str | None) -> None:
    """The card of the best weights, if there are any, and, where they have just become so, the weights: "raw" or "ema".
    """
    if run.world.is_main and run.state.best:
        _save_best_copy(run, weights)
    run.world.barrier_if_impatient()


def _save_best_copy(run: Run, weights: str | None) -> None:
    run.writer.wait()
    arrays = _arrays(run, weights) if weights else None
    run.writer.start(partial(_write_best, run.folder, arrays, dumps(run.state.best, indent=1), run.card))


def finish(run: Run) -> None:
    """Return when all is written, in every process at once."""
    run.writer.wait()
    run.world.barrier()


def settle(run: Run, micro: int) -> None:
    """Make the folder of a run that goes on agree with where it stands, `micro` micro-batches into it.

    Afterwards its newest checkpoint is of this very step, and its newest weights are that checkpoint's. Checkpoints of
    a higher number, damaged or counted in other batches, are set aside: the next --resume would prefer them. So is the
    newest running average of a run that goes on without one.
    """
    run.world.barrier()  # by now every process has read what it goes on from
    if run.resumed is None:
        return
    step, checkpoints = run.state.step, run.folder.checkpoints
    # asked by one process: it may be writing before another looks
    is_missing = run.world.is_main and not (checkpoints / checkpoint_name(step)).is_dir()
    if run.resumed.step != step or run.world.any(is_missing):
        save(run, micro)
        finish(run)
    elif run.world.is_main:
        _write_newest(run.folder, _arrays(run, "raw"), _arrays(run, "ema") if run.state.ema else None, run.card)
    if run.world.is_main:
        _settle_best(run)
        if run.state.ema is None and run.folder.last_ema.is_file():
            # whoever finds no checkpoint takes the average for the newest weights'
            run.log.say(f"{run.folder.last_ema} is of step {step} or before, and this run keeps no running average: "
                        f"set aside as {set_aside(run.folder.last_ema).name}, delete it when you like")
        for path in list_checkpoints(checkpoints):
            if step_of(path) > step:
                run.log.say(f"{path} counts no more: set aside as {set_aside(path).name}, delete it when you like")


def _settle_best(run: Run) -> None:
    """A best that is spoken of must be there: where it is not, or where that of steps that are lost has taken its
    place, it is made of the weights at hand, or forgotten."""
    card = run.state.best
    if not card or (run.folder.best.is_file() and not best.is_of_another(run.folder.best_card, card)):
        return
    if card["step"] == run.state.step:
        _save_best_copy(run, card["weights"])
    else:
        run.state.best = {}
        run.log.say(f"no {run.folder.best} of step {card['step']}: the best is chosen anew from here on")


def _arrays(run: Run, weights: str) -> dict[str, np.ndarray]:
    return as_arrays((run.state.ema if weights == "ema" else run.state.model).state_dict())


def _write(folder: RunFolder, checkpoint: Checkpoint, keep: int) -> None:
    save_checkpoint(folder.checkpoints, checkpoint, checkpoint.state.step, keep)
    _write_newest(folder, checkpoint.tensors["model"], checkpoint.tensors.get("ema"), checkpoint.state.card)


def _write_newest(
    folder: RunFolder, raw: dict[str, np.ndarray], ema: dict[str, np.ndarray] | None, card: dict[str, Any]
) -> None:
    save_state(raw, folder.last, card=card)
    if ema:
        save_state(ema, folder.last_ema, card=card)


def _write_best(
    folder: RunFolder, arrays: dict[str, np.ndarray] | None, figures: str, card: dict[str, Any]
) -> None:
    if arrays:
        save_state(arrays, folder.best, card=card)
    write_whole(folder.best_card, lambda path: path.write_text(figures, encoding="utf-8"))
