"""How does a pack of label maps appear? Whole or not at all: a folder written beside its place, synced, renamed.

What is written beside it is `.<name>.unfinished`: the index first, then `plan.json`, which says what is being packed,
then shard by shard. A packing that was interrupted goes on behind the last record that is whole; where another thing
is to be packed by then, it starts again. Maps that have changed since packing began are packed anew, and all behind
them.
"""
from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ppim.files import sync, write_whole
from ppim.index import Index, write_index
from ppim.strict_json import dumps
from ppim.token_labels.manifest import (
    INDEX,
    MANIFEST,
    Manifest,
    is_pack,
    read_manifest,
    shard_name,
    write_manifest,
)
from ppim.token_labels.record import record_dtype
from ppim.token_labels.shards import look_over

SHARD_MAPS = 1 << 16  # records of a shard; of the published size 467 MB
_PLAN, _LOCK = "plan.json", "lock"


class Plan(NamedTuple):
    """What is to be packed."""

    stems: str  # digest of the stems, see `ppim.index.names_digest`
    maps: int
    shape: tuple[int, int, int]
    ids: str
    log_z: bool
    classes: int | None
    round_scores: bool
    shard_maps: int
    source: str  # where the maps are taken from
    change: str  # what is done to them, "" nothing
    card: Mapping[str, Any] | None

    @property
    def record(self) -> np.dtype:
        """The form of a record."""
        return record_dtype(self.shape, self.ids, self.log_z)


class Encoded(NamedTuple):
    """Some maps as records, one behind the other."""

    data: bytes
    highest_id: int
    largest_change: float  # of a score that was rounded


def unfinished(path: str | Path) -> Path:
    """The folder in which a pack is written before it appears at `path`."""
    path = Path(os.path.abspath(path))
    return path.with_name(f".{path.name}.unfinished")


