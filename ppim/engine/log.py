"""What is a person told, and what is kept? Lines on the console, records in log.jsonl, curves for VisualDL."""
from __future__ import annotations

import contextlib
import os
import resource
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from io import FileIO
from pathlib import Path

import paddle
from rich.console import Console

from ppim.engine.curves import Curves
from ppim.engine.evaluate import Evaluation
from ppim.engine.progress import NOWHERE, Bar, Part, Span, fit, parts_of, parts_of_evaluation
from ppim.engine.run_folder import RunFolder
from ppim.strict_json import dumps
from ppim.unread import Lasting


class Log:
    """The voice of a run; silent in every process but the main one.

    On a terminal a bar follows the steps below the lines; elsewhere (a file, a pipe, a batch system) there are lines
    alone.

    Args:
        run: where records go; None: nothing is kept.
        span: the steps of this start.
        leave_out: names of numbers that say nothing in this run; records have them all the same.
        counted_now: see `Curves`.
    """

    def __init__(self, is_main: bool, run: RunFolder | None = None, span: Span = NOWHERE,
                 leave_out: Collection[str] = (),
                 counted_now: Callable[[int, float], int] = lambda step, epoch: step):
        self._is_main, self._span, self._leave_out = is_main, span, leave_out
        self._console = Console(highlight=False, soft_wrap=True, file=sys.stdout and Lasting(sys.stdout))
        self._file = self._curves = self._bar = None
        if is_main and run:
            self._curves = Curves(run.curves, run.log, span.first, leave_out, run.config, counted_now)
            self._file = _behind_whole_lines(run.log)
            self._bar = Bar(self._console, span) if sys.stdout.isatty() else None

    def say(self, text: str) -> None:
        """A line for a person."""
        if self._is_main:
            self._console.print(text, markup=False)

    def record(self, event: str, step: int, values: Mapping[str, object]) -> None:
        """A record for machines: one JSON line, and a point on a curve for each number in `values`."""
        if self._file:
            entry = {"event": event, "step": step, "time": round(time.time(), 3), **values}
            _add_line(self._file, dumps(entry).encode("utf-8") + b"\n")
            self._curves.add(entry)

    def at(self, step: int) -> None:
        """Move the bar, if there is one; it appears with the first call."""
        if self._bar:
            self._bar.at(step)

    def report(self, step: int, values: Mapping[str, float]) -> None:
        """A training record as a line: all of it, or what the terminal is wide enough for."""
        parts = parts_of(values, self._leave_out)
        if self._bar:
            self._bar.tell(parts)
        self._say_at(values["epoch"], [Part(f"  step {step}/{self._span.total}", 1), *parts])

    def evaluated(self, epoch: float, whose: str, result: Evaluation) -> None:
        """An evaluation as a line, likewise."""
        self._say_at(epoch, [Part(f"  {whose}", 0), *parts_of_evaluation(result)])

    def _say_at(self, epoch: float, parts: Sequence[Part]) -> None:
        line = [Part(f"epoch {epoch:6.2f}", 3), *parts]
        self.say(fit(line, self._console.width if self._bar else None).strip())

    def close(self) -> None:
        """Take the bar off the terminal and close the files."""
        for part in (self._bar, self._curves, self._file):
            if part:
                part.close()
        self._bar = self._curves = self._file = None


def _behind_whole_lines(path: Path) -> FileIO:
    """The file, to be added to; what a crash left of a last line is cut off."""
    if path.is_file():
        os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    return path.open("ab", buffering=0)


def _add_line(file: FileIO, line: bytes) -> None:
    """Add a line, or, where the disk has no room or fails, nothing of it: a part would spoil the next one."""
    before = os.fstat(file.fileno()).st_size
    try:
        while line:
            line = line[file.write(line):]
    except OSError:
        with contextlib.suppress(OSError):
            file.truncate(before)
        raise


def peak_memory_mb() -> float:
    """Most memory used so far, MiB: of the device on a GPU, else the resident set of this process."""
    if paddle.is_compiled_with_cuda() and paddle.device.get_device().startswith("gpu"):
        return paddle.device.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
