"""Which name was meant?"""
from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing. A key put into the wrong section is found by its last part."""
    known = list(known)
    last = name.split(".")[-1]
    close = [key for key in known if key.split(".")[-1] == last] or difflib.get_close_matches(name, known, 1, 0.6)
    if not close:
        by_last = {key.split(".")[-1]: key for key in known}
        close = [by_last[match] for match in difflib.get_close_matches(last, by_last, 1, 0.6)]
    return f"; did you mean {close[0]}?" if close else ""
