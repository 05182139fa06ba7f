"""How many threads may this process use? Asked before Paddle is imported.

`import paddle` sets OMP_NUM_THREADS to 1 when it is unset, and the launcher hands that 1 on to its workers, so a plain
run would use one core of many. The answer here: the usable cores, shared by the processes of this machine.
"""
from __future__ import annotations

import os
import sys
import zlib  # noqa: F401  (Paddle 2.6.2 crashes in it where it is first imported after Paddle)
from collections.abc import Mapping


def usable_cores() -> int:
    """Cores this process may be scheduled on (a container's or taskset's share, not the machine's)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(env: Mapping[str, str], cores: int) -> int | None:
    """Threads to use, or None to leave OMP_NUM_THREADS as the user set it.

    `PPIM_THREADS` wins; a launcher's worker gets its share of `cores`; a value the user exported himself is kept.

    Raises:
        ValueError: `PPIM_THREADS` is not a whole number of at least 1.
    """
    wanted = env.get("PPIM_THREADS")
    if wanted:
        if not wanted.isdigit() or int(wanted) < 1:
            raise ValueError(f"PPIM_THREADS wants a whole number of at least 1, got {wanted!r}")
        return int(wanted)
    local_ranks = int(env.get("PADDLE_LOCAL_SIZE") or 0)
    if local_ranks:
        return max(1, cores // local_ranks)
    return None if env.get("OMP_NUM_THREADS") else cores


def set_before_paddle() -> None:
    """Set OMP_NUM_THREADS for this process and its children; without effect once Paddle is imported."""
    if "paddle" in sys.modules:
        return
    count = thread_count(os.environ, usable_cores())
    if count is not None:
        os.environ["OMP_NUM_THREADS"] = str(count)
