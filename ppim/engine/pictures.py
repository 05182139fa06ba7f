"""What is drawn of a run while it is under way? Training samples at its start, and at every evaluation what the tokens
of the same few validation photos say: PICTURES of each.

Nothing is drawn while steps are taken, no random number is drawn, and a picture that cannot be had ends no run.
"""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
from PIL import Image

from ppim.engine.curves import PICTURES
from ppim.engine.run import Run
from ppim.look import drawn, paint
from ppim.look.paint import Panel
from ppim.look.photo import token_classes
from ppim.look.sample import panels, taught
from ppim.look.words import called
from ppim.objective.pixels import normalise

_WHOLE = (0.0, 0.0, 1.0, 1.0)


def show_samples(run: Run) -> None:
    """Draw training samples of the first epoch, when a run begins, before they are mixed."""
    if run.resumed is None:
        _show(run, "samples", _samples)


def show_tokens(run: Run) -> None:
    """Draw what each token of some validation photos says by the weights as they are now."""
    _show(run, "tokens", _tokens)


def _show(run: Run, kind: str, draw: Callable[[Run], list[Panel]]) -> None:
    if not run.config.PICTURES or not run.world.is_main:
        return
    step = run.state.step
    name = f"{kind}_{step:08d}.png"
    try:
        sheet = paint.sheet(f"step {step}", draw(run), side=200, columns=6 if kind == "samples" else 4)
        drawn.save_png(run.folder.pictures / name, sheet)
    except (OSError, ValueError) as error:
        run.log.say(f"step {step}: no picture of {kind} ({error})")
        return
    run.log.record(PICTURES, step, {kind: name})


def _spread(count: int, wanted: int) -> list[int]:
    """Some of `count` places, far apart: of photos in the order of their classes they are of several."""
    return np.linspace(0, count - 1, min(wanted, count)).round().astype(int).tolist()


def _samples(run: Run) -> list[Panel]:
    data, made = run.config.DATA, []
    for index in _spread(len(run.train), run.config.PICTURES):
        shown = taught(run.train, (0, index, 0), data.IMAGENET_MEAN, data.IMAGENET_STD)
        made += panels(shown, run.state.model.grid, lambda number: called(run.card["classes"], number))
    return made


def _tokens(run: Run) -> list[Panel]:
    data, names = run.config.DATA, run.card["classes"]
    samples = [run.val[index] for index in _spread(len(run.val), run.config.PICTURES)]
    images = normalise(paddle.to_tensor(np.stack([sample["image"] for sample in samples])), data.IMAGENET_MEAN,
                       data.IMAGENET_STD)
    made = []
    for sample, said, best, sure in zip(samples, *token_classes(run.state.model, images)):
        view, colours = Image.fromarray(sample["image"].transpose(1, 2, 0)), paint.colours_of(best, sure)
        guess = int(said.argmax())
        caption = f"{called(names, int(sample['label']))}: says {called(names, guess)}, {100 * said[guess]:.0f} %"
        made.append(Panel(paint.classes(view, best, sure, _WHOLE, colours), caption,
                          paint.legend_of(best, sure, colours, lambda number: called(names, number))))
    return made
