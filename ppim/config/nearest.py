"""Which name was meant?"""
from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, if one is; case does not count, a key in the wrong section is found."""
    spelt = {key.casefold(): key for key in known}
    name = name.casefold()
    last = name.split(".")[-1]
    close = [key for key in spelt if key == name] or [key for key in spelt if key.split(".")[-1] == last]
    close = close or difflib.get_close_matches(name, spelt, 1, 0.6)
    if not close:
        by_last = {key.split(".")[-1]: key for key in spelt}
        close = [by_last[match] for match in difflib.get_close_matches(last, by_last, 1, 0.6)]
    return spelt[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing."""
    found = nearest(name, known)
    return f"; did you mean {found}?" if found else ""
