"""What becomes of lines that nobody reads any more: behind `| head`, a `| tee` that was killed, a terminal that was
closed?

A command ends without a word; a run goes on, for what it has learned is worth more than its lines, which its log keeps.
"""
from __future__ import annotations

import os
import select
import signal
import sys
from typing import TextIO

EXIT_CODE = 128 + signal.SIGPIPE  # as shells have it for programs that end so


def lead_nowhere() -> bool:
    """Has whoever read standard output gone? Then it leads nowhere from here on."""
    try:
        mouth = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):  # closed, or no file
        return False
    poll = select.poll()
    poll.register(mouth, 0)  # of the other end it is told unasked
    if not any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0)):
        return False
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, mouth)
    os.close(nowhere)
    return True


class Lasting:
    """Standard output for what is to go on when nobody reads it: then what is written goes nowhere."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As a file's."""
        try:
            return self._stream.write(text)
        except OSError:
            if not lead_nowhere():
                raise
            return len(text)

    def flush(self) -> None:
        """As a file's."""
        try:
            self._stream.flush()
        except OSError:
            if not lead_nowhere():
                raise
