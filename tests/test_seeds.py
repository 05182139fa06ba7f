"""Keys of randomness: equal ones draw the same, no two others do."""
from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from ppim.seeds import dropout_seed, mix_rng, order_rng, picture_rng, sample_rng

NUMBERS = (0, 1, 7)


@pytest.mark.parametrize(("rng_of", "parts"), [(sample_rng, 4), (order_rng, 2), (mix_rng, 3)])
def test_a_draw_depends_on_every_part_of_its_key_and_on_nothing_else(rng_of, parts):
    keys = list(product(NUMBERS, repeat=parts))
    first = [rng_of(*key).random(3).tolist() for key in keys]
    assert len({tuple(draw) for draw in first}) == len(keys)
    assert [rng_of(*key).random(3).tolist() for key in keys] == first


def test_a_draw_is_philoxs_own_of_this_key_and_this_counter():
    theirs = np.random.Generator(np.random.Philox(key=[7, 2**40], counter=[0, 0, 2**33, 3]))
    ours = sample_rng(7, 2**40, 2**33, 3)
    assert ours.standard_normal(9).tolist() == theirs.standard_normal(9).tolist()
    assert ours.integers(2**40, size=9).tolist() == theirs.integers(2**40, size=9).tolist()


def test_streams_with_the_same_numbers_never_meet():
    # a thousand numbers of each, so that none starts where another one goes
    draws = [rng.random(1000) for rng in (sample_rng(7, 0, 0), order_rng(7, 0), mix_rng(7, 0), sample_rng(7, 0, 1))]
    assert len({number for draw in draws for number in draw.tolist()}) == 4000


def test_a_sample_without_a_copy_and_a_mix_without_a_block_are_the_first():
    assert sample_rng(3, 4, 5).random() == sample_rng(3, 4, 5, 0).random()
    assert mix_rng(3, 4).random() == mix_rng(3, 4, 0).random()


def test_every_micro_batch_of_every_process_drops_something_else():
    seeds = {dropout_seed(seed, rank, step) for seed, rank, step in product(range(3), range(4), range(50))}
    assert len(seeds) == 3 * 4 * 50


def test_every_picture_of_both_splits_is_drawn_by_itself():
    keys = list(product(NUMBERS, ("train", "val"), NUMBERS))
    assert len({picture_rng(*key).random() for key in keys}) == len(keys)
    with pytest.raises(ValueError):
        picture_rng(0, "test", 0)
