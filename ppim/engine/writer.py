"""How does a run write without waiting for the disk? A thread does it, one thing at a time, in the order given.

What is written must belong to the thread alone: copies in host memory, not tensors that training goes on to change.
The thread runs Python, hashing and system calls, never Paddle. A process is therefore forked safely while it writes:
whoever forks holds the interpreter's lock, so the thread is inside a system call or a checksum and holds no lock that
the child could need.
"""
from __future__ import annotations

import threading
from collections.abc import Callable


class Writer:
    """At most one thing is being written, so that at most one copy of what there is to write is in memory.

    Args:
        tell: takes the line that is told whenever somebody has waited for `patience` seconds; 0: never. Nobody can call
            a thread back from a file system that does not answer, and to give up would lose what it may still write.
    """

    def __init__(self, tell: Callable[[str], object], patience: float):
        self._tell, self._patience = tell, patience
        self._thread: threading.Thread | None = None
        self._job: Callable[[], object] | None = None
        self._error: BaseException | None = None

    def start(self, job: Callable[[], object]) -> None:
        """Wait for what is being written, then have `job` called in the background.

        Raises:
            what went wrong with the one before.
        """
        self.wait()
        self._job = job
        # no daemon: an interpreter that ends waits for it
        self._thread = threading.Thread(target=self._run, name="ppim-writer", daemon=False)
        self._thread.start()

    def check(self) -> None:
        """Raise what went wrong with a job that has ended, and let go of its memory; does not wait."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Return when nothing is being written; raises what went wrong."""
        if self._thread is not None:
            self._join(self._thread)
        # let go of here: arrays may be memory of Paddle's, which the thread must not touch
        self._thread = self._job = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _join(self, thread: threading.Thread) -> None:
        waited = 0.0
        while thread.is_alive():
            thread.join(self._patience or None)
            waited += self._patience
            if thread.is_alive():
                self._tell(f"still writing after {waited:g} s: the file system of the run's folder is slow or does not "
                           "answer; the run waits for it, and can only be killed")

    def _run(self) -> None:
        try:
            self._job()
        except BaseException as error:  # of whatever kind: it is raised where the run notices
            self._error = error
