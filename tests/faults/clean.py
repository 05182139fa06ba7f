"""Does a run that nothing happens to raise an alarm? Whole runs, finished ones taken up, and clean stops taken up."""
from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

from tests.faults.inject import take_up
from tests.faults.kills import ended_well
from tests.faults.process import Ended
from tests.faults.stage import Stage, wait_for_line

ALARMS = ("passed over", "error", "damaged", "Traceback", "changed since", "Warning", "not bit-equal", "no usable")


def plan(stage: Stage) -> Iterator[dict[str, object]]:
    """Two hundred runs, every tenth by fresh processes."""
    for number in range(200):
        yield {"how": ("from the start", "finished, taken up", "stopped, taken up", "stopped, taken up")[number % 4],
               "via": "fork" if number % 10 else "fresh", "number": number}


def repeat(stage: Stage, task: dict[str, object]) -> dict[str, object]:
    """One run; `told`: the alarm it raised."""
    stage.clear()
    if task["how"] != "from the start":
        first = _stopped if task["how"].startswith("stopped") else _whole
        alarm = first(stage, task)
    else:
        alarm = ""
    found = take_up(stage, "training", fresh=task["via"] == "fresh", newest_only=task["how"].startswith("stopped"))
    said = Ended(0, *((stage.scratch / name).read_text() for name in ("out", "err")))
    alarm = alarm or _alarm(said)
    return {"fired": True, "torn": stage.torn(), "left": 0, "told": alarm and f"badly, {alarm}", **found}


def _whole(stage: Stage, task: dict[str, object]) -> str:
    return _alarm(stage.start("training", fresh=task["via"] == "fresh").wait())


def _stopped(stage: Stage, task: dict[str, object]) -> str:
    rng = random.Random(f"{task}")
    run = stage.start("training", fresh=task["via"] == "fresh")
    if wait_for_line(stage.work / "run" / "log.jsonl", rng.randrange(1, 21), run):
        time.sleep(rng.uniform(0, 0.03))
    os.kill(run.pid, signal.SIGTERM)
    ended = run.wait()
    if not ended_well(stage, ended):
        return f"ends with {ended.code}"
    return _alarm(ended)


def _alarm(ended: Ended) -> str:
    """The line of what was said that is an alarm, if one is."""
    lines = [line for line in (ended.out + ended.err).splitlines() if any(word in line for word in ALARMS)]
    return lines[0][:200] if lines else ""
