"""Writing in the background: in order, one thing at a time, to the end; copies that training cannot change."""
import hashlib
import multiprocessing
import os
import threading

import numpy as np
import paddle
import pytest

import ppim  # noqa: F401
from ppim.engine.checkpoint import Checkpoint, State, save_checkpoint
from ppim.engine.ema import Ema
from ppim.engine.optimizer import build_optimizer, state_by_structured_names, take_step
from ppim.engine.train_state import as_arrays
from ppim.engine.writer import Writer
from ppim.paddle_compat import GradScaler
from tests.helpers import run_python, small_lvvit

pytestmark = pytest.mark.smoke


def test_jobs_are_done_one_at_a_time_in_their_order_beside_the_caller():
    writer, done, under_way, may_go_on = Writer(print, 0), [], [], threading.Event()

    def job(number):
        assert threading.current_thread() is not threading.main_thread()
        under_way.append(number)
        assert len(under_way) == 1 and may_go_on.wait(60)
        done.append(under_way.pop())

    writer.start(lambda: job(0))
    writer.check()
    assert done == []  # this process goes on meanwhile
    may_go_on.set()
    for number in range(1, 5):
        writer.start(lambda number=number: job(number))
    writer.wait()
    assert done == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("notice", ["check", "start", "wait"])
def test_what_went_wrong_is_raised_once_where_the_run_next_looks(notice):
    writer, failed = Writer(print, 0), threading.Event()

    def job():
        failed.set()
        raise ValueError("disk full")

    writer.start(job)
    assert failed.wait(60)
    writer._thread.join(60)
    with pytest.raises(ValueError, match="disk full"):
        getattr(writer, notice)(*([print] if notice == "start" else []))
    writer.check()
    writer.wait()


def test_whoever_waits_for_a_file_system_that_does_not_answer_is_told_why_again_and_again():
    told, answers = [], threading.Event()
    writer = Writer(lambda line: (told.append(line), len(told) == 2 and answers.set()), 0.05)
    writer.start(lambda: answers.wait(60))
    writer.wait()
    assert len(told) >= 2 and "still writing after 0.05 s" in told[0] and "after 0.1 s" in told[1]


def test_a_finished_job_keeps_no_memory():
    class Array:
        freed = threading.Event()

        def __del__(self):
            assert threading.current_thread() is threading.main_thread()
            self.freed.set()

    def job_of(array):
        return lambda: array

    writer = Writer(print, 0)
    writer.start(job_of(Array()))
    writer._thread.join(60)
    assert not Array.freed.is_set()  # not by the thread: the memory may be Paddle's
    writer.check()
    assert Array.freed.is_set()


def test_an_interpreter_that_ends_finishes_what_is_being_written(tmp_path):
    script = (
        "import pathlib, time\nfrom ppim.engine.writer import Writer\n"
        f"Writer(print, 0).start(lambda: (time.sleep(0.5), pathlib.Path({str(tmp_path / 'done')!r}).touch()))\n"
        "raise SystemExit(3)"
    )
    assert run_python("-c", script).returncode == 3
    assert (tmp_path / "done").exists()


def test_what_is_captured_is_a_copy_that_training_does_not_reach():
    paddle.seed(0)
    model = small_lvvit()
    ema, optimizer = Ema(model, 0.9), build_optimizer(model, "AdamW", weight_decay=0.1)
    optimizer.set_lr(0.1)

    def step():
        model(paddle.ones([2, 3, 32, 32])).sum().backward()
        take_step(optimizer, GradScaler(enable=False))
        ema.update()

    def captured():
        states = (model.state_dict(), ema.state_dict(), state_by_structured_names(optimizer, model))
        return [as_arrays(state) for state in states]

    def digests(parts):
        return [{name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in part.items()} for part in parts]

    step()
    copies = captured()
    before = digests(copies)
    step()
    with paddle.no_grad():
        for state in (model.state_dict(), ema.state_dict(), state_by_structured_names(optimizer, model)):
            for value in state.values():
                value.add_(paddle.ones_like(value))
                value.zero_()
    assert digests(copies) == before
    assert all(not array.any() for part in captured() for array in part.values())


def _work(results) -> None:
    """What a loader's worker does, as far as locks go: memory, checksums, imports, a file."""
    import zipfile  # noqa: F401

    total = sum(float(np.ones(1 << 14).sum()) for _ in range(20))
    with open(os.devnull, "wb") as file:
        file.write(hashlib.sha256(b"x").digest())
    results.put(total)


def test_processes_forked_while_something_is_written_work(tmp_path):
    context, writer, enough = multiprocessing.get_context("fork"), Writer(print, 0), threading.Event()
    tensors = {part: {"w": np.ones(1 << 20, "float32")} for part in ("model", "optimizer")}
    state, forked = State(*[0] * len(State._fields)), 0

    def write_on():
        while not enough.is_set():
            save_checkpoint(tmp_path, Checkpoint(tensors, state), 1, keep=2)

    writer.start(write_on)
    try:
        for _ in range(25):
            results = context.SimpleQueue()
            worker = context.Process(target=_work, args=(results,))
            worker.start()
            worker.join(60)
            assert worker.exitcode == 0 and results.get() == 20 * (1 << 14)
            forked += 1
    finally:
        enough.set()
        writer.wait()
    assert forked == 25
