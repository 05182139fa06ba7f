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


@pytest.mark.parametrize(("backend", "requests"), [("NCCL", 0), ("BKCL", 0), ("GLOO", 3)])
def test_only_where_collectives_give_up_soon_do_processes_meet_before_adding_up(store, monkeypatch, backend, requests):
    monkeypatch.setattr(dist, "get_backend", lambda: backend)
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: None)
    store.add("ppim/arrived", 1)  # the other process is there already
    store.calls.clear()
    World(0, 2).all_sum([1.5], "float64")
    assert sum(store.calls.values()) == requests
