"""What does a signal that asks to stop do to a command? It ends it in one line, with 128 + its number as exit code."""
from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal has asked to stop.

    Attributes:
        exit_code: 143 after SIGTERM, 130 after SIGINT (Ctrl-C), 129 after SIGHUP (the terminal was closed).
    """

    def __init__(self, number: int, text: str = "stopped"):
        super().__init__(text)
        self.exit_code = 128 + number


def leave(number: int, _frame: object = None) -> None:
    """A signal handler that ends the process where it stands. While modules are imported an exception would come out
    in their midst, or be swallowed there; and nothing has been begun that must be finished."""
    with contextlib.suppress(OSError):
        os.write(2, b"stopped\n")
    os._exit(128 + number)


def stop(number: int, _frame: object = None) -> None:
    """A signal handler that raises `Stopped`."""
    raise Stopped(number)


def heeded() -> list[signal.Signals]:
    """The signals that ask this process to stop: of those whom `nohup` started, SIGHUP is none."""
    return [number for number in SIGNALS
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN]


def install(handler: Callable[[int, object], None] | signal.Handlers) -> None:
    """Have `handler` called for each signal that asks to stop."""
    for number in heeded():
        signal.signal(number, handler)


@contextlib.contextmanager
def handled_by(handler: Callable[[int, object], None] | signal.Handlers) -> Iterator[None]:
    """The same while inside; in a thread, which cannot have signals, nothing is changed."""
    before = {}
    with contextlib.suppress(ValueError):
        for number in heeded():
            before[number] = signal.signal(number, handler)
            signal.siginterrupt(number, False)  # or the waits of Paddle's store fail in the middle
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextlib.contextmanager
def put_off() -> Iterator[None]:
    """Have signals wait until what is inside has ended, then do what they do: for code of others that takes `Stopped`
    for an error of its own."""
    asked: list[int] = []
    with handled_by(lambda number, _frame: asked.append(number)):
        yield
    if asked:
        os.kill(os.getpid(), asked[0])
