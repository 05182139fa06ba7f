"""Everything there is to be found of a machine, in the order in which it is told."""
from __future__ import annotations

import os
import resource
from collections.abc import Sequence
from pathlib import Path

from ppim import mkl, threads
from ppim.checks.finding import Finding
from ppim.doctor import graphics, installed, limits, processor
from ppim.doctor.ask import Answers, ask
from ppim.doctor.graphics import Card


def examine(folder: Path) -> list[Finding]:
    """What is installed, what it computes on, and what this process is given. Takes seconds.

    Args:
        folder: in which runs are to be started.
    """
    answers, cards = ask(), graphics.cards() or []
    found = installed.versions()
    return [installed.itself(), *installed.paddle(answers, found), *installed.others(found), installed.photos(),
            *_devices(answers, cards), *_given(len(cards), folder)]


def can_train(findings: Sequence[Finding]) -> bool:
    """Is none of the findings one with which no run could go on?"""
    return all(finding.level != "error" for finding in findings)


def _devices(answers: Answers, cards: Sequence[Card]) -> list[Finding]:
    threads_used = int(str(answers.known.get("threads") or os.environ.get("OMP_NUM_THREADS") or 1))
    own = processor.described(mkl.describe_processor())
    model = [Finding("processor", "fine", f"{own.model}, {own.cores} cores, {own.vector}")] if own else []
    speed = processor.speed(own, answers.known.get("gigaflops"), threads_used, os.getloadavg()[0],
                            answers.known.get("mkl"))
    cores = limits.cores(threads.usable_cores(), limits.granted_cores(), threads_used)
    # of several GPUs the same as of one, each kind once
    kinds = {card.capability: card for card in cards}
    gpus = [graphics.fits(card, answers) for card in kinds.values()] or [graphics.none_found(answers)]
    return [*model, cores, speed, *gpus]


def _given(gpus: int, folder: Path) -> list[Finding]:
    return [
        limits.memory(limits.granted_memory()),
        limits.shared_memory(gpus),
        limits.disk(folder),
        limits.open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    ]
