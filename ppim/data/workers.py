"""Who makes the batches? Processes that live no longer than the one they work for; or a thread of that process.

A worker is a fork of the process that trains. It ignores the signals that ask a run to stop, because the run still
wants its batches then, and the system kills it as soon as its parent is gone. Batches come back through memory that has
no name: not in /dev/shm, which containers keep small, and gone with those who use it, however they end. What a worker
is reading stands in a page it shares with its parent, which so can say where a worker hangs or died.
"""
from __future__ import annotations

import ctypes
import gc
import mmap
import os
import queue
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable
from itertools import islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from ppim import stopping

Batch = dict[str, Any]
# (number of the batch, keys of its samples, whom to tell the file that is read next) -> the batch; never raises
Make = Callable[[int, Any, Callable[[str], None]], Batch]

# of each array: name, dtype, shape, where it begins; of anything else: name, value
Fields = list[tuple[Any, ...]]

FORKS = sys.platform == "linux"  # elsewhere batches are made by a thread
AHEAD = 2  # batches under way per worker
_PAGE = 4096
_ALIGN = 64
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


class Lost(Exception):
    """No batch is coming; the message says why."""


class Workers:
    """Batches in order, made by `count` processes in turn.

    Args:
        make: makes a batch; runs in the workers.
        batches: the keys of each batch; every worker goes through all and makes each `count`-th.
        first: the number of the first batch.
        timeout: seconds that a worker may spend on one sample; 0: any.
    """

    def __init__(self, make: Make, batches: Iterable, count: int, first: int = 0, timeout: float = 0):
        self._patience = _Patience(timeout)
        self._workers = [_Worker(make, islice(enumerate(batches, first), number, None, count))
                         for number in range(count)]
        self._turn = 0

    def receive(self) -> Batch:
        """The next batch; its arrays are valid until the next call.

        Raises:
            Lost: the worker whose turn it is has ended or hangs, or `close` was called.
        """
        worker = self._workers[self._turn % len(self._workers)]
        self._turn += 1
        return self._patience.wait(worker.take, worker.reading, worker.name)

    def close(self) -> None:
        """End the workers."""
        self._patience.over = True
        for worker in self._workers:
            worker.end()


class Thread:
    """The same by a thread, for whom a worker costs more than it gains."""

    def __init__(self, make: Make, batches: Iterable, first: int = 0, timeout: float = 0):
        self._patience = _Patience(timeout)
        self._reading = (0, "")
        self._made = queue.Queue(maxsize=1)
        threading.Thread(target=self._work, args=(make, enumerate(batches, first)), daemon=True).start()

    def receive(self) -> Batch:
        """As of `Workers`."""
        return self._patience.wait(self._take, lambda: self._reading, "the loader")

    def close(self) -> None:
        """Let the thread end; one that hangs is left alone."""
        self._patience.over = True

    def _work(self, make: Make, batches: Iterable) -> None:
        for number, keys in batches:
            batch = make(number, keys, self._tell)
            while not self._patience.over:
                try:
                    self._made.put(batch, timeout=1)
                    break
                except queue.Full:
                    continue
            if self._patience.over:
                return

    def _tell(self, what: str) -> None:
        self._reading = (self._reading[0] + 1, what)

    def _take(self, seconds: float) -> Batch | None:
        try:
            return self._made.get(timeout=seconds)
        except queue.Empty:
            return None


class _Patience:
    """How long is a batch waited for? `timeout` seconds without a new sample; until `over`."""

    def __init__(self, timeout: float):
        self._timeout = timeout
        self.over = False

    def wait(self, take: Callable[[float], Batch | None], reading: Callable[[], tuple[int, str]], name: str) -> Batch:
        """What `take` gives. Seconds are counted one by one: a process that was itself stopped blames nobody."""
        seen, quiet = reading(), 0
        while not self.over:
            batch = take(1.0)
            if batch is not None:
                return batch
            now = reading()
            seen, quiet = now, 0 if now != seen else quiet + 1
            if 0 < self._timeout <= quiet:
                raise Lost(f"{now[1] or 'the first sample'}: {name} has not got beyond it in {quiet} s (DATA.TIMEOUT); "
                           "its file system does not answer, or the process was stopped")
        raise Lost("closed")


