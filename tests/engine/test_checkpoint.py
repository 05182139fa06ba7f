"""Checkpoints: whole or not there, found again, and never spoilt by a failed successor."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ppim.engine.checkpoint import Checkpoint, load_checkpoint, remove_leftovers, save_checkpoint, set_aside
from ppim.files import sha256
from ppim.weights.checkpoints import find_fault, list_checkpoints, newest_valid


def test_a_checkpoint_comes_back_as_it_was(checkpoint, tmp_path):
    path = save_checkpoint(tmp_path, checkpoint, step=3, keep=2)
    back = load_checkpoint(path)
    assert path.name == "step_00000003" and back.state == checkpoint.state
    np.testing.assert_array_equal(back.tensors["model"]["w"], checkpoint.tensors["model"]["w"])


def names(paths) -> list[str]:
    return [path.name for path in paths]


def test_only_the_newest_are_kept(checkpoint, tmp_path):
    for step in (1, 2, 10):
        save_checkpoint(tmp_path, checkpoint, step, keep=2)
    assert names(list_checkpoints(tmp_path)) == ["step_00000010", "step_00000002"]


def test_the_checkpoint_just_written_stays_though_later_ones_are_there(checkpoint, tmp_path):
    for step in (6, 9, 12, 3, 4, 5):
        path = save_checkpoint(tmp_path, checkpoint, step, keep=2)
        assert find_fault(path) is None
    assert [int(path.name[-2:]) for path in list_checkpoints(tmp_path)] == [12, 9, 5, 4]


def test_only_exact_names_count_and_nothing_else_is_deleted(checkpoint, tmp_path):
    first = save_checkpoint(tmp_path, checkpoint, 3, keep=2)
    others = ["step_00000003_mine", "step_3", "step_000000003", "step_0000000a", "my_step_00000003"]
    for name in others:
        shutil.copytree(first, tmp_path / name)
    (tmp_path / ".step_00000003.mine").write_text("a note")
    for step in (4, 5, 6):
        save_checkpoint(tmp_path, checkpoint, step, keep=2)
    remove_leftovers(tmp_path)
    assert names(list_checkpoints(tmp_path)) == ["step_00000006", "step_00000005"]
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"step_00000006", "step_00000005", ".step_00000003.mine", *others}


@pytest.mark.parametrize("thing", ["file", "dangling link", "link to a folder", "empty folder"])
def test_what_has_the_name_of_a_checkpoint_is_in_nobodys_way(checkpoint, tmp_path, thing):
    folder, elsewhere = tmp_path / "checkpoints", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "data").write_text("precious")
    earlier = save_checkpoint(folder, checkpoint, 6, keep=2)
    place = folder / "step_00000009"
    if thing == "file":
        place.write_text("precious")
    elif thing == "empty folder":
        place.mkdir()
    else:
        place.symlink_to(elsewhere if thing == "link to a folder" else tmp_path / "nowhere")
    found, passed_over = newest_valid(folder)
    assert found == earlier and len(passed_over) == ("folder" in thing)
    assert find_fault(save_checkpoint(folder, checkpoint, 9, keep=2)) is None and not place.is_symlink()
    for step in (12, 15):  # by then what lay there would have been rotated out
        save_checkpoint(folder, checkpoint, step, keep=2)
    aside = folder / "step_00000009.aside"
    assert os.path.lexists(aside) == (thing != "empty folder")
    assert thing != "file" or aside.read_text() == "precious"
    assert (elsewhere / "data").read_text() == "precious"


def test_what_is_set_aside_counts_no_more_and_is_never_overwritten(checkpoint, tmp_path):
    aside = [set_aside(save_checkpoint(tmp_path, checkpoint, 3, keep=2)) for _ in range(3)]
    assert len(set(aside)) == 3 and all(find_fault(path) is None for path in aside)
    assert list_checkpoints(tmp_path) == []


def test_files_have_the_mode_that_new_files_have(checkpoint, tmp_path):
    (tmp_path / "new").touch()
    path = save_checkpoint(tmp_path, checkpoint, 3, keep=2)
    assert len(list(path.iterdir())) == 5
    assert {file.stat().st_mode for file in path.iterdir()} == {(tmp_path / "new").stat().st_mode}


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


def damages(data: bytes, rng) -> dict[str, bytes]:
    """Damaged forms of a file's bytes by what befell them; none is what it was."""
    n = len(data)
    found = {"empty": b"", "NUL": bytes(n), "doubled": data + data, "newline": data + b"\n"}
    for at in {0, 1, n // 2, n - 1, *rng.integers(0, n, 6).tolist()}:
        found[f"cut at {at}"] = data[:at]
        found[f"inverted at {at}"] = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1:]
        found[f"bit at {at}"] = data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1:]
        found[f"NUL from {at}"] = data[:at] + bytes(n - at)
        found[f"inserted at {at}"] = data[:at] + bytes([int(rng.integers(256))]) + data[at:]
    lines = data.splitlines(keepends=True)
    for number in range(len(lines)):
        found[f"without line {number}"] = b"".join(lines[:number] + lines[number + 1:])
        found[f"line {number} twice"] = b"".join(lines[:number + 1] + lines[number:])
    return {name: changed for name, changed in found.items() if changed != data}


