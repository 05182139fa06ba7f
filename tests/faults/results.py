"""What has come of every fault so far? One JSON line each, in a file that a campaign goes on with where it stopped."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.faults.process import ROOT


def code() -> str:
    """A digest of the package: what was found of one is not known of another."""
    found = hashlib.sha256()
    for path in sorted((ROOT / "ppim").rglob("*")):
        if path.suffix in (".py", ".yaml", ".json"):
            found.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return found.hexdigest()[:12]


class Results:
    """The lines of `path` that are of this code."""

    def __init__(self, path: Path):
        self.path, self.code = path, code()
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
        self.rows = [row for row in lines if row["code"] == self.code]
        self.known = {key(row["task"]) for row in self.rows}

    def add(self, task: dict[str, object], found: dict[str, object]) -> dict[str, object]:
        """One more."""
        row = {"code": self.code, "task": task, **found}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.rows.append(row)
        self.known.add(key(task))
        return row


def key(task: dict[str, object]) -> str:
    """What tells a task from all others."""
    return json.dumps(task, sort_keys=True)


def survived(row: dict[str, object]) -> bool:
    """Was everything as if nothing had happened, and nothing torn or left running on the way?"""
    told = str(row.get("told", ""))
    return not (row["lost"] or row["torn"] or row["left"] or row["segments"] or told.startswith(("badly", "hangs")))
