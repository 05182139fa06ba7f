"""How is a command of ppim run so that a fault can strike it, quickly and again and again?

Importing Paddle takes a second, a small run a third of one. So this process imports once, runs nothing, and forks a
child for every run; the child arms the injector, which was preloaded, and does what `ppim WORDS` does. Paddle has no
thread of its own before its first operation, so the child is as good as a fresh process, which some runs are to show.
"""
from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from tests.faults import shim
from tests.faults.shim import Fault

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # seconds after which a run hangs
_END_WITH_PARENT, _SUBREAPER = 1, 36  # of prctl.h


class Ended(NamedTuple):
    """How a run ended: exit code, negative for a signal, None where it hung; and what it said."""

    code: int | None
    out: str
    err: str


def become_the_parent_of_orphans() -> None:
    """Workers that outlive their trainer become children of this process, where they can be counted and ended."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def _end_with_parent() -> None:
    """A campaign that is stopped leaves no run behind; what the run itself starts does not inherit this."""
    ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def import_all() -> None:
    """Import what the commands import; in one thread."""
    from ppim.commands import import_paddle_quietly

    import_paddle_quietly()
    import visualdl  # noqa: F401

    import ppim.annotate.generate
    import ppim.data.imagenet
    import ppim.engine.command
    import ppim.weights.recognise
    import ppim.zoo.hub  # noqa: F401

    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"Paddle was imported and has {threads} threads; a child would lack all but one")


class Running:
    """A run that has been started, in `folder`; `scratch` gets what it says and its list of operations."""

    def __init__(self, pid: int, scratch: Path):
        self.pid, self.scratch = pid, scratch
        self.met: set[int] = set()  # processes it has started

    def wait(self, seconds: float = PATIENCE) -> Ended:
        """Wait for its end; one that does not end is killed."""
        code, until = None, time.monotonic() + seconds
        while code is None and time.monotonic() < until:
            self.look()
            done, status = os.waitpid(self.pid, os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if done else None
            if not done:
                time.sleep(0.002)
        if code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        texts = [(self.scratch / name).read_text(errors="replace") for name in ("out", "err")]
        return Ended(code, *texts)

    def look(self) -> None:
        """Note which processes it has started: their names stand in shared memory after they are gone."""
        ahead = [self.pid]
        while ahead:
            found = _children_of(ahead.pop())
            self.met.update(found)
            ahead += found

    def done(self) -> list[shim.Done]:
        """The operations listed so far."""
        return shim.read_list(self.scratch / "list")


def fork(act: Callable[[], int], folder: Path, scratch: Path, fault: Fault | None = None) -> Running:
    """Start `act` in a child of this process."""
    _clear(scratch)
    sys.stdout.flush(), sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.setpgid(0, 0)
            _end_with_parent()
            for number, name in ((1, "out"), (2, "err")):
                os.dup2(os.open(scratch / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
            os.chdir(folder)
            shim.arm(folder, scratch / "list", fault)
            code = act()
            atexit._run_exitfuncs()  # as the end of a program does; it is what ends workers
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
            code = 1
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush(), sys.stderr.flush()
            os._exit(code or 0)
    return Running(pid, scratch)


def spawn(words: list[str], folder: Path, scratch: Path, library: Path, fault: Fault | None = None,
          launcher: tuple[str, ...] = ()) -> Running:
    """Start `ppim WORDS` as a fresh process."""
    _clear(scratch)
    own = {"PYTHONPATH": str(ROOT), "PPIM_THREADS": "1", **shim.environment(library, folder, scratch / "list", fault)}
    with open(scratch / "out", "wb") as out, open(scratch / "err", "wb") as err:
        started = subprocess.Popen([sys.executable, *(launcher or ("-m", "ppim")), *words], cwd=folder, stdout=out,
                                   stderr=err, env={**os.environ, **own}, process_group=0, preexec_fn=_end_with_parent)
    started.returncode = 0  # waited for by number, see Running
    return Running(started.pid, scratch)


def _clear(scratch: Path) -> None:
    scratch.mkdir(parents=True, exist_ok=True)
    for name in ("out", "err", "list"):
        (scratch / name).unlink(missing_ok=True)


def _children_of(process: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []


def end_of_orphans(run: Running, own: Collection[int], seconds: float = 10.0) -> int:
    """Wait for what a run has left to end by itself; how many processes had to be killed.

    Args:
        own: children of this process that are to stay.
    """
    until = time.monotonic() + seconds
    while left := [pid for pid in _children_of(os.getpid()) if pid not in own]:
        run.met.update(left)
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > until:
            break
        time.sleep(0.01)
    for pid in left:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return len(left)


def segments_of(processes: Collection[int]) -> int:
    """How much these processes have left in shared memory, by the names that Paddle gives it; removed."""
    names = {f"{pid}" for pid in processes}
    held = [path for path in Path("/dev/shm").glob("paddle_*") if path.name.split("_")[1] in names]
    for path in held:
        path.unlink(missing_ok=True)
    return len(held)
