"""How processes wait for one another, against a store that counts what it is asked."""
import collections
import random
import threading
import time

import paddle
import paddle.distributed as dist
import pytest

from ppim.engine.distributed import World


class Store:
    """The job's key-value store, shared by threads that play the processes."""

    def __init__(self):
        self._values, self._changed = collections.defaultdict(bytes), threading.Condition()
        self.calls = collections.Counter()

    def _counted(self):
        self.calls[threading.current_thread().name] += 1
        return self._changed

    def set(self, key, value):
        with self._counted():
            self._values[key] = value
            self._changed.notify_all()

    def add(self, key, amount):
        with self._counted():
            total = int(self._values[key] or 0) + amount
            self._values[key] = str(total).encode()
            self._changed.notify_all()
            return total

    def wait(self, key):
        with self._counted():
            assert self._changed.wait_for(lambda: key in self._values, timeout=60), f"nobody set {key}"

    def get(self, key):
        with self._counted():
            return self._values[key]


@pytest.fixture
def store(monkeypatch):
    made = Store()
    monkeypatch.setattr(paddle.base.core, "create_or_get_global_tcp_store", lambda: made)
    return made


@pytest.mark.parametrize("size", [2, 8, 64])
def test_a_meeting_takes_three_requests_a_process_however_many_there_are(store, size):
    met, meetings = [], 3

    def process(rank):
        world, rng = World(rank, size), random.Random(rank)
        for meeting in range(meetings):
            time.sleep(0.02 * rng.random())
            met.append(("came", meeting))
            world.barrier()
            met.append(("left", meeting))

    threads = [threading.Thread(target=process, args=(rank,), name=str(rank)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    for meeting in range(meetings):
        came = [at for at, event in enumerate(met) if event == ("came", meeting)]
        left = [at for at, event in enumerate(met) if event == ("left", meeting)]
        assert len(came) == len(left) == size
        assert max(came) < min(left), "somebody left before everybody was there"
    assert max(store.calls.values()) <= 3 * meetings


@pytest.mark.parametrize("failing", [{0}, {5}, {0, 5}, set(range(8)), set()], ids=str)
def test_all_hear_of_those_that_fail_before_they_are_needed_and_process_0_leaves_last(store, failing):
    size, ends, heard = 8, {}, []

    def process(rank):
        rng = random.Random(rank)
        try:
            with World(rank, size).together():
                time.sleep(0.2 + 0.05 * rng.random() if rank else 0)
                if rank in failing:
                    raise FileNotFoundError(f"no photos\nin {rank}")
            ends[rank] = "goes on"
        except (FileNotFoundError, ConnectionError) as error:
            ends[rank] = error
        if rank == 0 and failing:
            heard.append(int(store.get("ppim/heard")))

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(ends) == size
    reasons = {f"[process {rank}] no photos in {rank}" for rank in failing}
    for rank, end in ends.items():
        if not failing:
            assert end == "goes on"
        elif rank in failing:
            assert isinstance(end, FileNotFoundError)
        else:
            assert isinstance(end, ConnectionError) and str(end) in reasons
    if 0 in failing:
        assert heard == [size], "the store went before all had heard"


def test_who_comes_when_process_0_is_gone_with_the_store_says_so(monkeypatch):
    class Gone:
        def add(self, key, amount):
            raise ValueError("(InvalidArgument) TCP connection reset by peer.")

    monkeypatch.setattr(paddle.base.core, "create_or_get_global_tcp_store", Gone)
    with pytest.raises(ConnectionError, match="process 0 is gone, and the job's store with it; its log says why"):
        with World(1, 2).together():
            pass
    with pytest.raises(FileNotFoundError), World(1, 2).together():
        raise FileNotFoundError("its own failure counts more")


def test_a_lone_process_needs_no_store_to_fail_or_go_on():
    with World().together():
        pass
    with pytest.raises(ValueError, match="its own"), World().together():
        raise ValueError("its own")


@pytest.mark.parametrize(("backend", "requests"), [("NCCL", 0), ("BKCL", 0), ("GLOO", 3)])
def test_only_where_collectives_give_up_soon_do_processes_meet_before_adding_up(store, monkeypatch, backend, requests):
    monkeypatch.setattr(dist, "get_backend", lambda: backend)
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: None)
    store.add("ppim/arrived", 1)  # the other process is there already
    store.calls.clear()
    World(0, 2).all_sum([1.5], "float64")
    assert sum(store.calls.values()) == requests
