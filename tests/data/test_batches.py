"""Shares of a batch and of an evaluation: each row has one owner, and each image is counted once."""
import numpy as np
import pytest

from ppim.data.batches import EvalBatches, TrainBatches, rank_rows

pytestmark = pytest.mark.smoke

SHARES = [(batch, world) for world in (1, 2, 3, 4, 5, 8) for batch in range(2 * world, 4 * world + 6)]


@pytest.mark.parametrize(("batch", "world"), SHARES)
def test_the_rows_of_a_batch_are_dealt_out_in_order_none_twice_none_left(batch, world):
    shares = [range(*rank_rows(batch, rank, world)) for rank in range(world)]
    assert [row for share in shares for row in share] == list(range(batch))
    assert all(len(share) for share in shares)
    # partners (2j, 2j + 1) stay together, and nobody has more than a pair, and the odd one, above another
    assert all(share.start % 2 == 0 for share in shares)
    assert max(map(len, shares)) - min(map(len, shares)) <= 2 + batch % 2


@pytest.mark.parametrize(("batch", "world", "copies"), [(2, 2, 1), (3, 3, 1), (5, 2, 1), (4, 3, 2), (3, 2, 3)])
def test_the_processes_of_a_run_take_an_epoch_apart(batch, world, copies):
    length = 3 * batch * world + 2
    ranks = [list(TrainBatches(length, batch, seed=1, stop=6, rank=rank, world=world, copies=copies))
             for rank in range(world)]
    for epoch in (0, 1):
        order = TrainBatches(length, batch, seed=1, stop=6, world=world, copies=copies).order(epoch)
        wanted = sorted((epoch, index, copy) for index, copy in order[:3 * batch * world].tolist())
        taken = [sample for steps in ranks for step in steps[3 * epoch:3 * epoch + 3] for sample in step]
        assert sorted(taken) == wanted


def test_a_batch_that_the_images_do_not_fill_is_refused_with_one_that_they_do():
    with pytest.raises(ValueError, match="^7 training images do not fill one batch of 4 x 2 processes; set "
                                         "DATA.BATCH_SIZE to at most 3$"):
        TrainBatches(7, 4, seed=0, stop=1, world=2)
    with pytest.raises(ValueError, match="^7 training images are fewer than the 8 processes; start fewer$"):
        TrainBatches(7, 4, seed=0, stop=1, world=8)


@pytest.mark.parametrize("copies", [1, 2, 3, 4, 5, 6])
def test_copies_of_an_image_are_no_partners_in_a_batch_of_three_times_as_many(copies):
    for size in range(3 * copies, 3 * copies + 8):
        batches = TrainBatches(10 * size + 3, size, seed=0, stop=10, copies=copies)
        for step in range(10):
            index = batches.global_rows(step)[:, 0]
            assert (index[0:size // 2 * 2:2] != index[1::2]).all(), (size, step)


@pytest.mark.parametrize("world", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("batch", [1, 3, 4, 7])
def test_every_image_is_evaluated_by_one_process_once(batch, world):
    for length in range(25):
        shares = [EvalBatches(length, batch, rank=rank, world=world) for rank in range(world)]
        assert [image for share in shares for part in share for image in part] == list(range(length))
        assert all(len(part) <= batch for share in shares for part in share)
        assert [len(share) for share in shares] == [len(list(share)) for share in shares]


def test_an_epochs_order_is_its_own_and_holds_every_image():
    batches = TrainBatches(60, 12, seed=0, stop=5)
    orders = [batches.order(epoch)[:, 0] for epoch in range(3)]
    assert all(sorted(order) == list(range(60)) for order in orders)
    assert not np.array_equal(orders[0], orders[1]) and not np.array_equal(orders[1], orders[2])
