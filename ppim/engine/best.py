"""Which weights of a run are the best, by which images, and what did the run end with?

Every evaluation offers two candidates, the weights and their running average, and the highest top-1 of them all wins;
of segmenters the highest mIoU.
That chooses on the images it is reported on, and so it flatters; the figures of the last evaluation stand beside it.
"""
from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from ppim.engine.evaluate import Evaluation
from ppim.engine.run_folder import RunFolder

WORDS = {"raw": "weights", "ema": "running average"}  # what the two candidates are called
FIGURES = {"top1": "top-1", "miou": "mIoU"}  # what decides, of photos and of pixels, and what it is called
CHOSEN_ON = "the evaluation images themselves"


def better(results: Mapping[str, Evaluation]) -> str:
    """The name of the weights, "raw" or "ema", with the higher figure; of equals the first. What is not finite is worse
    than anything that is."""
    return max(results, key=lambda name: (results[name].is_sound, figure(results[name].as_dict())))


def figure(card: Mapping[str, object]) -> float:
    """The figure of an evaluation that counts, whatever its task."""
    return card[_name_of_figure(card)]


def _name_of_figure(card: Mapping[str, object]) -> str:
    return next(name for name in FIGURES if name in card)


def after(card: dict[str, object], results: Mapping[str, Evaluation], step: int, epoch: float) -> dict[str, object]:
    """The card of the best weights, as in best.json, after one more evaluation; empty until one has a finite loss.

    Args:
        card: the card before it; empty before the first.
        results: by name of the weights.
        step, epoch: how far training was.
    """
    weights = better(results)
    if not results[weights].is_sound:
        if not card:
            return {}
    elif not card or figure(results[weights].as_dict()) > figure(card):
        card = {**results[weights].as_dict(), "weights": weights, "step": step, "epoch": epoch}
    last = {name: result.as_dict() for name, result in results.items()}
    return {**card, "chosen_on": CHOSEN_ON, "last": {"step": step, "epoch": epoch, **last}}


def card_since(checkpoint: Path, card: Path, step: int) -> dict[str, object]:
    """What stands in best.json, if its last evaluation was of this step, after this checkpoint; else nothing."""
    try:
        found = json.loads(card.read_text(encoding="utf-8"))
        is_later = card.stat().st_mtime_ns >= checkpoint.stat().st_mtime_ns
        return found if is_later and found["last"]["step"] == step else {}
    except (OSError, ValueError, KeyError, TypeError):  # not there, or of another making
        return {}


def is_of_another(path: Path, card: Mapping[str, object]) -> bool:
    """Does best.json at `path` speak of another evaluation than `card`? Both tell of it the same but for how far
    training has come since, and for the number of its step, which is another in batches of another size."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return any(found.get(name) != value for name, value in card.items() if name not in ("step", "last"))
    except (OSError, ValueError, AttributeError):  # not there, or of another making
        return False


def counted_anew(card: dict[str, object], before: int, now: int) -> dict[str, object]:
    """The card of a run that goes on in batches of another size, in which step `before` has the number `now`. Earlier
    steps are rounded down, so that none is taken for this one."""
    if not card or before == now:
        return card
    counted = {**card, "step": card["step"] * now // before}
    if "last" in card:
        counted["last"] = {**card["last"], "step": card["last"]["step"] * now // before}
    return counted


def is_new(before: dict[str, object], card: dict[str, object]) -> bool:
    """Does `card` speak of other weights than the card before it?"""
    return bool(card) and (not before or figure(card) > figure(before))


def conclusion(card: dict[str, object], folder: RunFolder, further: Sequence[str], processes: int = 1) -> list[str]:
    """What a run ended with, where it lies, and what to type next.

    Args:
        further: key and value with which training would go on.
        processes: that trained; how several were started is not known here.
    """
    best, start = shlex.quote(str(folder.best)), f"ppim train --resume {shlex.quote(str(folder.path))}"
    if processes > 1:
        start = "to train on: the command of this run, --resume"
    if not card:
        return ["best       none: no evaluation had a finite loss", f"next       {start} -o {' '.join(further)}"]
    last = card["last"]
    files = {"raw": folder.last, "ema": folder.last_ema}
    called = FIGURES[_name_of_figure(card)]
    told = [f"{figure(last[name]):.2f} ({word}: {files[name]})" for name, word in WORDS.items() if name in last]
    return [
        f"best       {called} {figure(card):.2f} ({WORDS[card['weights']]}, epoch {card['epoch']:g}), chosen on "
        f"{card['chosen_on']}: {folder.best}",
        f"last       {called} {', '.join(told)}",
        f"next       ppim evaluate --load {best}",
        f"           {start} -o {' '.join(further)}",
    ]


def as_json(last: Evaluation, card: dict[str, object], folder: RunFolder) -> dict[str, object]:
    """The figures of a run for programs: those of the last evaluation, which says so, and under `best` the card; null
    where no evaluation had a finite loss."""
    if not card:
        return {"evaluation": "last", **last.as_dict(), "best": None}
    weights = next(name for name in WORDS if card["last"].get(name) == last.as_dict())
    return {"evaluation": "last", "weights": weights, **last.as_dict(), "best": {**card, "file": str(folder.best)}}
