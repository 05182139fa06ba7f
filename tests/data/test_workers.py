"""Who makes batches, on real processes: what they bring, how they end, and what is said when they do."""
from __future__ import annotations

import gc
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppim.data.loader import SampleError, make_loader
from ppim.data.making import Samples
from ppim.data.workers import Lost, Thread, Workers
from tests.helpers import ROOT, children_of, wait_until

ROUNDS = 12


def grown(number, keys, tell):
    """A batch that says who made it, of a size that goes up and down, in two types."""
    tell(f"file {number}")
    size = (number * 7) % 5 + 1
    return {"at": np.arange(size * 1000) * number, "half": np.full((size, 3), keys[0], "float16"), "pid": os.getpid()}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_batches_come_in_order_and_whole_from_workers_in_turn(count):
    team = Workers(grown, [[10 * number] for number in range(ROUNDS)], count, first=5)
    makers = []
    for number in range(5, 5 + ROUNDS):
        batch, expected = team.receive(), grown(number, [10 * (number - 5)], lambda _: None)
        makers.append(batch.pop("pid"))
        for name in batch:
            np.testing.assert_array_equal(batch[name], expected[name])
            assert batch[name].dtype == expected[name].dtype
    assert makers == makers[:count] * (ROUNDS // count) and len(set(makers)) == count
    assert os.getpid() not in makers
    team.close()
    assert not any(os.path.exists(f"/proc/{pid}") for pid in makers)


def test_a_batch_is_not_overwritten_before_the_next_is_asked_for():
    def make(number, keys, tell):
        return {"value": np.full(10_000, number)}

    team = Workers(make, [[0]] * 40, 1)
    for number in range(40):
        batch = team.receive()
        time.sleep(0.005)
        assert (batch["value"] == number).all()
    team.close()


class LeftOver:
    """Part of a circle, let go of by nobody but the collector; says in which process that was."""

    def __init__(self, note):
        self.itself, self.note = self, note

    def __del__(self):
        self.note.write_text(str(os.getpid()))


def test_what_the_parent_has_left_over_is_not_let_go_of_by_a_worker(tmp_path):
    def make(number, keys, tell):
        gc.collect()
        return {"value": np.zeros(1)}

    gc.disable()
    try:
        LeftOver(tmp_path / "note")
        team = Workers(make, [[0]], 1)
        team.receive()
        team.close()
        assert not (tmp_path / "note").exists()
    finally:
        gc.enable()
    gc.collect()
    assert (tmp_path / "note").read_text() == str(os.getpid())


def meets(trouble):
    def make(number, keys, tell):
        tell(f"photo {number}")
        if number == 3:
            trouble()
        return {"value": np.full(4, number)}
    return make


def brought(team):
    """What comes before the trouble, and what is said of it."""
    values = []
    with pytest.raises(Lost) as lost:
        while True:
            values.append(int(team.receive()["value"][0]))
    team.close()
    return values, str(lost.value)


@pytest.mark.parametrize(("name", "said"), [
    ("SIGKILL", "was killed while it read photo 3, as systems do when memory runs out; lower DATA.NUM_WORKERS"),
    ("SIGBUS", "was ended by SIGBUS while it read photo 3"),
])
def test_a_worker_that_is_killed_is_told_with_what_it_read(name, said):
    def trouble():
        signal.signal(signal.Signals[name], signal.SIG_DFL) if name != "SIGKILL" else None
        os.kill(os.getpid(), signal.Signals[name])

    values, text = brought(Workers(meets(trouble), [[0]] * 9, 2))
    assert values == [0, 1, 2] and said in text


def test_a_worker_that_ends_itself_is_told_with_its_exit_code():
    values, text = brought(Workers(meets(lambda: os._exit(7)), [[0]] * 9, 2))
    assert values == [0, 1, 2] and "while it read photo 3 with exit code 7" in text


@pytest.fixture
def pipe(tmp_path) -> Path:
    """A file that never has anything to read, as one of a file system that does not answer."""
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.parametrize("count", [0, 2])
def test_whoever_hangs_in_a_file_is_given_up_after_a_while_and_the_file_is_named(pipe, count):
    make, batches = meets(lambda: pipe.read_bytes()), [[0]] * 9
    team = Workers(make, batches, count, timeout=1) if count else Thread(make, batches, timeout=1)
    values, text = brought(team)
    assert values == [0, 1, 2] and text.startswith("photo 3: ") and "has not got beyond it in 1 s" in text


def test_samples_that_take_long_but_come_are_waited_for():
    def make(number, keys, tell):
        for _ in range(4):
            tell("one of many")
            threading.Event().wait(0.6)
        return {"value": np.zeros(1)}

    for team in (Workers(make, [[0]], 1, timeout=2), Thread(make, [[0]], timeout=2)):
        assert team.receive()["value"].shape == (1,)
        team.close()


def test_workers_leave_the_signals_that_stop_a_run_to_the_run():
    team = Workers(grown, [[0]] * 40, 2)
    pids = {team.receive()["pid"], team.receive()["pid"]}
    for pid in pids:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.kill(pid, number)
    assert {team.receive()["pid"] for _ in range(38)} == pids
    team.close()


def test_a_closed_team_lets_go_of_whoever_waits_for_it(pipe):
    team = Workers(meets(lambda: pipe.read_bytes()), [[0]] * 9, 1)
    for _ in range(3):
        team.receive()
    waiting = []
    thread = threading.Thread(target=lambda: waiting.append(brought(team)[1]))
    thread.start()
    team.close()
    thread.join(20)
    assert len(waiting) == 1


ORPHANS = """
import os, sys, time
import numpy as np
from ppim.data.workers import Workers

def make(number, keys, tell):
    if number > 5:
        time.sleep(600)
    return {"value": np.zeros(1_000_000)}

team = Workers(make, [[0]] * 99, 3)
for _ in range(6):
    team.receive()
print("busy", flush=True)
time.sleep(600)
"""


def test_workers_end_with_a_parent_that_is_killed_and_leave_no_memory_behind():
    segments = set(os.listdir("/dev/shm"))
    parent = subprocess.Popen([sys.executable, "-c", ORPHANS], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "busy\n"
    team = children_of(parent.pid)
    made = [name for name in set(os.listdir("/dev/shm")) - segments
            if any(str(pid) in name for pid in (parent.pid, *team))]
    parent.kill()
    parent.communicate()
    assert len(team) == 3 and made == []
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in team))


