"""How does a run end early without losing anything? By finishing its step, saving, and then leaving.

Who asks: SIGTERM, SIGINT (Ctrl-C), SIGHUP (a terminal is closed, a connection lost), and the death of the launcher that
started this process. Python runs the handlers of signals between two of its own instructions, which may be long in
coming while Paddle waits for data or for another process. So a thread listens, told of each signal by the byte that
Python writes at once.
"""
from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time

from ppim import stopping

_PATIENCE = 10.0  # seconds in which a repeated SIGTERM is the same request: launchers and batch systems repeat theirs
_ECHO = 0.2  # the same for Ctrl-C, which a program around this one may pass on once more
_WAKE_UP = b"\0"  # no signal has this number


class StopRequest:
    """`with StopRequest() as stop:` the first signal sets `stop.requested`. A second Ctrl-C, or a SIGTERM more than ten
    seconds after the first, ends the process at once. Threads but the main one have no signals; there, nothing happens.

    Attributes:
        requested: the number of the signal that asked to stop, here or in another process; None before.
    """

    def __init__(self):
        self.requested: int | None = None
        self._asked_at = 0.0
        self._launcher = os.getppid() if "PADDLE_TRAINER_ID" in os.environ else None
        self._thread = None

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._ears, self._mouth = os.pipe()
            os.set_blocking(self._mouth, False)
            self._handlers = {number: signal.signal(number, lambda *_: None) for number in stopping.heeded()}
            for number in self._handlers:
                signal.siginterrupt(number, False)  # or the waits of Paddle's store fail in the middle
            self._told_before = signal.set_wakeup_fd(self._mouth, warn_on_full_buffer=False)
            self._thread = threading.Thread(target=self._listen, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        if self._thread:
            signal.set_wakeup_fd(self._told_before)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            os.write(self._mouth, _WAKE_UP)
            self._thread.join()
            os.close(self._ears)
            os.close(self._mouth)

    def _listen(self) -> None:
        while True:
            if select.select([self._ears], [], [], 1.0)[0]:
                heard = os.read(self._ears, 512)
                for number in heard:
                    if number in stopping.SIGNALS:
                        self._hear(signal.Signals(number))
                if _WAKE_UP in heard:
                    return
            if self._launcher and os.getppid() != self._launcher:
                self._launcher = None
                self._hear(signal.SIGTERM)

    def _hear(self, number: int) -> None:
        now = time.monotonic()
        if self.requested is None or not self._asked_at:
            self.requested, self._asked_at = self.requested or number, now
        elif now - self._asked_at > (_ECHO if number == signal.SIGINT else _PATIENCE):
            with contextlib.suppress(OSError):  # the terminal may be gone
                if sys.stdout.isatty():
                    os.write(1, b"\x1b[?25h\n")  # a progress bar had hidden the cursor
                os.write(2, b"stopped at once by a second signal; what came after the newest checkpoint is lost\n")
            os._exit(128 + number)
