"""What has a check found?"""
from __future__ import annotations

from typing import NamedTuple

LEVELS = ("fine", "unknown", "warning", "error")


class Finding(NamedTuple):
    """What one check has to say.

    Attributes:
        check: which, in a few words.
        level: `fine`; `unknown`, there was not enough to tell by; `warning`, a likely mistake; `error`, a certain one.
        text: what was seen; of a mistake, in one line, what was wanted, what was got, where, and what to try.
    """

    check: str
    level: str
    text: str

    def __str__(self) -> str:
        return f"{self.level}: {self.check}: {self.text}"


def fine(check: str, seen: str) -> Finding:
    """Nothing is wrong."""
    return Finding(check, "fine", seen)


def unknown(check: str, why: str) -> Finding:
    """It cannot be told from what there is."""
    return Finding(check, "unknown", why)


def warning(check: str, *, where: str, wanted: str, got: str, hint: str) -> Finding:
    """Likely a mistake."""
    return Finding(check, "warning", f"{where}: wanted {wanted}, got {got}; {hint}")


def error(check: str, *, where: str, wanted: str, got: str, hint: str) -> Finding:
    """Certainly a mistake."""
    return Finding(check, "error", f"{where}: wanted {wanted}, got {got}; {hint}")


def few(names, most: int = 3) -> str:
    """The first names of many, and how many there are."""
    names = list(names)
    return ", ".join(map(str, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")