def write_pack(path: str | Path, stems: Sequence[str], plan: Plan, changed: Callable[[str], float],
               encoded: Callable[[int], Iterable[Encoded]], advance: Callable[[int], None]) -> Manifest:
    """Write the pack `path`.

    Args:
        stems: ascending by their UTF-8 bytes.
        changed: stem -> when its map was changed last, in seconds.
        encoded: number of the first map that is wanted -> records from there on, in the order of the stems.
        advance: told the number of maps done since the last call, those of an earlier start included.

    Returns:
        what the pack says of itself.

    Raises:
        FileExistsError: something else is there already. ValueError: another process is writing it.
    """
    path = Path(os.path.abspath(path))
    if os.path.lexists(path):
        advance(len(stems))
        return _finished(path, stems, plan, changed)
    beside = unfinished(path)
    with _alone(beside):
        shards = _Shards(beside, plan, stems)
        if _planned(beside) == _as_said(plan):
            shards.take_up(changed, advance)
        else:
            shards.start_again()
            write_index(beside / INDEX, stems, {}, {"stems": plan.stems})
            write_whole(beside / _PLAN, lambda file: file.write_text(dumps(plan._asdict()), encoding="utf-8"))
        for piece in encoded(shards.done):
            shards.append(piece)
            advance(len(piece.data) // plan.record.itemsize)
        manifest = shards.finish()
        write_manifest(beside, manifest)
        (beside / _PLAN).unlink()
        (beside / _LOCK).unlink()
        sync(beside)
        os.rename(beside, path)
    sync(path.parent)
    return manifest


def _finished(path: Path, stems: Sequence[str], plan: Plan, changed: Callable[[str], float]) -> Manifest:
    """What the pack at `path` says of itself, if it is the one that is wanted, and no map has changed since."""
    if is_pack(path):
        there, wanted = read_manifest(path), _as_said(plan)
        said = json.loads(dumps(there._asdict()))
        written = (path / MANIFEST).stat().st_mtime
        if all(said[name] == wanted[name] for name in said.keys() & wanted.keys()) and (
                plan.round_scores or not there.largest_change) and all(changed(stem) < written for stem in stems):
            return there
    raise FileExistsError(f"{path} is there already, and other than what is to be packed; remove it, or name another "
                          "place for the pack")


@contextlib.contextmanager
def _alone(beside: Path) -> Iterator[None]:
    """The unfinished folder is this process's as long as this lasts; the system lets go of it if the process dies."""
    beside.mkdir(parents=True, exist_ok=True)
    with open(beside / _LOCK, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"{beside}: another process is writing this pack; wait for it, or end it first") from None
        yield


def _as_said(plan: Plan) -> dict[str, Any]:
    return json.loads(dumps(plan._asdict()))


def _planned(beside: Path) -> dict[str, Any] | None:
    """The plan of an earlier start; None where it got no further, or its index is not what it was."""
    try:
        plan = json.loads((beside / _PLAN).read_text(encoding="utf-8"))
        index = Index(beside / INDEX)
        index.verify()
        return plan if index.about["stems"] == plan["stems"] else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


class _Shards:
    """The shards of an unfinished pack, written one after the other."""

    def __init__(self, beside: Path, plan: Plan, stems: Sequence[str]):
        self._beside, self._plan, self._stems = beside, plan, stems
        self.done, self._highest, self._change = 0, -1, 0.0  # records written, and what is in them
        self._digests: list[str] = []
        self._file, self._digest = None, hashlib.sha256()

    def start_again(self) -> None:
        """Throw away what an earlier start has left."""
        for entry in self._beside.iterdir():
            if entry.name != _LOCK:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def take_up(self, changed: Callable[[str], float], advance: Callable[[int], None]) -> None:
        """Go on behind the records that are there, as far as they are whole and of maps as they are now.

        What was rounded is not known of them, so that a rounding is begun anew.
        """
        began = (self._beside / _PLAN).stat().st_mtime
        whole = 0 if self._plan.round_scores else self._whole(began, changed, advance)
        per, size = self._plan.shard_maps, self._plan.record.itemsize
        for number in range(whole // per, -(-self._plan.maps // per)):
            path, keep = self._beside / shard_name(number), max(0, whole - number * per) * size
            if path.exists():
                os.truncate(path, keep) if keep else path.unlink()
        self.done = whole
        if whole % per and whole < self._plan.maps:
            self._file = open(self._beside / shard_name(whole // per), "ab+", 0)
            self._file.seek(0)
            while block := self._file.read(1 << 20):
                self._digest.update(block)

    def _whole(self, began: float, changed: Callable[[str], float], advance: Callable[[int], None]) -> int:
        """How many records from the first on can stay; their digests are taken."""
        per = self._plan.shard_maps
        for number in range(-(-self._plan.maps // per)):
            stems, path = self._stems[number * per:(number + 1) * per], self._beside / shard_name(number)
            if not path.exists():
                return number * per
            there = min(path.stat().st_size // self._plan.record.itemsize, len(stems))
            fresh = next((at for at, stem in enumerate(stems[:there]) if changed(stem) >= began), there)
            seen = look_over(path, self._plan.record, stems[:fresh], advance)
            self._highest = max(self._highest, seen.highest_id)
            kept = seen.bad[0] if seen.bad else fresh
            if kept < len(stems):
                return number * per + kept
            self._digests.append(seen.sha256)
        return self._plan.maps

    def append(self, piece: Encoded) -> None:
        """Write some records, in as many shards as they need."""
        size, data = self._plan.record.itemsize, memoryview(piece.data)
        while len(data):
            if self._file is None:
                self._file = open(self._beside / shard_name(len(self._digests)), "ab", 0)
            room = self._plan.shard_maps - self.done % self._plan.shard_maps
            part, data = data[:room * size], data[room * size:]
            self._write(part)
            self._digest.update(part)
            self.done += len(part) // size
            if self.done % self._plan.shard_maps == 0:
                self._close()
        self._highest = max(self._highest, piece.highest_id)
        self._change = max(self._change, piece.largest_change)

    def _write(self, part: memoryview) -> None:
        try:
            while len(part):
                part = part[self._file.write(part):]
        except OSError as error:  # a full disk does not say for which file
            raise type(error)(error.errno, f"cannot write, {error.strerror}; start again when there is room, what is "
                              "done is kept", self._file.name) from error

    def _close(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()
        self._digests.append(self._digest.hexdigest())
        self._file, self._digest = None, hashlib.sha256()

    def finish(self) -> Manifest:
        """What the pack is, all records being there."""
        if self._file is not None:
            self._close()
        plan = self._plan
        if self.done != plan.maps:
            raise ValueError(f"{self._beside}: {self.done} of {plan.maps} maps came")
        shards = tuple((shard_name(number), digest) for number, digest in enumerate(self._digests))
        return Manifest(plan.maps, plan.shape, plan.ids, plan.log_z, plan.classes, self._highest, self._change,
                        plan.shard_maps, shards, plan.change, plan.stems, plan.card)

