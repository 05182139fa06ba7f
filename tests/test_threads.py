"""Threads are shared by the processes of a machine, unless the user says otherwise."""
import os
import subprocess
import sys

import pytest

from ppim.threads import thread_count, usable_cores


def test_a_lone_process_takes_every_usable_core():
    assert thread_count({}, cores=8) == 8


def test_a_thread_count_the_user_exported_is_left_alone():
    assert thread_count({"OMP_NUM_THREADS": "3"}, cores=8) is None


@pytest.mark.parametrize(("exported", "threads"), [("4,2", 4), ("4, 2", 4), (" 3", 3), (",2", 8)])
def test_of_a_count_for_each_level_of_nesting_the_first_is_meant(exported, threads):
    assert thread_count({"OMP_NUM_THREADS": exported}, cores=8) == threads


@pytest.mark.parametrize(("ranks", "threads"), [("2", 4), ("3", 2), ("16", 1)])
def test_the_launchers_workers_share_the_cores_though_it_hands_them_one_thread(ranks, threads):
    assert thread_count({"OMP_NUM_THREADS": "1", "PADDLE_LOCAL_SIZE": ranks}, cores=8) == threads


def test_ppim_threads_overrides_everything():
    env = {"PPIM_THREADS": "5", "OMP_NUM_THREADS": "1", "PADDLE_LOCAL_SIZE": "2"}
    assert thread_count(env, cores=8) == 5


@pytest.mark.parametrize("value", ["0", "²", "two", "-1"])
def test_a_thread_count_that_is_no_count_is_refused(value):
    with pytest.raises(ValueError, match="PPIM_THREADS"):
        thread_count({"PPIM_THREADS": value}, cores=8)


LATE = """
import ctypes, os
import paddle
paddle.ones([4, 4]).matmul(paddle.ones([4, 4]))  # even computing has begun
import ppim
for _ in range(2):
    ppim.create_model("lvvit_demo")
libraries = [line.split()[-1] for line in open("/proc/self/maps") if "libiomp5" in line or "libmklml_intel" in line]
for path in sorted(set(libraries)):
    library = ctypes.CDLL(path)
    ask = library.MKL_Get_Max_Threads if "mklml" in path else library.omp_get_max_threads
    print(os.path.basename(path), ask())
print("environment", os.environ["OMP_NUM_THREADS"])
"""


@pytest.mark.smoke
@pytest.mark.parametrize(("exported", "threads", "lines"), [
    ({"PPIM_THREADS": "2"}, "2", 1), ({"OMP_NUM_THREADS": "1"}, "1", 0)])
def test_where_paddle_was_imported_first_its_threads_are_set_all_the_same_and_that_is_told_once(
        exported, threads, lines):
    env = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "PPIM_THREADS")}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", LATE], env={**env, **exported}, text=True,
                          capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("note: paddle was imported before ppim")]
    assert len(told) == lines and all("computes on 2 threads now" in line for line in told)
    asked = dict(line.split() for line in done.stdout.splitlines())
    assert set(asked.values()) == {threads} and "environment" in asked
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        assert len(asked) == 3


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not say")
def test_the_cores_of_this_process_count_not_those_of_the_machine():
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
