"""What does VisualDL show of a run? The numbers of log.jsonl as curves, every step of them once, and its pictures.

VisualDL reads one file of a folder, calls the run by that folder, sorts groups of curves by name and unfolds the first
alone. So a run has one file, in the run folder itself, and what is looked at most makes the first group. It begins
with the configuration, as text and as a row of the page that compares runs. A run that goes on writes it anew from
config.yaml, log.jsonl and pictures/; what has not changed keeps its bytes, so that a page that is open goes on too.
"""
from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

import yaml

from ppim.fast_yaml import parse_yaml

_FIRST = "accuracy_and_loss"
_SPEED = ("images_per_second", "data_wait", "peak_memory_mb")
PICTURES = "pictures"  # the event whose values are names of files in the folder of this name
# what runs are compared by, and how good they became
_COMPARED = ("MODEL.NAME", "DATA.IMAGE_SIZE", "DATA.BATCH_SIZE", "TRAIN.NUM_EPOCHS", "TRAIN.BASE_LR",
             "TRAIN.WEIGHT_DECAY", "TRAIN.MIXUP_ALPHA", "TRAIN.CUTMIX_ALPHA", "MIX.TOKEN_ALPHA", "MIX.CLASS_SHARE",
             "MODEL.DROPPATH", "TOKEN_LABEL.ENABLE", "LOSS.DENSE_WEIGHT", "SEED")
_RESULTS = (f"{_FIRST}/top1", f"{_FIRST}/evaluation_loss")
# the axis itself, or nearly always the same
_NEVER = ("event", "step", "time", "epoch", "count", "left_out", "left_out_in_a_row")


class Curves:
    """The curves of a run that is under way.

    Args:
        path: the file, whose name holds `vdlrecords`; written anew.
        log: log.jsonl as it stands, if there is one.
        last: the step the run goes on from. What is logged of later ones is about to be repeated and left out.
        leave_out: names of numbers that say nothing in this run.
        config: config.yaml, if there is one.
        counted_now: today's number of a step, given that and the epoch with which it was logged.
    """

    def __init__(self, path: Path, log: Path, last: int, leave_out: Collection[str], config: Path,
                 counted_now: Callable[[int, float], int]):
        # here, because it brings a web server along that evaluation has no use for
        from visualdl.component.base_component import meta_data, scalar

        self._scalar, self._leave_out = scalar, {*_NEVER, *leave_out}
        self._pictures = path.parent / PICTURES
        points: dict[tuple[str, int], tuple[float | str, float]] = {}
        for entry in entries(log):
            step = counted_now(entry["step"], entry["epoch"]) if "epoch" in entry else entry["step"]
            for tag, value in self._points(entry):
                if step <= last:
                    points[tag, step] = value, entry["time"]
        self._file = path.open("wb")
        self._write(meta_data(walltime=0))
        for record in _told_of(config, path):
            self._write(record)
        for (tag, step), (value, time) in sorted(points.items(), key=lambda point: point[0][1]):
            self._add(tag, value, step, time)
        self._file.flush()

    def add(self, entry: Mapping[str, object]) -> None:
        """A point for each number of an entry of log.jsonl, or its pictures."""
        for tag, value in self._points(entry):
            self._add(tag, value, entry["step"], entry["time"])
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _add(self, tag: str, value: float | str, step: int, time: float) -> None:
        if isinstance(value, str):
            for record in _picture(tag, self._pictures / Path(value).name, step, round(1000 * time)):
                self._write(record)
        else:
            self._write(self._scalar(tag, value, step, round(1000 * time)))

    def _points(self, entry: Mapping[str, object]) -> Iterator[tuple[str, float | str]]:
        if entry["event"] == PICTURES:
            yield from ((f"{PICTURES}/{kind}", name) for kind, name in entry.items() if isinstance(name, str)
                        and kind != "event")
            return
        for name, value in entry.items():
            is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if is_number and math.isfinite(value) and name not in self._leave_out:
                yield tag_of(entry["event"], name), value

    def _write(self, record) -> None:
        content = record.SerializeToString()
        self._file.write(struct.pack("<Q", len(content)) + content)


def _told_of(config: Path, path: Path) -> Iterator[object]:
    """The records a file begins with: the configuration as text, and what of it runs are compared by; none where it
    cannot be read."""
    try:
        sections = parse_yaml(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return
    if not isinstance(sections, dict):
        return
    from visualdl.component.base_component import hparam, text

    values = dict(_leaves(sections))
    for section in dict.fromkeys(key.partition(".")[0] if "." in key else "" for key in values):
        # the page shows no line breaks
        mine = [f"{key} {value}" for key, value in values.items() if key.rpartition(".")[0].split(".")[0] == section]
        yield text(f"configuration/{section or 'RUN'}", ";  ".join(mine), 0, walltime=0)
    # a dot in a name leaves the page's cells empty, and its records take no booleans
    compared = {key.replace(".", "/"): str(values[key]) if isinstance(values[key], (bool, list)) else values[key]
                for key in _COMPARED if isinstance(values.get(key), (int, float, str, list))}
    yield hparam(hashlib.md5(str(path.resolve()).encode("utf-8", "replace")).hexdigest(), compared, list(_RESULTS), 0)


def _leaves(tree: Mapping[str, object], before: str = "") -> Iterator[tuple[str, object]]:
    """The values of a configuration by their whole keys."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _picture(tag: str, file: Path, step: int, time: int) -> Iterator[object]:
    """The record of a PNG; none where it is gone."""
    from visualdl.proto.record_pb2 import Record

    try:
        image = Record.Image(encoded_image_string=file.read_bytes())
    except OSError:
        return
    yield Record(values=[Record.Value(id=step, tag=tag, timestamp=time, image=image)])


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
