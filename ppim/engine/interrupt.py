"""How does a run end early without losing anything? By finishing its step, saving, and then leaving."""
from __future__ import annotations

import contextlib
import signal
import time

_PATIENCE = 10.0  # seconds in which a repeated signal is the same request: launchers and batch systems repeat theirs


class StopRequest:
    """`with StopRequest() as stop:` the first SIGTERM or SIGINT sets `stop.requested`; one that comes more than ten
    seconds later ends the process."""

    def __init__(self):
        self._asked = None
        self._previous = {}

    @property
    def requested(self) -> bool:
        """Has a signal asked to stop?"""
        return self._asked is not None

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):  # not in the main thread: signals stay as they are
                self._previous[number] = signal.signal(number, self._on_signal)
                signal.siginterrupt(number, False)  # or the waits of Paddle's store fail in the middle
        return self

    def _on_signal(self, number, _frame) -> None:
        now = time.monotonic()
        if self._asked is None:
            self._asked = now
        elif now - self._asked > _PATIENCE:
            signal.signal(number, self._previous[number])
            signal.raise_signal(number)

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
