"""What a process says, and has the others say, when talking with them comes to nothing; with a pretended store."""
import collections
import contextlib
from types import SimpleNamespace

import paddle.distributed as dist
import pytest

from ppim.engine import agreement
from ppim.engine.distributed import World
from ppim.engine.rescue import Rescue


@pytest.fixture
def kept(monkeypatch):
    """What is in the store that processes share; the one that saves has done so."""
    values = collections.defaultdict(int, {"ppim/over": 1})

    def add(key, number):
        values[key] += number
        return values[key]

    store = SimpleNamespace(add=add, set=values.__setitem__, get=lambda key: values[key].encode())
    monkeypatch.setattr(agreement, "open_store", lambda: store)
    monkeypatch.setattr(agreement, "hang_up", lambda: None)
    return values


@contextlib.contextmanager
def steps_of_process_1(monkeypatch, backend):
    """Inside, the steps of a run of two processes."""
    monkeypatch.setattr(dist, "get_backend", lambda: backend)
    run = SimpleNamespace(world=World(1, 2), state=SimpleNamespace(step=4, model=None), log=None,
                          config=SimpleNamespace(DATA=SimpleNamespace(TIMEOUT=0)))
    with Rescue(run, 4, lambda *_: None, SimpleNamespace(requested=None)):
        yield


def test_an_error_of_nccl_is_told_in_its_own_words_to_all(kept, monkeypatch):
    with pytest.raises(RuntimeError, match="^NCCL error.2., unhandled system error$"):
        with steps_of_process_1(monkeypatch, "NCCL"):
            raise RuntimeError("NCCL error(2), unhandled system error")
    assert kept["ppim/failure"] == "[process 1] NCCL error(2), unhandled system error"


def test_an_error_of_gloo_that_nobody_explains_is_told_as_what_it_means(kept, monkeypatch):
    with pytest.raises(ConnectionError, match="^the processes came too far apart for gloo"):
        with steps_of_process_1(monkeypatch, "GLOO"):
            raise RuntimeError("[gloo/transport/tcp/unbound_buffer.cc:80] TIMEOUT")
    assert "ppim/failure" not in kept
