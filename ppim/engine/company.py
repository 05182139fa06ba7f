"""What is said of a process that waits for others, and they do not come?

Paddle waits for them without a word and holds Python's lock meanwhile, so nobody in this process can speak.
"""
from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

# it ends with its parent; a pipe between them would not show that, for Paddle forks processes that inherit its end
_SPEAKER = """
import os, sys, time
parent, patience, text = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
until = time.monotonic() + patience
while os.getppid() == parent and time.monotonic() < until:
    time.sleep(0.2)
if os.getppid() == parent:
    print(text, file=sys.stderr)
"""


@contextlib.contextmanager
def told_after(patience: float, text: str) -> Iterator[None]:
    """`text` is said on stderr if what is done within takes longer than `patience` seconds."""
    speaker = subprocess.Popen([sys.executable, "-I", "-S", "-c", _SPEAKER, str(os.getpid()), str(patience), text],
                               stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        speaker.kill()
        speaker.wait()
