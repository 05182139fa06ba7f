"""Timing in turns: who goes when, what is dropped, how sure a median is."""
import math

import numpy as np
import pytest

from ppim.bench.rounds import exponent, median_of, take_turns, times_as_fast


def test_actions_take_turns_and_the_first_round_is_dropped():
    now, order = [0.0], []

    def action(name, seconds):
        def act():
            order.append(name)
            now[0] += seconds * (10 if len(order) <= 2 else 1)
        return act

    found = take_turns({"a": action("a", 1.0), "b": action("b", 3.0)}, 3, clock=lambda: now[0])
    assert order == ["a", "b"] * 4
    assert found["a"].tolist() == [1.0] * 3 and found["b"].tolist() == [3.0] * 3


def test_others_take_their_turns_and_tell_their_own_seconds():
    order, told = [], iter([90.0, 2.0, 3.0])

    def other():
        order.append("other")
        return next(told)

    found = take_turns({"ours": lambda: order.append("ours")}, 2, clock=lambda: 0.0, others={"other": other})
    assert order == ["ours", "other"] * 3 and found["other"].tolist() == [2.0, 3.0] and not found["ours"].any()


def test_ratios_are_of_the_same_round():
    # a machine that is twice as slow in every other round
    slow = np.array([1, 2, 1, 2, 1, 2, 1, 2, 1])
    found = times_as_fast(1.0 * slow, 3.0 * slow)
    assert found.median == found.low == found.high == 3.0


@pytest.mark.parametrize("count", [1, 2, 5, 6, 9, 20, 41])
def test_the_interval_of_a_median_holds_it_in_95_of_100_cases(count):
    values = np.arange(count, dtype=float)
    found = median_of(np.random.default_rng(0).permutation(values))
    left_out = int(found.low)
    assert found.high == count - 1 - left_out and found.median == (count - 1) / 2
    # the median of what values are drawn of lies below so many of them as a coin shows heads
    def missed(beyond):
        return 2 * sum(math.comb(count, heads) for heads in range(beyond + 1)) / 2**count
    # left out at either end are as many as may be, none where even the whole range is too narrow
    assert missed(left_out) <= 0.05 or (left_out == 0 and count < 6)
    assert missed(left_out + 1) > 0.05 or left_out + 1 > (count - 1) // 2


def test_the_exponent_of_a_power_is_that_power():
    sizes = [2, 4, 8, 16]
    assert exponent(sizes, [5 * size**1.5 for size in sizes]) == pytest.approx(1.5)
