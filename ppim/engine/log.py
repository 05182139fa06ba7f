"""What is a person told, and what is kept? Lines on the console, records in log.jsonl, curves in VisualDL."""
from __future__ import annotations

import json
import resource
import sys
import time

import paddle
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ppim.engine.run_folder import RunFolder


class Log:
    """The voice of a run; silent in every process but the main one.

    On a terminal a progress bar follows the steps; elsewhere (a file, a pipe, a batch system) there are plain lines.
    """

    def __init__(self, is_main: bool, run: RunFolder | None = None, total_steps: int = 0):
        self._is_main = is_main
        self._console = Console(highlight=False, soft_wrap=True, file=sys.stdout)
        self._file = run.log.open("a", encoding="utf-8") if is_main and run else None
        self._curves = _visualdl(run) if is_main and run else None
        self._bar = None
        if is_main and run and self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=self._console, transient=True)
            self._task = self._bar.add_task("training", total=total_steps)
            self._bar.start()

    def say(self, text: str) -> None:
        """A line for a person."""
        if self._is_main:
            self._console.print(text, markup=False)

    def record(self, event: str, step: int, values: dict[str, object]) -> None:
        """A record for machines: one JSON line, and a point on a curve for each number in `values`."""
        if self._file:
            entry = {"event": event, "step": step, "time": round(time.time(), 3), **values}
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()
        if self._curves:
            for name, value in values.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    self._curves.add_scalar(tag=f"{event}/{name}", value=value, step=step)

    def progress(self, step: int, text: str, is_report: bool) -> None:
        """Move the bar; without one, print `text` at report steps."""
        if self._bar:
            self._bar.update(self._task, completed=step, description=text if is_report else None)
        elif is_report:
            self.say(text)

    def close(self) -> None:
        """Take the progress bar off the terminal and close the files."""
        if self._bar:
            self._bar.stop()
            self._bar = None
        if self._curves:
            self._curves.close()
        if self._file:
            self._file.close()
            self._file = None


def peak_memory_mb() -> float:
    """Most memory used so far, MiB: of the device on a GPU, else the resident set of this process."""
    if paddle.is_compiled_with_cuda() and paddle.device.get_device().startswith("gpu"):
        return paddle.device.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def _visualdl(run: RunFolder):
    from visualdl import LogWriter  # here, because it brings a web server along that evaluation has no use for

    return LogWriter(logdir=str(run.vdl))
