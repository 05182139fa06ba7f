"""What may a key be? One row: its default, what else is allowed, and how a written value is read."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Bounds(NamedTuple):
    """Between which numbers another one lies: `least` and `most` are allowed themselves, `above` and `below` are not.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def hold(self, number: float) -> bool:
        """Does it lie between them?"""
        return ((self.least is None or number >= self.least) and (self.most is None or number <= self.most)
                and (self.above is None or number > self.above) and (self.below is None or number < self.below))

    def around(self, name: str) -> str:
        """The bounds on both sides of `name`, as mathematics writes them."""
        low = f"{self.above} < " if self.above is not None else "" if self.least is None else f"{self.least} <= "
        high = f" < {self.below}" if self.below is not None else "" if self.most is None else f" <= {self.most}"
        return f"{low}{name}{high}"

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"{self.least} to {self.most}"
        words = {"at least": self.least, "above": self.above, "at most": self.most, "below": self.below}
        return " and ".join(f"{word} {bound}" for word, bound in words.items() if bound is not None)


class Key(NamedTuple):
    """A row of `ppim.config.keys`, made by `key`."""

    default: object
    kind: type  # bool, int, float, str or list
    optional: bool  # None is a value as well
    choices: tuple[str, ...]
    bounds: Bounds  # of a number, or of each in a list
    also: Mapping[str, object]
    pair: bool = False  # two of the kind are allowed as well
    of: type | None = None  # the kind of what is in a list
    length: int | None = None  # of a list; None: any
    rising: bool = False  # a list's numbers are a least and a most

    def read(self, value: object) -> object:
        """A value as yaml or the command line gives it, in the key's own kind.

        yaml reads `None` and `1e-3` as text, `on` as True, and `1` where a fraction is meant.

        Two equal numbers of a pair are the one number.

        Raises:
            ValueError: "wants ..., got ...": another kind, not among the choices, out of range.
        """
        if self.pair and isinstance(value, (list, tuple)):
            return self._read_pair(value)
        if isinstance(value, str) and value.strip() in ("None", "none", "null", "~"):
            value = None
        value = self.also.get(str(value).lower(), value)
        if value is None and self.optional:
            return None
        if self.kind is list:
            return self._read_list(value)
        found = None if value is None else _READ[self.kind](value)
        if self.choices and found not in self.choices:
            raise ValueError(f"wants one of {', '.join(self.choices)}; got {value!r}")
        none = " or None" if self.optional else ""
        if found is None:
            two = " or two of them" if self.pair else ""
            raise ValueError(f"wants {_NAMES[self.kind]}{two}{none}, got {value!r} ({type(value).__name__})")
        if self.kind is float and not math.isfinite(found):
            raise ValueError(f"wants a finite number{none}, got {value!r:.80}")
        if self.kind in (int, float) and not self.bounds.hold(found):
            raise ValueError(f"wants {self.bounds}{none}; got {found!r}")
        return found

    def _read_list(self, value: object) -> list[object]:
        found = [_READ[self.of](item) for item in value] if isinstance(value, (list, tuple)) else [None]
        is_whole = None not in found and self.length in (None, len(found))
        if self.of is not str:
            is_whole = is_whole and all(math.isfinite(item) and self.bounds.hold(item) for item in found)
        if not is_whole or (self.rising and found != sorted(found)):
            raise ValueError(f"wants {self._list()}; got {value!r:.80}")
        return found

    def _list(self) -> str:
        """What a list is to be, in words."""
        if self.rising:
            return f"[least, most] with {self.bounds.around('least <= most')}{' or None' if self.optional else ''}"
        many = "" if self.length is None else f"{self.length} "
        each = f", each {self.bounds}" if any(bound is not None for bound in self.bounds) else ""
        return f"a list of {many}{_MANY[self.of]}{each}, {'or None' if self.optional else f'as {self.default}'}"

    def _read_pair(self, values: Sequence[object]) -> object:
        if len(values) != 2:
            raise ValueError(f"wants {_NAMES[self.kind]} or two of them, got {values!r}")
        alone = self._replace(pair=False)
        found = [alone.read(value) for value in values]
        return found[0] if found[0] == found[1] else found


def key(
    default: object, *, or_: type | None = None, choices: tuple[str, ...] = (), least: float | None = None,
    most: float | None = None, above: float | None = None, below: float | None = None,
    also: Mapping[str, object] | None = None, pair: bool = False, of: type | None = None, length: int | None = None,
    rising: bool = False,
) -> Key:
    """A row of `ppim.config.keys`. Values are of the default's kind.

    Args:
        default: True or False, a whole number, a number, text or a list; None with `or_`.
        or_: where the default is None: the kind of all other values.
        choices: the only words allowed.
        least, most: bounds of a number, or of each in a list, both allowed themselves.
        above, below: bounds that are not allowed themselves.
        also: words, in lower case, that are read as another value: names of old, what yaml makes of a word.
        pair: a list of two such values is allowed as well, of which two equal ones are read as one.
        of: a list has values of this kind, int, float or str.
        length: a list has so many of them; None: any number.
        rising: the two of a list are a least and a most.
    """
    kind = type(default) if or_ is None else or_
    bounds = Bounds(least, most, above, below)
    return Key(default, kind, or_ is not None, choices, bounds, also or {}, pair, of, length, rising)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None
    except OverflowError:
        return math.inf


def _whole(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


# Each gives None for what is not of its kind.
_READ: dict[type, Callable[[object], object]] = {
    bool: lambda value: value if isinstance(value, bool) else None, int: _whole, float: _number, str: _text,
}
_NAMES = {bool: "True or False", int: "a whole number", float: "a number", str: "text"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts"}
