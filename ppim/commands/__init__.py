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
from collections.abc import Callable, Collection, Sequence

from ppim import stopping, unread
from ppim.config.nearest import nearest
from ppim.dialects import pairs_of
from ppim.memory import keep_freed_memory

SHARED = argparse.ArgumentParser(add_help=False, allow_abbrev=False)  # the parent of every command's parser
SHARED.add_argument("--debug", action="store_true", help="show the traceback of an error")


class Parser(argparse.ArgumentParser):
    """The options of a command, with those that all commands have. What is unknown is answered with the nearest.

    Args:
        also: flags that are understood besides.
        how: as for argparse.ArgumentParser.
    """

    def __init__(self, also: Collection[str] = (), **how):
        super().__init__(parents=[SHARED], **how)
        self._also = also

    def parse_args(self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None):
        """As argparse's; exits with code 2 where a word is unknown."""
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            known = [flag[2:] for flag in (*self._option_string_actions, *self._also) if flag.startswith("--")]
            typed = [word.partition("=")[0].lstrip("-") for word in unknown if word.startswith("-")]
            meant = nearest(typed[0].replace("_", "-"), known) if typed else None
            self.error(f"unknown: {' '.join(unknown)}{f'; did you mean --{meant}?' if meant else ''}")
        return found


class Pairs(argparse.Action):
    """Keys and values as typed after -o, KEY VALUE or KEY=VALUE, as one list in which they alternate."""

    def __call__(self, parser, namespace, values, option_string=None):
        try:
            pairs = pairs_of(values)
        except ValueError as error:
            parser.error(str(error))
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), *(word for pair in pairs for word in pair)])


def guarded(command: Callable[[list[str]], object], argv: Sequence[str] | None = None) -> int:
    """Run a command on the words typed; its exit code. A user's mistake is one line, a bug keeps its traceback.

    Args:
        command: takes the words that are not for all commands alike; a number that it returns is the exit code.
        argv: the words; None: those behind the program's name.
    """
    shared, words = SHARED.parse_known_args(sys.argv[1:] if argv is None else argv)
    keep_freed_memory()
    try:
        with stopping.handled_by(stopping.stop):
            code = command(words)
        print(end="", flush=True)
    except (ValueError, OSError, FloatingPointError) as error:
        if isinstance(error, BrokenPipeError) and unread.lead_nowhere():
            return unread.EXIT_CODE
        if shared.debug:
            raise
        rank = os.environ.get("PADDLE_TRAINER_ID")
        place = f"[process {rank}] " if int(os.environ.get("PADDLE_TRAINERS_NUM") or 1) > 1 else ""
        with contextlib.suppress(OSError):  # nobody may be there to read it
            print(f"{place}error: {error}", file=sys.stderr, flush=True)
        return 1
    except stopping.Stopped as stop:
        with contextlib.suppress(OSError):
            print(stop, file=sys.stderr, flush=True)
        return stop.exit_code
    return code if isinstance(code, int) else 0


def import_paddle_quietly() -> None:
    """Paddle warns about any thread count but 1, and about a missing ccache; neither is news to its user.

    Paddle 2.6 also logs the end of a job, after the result, which is to be the last line.
    """
    os.environ.setdefault("GLOG_minloglevel", "1")

    notices = io.StringIO()
    with contextlib.redirect_stderr(notices), warnings.catch_warnings(), stopping.handled_by(stopping.leave):
        warnings.simplefilter("ignore")
        import paddle  # noqa: F401
    warnings.filterwarnings("ignore", message="When training, we now always track global mean and variance")
    for line in notices.getvalue().splitlines():
        if "OMP_NUM_THREADS" not in line:
            print(line, file=sys.stderr)
