"""One fault at one file operation: what happened, what was left, and did a second start make good all of it?"""
from __future__ import annotations

import random
from collections.abc import Iterator

from tests.faults import shim
from tests.faults.process import Ended, Running
from tests.faults.shim import KINDS, Fault
from tests.faults.stage import Stage, says_in_one_line
from tests.faults.writers import log_of


def plan(stage: Stage) -> Iterator[dict[str, object]]:
    """Every writer, every operation, every kind, but for the many on curves one kind each; and a hundred of training's
    by fresh processes."""
    for writer, good in stage.good.items():
        for number, at in enumerate(good.operations):
            for turn, kind in enumerate(KINDS):
                if "vdlrecords" not in at or number // 2 % 4 == turn:
                    yield {"writer": writer, "fault": kind, "at": at, "via": "fork"}
    some = random.Random(0).sample(stage.good["training"].operations, 100)
    for number, at in enumerate(some):
        yield {"writer": "training", "fault": list(KINDS)[number % 4], "at": at, "via": "fresh"}


def inject(stage: Stage, task: dict[str, object]) -> dict[str, object]:
    """What came of it: `fired`; `lost`: what is not as if nothing had happened, after the second start; `litter`."""
    writer, fault, fresh = task["writer"], Fault(task["fault"], task["at"]), task["via"] == "fresh"
    stage.clear()
    stage.begin(writer)
    run = stage.start(writer, fault=fault, fresh=fresh)
    ended = run.wait()
    left = stage.left_by(run)
    done = run.done()
    fired = any(one.here for one in done)
    zeros = shim.lose_unsynced(stage.work, done) if fired and fault.kind == "power" else []
    # a line of the log that the disk would not take, or had not yet, is not there
    may_lack = bool(zeros) or (fault.kind in ("full", "error") and fault.at.startswith("write run/log.jsonl"))
    # whoever ends at an error saves, at a step of his own
    saves = ended.code not in (0, -9)
    found = {"fired": fired, "crashed": fired and ended.code == -9, "exit": ended.code, "left": left,
             "told": _told(ended, fault) if fired else "", "torn": []}
    trains = writer in ("training", "resuming")
    if trains:
        found["checkpoint"] = stage.newest_step()
        found["step"] = max(log_of(stage.work).losses, default=0)
        found["torn"] = stage.torn()
    return {**found, **take_up(stage, writer, fresh, log_may_lack=may_lack, newest_only=saves and trains)}


def take_up(stage: Stage, writer: str, fresh: bool = False, **how: bool) -> dict[str, object]:
    """Start `writer` again where it was interrupted, and compare; `how` as for `Stage.unlike`."""
    return compared(stage, stage.start(writer, again=True, fresh=fresh), writer, **how)


def compared(stage: Stage, run: Running, writer: str, **how: bool) -> dict[str, object]:
    """Wait for the end of `run`, which took up what was interrupted, and compare."""
    ended = run.wait()
    left, segments = stage.left_by(run), stage.segments()
    lost, litter = stage.unlike(writer, **how)
    if ended.code != 0:
        lost.append(f"ends with {ended.code}: {(ended.err.strip().splitlines() or [''])[-1][:200]}")
    if left:
        lost.append(f"{left} processes stayed")
    return {"segments": segments, "lost": lost, "litter": litter, "torn lines": log_of(stage.work).torn}


def _told(ended: Ended, fault: Fault) -> str:
    """How an error of the disk was told: in one line, not at all since nothing hung on it, or badly."""
    if ended.code is None:
        return "hangs"
    if not KINDS[fault.kind][0]:
        return "killed" if ended.code == -9 else f"lives on, {ended.code}"
    if ended.code == 0:
        return "nothing"
    return "one line" if says_in_one_line(ended) else f"badly, {ended.code}: {ended.err.strip()[-200:]}"
