"""How do label maps get into a pack, by several processes, and out of it again?"""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np

from ppim.index import names_digest
from ppim.token_labels.manifest import Manifest
from ppim.token_labels.maps import map_of_array
from ppim.token_labels.pack import ascending
from ppim.token_labels.pack_writer import SHARD_MAPS, Encoded, Plan, write_pack
from ppim.token_labels.record import UNKNOWN, encode, record_dtype
from ppim.transfer.change import Change
from ppim.transfer.forms import Source
from ppim.transfer.pool import in_order

Progress = Callable[[int], AbstractContextManager[Callable[[int], None]]]
_HALF_IDS = 1 << 16  # classes up to which uint16 holds the ids


class Packing(NamedTuple):
    """How maps are packed."""

    classes: int | None = None  # of the annotator, where it is known
    round_scores: bool = False  # take the nearest half-precision number for scores that are none
    shard_maps: int = SHARD_MAPS
    jobs: int = 1


class _Encode(NamedTuple):
    """Stems -> their records. A class, so that processes can be handed it."""

    source: Source
    change: Change
    record: np.dtype
    classes: int
    round_scores: bool

    def __call__(self, stems: Sequence[str]) -> Encoded:
        pieces, change = [], 0.0
        for stem in stems:
            place = self.source.place(stem)
            data, changed = encode(self.record, place, stem, self.change.of(place, self.source.array(stem)),
                                   self.classes, self.round_scores)
            pieces.append(data)
            change = max(change, changed)
        whole = b"".join(pieces)
        return Encoded(whole, int(np.frombuffer(whole, self.record)["ids"].max()), change)


def pack(source: Source, target: str, card: Callable[[bool], dict[str, Any] | None], change: Change, how: Packing,
         progress: Progress) -> Manifest:
    """Pack all maps of `source` into `target`.

    Args:
        card: told whether the maps have a log-sum-exp, what the pack's card is to say.
        progress: as `ppim.commands.labels.map_progress`.

    Returns:
        what the pack says of itself.

    Raises:
        ValueError: a map that cannot be trusted, has another form than the first, or would not come back as it was.
        FileExistsError: something is at `target` already.
    """
    stems = ascending(source.stems())
    place = source.place(stems[0])
    first = change.of(place, source.array(stems[0]))
    log_z = len(first) == 3
    said = card(log_z)
    classes = how.classes or (said or {}).get("num_classes")
    map_of_array(place, first, classes or UNKNOWN)
    ids = "<u2" if (classes or 0) <= _HALF_IDS else "<u4"
    plan = Plan(names_digest(stems), len(stems), first.shape[1:], ids, log_z, classes, how.round_scores,
                how.shard_maps, source.path, str(change), said)
    record = record_dtype(plan.shape, ids, log_z)
    work = _Encode(source, change, record, classes or UNKNOWN, how.round_scores)

    def encoded(first: int) -> Iterator[Encoded]:
        return in_order(work, stems[first:], how.jobs)

    with progress(len(stems)) as advance:
        return write_pack(target, stems, plan, source.changed, encoded, advance)
