"""`ppim doctor`: can this machine train, and what would make it better at it?"""
from __future__ import annotations

from pathlib import Path

from ppim.commands import Parser
from ppim.strict_json import dumps

_MARKS = {"fine": "ok  ", "unknown": "?   ", "warning": "note", "error": "BAD "}


def doctor(argv: list[str]) -> None:
    """Look at what is installed and at this machine, and say what to do about each finding.

    Raises:
        ValueError: training cannot work here.
    """
    parser = Parser(prog="ppim doctor", description="Look at what is installed, at processor, GPUs, memory and disk; a "
                    "line each, with what to do. Exit code 1 only where training cannot work.")
    parser.add_argument("--json", action="store_true", help="the findings as JSON instead")
    args = parser.parse_args(argv)
    from ppim.doctor.examine import can_train, examine

    found = examine(Path.cwd())
    if args.json:
        print(dumps({"can_train": can_train(found), "findings": [finding._asdict() for finding in found]}))
    else:
        for finding in found:
            print(f"{_MARKS[finding.level]}  {finding.check:<16}{finding.text}")
    if not can_train(found):
        raise ValueError("training cannot work here; lines marked BAD say what to do")
