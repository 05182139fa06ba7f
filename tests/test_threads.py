"""Threads are shared by the processes of a machine, unless the user says otherwise."""
import pytest

from ppim.threads import thread_count


def test_a_lone_process_takes_every_usable_core():
    assert thread_count({}, cores=8) == 8


def test_a_thread_count_the_user_exported_is_left_alone():
    assert thread_count({"OMP_NUM_THREADS": "3"}, cores=8) is None


@pytest.mark.parametrize(("ranks", "threads"), [("2", 4), ("3", 2), ("16", 1)])
def test_the_launchers_workers_share_the_cores_though_it_hands_them_one_thread(ranks, threads):
    assert thread_count({"OMP_NUM_THREADS": "1", "PADDLE_LOCAL_SIZE": ranks}, cores=8) == threads


def test_ppim_threads_overrides_everything():
    env = {"PPIM_THREADS": "5", "OMP_NUM_THREADS": "1", "PADDLE_LOCAL_SIZE": "2"}
    assert thread_count(env, cores=8) == 5


@pytest.mark.parametrize("value", ["0", "two", "-1"])
def test_a_thread_count_that_is_no_count_is_refused(value):
    with pytest.raises(ValueError, match="PPIM_THREADS"):
        thread_count({"PPIM_THREADS": value}, cores=8)