class Photos(Samples):
    """Samples of which one cannot be made."""

    def __init__(self, error):
        self._error = error

    def __len__(self):
        return 9

    def path(self, key):
        return f"photos/{key}.jpg"

    def __getitem__(self, key):
        if key == 5:
            raise self._error
        return {"image": np.zeros((3, 4, 4), "uint8"), "label": np.int64(key), "index": np.int64(key)}


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("error", [
    MemoryError(), TypeError("not a\nnumber"), KeyError("shape"), RuntimeError("odd"), AssertionError(),
    Image.DecompressionBombError("too large"), OSError("input/output error"), ValueError("photos/5.jpg: bad header"),
    RecursionError("deep"), StopIteration(),
], ids=lambda error: type(error).__name__)
def test_whatever_a_sample_raises_is_one_line_that_names_its_file(error, count):
    seen = []
    with pytest.raises(SampleError) as told:
        for batch in make_loader(Photos(error), [[0, 1], [2, 3], [4, 5], [6, 7]], count):
            seen += batch["index"].tolist()
    text = str(told.value)
    assert seen == [0, 1, 2, 3]
    assert text.startswith("photos/5.jpg: ") and text.count("photos/5.jpg") == 1 and "\n" not in text
    assert " ".join(str(error).replace("photos/5.jpg: ", "").split()) in text


def test_without_room_for_a_batch_the_reason_is_given():
    def make(number, keys, tell):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))  # in the worker
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        return {"value": np.zeros(1 << 21)}

    team = Workers(make, [[0]], 1)
    with pytest.raises(Lost, match=r"no memory for a batch \(File too large\); lower DATA\.NUM_WORKERS"):
        team.receive()
    team.close()