class _Worker:
    """One process, and the ways to it."""

    def __init__(self, make: Make, batches: Iterable):
        self._slots = [_Slot() for _ in range(AHEAD + 1)]
        self._page = mmap.mmap(-1, _PAGE)
        self._taken = 0
        self._ending = threading.Lock()
        self._code = None
        self._pipe, theirs = Pipe()
        parent = os.getpid()
        # a signal between fork and `_become_worker` would reach the parent through what both inherited
        before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping.SIGNALS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # there are threads; a worker leaves Paddle alone
                self._pid = os.fork()
            if self._pid == 0:
                try:
                    _become_worker(parent, before)
                    self._serve(theirs, make, batches)
                    os._exit(0)
                except BaseException:
                    sys.excepthook(*sys.exc_info())
                finally:
                    os._exit(1)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.name = f"loader worker {self._pid}"
        for _ in range(AHEAD):
            self._go_on()

    def _serve(self, pipe: Connection, make: Make, batches: Iterable) -> None:
        begun = 0

        def tell(what: str) -> None:
            nonlocal begun
            begun += 1
            text = os.fsencode(what)[8 - _PAGE:]
            self._page[:8 + len(text)] = begun.to_bytes(4, "little") + len(text).to_bytes(4, "little") + text

        for turn, (number, keys) in enumerate(batches):
            pipe.recv_bytes()
            try:
                fields = self._slots[turn % len(self._slots)].write(make(number, keys, tell))
            except OSError as error:
                fields = f"no memory for a batch ({error.strerror}); lower DATA.NUM_WORKERS or DATA.BATCH_SIZE"
            pipe.send(fields)

    def reading(self) -> tuple[int, str]:
        """(how many samples were begun, the file of the last)."""
        begun, length = int.from_bytes(self._page[:4], "little"), int.from_bytes(self._page[4:8], "little")
        return begun, os.fsdecode(self._page[8:8 + length])

    def take(self, seconds: float) -> Batch | None:
        """The next batch, or None if it does not come within that time.

        Raises:
            Lost: the process has ended.
        """
        try:
            if not self._pipe.poll(seconds):
                return None
            fields = self._pipe.recv()
        except (EOFError, ConnectionError):
            raise Lost(self._obituary()) from None
        if isinstance(fields, str):
            raise Lost(fields)
        self._go_on()
        self._taken += 1
        return self._slots[(self._taken - 1) % len(self._slots)].read(fields)

    def _go_on(self) -> None:
        try:
            self._pipe.send_bytes(b"go on")
        except ConnectionError:  # it has made all of its batches and left, or `take` finds out
            pass

    def end(self, number: int = signal.SIGKILL) -> None:
        """Kill the process, if it lives."""
        with self._ending:
            if self._code is None:
                os.kill(self._pid, number)
                self._code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    def _obituary(self) -> str:
        self.end(0)
        reading = f" while it read {self.reading()[1]}" if self.reading()[1] else ""
        if self._code == -signal.SIGKILL:
            return (f"{self.name} was killed{reading}, as systems do when memory runs out; lower DATA.NUM_WORKERS or "
                    "DATA.BATCH_SIZE")
        if self._code < 0:
            return f"{self.name} was ended by {signal.Signals(-self._code).name}{reading}"
        return f"{self.name} ended{reading} with exit code {self._code}; what it wrote before says why"


def _become_worker(parent: int, mask: Iterable[int]) -> None:
    """What a fork does first."""
    gc.freeze()  # what the parent has left over is the parent's: memory of a GPU cannot be let go of from here
    if ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL) != 0 or os.getppid() != parent:
        os._exit(1)
    for number in stopping.SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGCHLD, signal.SIGABRT):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    # libraries loaded from here on use one thread: the workers are the parallelism
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


class _Slot:
    """Room for a batch, seen by two processes; it grows with what is written."""

    def __init__(self):
        self._file = nameless_file()
        self._memory = b""

    def __del__(self):
        os.close(self._file)

    def write(self, batch: Batch) -> Fields:
        """Put the arrays here; what the other side needs to `read` them."""
        fields, size = [], 0
        for name, value in batch.items():
            if isinstance(value, np.ndarray):
                fields.append((name, value.dtype.str, value.shape, size))
                size += -(-value.nbytes // _ALIGN) * _ALIGN
            else:
                fields.append((name, value))
        if len(self._memory) < size:
            os.posix_fallocate(self._file, 0, size)  # an error where there is no room, not a bus error later
        for name, here in self.read(fields).items():
            if isinstance(here, np.ndarray):
                here[...] = batch[name]
        return fields

    def read(self, fields: Fields) -> Batch:
        """The batch; its arrays lie here."""
        size = os.fstat(self._file).st_size
        if size != len(self._memory):
            self._memory = mmap.mmap(self._file, size)
        return {name: rest[0] if len(rest) == 1 else np.ndarray(rest[1], rest[0], self._memory, rest[2])
                for name, *rest in fields}


def nameless_file() -> int:
    """A new file that no folder knows, gone with those who have it open; its descriptor."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("ppim-batch")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
