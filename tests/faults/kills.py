"""Signals at random moments, to a run with and without workers, of one process and of two; again and again, in chains.

A run is started, or taken up; when its log has as many lines as were drawn, a drawn part of a step later, the signal
comes. After the last signal of a chain the run is taken up once more and left alone. TERM asks for a clean end: the
step is finished and saved, the exit code is 143, as of a program that TERM ends.
"""
from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.inject import compared
from tests.faults.process import Ended, Running
from tests.faults.stage import Stage, wait_for_line
from tests.faults.writers import log_of

SIGNALS = {"KILL": signal.SIGKILL, "TERM": signal.SIGTERM}
STEPS, LINES = 15, 21  # of the log of a whole run: 15 steps, 3 evaluations of two sets of weights
TWO = ("-o", "DATA.BATCH_SIZE", "2")  # for each of two processes


def plan(stage: Stage) -> Iterator[dict[str, object]]:
    """How often what is sent to whom; numbers are seeds."""
    for number in range(400):
        yield {"signal": "KILL", "to": "main", "workers": (0, 0, 2, 4)[number % 4], "processes": 1, "number": number}
    for number in range(40):
        yield {"signal": "KILL", "to": "group", "workers": (2, 4)[number % 2], "processes": 1, "number": number}
    for number in range(100):
        yield {"signal": "TERM", "to": ("main", "group")[number // 2 % 2], "workers": (0, 2)[number % 2],
               "processes": 1, "number": number}
    for number in range(32):
        yield {"signal": ("KILL", "TERM")[number // 4 % 2], "to": ("rank 0", "rank 1", "main", "group")[number % 4],
               "workers": (0, 2)[number // 8 % 2], "processes": 2, "number": number}


def strike(stage: Stage, task: dict[str, object]) -> dict[str, object]:
    """One chain of signals; see `inject.inject` for what came of it. `struck`: how many found the run alive."""
    rng = random.Random(f"{task}")
    if task["processes"] == 2:
        stage.learn_two(TWO)
    stage.clear()
    found = {"fired": False, "struck": 0, "after first checkpoint": 0, "told": "", "torn": [], "left": 0}
    for link in range(rng.choice((1, 1, 2, 3)) if task["processes"] == 1 else 1):
        run = _start(stage, task, again=link > 0)
        lines = _lines(stage) + rng.randrange(1, max(2, LINES - _lines(stage)))
        if wait_for_line(stage.work / "run" / "log.jsonl", lines, run):
            time.sleep(rng.uniform(0, 0.06))
        saved = stage.newest_step() > 0
        _send(run, task, SIGNALS[task["signal"]])
        ended = run.wait()
        found["left"] += stage.left_by(run)
        if ended.code != 0:
            found["struck"] += 1
            found["after first checkpoint"] += saved
        if task["signal"] == "TERM" and task["processes"] == 1 and not ended_well(stage, ended):
            found["told"] = f"badly, {ended.code}: {ended.err.strip()[-200:]}"
        if ended.code is None:
            found["told"] = "hangs"
        found["torn"] += stage.torn() if task["processes"] == 1 else []
        if ended.code == 0:
            break
    found["fired"] = found["struck"] > 0
    reference = "training" if task["processes"] == 1 else "two processes"
    again = _start(stage, task, again=True)
    return {**found, **compared(stage, again, reference, newest_only=task["signal"] == "TERM")}


def ended_well(stage: Stage, ended: Ended) -> bool:
    """Did a run end as it should after TERM? With 143; or as any program, where it has not begun or is over."""
    if ended.code == -signal.SIGTERM:
        return max(log_of(stage.work).losses, default=0) in (0, STEPS)
    return ended.code in (0, 143) and "Traceback" not in ended.err


def _lines(stage: Stage) -> int:
    log = stage.work / "run" / "log.jsonl"
    return log.read_bytes().count(b"\n") if log.is_file() else 0


def _start(stage: Stage, task: dict[str, object], again: bool) -> Running:
    workers = ("-o", "DATA.NUM_WORKERS", str(task["workers"]))
    if task["processes"] == 1:
        return stage.start("training", again=again, more=workers)
    return stage.start_two(again, (*workers, *TWO))


def _send(run: Running, task: dict[str, object], number: int) -> None:
    """To the process that was started, to its group as a batch system does, or to one of two that it launched."""
    run.look()
    if task["to"] == "group":
        os.killpg(run.pid, number)
    elif task["to"] == "main":
        os.kill(run.pid, number)
    else:
        for rank in _ranks(run):
            if rank[0] == int(task["to"][-1]):
                os.kill(rank[1], number)


def _ranks(run: Running) -> list[tuple[int, int]]:
    """(rank, number) of the processes that a launcher has started."""
    found = []
    for pid in run.met:
        try:
            own = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        rank = [entry for entry in own if entry.startswith(b"PADDLE_TRAINER_ID=")]
        if rank and parent == run.pid:
            found.append((int(rank[0].partition(b"=")[2]), pid))
    return found
