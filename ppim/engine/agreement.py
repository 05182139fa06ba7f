"""How do processes stop after the same step, and how do they learn that one of them has failed?

Through the job's key-value store, which a thread of each process asks once a second; nothing is added to a step.

Stopping: whoever is asked says so. Every process that hears of it names the step it is in, and begins no other until
all have named theirs; the highest of these is the last for all. No process can be beyond it, and those behind it are
free to reach it, so none waits in a collective alone, however far apart they are.

Failing: whoever fails says why, and lets go of those who wait for it. Each process shows that it lives, and process 0
looks. Gloo ends a process that waits for one which is gone or, after 30 seconds, for one that is late
(`rescue`).
"""
from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from ppim.engine.distributed import STORE_IS_GONE, World, hang_up, open_store
from ppim.engine.interrupt import StopRequest

_LOOKS = 8  # processes that process 0 looks after at a time; a request to the store takes 44 ms
_GLOO = 20  # seconds without a sign of life after which it is too late to wait where gloo gives 30
_LEFT = 1 << 40  # signs of life of a process that has nothing left to do
_PARTING = 60  # seconds that failing processes wait for process 0 to save


class _Sign(NamedTuple):
    """Of another process's life."""

    signs: int  # so many were seen
    at: float  # when it was looked at last
    quiet: float  # seconds for which there had been no new one then


