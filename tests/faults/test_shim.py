"""Does the injector strike where it is told to, and nowhere else? Tried on a program of a few lines."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import shim
from tests.faults.shim import Fault, lose_unsynced, read_list

pytestmark = pytest.mark.skipif(shim.why_not() is not None, reason=str(shim.why_not()))

PROGRAM = """
import os, sys
os.makedirs("deep")
with open("deep/synced", "wb", 0) as file:
    file.write(b"first ")
    file.write(b"second")
    os.fsync(file.fileno())
with open(f"deep/.name.{os.getpid()}", "wb", 0) as file:
    file.write(b"unsynced")
os.replace(f"deep/.name.{os.getpid()}", "deep/name")
with open(sys.argv[1], "wb") as file:
    file.write(b"elsewhere")
os.unlink("deep/synced")
"""
PYTHON = (sys.executable, "-I", "-S", "-c")
OPERATIONS = ["mkdir deep 1", "open deep/synced 1", "write deep/synced 1", "write deep/synced 2",
              "fsync deep/synced 1", "open deep/.name.PID 1", "write deep/.name.PID 1", "rename deep/name 1",
              "unlink deep/synced 1"]


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    return shim.build(tmp_path_factory.mktemp("injector"))


@pytest.fixture
def run(library, tmp_path):
    """Runs the program in tmp_path/work with a fault; what it ended with, and what it listed."""
    work = tmp_path / "work"
    work.mkdir()

    def start(fault: Fault | None = None):
        own = shim.environment(library, work, tmp_path / "list", fault)
        done = subprocess.run([*PYTHON, PROGRAM, tmp_path / "elsewhere"], cwd=work, capture_output=True, text=True,
                              env={**os.environ, **own})
        return done, read_list(tmp_path / "list"), work

    return start


def test_every_operation_below_the_folder_is_listed_by_what_path_and_number(run):
    done, listed, work = run()
    assert done.returncode == 0, done.stderr
    assert [one.name for one in listed] == OPERATIONS and not any(one.here for one in listed)
    assert (work / "deep" / "name").read_bytes() == b"unsynced"


@pytest.mark.parametrize("at", OPERATIONS)
def test_a_kill_strikes_before_the_operation_and_halves_a_write(run, at):
    done, listed, work = run(Fault("kill", at))
    assert done.returncode == -9
    assert [one.name for one in listed] == OPERATIONS[:OPERATIONS.index(at) + 1] and listed[-1].here
    found = {path.name.rstrip("0123456789"): path.read_bytes() for path in work.rglob("*") if path.is_file()}
    wanted = {"mkdir deep 1": {}, "open deep/synced 1": {}, "write deep/synced 1": {"synced": b"fir"},
              "write deep/synced 2": {"synced": b"first sec"},
              "write deep/.name.PID 1": {"synced": b"first second", ".name.": b"unsy"},
              "unlink deep/synced 1": {"synced": b"first second", "name": b"unsynced"}}
    assert at not in wanted or found == wanted[at]


def test_an_error_is_returned_to_the_program(run):
    done, listed, _ = run(Fault("error", "fsync deep/synced 1"))
    assert done.returncode == 1 and "Input/output error" in done.stderr and len(listed) == 5


def test_a_full_disk_stays_full_but_lets_go(run, library, tmp_path):
    patient = PROGRAM.replace('    file.write(b"second")', "    try:\n        file.write(b'second')\n"
                              "    except OSError as error:\n        print(error.errno)")
    work = tmp_path / "work"
    own = shim.environment(library, work, tmp_path / "list", Fault("full", "write deep/synced 2"))
    done = subprocess.run([*PYTHON, patient, tmp_path / "elsewhere"], cwd=work, capture_output=True,
                          text=True, env={**os.environ, **own})
    assert done.stdout == "28\n" and "No space left on device" in done.stderr
    assert [one.name for one in read_list(tmp_path / "list")][-1] == "open deep/.name.PID 1"


def test_a_power_cut_leaves_zeros_where_nothing_was_synced(run):
    done, listed, work = run(Fault("power", "unlink deep/synced 1"))
    assert done.returncode == -9
    assert lose_unsynced(work, listed) == ["deep/name"]
    assert (work / "deep" / "name").read_bytes() == bytes(8)
    assert (work / "deep" / "synced").read_bytes() == b"first second"
