"""Is anything lost, whatever goes wrong? Faults at every file operation, random kills, damage, and clean runs.

    python -m tests.faults.campaign run [PART ...]     files, kills, damage, clean (all); goes on where it stopped
    python -m tests.faults.campaign table              what has come of it, into docs/{en,cn}/reliability.md

What came of every injection is a line of --results; the lines of other code than today's are left alone.
"""
from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults import process, shim, tables
from tests.faults.results import Results, key, survived

_ARMED = "PPIM_FAULTS_LIBRARY"
_GROUP = ("writer", "fault", "signal", "to", "workers", "processes", "reader", "how")
_SHORT = {"files": 1, "kills": 1, "damage": 6, "clean": 1}  # of each group, for `make test`


def main() -> int:
    """The command line; 0 where all that was injected now survived."""
    parser = argparse.ArgumentParser(prog="campaign", description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("run", "table"))
    parser.add_argument("parts", nargs="*", default=[], metavar="PART")
    parser.add_argument("--results", type=Path, default=process.ROOT / "output" / "faults.jsonl")
    parser.add_argument("--share", type=float, default=1.0, help="part of the injections, drawn by --seed")
    parser.add_argument("--short", action="store_true", help="a few of each group, and none that takes long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="WORD", help="injections whose line has this word")
    args = parser.parse_args()
    if args.what == "table":
        tables.write(Results(args.results).rows)
        return 0
    if why := shim.why_not():
        print(f"skipped: {why}")
        return 0
    if _ARMED in os.environ:
        os.environ.pop("LD_PRELOAD")  # the children have it already, other programs need none
        return campaign(Path(os.environ[_ARMED]), args)
    with tempfile.TemporaryDirectory(prefix="ppim_faults_", ignore_cleanup_errors=True) as home:
        library = shim.build(Path(home))
        own = {_ARMED: str(library), "LD_PRELOAD": str(library), "PPIM_THREADS": "1", "PYTHONPATH": str(process.ROOT)}
        command = [sys.executable, "-m", "tests.faults.campaign", *sys.argv[1:]]
        with subprocess.Popen(command, env={**os.environ, **own}, cwd=process.ROOT) as preloaded:
            signal.signal(signal.SIGTERM, lambda *_: preloaded.kill())
            return preloaded.wait()


def campaign(library: Path, args: argparse.Namespace) -> int:
    """Inject what is planned and not yet known; by a process with the injector in it."""
    # they import Paddle, which the table has no use for
    from tests.faults import clean, damage, inject, kills
    from tests.faults.stage import Stage

    process.become_the_parent_of_orphans()
    process.import_all()
    results, failed = Results(args.results), 0
    parts = {"files": (inject.plan, inject.inject), "kills": (kills.plan, kills.strike),
             "damage": (damage.plan, damage.damage), "clean": (clean.plan, clean.repeat)}
    with Stage(library.parent, library) as stage:
        for part in args.parts or parts:
            plan, act = parts[part]
            tasks = [task for task in ({"part": part, **task} for task in plan(stage)) if args.only in key(task)]
            chosen = _chosen(tasks, args)
            todo = [task for task in chosen if key(task) not in results.known]
            print(f"{part}: {len(tasks)} injections, {len(chosen)} chosen, {len(todo)} to do", flush=True)
            failed += sum(not survived(row) for row in _told(results.add(task, act(stage, task)) for task in todo))
    return 1 if failed else 0


def _chosen(tasks: list[dict[str, object]], args: argparse.Namespace) -> list[dict[str, object]]:
    """All, a share of them, or a few of each group, in an order by chance."""
    mixed = random.Random(args.seed).sample(tasks, round(args.share * len(tasks)))
    if not args.short:
        return mixed
    groups: dict[str, list[dict[str, object]]] = {}
    for task in mixed:
        if not _takes_long(task) and "vdlrecords" not in str(task.get("at")):
            groups.setdefault(key({name: task.get(name) for name in _GROUP}), []).append(task)
    return [task for group in groups.values() for task in group[:_SHORT[group[0]["part"]]]]


def _takes_long(task: dict[str, object]) -> bool:
    return task.get("processes") == 2 or task.get("workers") == 4 or task.get("via") == "fresh"


def _told(rows: Iterator[dict[str, object]]) -> Iterator[dict[str, object]]:
    """The rows; what did not survive is told, and every fiftieth how far it is."""
    before, failed = time.monotonic(), 0
    for count, row in enumerate(rows, 1):
        if not survived(row):
            failed += 1
            print(json.dumps(row)[:500], flush=True)
        if count % 50 == 0:
            print(f"{count} done, {failed} failed, {(time.monotonic() - before) / count:.2f} s each", flush=True)
        yield row


if __name__ == "__main__":
    sys.exit(main())
