"""What is there to be seen of a photo, and of many of them, looked at by several processes?

A photo at which a process dies, in the code of a decoder or for want of memory, is unreadable like any other.
"""
from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

from ppim.data.photos import read_turned
from ppim.geometry import WH

_CHUNK = 32  # photos that a process is handed at once


class Look(NamedTuple):
    """What was seen of one photo."""

    fault: str = ""  # why it cannot be read, in a line; "" where it can
    wh: WH = (0, 0)  # width and height in pixels, as stored
    turned: bool = False  # has it an EXIF orientation that turns or mirrors it?
    digest: str = ""  # equal where the decoded pixels are


def look(path: str) -> Look:
    """Decode one photo completely."""
    try:
        photo, turned = read_turned(path)
    except (ValueError, OSError) as error:
        return Look(str(error))
    digest = hashlib.blake2b(f"{photo.size}".encode() + photo.tobytes(), digest_size=16).hexdigest()
    return Look("", photo.size, turned, digest)


def _look_at(look: Callable[[str], Look], paths: Sequence[str]) -> list[Look]:
    return [look(path) for path in paths]


def look_at_all(paths: Sequence[str], jobs: int, advance: Callable[[int], None],
                look: Callable[[str], Look] = look) -> list[Look]:
    """`look` at each photo, in `jobs` processes (1: in this one, which then dies itself at what kills it). Where one
    dies, the photos under way are looked at again in smaller and smaller groups, until it is known which one kills.

    Args:
        advance: told the number of photos done since the last call.
    """
    chunks = [paths[start:start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    if jobs == 1:
        return [one for chunk in chunks for one in _told(_look_at(look, chunk), advance)]
    done: dict[int, list[Look]] = {}
    while len(done) < len(chunks):
        todo = [number for number in range(len(chunks)) if number not in done]
        for number, looks in _until_one_dies(look, chunks, todo, jobs):
            done[number] = _told(looks, advance)
        left = [number for number in todo if number not in done]
        for number in left[:2 * jobs]:  # whichever was under way is among them
            done[number] = _told(_carefully(look, chunks[number]), advance)
    return [one for number in range(len(chunks)) for one in done[number]]


def _told(looks: list[Look], advance: Callable[[int], None]) -> list[Look]:
    advance(len(looks))
    return looks


def _pool(jobs: int) -> ProcessPoolExecutor:
    """Fresh processes: a copy of this one would carry its threads' locks."""
    return ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))


def _until_one_dies(look, chunks: Sequence[Sequence[str]], todo: Iterable[int],
                    jobs: int) -> Iterator[tuple[int, list[Look]]]:
    todo = iter(todo)
    with _pool(jobs) as pool:
        under_way: dict[Future[list[Look]], int] = {}
        try:
            while True:
                while len(under_way) < 2 * jobs and (number := next(todo, None)) is not None:
                    under_way[pool.submit(_look_at, look, chunks[number])] = number
                if not under_way:
                    return
                for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                    yield under_way.pop(future), future.result()
        except BrokenProcessPool:
            return


def _carefully(look, paths: Sequence[str]) -> list[Look]:
    """In a process of their own; where it dies, each half in one."""
    with _pool(1) as pool:
        try:
            return pool.submit(_look_at, look, paths).result()
        except BrokenProcessPool:
            pass
    if len(paths) == 1:
        return [Look(f"{paths[0]}: cannot be read as an image (the process that decoded it died); replace or remove "
                     "the file")]
    half = len(paths) // 2
    return _carefully(look, paths[:half]) + _carefully(look, paths[half:])
