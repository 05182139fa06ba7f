"""How does a run end early without losing anything? By finishing its step, saving, and then leaving."""
from __future__ import annotations

import contextlib
import signal


class StopRequest:
    """`with StopRequest() as stop:` the first SIGTERM or SIGINT sets `stop.requested`; the second ends the process."""

    def __init__(self):
        self.requested = False
        self._previous = {}

    def __enter__(self) -> StopRequest:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):  # not in the main thread: signals stay as they are
                self._previous[number] = signal.signal(number, self._on_signal)
                signal.siginterrupt(number, False)  # or the waits of Paddle's store fail in the middle
        return self

    def _on_signal(self, number, _frame) -> None:
        self.requested = True
        signal.signal(number, self._previous[number])

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
