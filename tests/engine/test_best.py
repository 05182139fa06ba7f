"""The card of a run's best weights: what was chosen, on which images, and what the run ended with."""
import math

import pytest

from ppim.engine.best import after, as_json, better, conclusion, counted_anew, is_new
from ppim.engine.evaluate import Evaluation
from ppim.engine.run_folder import RunFolder


def evaluation(top1: float, loss: float = 1.5) -> Evaluation:
    return Evaluation(top1=top1, top5=90.0, loss=loss, count=200)


def test_what_is_not_better_leaves_the_best_and_changes_the_last():
    first = after({}, {"raw": evaluation(61.0), "ema": evaluation(62.0)}, step=10, epoch=1.0)
    assert (first["top1"], first["weights"], first["step"]) == (62.0, "ema", 10)
    for top1 in (62.0, 50.0):  # an equal is not better
        second = after(first, {"raw": evaluation(top1), "ema": evaluation(49.0)}, step=20, epoch=2.0)
        assert {**second, "last": None} == {**first, "last": None}
        assert second["last"]["raw"]["top1"] == top1 and second["last"]["ema"]["top1"] == 49.0
        assert (second["last"]["step"], second["last"]["epoch"]) == (20, 2.0)
    assert first["last"]["step"] == 10, "the card given is left as it is"


def test_what_is_better_takes_its_place():
    first = after({}, {"raw": evaluation(61.0)}, step=10, epoch=1.0)
    second = after(first, {"raw": evaluation(61.5)}, step=20, epoch=2.0)
    assert (second["top1"], second["weights"], second["step"], second["epoch"]) == (61.5, "raw", 20, 2.0)
    assert second["last"] == {"step": 20, "epoch": 2.0, "raw": evaluation(61.5).as_dict()}


def test_a_run_ends_with_its_best_its_last_where_they_lie_and_what_to_type():
    card = after({}, {"raw": evaluation(61.0), "ema": evaluation(62.0)}, step=10, epoch=1.5)
    card = after(card, {"raw": evaluation(60.0), "ema": evaluation(59.0)}, step=20, epoch=3.0)
    folder, further = RunFolder("out put"), ["TRAIN.NUM_EPOCHS", "15"]
    best, last, evaluate, train = conclusion(card, folder, further)
    assert best == ("best       top-1 62.00 (running average, epoch 1.5), chosen on the evaluation images themselves: "
                    "out put/best.pdparams")
    assert last == ("last       top-1 60.00 (weights: out put/last.pdparams), "
                    "59.00 (running average: out put/last_ema.pdparams)")
    assert evaluate == "next       ppim evaluate --load 'out put/best.pdparams'"
    assert train == "           ppim train --resume 'out put' -o TRAIN.NUM_EPOCHS 15"
    assert conclusion(card, folder, further, processes=2)[-1] == (
        "           to train on: the command of this run, --resume -o TRAIN.NUM_EPOCHS 15")


def test_the_figures_for_programs_say_whose_they_are():
    card = after({}, {"raw": evaluation(61.0), "ema": evaluation(62.0)}, step=10, epoch=1.5)
    told = as_json(evaluation(62.0), card, RunFolder("out"))
    assert told == {"evaluation": "last", "weights": "ema", **evaluation(62.0).as_dict(),
                    "best": {**card, "file": "out/best.pdparams"}}


def test_the_card_of_an_older_checkpoint_is_completed():
    card = after({"top1": 70.0, "top5": 90.0, "loss": 1.0, "count": 200, "weights": "raw", "step": 5, "epoch": 0.5},
                 {"raw": evaluation(61.0)}, step=10, epoch=1.0)
    assert card["top1"] == 70.0 and "evaluation images" in card["chosen_on"] and card["last"]["step"] == 10


def test_a_card_is_counted_anew_so_that_no_earlier_step_is_taken_for_the_last():
    card = {"top1": 70.0, "step": 17, "last": {"step": 18, "raw": {"top1": 60.0}}}
    assert counted_anew(card, 18, 9) == {"top1": 70.0, "step": 8, "last": {"step": 9, "raw": {"top1": 60.0}}}
    assert counted_anew(card, 18, 36) == {"top1": 70.0, "step": 34, "last": {"step": 36, "raw": {"top1": 60.0}}}
    assert counted_anew(card, 18, 18) is card and counted_anew({}, 18, 9) == {}
    assert counted_anew({"step": 4}, 4, 2) == {"step": 2}  # of an older ppim


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_never_the_best(loss):
    bad = evaluation(99.0, loss)
    assert better({"raw": bad, "ema": evaluation(1.0)}) == "ema"
    assert better({"raw": evaluation(1.0), "ema": bad}) == "raw"
    assert after({}, {"raw": bad, "ema": bad}, step=10, epoch=1.0) == {}
    folder = RunFolder("run")
    assert conclusion({}, folder, ["TRAIN.MAX_STEPS", "0"])[0] == "best       none: no evaluation had a finite loss"
    assert as_json(bad, {}, folder)["best"] is None
    first = after({}, {"raw": bad, "ema": evaluation(61.0)}, step=10, epoch=1.0)
    assert (first["top1"], first["weights"]) == (61.0, "ema")
    second = after(first, {"raw": bad}, step=20, epoch=2.0)
    assert (second["top1"], second["step"], second["last"]["step"]) == (61.0, 10, 20)


def test_weights_are_new_where_the_card_speaks_of_others():
    first = after({}, {"raw": evaluation(61.0)}, step=10, epoch=1.0)
    worse, better_one = (after(first, {"raw": evaluation(top1)}, step=20, epoch=2.0) for top1 in (61.0, 62.0))
    assert is_new({}, first) and is_new(first, better_one)
    assert not is_new(first, worse) and not is_new({}, {}) and not is_new(first, first)
