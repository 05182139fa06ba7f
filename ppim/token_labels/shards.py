"""What is in a shard of a pack: records as they were written, or others? Read from its beginning to its end."""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ppim.token_labels.record import is_sound

_BLOCK = 256  # records read at once


class Seen(NamedTuple):
    """What was seen of a shard."""

    bad: list[int]  # records that are damaged or not all there, by their number in the shard
    highest_id: int  # of the others, -1 without any
    sha256: str  # of all bytes up to the last whole record that was asked for


def look_over(path: str | Path, record: np.dtype, stems: Sequence[str], advance: Callable[[int], None]) -> Seen:
    """Look at the records of the file `path`, which are to be those of `stems`, from the first on.

    Args:
        record: as of `ppim.token_labels.record.record_dtype`.
        advance: told the number of records looked at since the last call.
    """
    bad, highest, digest = [], -1, hashlib.sha256()
    with open(path, "rb", 0) as file:
        for first in range(0, len(stems), _BLOCK):
            block = stems[first:first + _BLOCK]
            data = file.read(len(block) * record.itemsize)
            whole = len(data) // record.itemsize
            digest.update(memoryview(data)[:whole * record.itemsize])
            pieces = [data[at * record.itemsize:(at + 1) * record.itemsize] for at in range(len(block))]
            sound = np.array([is_sound(record, stem, piece) for stem, piece in zip(block, pieces)])
            bad += (first + np.flatnonzero(~sound)).tolist()
            ids = np.frombuffer(data, record, whole)["ids"][sound[:whole]]
            highest = max(highest, int(ids.max(initial=0)) if len(ids) else -1)
            advance(len(block))
    return Seen(bad, highest, digest.hexdigest())
