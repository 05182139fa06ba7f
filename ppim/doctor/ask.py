"""What does Paddle answer, when asked in a process of its own, and how did that process end?"""
from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import NamedTuple

PATIENCE = 180  # seconds


class Answers(NamedTuple):
    """`known`: what `answers` told, by name; `died`: in one line, how the process ended if not well, else empty."""

    known: dict[str, object]
    died: str


def ask() -> Answers:
    """Ask, and wait."""
    try:
        done = subprocess.run([sys.executable, "-m", "ppim.doctor.answers"], capture_output=True, text=True,
                              errors="replace", timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return Answers({}, f"no answer in {PATIENCE} s")
    return understood(done.stdout, done.stderr, done.returncode)


def understood(out: str, err: str, code: int) -> Answers:
    """What a process said and how it ended."""
    known: dict[str, object] = {}
    for line in out.splitlines():
        if line.startswith("{"):
            known.update(json.loads(line))
    if code == 0:
        return Answers(known, "")
    said = [line.strip() for line in err.splitlines() if line.strip()]
    if code < 0:
        name = signal.Signals(-code).name
        return Answers(known, name + (f" ({said[-1][:200]})" if said else ""))
    return Answers(known, said[-1][:300] if said else f"exit code {code}")
