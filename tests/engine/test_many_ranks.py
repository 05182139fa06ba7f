"""Sixty-four processes where there is one: what they ask of the place they share must not grow faster than they do."""
from __future__ import annotations

import pytest

from ppim.data.batches import EvalBatches
from tests.helpers import ROOT, load_script

many_ranks = load_script(ROOT / "tools" / "benchmark" / "many_ranks.py")


@pytest.fixture(scope="module")
def stops():
    """Requests by number of processes, of a second of training and of a stop."""
    return {size: many_ranks.stopping(size, 1.5) for size in (2, 32)}


def test_a_second_of_training_is_as_many_requests_for_any_number_of_processes(stops):
    for found in stops.values():
        assert found["a second, others"] == 3  # a sign of life, is there a request, has somebody failed?
    # process 0 looks after eight of the others, however many there are
    assert (stops[2]["a second, rank 0"], stops[32]["a second, rank 0"]) == (3 + 1, 3 + 8)


def test_a_stop_asks_as_much_of_the_store_as_there_are_processes(stops):
    few, many = stops[2], stops[32]
    # ten times a second three questions until all have heard, which takes a second, and half of one for a slow machine
    assert many["stop, most of others"] <= 70 and many["stop, rank 0"] <= 70
    assert many["stop, store"] / 32 <= 2 * few["stop, store"] / 2 + 10


def test_samplers_take_as_much_memory_for_any_number_of_processes():
    few, many = (many_ranks.sampler_memory(size, 100_000) for size in (8, 64))
    assert many["train, most"] == pytest.approx(few["train, most"], rel=0.2)
    # MB: two orders of four bytes a sample, one for all workers
    assert 0.8 <= many["train, kept"] < 1.0 and many["evaluation"] < 0.1
    shares = [EvalBatches(50_000, 128, rank=rank, world=1024).images for rank in range(1024)]
    assert sum(map(len, shares)) == 50_000 and max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_answers_of_an_evaluation_are_one_table_for_any_number_of_processes():
    # of each image truth and its share, five answers and theirs, in eight bytes
    expected = {"answers, collectives": 1, "answers, MB": 20_000 * 12 * 8 / 1e6}
    assert [many_ranks.gathering(size, 20_000) for size in (2, 64)] == [expected, expected]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A whole run as rank 0 of 2 and of 16, and as the last of 16."""
    data = tmp_path_factory.mktemp("photos")
    many_ranks.write_photos(data, 16)
    return {(rank, size): many_ranks.whole_run(data, rank, size, "NCCL", steps=2)
            for rank, size in ((0, 2), (0, 16), (15, 16))}


def test_collectives_and_meetings_of_a_run_do_not_grow_with_the_processes(runs):
    assert runs[0, 2]["collectives"] == runs[0, 16]["collectives"] == runs[15, 16]["collectives"] > 5
    # at three requests for each meeting; process 0 looks after others besides, eight a second
    assert runs[15, 16]["requests"] <= 45
    # what is compared before the first steps has a row for each process, and each row is as long as ever
    assert runs[0, 16]["bytes"] <= 16 / 2 * runs[0, 2]["bytes"]


def test_process_0_alone_writes_and_speaks(runs):
    first, last = runs[0, 16], runs[15, 16]
    assert first["files"] > 5 and first["log"] > 500 and first["said"] > 500
    assert (last["files"], last["written"], last["log"], last["said"]) == (0, 0, 0, 0)
    assert first["log"] == pytest.approx(runs[0, 2]["log"], rel=0.02)
