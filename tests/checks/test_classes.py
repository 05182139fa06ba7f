"""Agreement of classes against chance: the exact moments, and what is said of shifts, orders and shuffles."""
import numpy as np
import pytest

from ppim.checks.classes import agreement, maps_name_classes, shift_of, weights_name_classes

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 10, 200)


def test_chance_and_its_spread_are_those_of_shuffling():
    named, labels = RNG.integers(0, 4, 60), RNG.choice(4, 60, p=[0.6, 0.2, 0.1, 0.1])
    hits = [(named == RNG.permutation(labels)).sum() for _ in range(20_000)]
    seen = agreement(named, labels, 4)
    assert seen.chance == pytest.approx(np.mean(hits), abs=0.1)
    assert seen.spread == pytest.approx(np.std(hits), rel=0.03)


def said(named, labels=LABELS, classes=10):
    finding = maps_name_classes(np.asarray(named), labels, classes, "maps")
    return finding.level, finding.text


def test_an_annotator_that_is_right_now_and_then_is_fine():
    weak = np.where(RNG.random(200) < 0.35, LABELS, RNG.integers(0, 10, 200))
    assert said(weak)[0] == "fine"


def test_a_shift_is_told_with_its_size():
    level, text = said((LABELS + 9) % 10)
    assert level == "error" and "-1 away" in text
    assert shift_of((LABELS + 3) % 10, LABELS, 10) == 3 and shift_of(LABELS, LABELS, 10) == 0


def test_another_order_of_classes_is_told_though_some_stay():
    order = np.array([0, 1, 2, 9, 8, 7, 6, 5, 4, 3])
    level, text = said(order[LABELS])
    assert level == "error" and "another order" in text


def test_an_annotator_that_says_one_class_knows_none():
    level, _ = said(np.full(200, 3))
    assert level == "unknown"  # shuffling changes nothing


def test_shuffled_maps_are_no_better_than_chance():
    level, text = said(RNG.permutation(LABELS))
    assert level in ("warning", "error") and "shuffled" in text


def test_maps_without_a_favourite_class_are_told():
    level, text = said(np.full(200, -1))
    assert level == "error" and "0 of 200 that do" in text


@pytest.mark.parametrize("labels", [LABELS[:10], np.zeros(100, int)])
def test_nothing_is_said_of_too_few_photos_or_one_class(labels):
    assert said(labels, labels)[0] == "unknown"


@pytest.mark.parametrize(("named", "level"), [
    (LABELS, "fine"), ((LABELS + 1) % 10, "error"), (RNG.permutation(10)[LABELS], "error"),
    (RNG.permutation(LABELS), "unknown"),  # weights that are hardly trained are no mistake
])
def test_weights_are_held_to_the_classes_of_the_data(named, level):
    assert weights_name_classes(named, LABELS, 10, "the loaded weights", "val").level == level


def test_false_alarms_of_honest_annotators_are_rare():
    alarms = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        classes, right = int(rng.integers(3, 100)), rng.uniform(0.4, 1)
        labels = rng.integers(0, classes, 192)
        named = np.where(rng.random(192) < right, labels, rng.integers(0, classes, 192))
        alarms += maps_name_classes(named, labels, classes, "maps").level in ("warning", "error")
    assert alarms == 0


def test_maps_of_fewer_classes_than_the_photos_have_are_an_error_with_both_numbers():
    labels = np.repeat(np.arange(3), 20)
    finding = maps_name_classes(labels % 2, labels, 2, "maps")
    assert finding.level == "error" and "maps of 2 classes" in finding.text and "at least 3" in finding.text