def forged(manifest: bytes) -> dict[str, bytes]:
    """Manifests that are spelt well and yet name what they should not."""
    digest, size, _ = manifest.splitlines()[-1].split(b" ")
    entry = digest + b" " + size + b" "
    return {
        "path": manifest + entry + b"../step_00000001/state.json\n", "absolute": manifest + entry + b"/etc/passwd\n",
        "itself": manifest + entry + b"MANIFEST\n", "stranger": manifest + entry + b"extra.safetensors\n",
        "another path": manifest.replace(b" model.", b" ./model."), "reversed": b"".join(
            reversed(manifest.splitlines(keepends=True))),
        "negative": manifest.replace(b" " + size, b" -" + size), "huge": manifest.replace(size, b"9" * 5000),
        "leading zero": manifest.replace(b" " + size, b" 0" + size), "capitals": manifest.upper(),
        "Windows": manifest.replace(b"\n", b"\r\n"), "long": manifest + b"#" * 10_000_000,
    }


@pytest.mark.parametrize("averaged", [True, False])
def test_no_damage_to_a_checkpoint_goes_unnoticed_or_raises(checkpoint, tmp_path, averaged):
    if not averaged:
        tensors = {part: checkpoint.tensors[part] for part in ("model", "optimizer")}
        checkpoint = Checkpoint(tensors, checkpoint.state._replace(ema_updates=0))
    older = save_checkpoint(tmp_path, checkpoint, 1, keep=2)
    newer = save_checkpoint(tmp_path, checkpoint, 2, keep=2)
    rng, cases = np.random.default_rng(0), 0

    def assert_noticed(case: str) -> None:
        fault = find_fault(newer)
        assert fault and "\n" not in fault, case
        found, passed_over = newest_valid(tmp_path)
        assert found == older and passed_over == [f"{newer}: {fault}"], case

    for name in sorted(path.name for path in newer.iterdir()):
        file, whole = newer / name, (newer / name).read_bytes()
        changed = {**damages(whole, rng), **(forged(whole) if name == "MANIFEST" else {})}
        for case, data in changed.items():
            file.write_bytes(data)
            assert_noticed(f"{name}: {case}")
            cases += 1
        file.unlink()
        assert_noticed(f"{name} removed")
        file.mkdir()
        assert_noticed(f"{name} a folder")
        file.rmdir()
        os.mkfifo(file)
        assert_noticed(f"{name} a pipe")
        file.unlink()
        file.symlink_to("nowhere")
        assert_noticed(f"{name} a dangling link")
        file.unlink()
        file.write_bytes(whole)
        assert find_fault(newer) is None
        cases += 4
    assert cases >= (300 if averaged else 250)


def test_files_that_the_manifest_does_not_list_are_not_opened(checkpoint, tmp_path):
    path = save_checkpoint(tmp_path, checkpoint, 1, keep=2)
    (path / "junk.safetensors").write_bytes(b"junk")
    os.mkfifo(path / "pipe.safetensors")
    assert load_checkpoint(path).tensors.keys() == {"model", "optimizer", "ema"}


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
    tensors = {part: {"w": big + step} for part in ("model", "optimizer", "ema")}
    save_checkpoint(Path(sys.argv[1]), Checkpoint(tensors, state), step, keep=2)
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
import resource, signal, sys
import numpy as np
from pathlib import Path
from ppim.engine.checkpoint import Checkpoint, State, save_checkpoint
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
