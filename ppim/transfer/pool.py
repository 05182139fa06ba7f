"""How do several processes work through a long list, whose results are wanted in its order?"""
from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

T = TypeVar("T")
_PIECE = 256  # entries handed over at once


def in_order(work: Callable[[Sequence[str]], T], entries: Sequence[str], jobs: int) -> Iterator[T]:
    """`work` of one piece of `entries` after the other, by `jobs` processes (1: by this one).

    Args:
        work: can be pickled; what it raises is raised here.

    Raises:
        ChildProcessError: a process died.
    """
    starts = range(0, len(entries), _PIECE)
    if jobs == 1 or len(starts) < 2:
        yield from (work(entries[at:at + _PIECE]) for at in starts)
        return
    # fresh processes: a copy of this one would carry its threads' locks
    fresh = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(starts)), fresh, initializer=_leave_signals_to_the_parent)
    under_way: deque[Future[T]] = deque()
    try:
        for at in starts:
            under_way.append(pool.submit(work, entries[at:at + _PIECE]))
            if len(under_way) > 3 * jobs:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    except BrokenProcessPool:
        raise ChildProcessError("a process that read label maps has died, perhaps for want of memory; start again (what"
                                " is done is kept), with fewer --jobs if it happens again") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_signals_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
