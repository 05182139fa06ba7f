"""Checkpoints: whole or not there, found again, and never spoilt by a failed successor."""
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ppim.engine.checkpoint import (
    find_fault,
    list_checkpoints,
    load_checkpoint,
    newest_valid,
    remove_leftovers,
    save_checkpoint,
)
from ppim.files import sha256


def test_a_checkpoint_comes_back_as_it_was(checkpoint, tmp_path):
    path = save_checkpoint(tmp_path, checkpoint, step=3, keep=2)
    back = load_checkpoint(path)
    assert path.name == "step_00000003" and back.state == checkpoint.state
    np.testing.assert_array_equal(back.tensors["model"]["w"], checkpoint.tensors["model"]["w"])


def test_only_the_newest_are_kept(checkpoint, tmp_path):
    for step in (1, 2, 10):
        save_checkpoint(tmp_path, checkpoint, step, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step_00000010", "step_00000002"]


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "manifest"])
def test_a_damaged_checkpoint_is_told_from_a_whole_one_and_passed_over(checkpoint, tmp_path, damage):
    older = save_checkpoint(tmp_path, checkpoint, 1, keep=2)
    newer = save_checkpoint(tmp_path, checkpoint, 2, keep=2)
    file = newer / "model.safetensors"
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
        file.write_bytes(data)
    elif damage == "truncate":
        file.write_bytes(data[:-1])
    elif damage == "delete":
        file.unlink()
    else:
        (newer / "MANIFEST").unlink()
    assert find_fault(older) is None and find_fault(newer) is not None
    found, passed_over = newest_valid(tmp_path)
    assert found == older and str(newer) in passed_over[0]
    with pytest.raises(ValueError, match="no usable checkpoint"):
        load_checkpoint(newer)


WRITER = """
import sys
import numpy as np
from pathlib import Path
from ppim.engine.checkpoint import Checkpoint, State, save_checkpoint
big = np.zeros(1 << 19, dtype="float32")
step = 0
while True:
    step += 1
    state = State(*[step] * len(State._fields))
    save_checkpoint(Path(sys.argv[1]), Checkpoint({"model": {"w": big + step}}, state), step, keep=2)
    print(step, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_checkpoint_to_go_on_from(tmp_path):
    rng = np.random.default_rng(0)
    for attempt in range(8):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"1\n"
        time.sleep(rng.uniform(0, 0.05))
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        found, _ = newest_valid(folder)
        step = load_checkpoint(found).state.step
        assert (load_checkpoint(found).tensors["model"]["w"] == step).all()
        remove_leftovers(folder)
        assert all(path.name.startswith("step_") for path in folder.iterdir())


FULL_DISK = """
import resource, sys
import numpy as np
from pathlib import Path
from ppim.engine.checkpoint import Checkpoint, State, save_checkpoint
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
try:
    state = State(*[0] * len(State._fields))
    save_checkpoint(Path(sys.argv[1]), Checkpoint({"model": {"w": np.zeros(1 << 18, "float32")}}, state), 2, keep=2)
except ValueError as error:
    print(error)
"""


def test_a_full_disk_is_said_in_words_and_leaves_the_earlier_checkpoint(checkpoint, tmp_path):
    earlier = save_checkpoint(tmp_path, checkpoint, 1, keep=2)
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True)
    assert "cannot write checkpoint" in done.stdout and "untouched" in done.stdout
    assert list(tmp_path.iterdir()) == [earlier] and find_fault(earlier) is None


@pytest.mark.parametrize("change", [{"colour": 1}, {"offset": None}])
def test_a_state_of_another_version_is_refused_by_name(checkpoint, tmp_path, change):
    path = save_checkpoint(tmp_path, checkpoint, 3, keep=2)
    fields = {name: value for name, value in {**checkpoint.state._asdict(), **change}.items() if value is not None}
    state = path / "state.json"
    state.write_text(json.dumps(fields))
    lines = [line for line in (path / "MANIFEST").read_text().splitlines() if not line.endswith("state.json")]
    (path / "MANIFEST").write_text("\n".join([*lines, f"{sha256(state)} {state.stat().st_size} state.json", ""]))
    with pytest.raises(ValueError, match=rf"state.json was written by another ppim \(0.0\): {next(iter(change))}"):
        load_checkpoint(path)
