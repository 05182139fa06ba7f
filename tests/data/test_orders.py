"""Orders of epochs are those of numpy, kept once for all processes, and of shards go through few of them at a time."""
from __future__ import annotations

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppim.data import orders
from ppim.data.batches import TrainBatches
from ppim.data.orders import SharedOrders, shuffled, shuffled_shards
from ppim.seeds import order_rng

pytestmark = pytest.mark.smoke


@settings(max_examples=40, deadline=None)
@given(length=st.sampled_from([1, 2, 250, 255, 256, 257, 70_000]), seed=st.integers(0, 2**32), epoch=st.integers(0, 99))
def test_an_order_is_numpys_permutation_in_fewer_bytes(length, seed, epoch):
    batches = TrainBatches(length, 1, seed=seed, stop=1)
    np.testing.assert_array_equal(batches.order(epoch)[:, 0], order_rng(seed, epoch).permutation(length))
    assert batches.order(epoch).dtype == np.int64
    out = np.empty(length, np.min_scalar_type(length))
    shuffled(order_rng(seed, epoch), out)
    np.testing.assert_array_equal(out, order_rng(seed, epoch).permutation(length))


def _count_up(epoch: int, out: np.ndarray) -> None:
    half = out.shape[1] // 2
    out[0, :half] = np.arange(half) + epoch
    time.sleep(0.001)  # long enough for others to look
    out[0, half:] = np.arange(half, out.shape[1]) + epoch


def _read(shared, epochs, together, pipe):
    together.wait(60)
    pipe.send([shared.rows(epoch, slice(0, 200, 66))[:, 0].tolist() for epoch in epochs])


def test_processes_far_apart_read_their_own_epochs_out_of_the_same_memory():
    shared = SharedOrders(300, 1, _count_up)
    assert shared.rows(0, slice(0, 2)).tolist() == [[0], [1]]
    context, epochs = multiprocessing.get_context("fork"), [list(range(40)), list(range(0, 80, 2)), [7] * 40]
    pipes, together = [context.Pipe() for _ in epochs], context.Barrier(len(epochs))
    children = [context.Process(target=_read, args=(shared, mine, together, pipe[1]))
                for mine, pipe in zip(epochs, pipes)]
    for child in children:
        child.start()
    for mine, pipe, child in zip(epochs, pipes, children):
        assert pipe[0].poll(60) and pipe[0].recv() == [[at + epoch for at in range(0, 200, 66)] for epoch in mine]
        child.join()


def test_what_a_process_has_worked_out_is_there_for_the_others():
    shared = SharedOrders(100, 1, _count_up)
    child = multiprocessing.get_context("fork").Process(target=shared.rows, args=(9, slice(0, 1)))
    child.start()
    child.join(60)
    worked = []
    shared._work_out = lambda epoch, out: worked.append(epoch)
    assert shared.rows(9, slice(40, 42)).tolist() == [[49], [50]] and worked == []


def test_an_order_that_somebody_left_half_done_is_worked_out_again():
    shared = SharedOrders(10, 1, lambda epoch, out: os.kill(os.getpid(), signal.SIGKILL))
    child = multiprocessing.get_context("fork").Process(target=shared.rows, args=(3, slice(0, 1)))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    shared._work_out = _count_up
    assert shared.rows(3, slice(0, 2)).tolist() == [[3], [4]]


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 40), min_size=1, max_size=12).filter(any), seed=st.integers(0, 99))
def test_an_epoch_of_shards_has_every_sample_once_and_whole_shards_in_every_window(sizes, seed):
    starts = np.concatenate([[0], np.cumsum(sizes)])
    out, again = np.empty(starts[-1], np.uint32), np.empty(starts[-1], np.int64)
    window, orders.WINDOW = orders.WINDOW, 25
    try:
        shuffled_shards(order_rng(seed, 0), starts, out)
        shuffled_shards(order_rng(seed, 0), starts, again)
    finally:
        orders.WINDOW = window
    assert sorted(out.tolist()) == list(range(starts[-1])) and out.tolist() == again.tolist()
    shard_of, at = np.repeat(np.arange(len(sizes)), sizes), 0
    while at < len(out):  # the shards that the next samples are of are used up within a window's length
        seen = set()
        stop = at
        while stop < len(out) and (stop - at < 25 or {*shard_of[out[stop:]].tolist()} & seen):
            seen.add(int(shard_of[out[stop]]))
            stop += 1
        assert stop - at < 25 + 40
        at = stop


def test_epochs_of_shards_differ_and_mix_shards():
    starts = np.arange(0, 4001, 100)
    window, orders.WINDOW = orders.WINDOW, 400
    try:
        batches = TrainBatches(4000, 10, seed=1, stop=9, shards=starts)
        first, second = batches.order(0)[:, 0], batches.order(1)[:, 0]
    finally:
        orders.WINDOW = window
    assert not np.array_equal(first, second) and (first != np.sort(first)).mean() > 0.9
    for order in (first, second):
        shards = [set((order[at:at + 400] // 100).tolist()) for at in range(0, 4000, 400)]
        assert all(len(group) == 4 for group in shards) and len(set.union(*shards)) == 40
        assert len(set((order[:40] // 100).tolist())) > 1
    assert set(first[:400] // 100) != set(second[:400] // 100)
