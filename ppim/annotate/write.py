"""Which photos are looked at together, by which process, and what is written of them?

A network's answer for a photo may depend, in its last bits, on how many others lie in the batch and where in it the
photo stands. Batches are therefore always the same: the files in their order, so many at a time, the last one filled
up. Each belongs to one process by its number, and one of which a map is missing is computed again as a whole. So one
process or many, at one go or killed and started again, write the same bytes, and nobody waits for anybody.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from ppim.annotate.folder import places_of, whole_ones
from ppim.geometry import HW
from ppim.token_labels.maps import write_map

Cells = tuple[np.ndarray, np.ndarray, np.ndarray]  # scores (K, rows, columns), ids, log_z (rows, columns)


class Source(NamedTuple):
    """What makes maps. `read` is called by several threads, `maps` with what it gave for a whole batch."""

    num_classes: int
    grid: HW
    top_k: int
    batch_size: int
    read: Callable[[str], Any]  # what is needed of a photo, from its path relative to the folder of photos
    maps: Callable[[Sequence[Any]], Iterable[Cells]]  # at most `batch_size` of them, in their order
    is_one_by_one: bool = False  # whatever else is in its batch, a photo's map is the same to the bit


class Report(NamedTuple):
    """What was done, by this process."""

    written: int
    skipped: int  # a whole map was there already


def write_maps(source: Source, files: Sequence[str], output, *, share: tuple[int, int] = (0, 1), threads: int = 2,
               advance: Callable[[int], None] = lambda count: None) -> Report:
    """Write the maps of `files` below `output`; those that are there and whole are kept.

    Args:
        files: relative to the folder of photos; the same, in the same order, in all processes.
        share: (this process, how many there are): which batches are this one's.
        advance: told the number of photos done since the last call.

    Raises:
        ValueError: an unreadable photo, or more scores asked for than there are classes.
    """
    if not 1 <= source.top_k <= source.num_classes:
        raise ValueError(f"top-k wants 1 to {source.num_classes}, the number of classes; got {source.top_k}")
    mine = share_of(len(files), source.batch_size, *share)
    places = places_of(files, output)
    kept = whole_ones([places[at] for at in mine], source.grid, source.top_k, source.num_classes)
    batches = _unfinished(mine, kept, source)
    advance(int(kept.sum()))
    missing = set(mine[~kept].tolist())
    for batch, materials in _read_ahead(batches, lambda at: source.read(files[at]), threads):
        new = [(at, cells) for at, cells in zip(batch, source.maps(materials)) if at in missing]
        for at, cells in new:
            write_map(places[at], *cells)
        advance(len(new))
    return Report(len(missing), len(mine) - len(missing))


def share_of(count: int, batch_size: int, number: int, processes: int) -> np.ndarray:
    """Which of `count` files are in the batches of one of several processes, ascending."""
    files = np.arange(count)
    return files[files // batch_size % processes == number]


def _unfinished(mine: np.ndarray, kept: np.ndarray, source: Source) -> list[list[int]]:
    """The batches of which a map is missing, whole ones; of a source that goes one by one, the missing files alone."""
    missing = mine[~kept]
    take = missing if source.is_one_by_one else mine[np.isin(mine // source.batch_size, missing // source.batch_size)]
    cuts = np.flatnonzero(np.diff(take // source.batch_size)) + 1
    return [batch.tolist() for batch in np.split(take, cuts) if len(batch)]


def _read_ahead(batches: Sequence[list[int]], read, threads: int) -> Iterator[tuple[list[int], list[Any]]]:
    """Batches and what was read of them, by threads, one batch ahead."""
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque = deque()
        for batch in batches:
            ahead.append((batch, [pool.submit(read, at) for at in batch]))
            if len(ahead) == 2:
                batch, materials = ahead.popleft()
                yield batch, [material.result() for material in materials]
        for batch, materials in ahead:
            yield batch, [material.result() for material in materials]
