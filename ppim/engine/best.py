"""Which weights of a run are the best, by which images, and what did the run end with?

Every evaluation offers two candidates, the weights and their running average, and the highest top-1 of them all wins.
That chooses on the images it is reported on, and so it flatters; the figures of the last evaluation stand beside it.
"""
from __future__ import annotations

from collections.abc import Mapping

from ppim.engine.evaluate import Evaluation

CHOSEN_ON = "the evaluation images themselves"


def better(results: Mapping[str, Evaluation]) -> str:
    """The name of the weights, "raw" or "ema", with the higher top-1; of equals the first."""
    return max(results, key=lambda name: results[name].top1)


def after(card: dict[str, object], results: Mapping[str, Evaluation], step: int, epoch: float) -> dict[str, object]:
    """The card of the best weights, as in best.json, after one more evaluation.

    Args:
        card: the card before it; empty before the first.
        results: by name of the weights.
        step, epoch: how far training was.
    """
    weights = better(results)
    if not card or results[weights].top1 > card["top1"]:
        card = {**results[weights].as_dict(), "weights": weights, "step": step, "epoch": epoch}
    last = {name: result.as_dict() for name, result in results.items()}
    return {**card, "chosen_on": CHOSEN_ON, "last": {"step": step, "epoch": epoch, **last}}


def summary(card: dict[str, object]) -> str:
    """The card in one line."""
    last = ", ".join(f"{card['last'][name]['top1']:.2f} ({name})" for name in ("raw", "ema") if name in card["last"])
    return (f"best top-1 {card['top1']:.2f} ({card['weights']} weights, epoch {card['epoch']:g}), chosen on "
            f"{card['chosen_on']}; last {last}")
