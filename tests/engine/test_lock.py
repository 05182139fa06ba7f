"""The lock of a run's folder: one process at a time, freed by any death, told by host and process."""
import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys

import pytest

from ppim.engine.lock import FolderLock

pytestmark = pytest.mark.smoke

HOLDER = """
import os, sys, time
from pathlib import Path
from ppim.engine.lock import FolderLock

lock = FolderLock()
lock.take(Path(sys.argv[1]), "")
if not os.fork():
    print(os.getpid(), flush=True)  # which tells that it has let go as well
time.sleep(600)
"""


def test_a_killed_holder_lets_go_though_a_process_it_forked_lives_on(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    child = int(holder.stdout.readline())
    try:
        with pytest.raises(ValueError) as refused:
            FolderLock().take(tmp_path, "wait")
        said = str(refused.value)
        assert f"{tmp_path} is in use by process {holder.pid} on {socket.gethostname()}, started 20" in said
        assert said.endswith("; wait") and "\n" not in said
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        os.kill(child, 0)  # it is there
        lock = FolderLock()
        assert lock.take(tmp_path, "wait") == [] and lock.held
        lock.release()
    finally:
        holder.kill()
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()


def test_a_lock_that_is_let_go_of_is_free_and_letting_go_twice_harms_nobody(tmp_path):
    one, other = FolderLock(), FolderLock()
    one.take(tmp_path, "")
    one.release()
    other.take(tmp_path, "")
    one.release()
    with pytest.raises(ValueError, match=f"process {os.getpid()} on"):
        FolderLock().take(tmp_path, "")
    other.release()


def test_a_file_system_without_locks_is_a_warning(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    lock = FolderLock()
    (line,) = lock.take(tmp_path, "")
    assert line.startswith("warning: ") and str(tmp_path) in line and not lock.held
    lock.release()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(ValueError, match=f"cannot write the run folder {tmp_path}"):
        FolderLock().take(tmp_path, "")