class Agreement:
    """What the processes of a job agree on; of no effect in a lone one.

    Args:
        world: the processes.
        stop: what this process is asked; told what others are.
        step: steps made so far.
        patience: seconds in which a process must show that it lives; 0: any.
        on_failure: called once by the thread when another process has failed, with what is to be told.
    """

    def __init__(self, world: World, stop: StopRequest, step: int, patience: float, on_failure: Callable[[str], None]):
        self.failure = ""
        self._world, self._stop, self._on_failure = world, stop, on_failure
        limit = min(patience or _GLOO, _GLOO) if world.is_impatient else patience
        self._patience = limit or float("inf")
        self._step = step + 1  # the one this process is in, or about to begin
        self._offered = self._last = 0
        self._changed = threading.Condition()
        self._closing, self._over = threading.Event(), threading.Event()
        self._rounds = 0  # of talk with the store
        self._signs = {rank: _Sign(0, time.monotonic(), 0.0) for rank in range(1, world.size)}
        self._thread = None

    def __enter__(self) -> Agreement:
        if self._world.size > 1:
            self._store = open_store()
            self._thread = threading.Thread(target=self._talk, name="ppim-agreement", daemon=True)
            self._thread.start()
            if not self._world.is_main:
                threading.Thread(target=self._look_after_store, daemon=True).start()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._closing.set()
        if self._thread:
            # an interpreter that ends while a thread comes back to it from C++ is ended by C++
            self._thread.join(2 if isinstance(error, Exception) else 5)

    def ends_after(self, step: int) -> bool:
        """Is this the step to stop after? To be asked once after each step, by the thread that makes them.

        Raises:
            ConnectionError: another process has failed.
        """
        if self._world.size == 1:
            return self._stop.requested is not None
        with self._changed:
            if self._offered:
                self._changed.wait_for(lambda: self._last or self.failure)
            self._step = step + 1
            if self.failure:
                raise ConnectionError(self.failure)
            return 0 < self._last <= step

    def fail(self, why: str) -> None:
        """Tell the others that this process has failed, and let them go."""
        if self._world.size > 1 and not self.failure:
            store = open_store()
            store.set("ppim/failure", f"[process {self._world.rank}] {why}")
            store.add("ppim/failures", 1)
            if self._world.is_impatient:
                hang_up()

    def wait_for_failure(self, seconds: float) -> str:
        """What another process has failed with, should that be heard in this time, else nothing."""
        with self._changed:
            self._changed.wait_for(lambda: self.failure, seconds)
        return self.failure

    def part(self) -> None:
        """Failing processes leave when process 0 has saved: the launcher gives the others a few seconds more."""
        if self._world.size == 1:
            return
        waiting = threading.Thread(target=self._wait_for_rescue, daemon=True)
        waiting.start()
        seen, quiet = -1, 0
        for _ in range(_PARTING):
            if self._over.wait(1.0):
                waiting.join(1)
                return
            if quiet == 5:  # seconds without an answer of the store: process 0 is no help
                return
            seen, quiet = self._rounds, 0 if self._rounds != seen else quiet + 1

    def _wait_for_rescue(self) -> None:
        try:
            store = open_store()
            if self._world.is_main:
                store.add("ppim/over", 1)
            else:
                while not store.add("ppim/over", 0):
                    self._rounds += 1
                    time.sleep(0.2)
        except Exception:  # the store went with process 0
            pass
        self._over.set()

    def silent(self, seconds: float) -> list[int]:
        """Processes without a sign of life for so long, as far as process 0 sees."""
        return [rank for rank, sign in self._signs.items() if sign.quiet >= seconds]

    def _talk(self) -> None:
        mine = f"ppim/lives/{self._world.rank}"
        try:
            while not self._closing.wait(0.1 if self._offered and not self._last else 1.0):
                self._store.add(mine, 1)
                self._hear_requests()
                if self._store.add("ppim/failures", 0):
                    self._hear_failure(self._store.get("ppim/failure").decode())
                    return
                if self._world.is_main:
                    self._look_after_others()
                self._rounds += 1
            self._store.add(mine, _LEFT)
        except Exception:
            if not self._closing.is_set():
                self._hear_failure(STORE_IS_GONE)

    def _hear_requests(self) -> None:
        if self._offered:
            pass
        elif self._stop.requested is not None:
            if self._stop.requested == signal.SIGINT:
                self._store.add("ppim/interrupts", 1)
            self._store.add("ppim/requests", 1)
        elif self._store.add("ppim/requests", 0):
            by_hand = self._store.add("ppim/interrupts", 0)
            self._stop.requested = signal.SIGINT if by_hand else signal.SIGTERM
        else:
            return
        if not self._offered:
            with self._changed:
                self._offered = self._step
            self._store.add(f"ppim/in step/{self._offered}", 1)
            if self._store.add("ppim/offers", 1) == self._world.size:
                self._store.add("ppim/last", self._highest())
        last = self._store.add("ppim/last", 0)
        with self._changed:
            self._last = last
            self._changed.notify_all()

    def _highest(self) -> int:
        """The highest step that any process is in, when each has counted itself in one; they lie close together."""
        found, highest, distance = 0, 0, 0
        while found < self._world.size:
            for step in {self._offered + distance, self._offered - distance}:
                count = self._store.add(f"ppim/in step/{step}", 0)
                found, highest = found + count, max(highest, step if count else 0)
            distance += 1
        return highest

    def _hear_failure(self, why: str) -> None:
        with self._changed:
            self.failure = why
            self._changed.notify_all()
        self._on_failure(why)

    def _look_after_others(self) -> None:
        for _ in range(min(_LOOKS, len(self._signs))):
            rank, before = next(iter(self._signs.items()))
            now, signs = time.monotonic(), self._store.add(f"ppim/lives/{rank}", 0)
            # this process may itself have been stopped for a while, and then blames nobody
            passed = min(now - before.at, 2.0 * (1 + self._world.size // _LOOKS))
            alive = signs != before.signs or signs >= _LEFT
            del self._signs[rank]  # to the end of the queue
            self._signs[rank] = _Sign(signs, now, 0.0 if alive else before.quiet + passed)
        late = self.silent(self._patience)
        if late:
            self._hear_failure(f"process {late[0]} has shown no sign of life for {self._signs[late[0]].quiet:.0f} s: "
                               "it, or its machine, was stopped")
            self._closing.set()

    def _look_after_store(self) -> None:
        seen, quiet = 0, 0
        while not self._closing.wait(1.0):
            seen, quiet = self._rounds, 0 if self._rounds != seen else quiet + 1
            if quiet >= self._patience:
                self._hear_failure(f"process 0 has not answered for {quiet} s: it, or its machine, was stopped")
                return
