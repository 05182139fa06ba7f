"""What is saved, and what is said, when a run ends by an error?

The state after the last whole step, by process 0, without the help of the others. Three ways lead here: an exception;
gloo, which aborts a process that waits for one which is gone; and the thread that has heard of another's failure while
this process waits where it cannot be called back from.
"""
from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import paddle

from ppim.data.loader import SampleError
from ppim.engine.agreement import Agreement
from ppim.engine.distributed import statistics_of
from ppim.engine.interrupt import StopRequest
from ppim.engine.run import Run
from ppim.engine.sound import not_finite

_GRACE = 60  # seconds for a process to end by itself once another has failed


class Rescue:
    """`with Rescue(...) as rescue:` around the steps of a run; an error that ends it has the state saved.

    Args:
        run: the run, as it stands between two steps.
        micro: the micro-batch to go on with.
        write: writes run and micro-batch to the run folder, without other processes.
        stop: who is asked to stop.
    """

    def __init__(self, run: Run, micro: int, write: Callable[[Run, int], None], stop: StopRequest):
        self._run, self._write, self._micro = run, write, micro
        self._saved = run.state.step
        self._kept: list[tuple[paddle.Tensor, paddle.Tensor]] = []
        self._whole = True  # is the state that of a whole step, and can it be written?
        self._changing = threading.RLock()
        self._first = threading.Lock()  # whoever holds it ends the process
        self.agreement = Agreement(run.world, stop, run.state.step, run.config.DATA.TIMEOUT, self._on_failure)

    def __enter__(self) -> Rescue:
        self.agreement.__enter__()
        if self._run.world.is_impatient:
            # Gloo's exceptions do not get from a backward pass to Python: C++ ends the process with SIGABRT, on the
            # thread that holds Python's lock, so that C may call Python. Python's own handlers would come too late.
            self._c_handler = ctypes.CFUNCTYPE(None, ctypes.c_int)(self._on_abort)
            ctypes.CDLL(None).signal(signal.SIGABRT, self._c_handler)
        return self

    def __exit__(self, kind, error, trace) -> None:
        if self._run.world.is_impatient:
            signal.signal(signal.SIGABRT, signal.SIG_DFL)
        try:
            if isinstance(error, Exception):
                self._explain(error)
        finally:
            self.agreement.__exit__(kind, error, trace)

    @property
    def is_saved(self) -> bool:
        """Is there nothing new since the last save?"""
        return self._saved == self._run.state.step

    def keep_statistics(self) -> None:
        """Keep what a forward pass changes though its step may never be taken: BatchNorm's statistics."""
        self._kept = [(value, value.clone()) for value in statistics_of(self._run.state.model)]

    @contextlib.contextmanager
    def taking_step(self, micro: int) -> Iterator[None]:
        """Around what changes the state; `micro`: the micro-batch to go on with afterwards."""
        with self._changing:
            self._whole = False
            yield
            self._whole, self._micro, self._kept = True, micro, []

    @contextlib.contextmanager
    def giving_up(self) -> Iterator[None]:
        """Around what is not answered by a save when it fails: another save, and what calls the run a mistake."""
        self._whole = False
        yield
        self._whole = True

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Around a save of the run's own."""
        with self.giving_up():
            yield
        self._saved = self._run.state.step

    def _save(self) -> str:
        """Save if there is something new; in words, what was done, if anything could be."""
        run, step = self._run, self._run.state.step
        if not self._whole or not run.world.is_main or getattr(run.state.model, "is_lent", False):
            return ""
        if run.meter.left_out_in_a_row:  # the reason may lie in the weights
            return f"; the state after step {step} was not saved, because the newest steps had been left out"
        try:
            if self.is_saved:
                run.writer.wait()
            else:
                with paddle.no_grad():
                    for value, kept in self._kept:
                        paddle.assign(kept, value)
                broken = not_finite(run.state.model.state_dict())
                if broken:
                    return f"; the state after step {step} is not finite ({broken[0]}) and was not saved"
                self._write(run, self._micro)
        except Exception as error:
            return f"; the state after step {step} could not be saved: {error}"
        return f"; saved after step {step}, go on with --resume" if step else ""

    def _explain(self, error: Exception) -> None:
        """Save, and raise what is to be told instead of `error`; without it where a bug is to keep its traceback."""
        if not self._first.acquire(blocking=False):
            time.sleep(_GRACE)  # the thread is at work
        several, lost = self._run.world.size > 1, _is_lost_connection(error)
        words = " ".join(str(error).split()) or type(error).__name__
        if not lost:
            self.agreement.fail(words)
        if isinstance(error, FloatingPointError):
            self.agreement.part()
            return
        told = self._save()
        reason = self._reason() if several and lost else ""
        if lost and not reason:
            self.agreement.fail(words)
        self.agreement.part()
        if reason:
            raise ConnectionError(f"{reason}{told}") from error
        if isinstance(error, (SampleError, ConnectionError)):
            raise type(error)(f"{error}{told}") from error
        if told:
            self._run.log.say(told[2:])

    def _reason(self) -> str:
        """Why a collective came to nothing; "" where that is best said in NCCL's own words."""
        for _ in range(30):
            why = self.agreement.wait_for_failure(0.1)
            if why:
                return why
            gone = self.agreement.silent(1.5)
            if gone:
                return f"process {gone[0]} is gone or stopped; its log (--log_dir) says more"
        if not self._run.world.is_impatient:
            return ""
        return "the processes came too far apart for gloo, which waits 30 seconds; their logs (--log_dir) say more"

    def _end(self, why: Callable[[], str]) -> None:
        with self._changing:
            # a GPU that waits for another does not give its memory out
            told = self._save() if self._run.world.is_impatient else ""
            rank = self._run.world.rank
            with contextlib.suppress(OSError):
                print(f"[process {rank}] error: {why()}{told}", file=sys.stderr, flush=True)
            self.agreement.part()
            os._exit(1)

    def _on_abort(self, _: int) -> None:
        if self._first.acquire(blocking=False):
            self._end(self._reason)
        time.sleep(_GRACE)

    def _on_failure(self, why: str) -> None:
        """In the thread: let the process end by itself; save in its stead where it sleeps and is not woken."""
        clock, before, asleep = time.pthread_getcpuclockid(threading.main_thread().ident), -1.0, 0
        for _ in range(_GRACE):
            time.sleep(1)
            if self._first.locked():
                return
            now = time.clock_gettime(clock)
            asleep = asleep + 1 if now - before < 0.01 else 0
            before = now
            if asleep >= 2:
                break
        if self._first.acquire(blocking=False):
            self._end(lambda: why)


def _is_lost_connection(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and any(
        word in str(error).lower() for word in ("gloo", "tcp", "socket", "connection", "nccl"))

