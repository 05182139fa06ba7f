"""Learning rates against values worked out by hand, and against the formulas of the two trainers they follow."""
import math

import pytest

from ppim.engine.schedule import Schedule, scaled_lr

LV_VIT = Schedule("cosine", base=1.6e-3, start=1e-6, end=1e-5, epochs=300, warmup=5)


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [
        (0, 1e-6),
        (2.5, 1e-6 + (1.6e-3 - 1e-6) / 2),
        (5, 1e-5 + 0.5 * 1.59e-3 * (1 + math.cos(math.pi / 60))),
        (150, 1e-5 + 0.5 * 1.59e-3),
        (225, 1e-5 + 0.5 * 1.59e-3 * (1 - math.sqrt(0.5))),
        (300, 1e-5),
        (309.9, 1e-5),
    ],
)
def test_the_recipe_of_lv_vit_at_moments_worked_out_by_hand(epoch, rate):
    assert LV_VIT.at(epoch) == pytest.approx(rate, rel=1e-12)


def test_paddlevits_curve_starts_where_the_warm_up_ends_and_is_cut_off_at_its_end():
    schedule = Schedule("warmupcosine", base=1.0, start=0.0, end=0.1, epochs=110, warmup=10)
    assert schedule.at(10) == 1.0
    assert schedule.at(60) == pytest.approx(0.5)
    assert schedule.at(109) == 0.1


def test_a_constant_rate_stays_after_its_warm_up():
    schedule = Schedule("constant", base=5e-6, start=0.0, end=0.0, epochs=30, warmup=0)
    assert {schedule.at(epoch) for epoch in (0, 1, 29, 40)} == {5e-6}


def test_lv_vits_fine_tuning_is_the_cosine_from_5e_6_to_5e_6_of_the_authors():
    ours = Schedule("constant", base=5e-6, start=1e-6, end=5e-6, epochs=30, warmup=5)
    # warm-up, cosine and cool-down of the scheduler they use, as it sets them before each epoch
    warming = [1e-6 + epoch * (5e-6 - 1e-6) / 5 for epoch in range(5)]
    cosine = [5e-6 + 0.5 * (5e-6 - 5e-6) * (1 + math.cos(math.pi * epoch / 30)) for epoch in range(5, 30)]
    assert [ours.at(epoch) for epoch in range(40)] == pytest.approx(warming + cosine + [5e-6] * 10, rel=1e-12)


@pytest.mark.parametrize("power", [0.0, 0.9, 2.0])
def test_poly_is_mmsegmentations_with_warm_up_as_a_factor_and_ends_at_its_end(power):
    schedule = Schedule("poly", base=6e-5, start=6e-11, end=1e-6, epochs=20, warmup=2, power=power)
    for epoch in (0, 0.5, 1.9, 2, 7.3, 19.99):
        regular = (6e-5 - 1e-6) * (1 - epoch / 20) ** power + 1e-6
        warming = (1 - min(epoch / 2, 1)) * (1 - 1e-6)
        assert schedule.at(epoch) == pytest.approx(regular * (1 - warming), rel=1e-12)
    assert {schedule.at(epoch) for epoch in (20, 20.5, 30)} == {1e-6}


def test_the_rate_is_scaled_to_the_batch_only_where_the_recipe_names_one():
    assert scaled_lr(1.6e-3, 1024, 256) == 4e-4
    assert scaled_lr(1.6e-3, None, 256) == 1.6e-3
