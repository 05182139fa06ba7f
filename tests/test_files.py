"""A file appears whole or not at all, where a name leads; a pipe or a device stays what it is."""
from __future__ import annotations

import os
import stat
import threading

import pytest

from ppim.files import leftovers, write_whole

pytestmark = pytest.mark.smoke
LONG = "\u732b" * 82 + ".npy"  # 250 bytes, as many as a label map's name has of a photo whose name fits


def test_a_pipe_gets_what_is_written_and_stays(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_whole(pipe, lambda beside: beside.write_text("said"))
    reader.join(20)
    assert got == [b"said"] and stat.S_ISFIFO(os.stat(pipe).st_mode) and os.listdir(tmp_path) == ["pipe"]


def test_a_pipe_known_by_its_descriptor_gets_what_is_written():
    """As `--json >(cat)` has it: no file can be written beside it."""
    reading, writing = os.pipe()
    try:
        write_whole(f"/proc/self/fd/{writing}", lambda beside: beside.write_text("said"))
        assert os.read(reading, 100) == b"said"
    finally:
        os.close(reading)
        os.close(writing)


def test_a_device_gets_what_is_written_and_stays(tmp_path):
    node = tmp_path / "nothing"
    try:
        os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
        node.write_bytes(b"x")
    except OSError as error:
        pytest.skip(f"this user may not make a device here: {error}")
    write_whole(node, lambda beside: beside.write_text("said"))
    assert stat.S_ISCHR(os.stat(node).st_mode) and node.read_bytes() == b""


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far/old.txt").write_text("old")
    for name in ("old", "new"):
        (tmp_path / f"{name}.txt").symlink_to(f"far/{name}.txt")
        write_whole(tmp_path / f"{name}.txt", lambda beside, name=name: beside.write_text(f"now {name}"))
        assert os.readlink(tmp_path / f"{name}.txt") == f"far/{name}.txt"
        assert (tmp_path / f"far/{name}.txt").read_text() == f"now {name}"
    assert sorted(os.listdir(tmp_path / "far")) == ["new.txt", "old.txt"]


def test_a_link_to_a_file_is_followed_to_where_it_is_left_unfinished(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far/file").write_text("old")
    (tmp_path / "link").symlink_to("far/file")
    (tmp_path / "far/.file.123").write_text("half")
    assert leftovers(tmp_path / "link") == [tmp_path / "far/.file.123"]


@pytest.mark.parametrize("name", ["short", "a.txt", "x" * 244, "y" * 245, LONG, "z" * 255])
def test_names_of_any_length_are_written_and_what_is_left_of_them_is_found(name, tmp_path):
    seen = []

    def write(beside):
        seen.append(beside)
        beside.write_text("whole")

    write_whole(tmp_path / name, write)
    assert (tmp_path / name).read_text() == "whole" and os.listdir(tmp_path) == [name]
    stopped = seen[0].with_name(seen[0].name.rpartition(".")[0] + ".4194304")
    stopped.write_text("half")
    (tmp_path / ".other.12").write_text("another file's")
    assert leftovers(tmp_path / name) == [stopped] and leftovers(tmp_path / "shor") == []
