"""How many threads may this process use? Asked before Paddle is imported.

`import paddle` sets OMP_NUM_THREADS to 1 when it is unset, and the launcher hands that 1 on to its workers, so a plain
run would use one core of many. The answer here: the usable cores, shared by the processes of this machine.
"""
from __future__ import annotations

import os
import sys
import zlib  # noqa: F401  (Paddle 2.6.2 crashes in it where it is first imported after Paddle)
from collections.abc import Mapping
from pathlib import Path

_unsaid: list[str] = []


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
        if not wanted.isdecimal() or int(wanted) < 1:
            raise ValueError(f"PPIM_THREADS wants a whole number of at least 1, got {wanted!r}")
        return int(wanted)
    local_ranks = int(env.get("PADDLE_LOCAL_SIZE") or 0)
    if local_ranks:
        return max(1, cores // local_ranks)
    exported = env.get("OMP_NUM_THREADS")
    if not exported:
        return cores
    # OpenMP takes a list as well, a number for each level of nesting; Paddle has one level, and others read one number
    first = exported.partition(",")[0].strip()
    return None if first == exported else int(first) if first.isdecimal() else cores


def settle() -> None:
    """Give this process and its children their threads; where Paddle was imported first, by a call of Paddle's own."""
    paddle = sys.modules.get("paddle")
    own = os.environ if paddle is None else _without_paddles_own(os.environ)
    count = thread_count(own, usable_cores())
    if count is None or (paddle and os.environ.get("OMP_NUM_THREADS") == str(count)):
        return
    if paddle is None:
        os.environ["OMP_NUM_THREADS"] = str(count)
    elif hasattr(paddle.base.core, "set_num_threads"):
        paddle.base.core.set_num_threads(count)  # of MKL's products and of Paddle's own loops alike, at any time
        os.environ["OMP_NUM_THREADS"] = str(count)
        _unsaid.append(f"it computes on {count} threads now, of which PPIM_THREADS sets the number")
    else:
        _unsaid.append(f"import ppim first, and it computes on {count}")


def say_once() -> None:
    """Tell on stderr, a single time, what came of importing Paddle first, if it made a difference."""
    while _unsaid:
        print(f"note: paddle was imported before ppim, which leaves it one thread; {_unsaid.pop()}", file=sys.stderr)


def _without_paddles_own(env: Mapping[str, str]) -> dict[str, str]:
    """`env` as it would be had Paddle not set OMP_NUM_THREADS to 1; a 1 the process was started with is the user's."""
    started = Path("/proc/self/environ")
    exported = started.is_file() and b"OMP_NUM_THREADS=1" in started.read_bytes().split(b"\0")
    is_paddles = env.get("OMP_NUM_THREADS") == "1" and not exported
    return {name: value for name, value in env.items() if not (is_paddles and name == "OMP_NUM_THREADS")}
