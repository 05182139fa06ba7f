"""The commands of `ppim`, a file each: what is typed, handed to what does the work. Here is what they share.

Paddle takes seconds to import, so no command does before it knows what to do: `--help` and mistakes come at once.
"""
from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence

from ppim.memory import keep_freed_memory

SHARED = argparse.ArgumentParser(add_help=False, allow_abbrev=False)  # the parent of every command's parser
SHARED.add_argument("--debug", action="store_true", help="show the traceback of an error")


def guarded(command: Callable[[list[str]], object], argv: Sequence[str] | None = None) -> int:
    """Run a command on the words typed; its exit code. A user's mistake is one line, a bug keeps its traceback.

    Args:
        command: takes the words that are not for all commands alike.
        argv: the words; None: those behind the program's name.
    """
    shared, words = SHARED.parse_known_args(sys.argv[1:] if argv is None else argv)
    keep_freed_memory()
    try:
        command(words)
    except (ValueError, OSError, FloatingPointError) as error:
        if shared.debug:
            raise
        rank = os.environ.get("PADDLE_TRAINER_ID")
        place = f"[process {rank}] " if int(os.environ.get("PADDLE_TRAINERS_NUM") or 1) > 1 else ""
        print(f"{place}error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(stop or "stopped", file=sys.stderr)
        return 130
    return 0


def import_paddle_quietly() -> None:
    """Paddle warns about any thread count but 1, and about a missing ccache; neither is news to its user.

    Paddle 2.6 also logs the end of a job, after the result, which is to be the last line.
    """
    os.environ.setdefault("GLOG_minloglevel", "1")

    notices = io.StringIO()
    with contextlib.redirect_stderr(notices), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import paddle  # noqa: F401
    warnings.filterwarnings("ignore", message="When training, we now always track global mean and variance")
    for line in notices.getvalue().splitlines():
        if "OMP_NUM_THREADS" not in line:
            print(line, file=sys.stderr)
