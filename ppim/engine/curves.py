"""What does VisualDL show of a run? The numbers of log.jsonl as curves, every step of them once.

VisualDL reads one file of a folder, calls the run by that folder, sorts groups of curves by name and unfolds the first
alone. So a run has one file, in the run folder itself, and what is looked at most makes the first group. A run that
goes on writes it anew from log.jsonl; what has not changed keeps its bytes, so that a page that is open goes on too.
"""
from __future__ import annotations

import json
import math
import struct
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

_FIRST = "accuracy_and_loss"
_SPEED = ("images_per_second", "data_wait", "peak_memory_mb")
# the axis itself, or nearly always the same
_NEVER = ("event", "step", "time", "epoch", "count", "left_out", "left_out_in_a_row")


class Curves:
    """The curves of a run that is under way.

    Args:
        path: the file, whose name holds `vdlrecords`; written anew.
        log: log.jsonl as it stands, if there is one.
        last: the step the run goes on from. What is logged of later ones is about to be repeated and left out.
        leave_out: names of numbers that say nothing in this run.
    """

    def __init__(self, path: Path, log: Path, last: int, leave_out: Collection[str] = ()):
        # here, because it brings a web server along that evaluation has no use for
        from visualdl.component.base_component import meta_data, scalar

        self._scalar, self._leave_out = scalar, {*_NEVER, *leave_out}
        points: dict[tuple[str, int], tuple[float, float]] = {}
        for entry in entries(log):
            for tag, value in self._points(entry):
                if entry["step"] <= last:
                    points[tag, entry["step"]] = value, entry["time"]
        self._file = path.open("wb")
        self._write(meta_data(walltime=0))
        for (tag, step), (value, time) in sorted(points.items(), key=lambda point: point[0][1]):
            self._write(scalar(tag, value, step, round(1000 * time)))
        self._file.flush()

    def add(self, entry: Mapping[str, object]) -> None:
        """A point for each number of an entry of log.jsonl."""
        for tag, value in self._points(entry):
            self._write(self._scalar(tag, value, entry["step"], round(1000 * entry["time"])))
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _points(self, entry: Mapping[str, object]) -> Iterator[tuple[str, float]]:
        for name, value in entry.items():
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if is_number and math.isfinite(value) and name not in self._leave_out:
                yield tag_of(entry["event"], name), value

    def _write(self, record) -> None:
        content = record.SerializeToString()
        self._file.write(struct.pack("<Q", len(content)) + content)


def tag_of(event: str, name: str) -> str:
    """The curve of a number of log.jsonl: `group/name`."""
    if event == "train":
        if name == "loss":
            return f"{_FIRST}/train_loss"
        return f"speed/{name}" if name in _SPEED else f"train/{name}"
    whose = "_running_average" if event == "eval_ema" else ""
    if name == "loss":
        return f"{_FIRST}/evaluation_loss{whose}"
    return f"{_FIRST if name in ('top1', 'token_top1') else 'evaluation'}/{name}{whose}"


def entries(log: Path) -> list[dict[str, object]]:
    """What log.jsonl says, in order; [] without a file. Lines that a crash or a bad disk has spoilt are passed over:
    no run depends on them."""
    if not log.is_file():
        return []
    whole = log.read_bytes().rpartition(b"\n")[0]
    return [entry for entry in map(_entry, whole.split(b"\n")) if entry]


def _entry(line: bytes) -> dict[str, object] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    is_whole = isinstance(entry, dict) and {"event", "step", "time"} <= entry.keys()
    return entry if is_whole else None
