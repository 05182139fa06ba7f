"""What may a key be? One row: its default, what else is allowed, and how a written value is read."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Key(NamedTuple):
    """A row of `ppim.config.keys`, made by `key`."""

    default: object
    kind: type  # bool, int, float, str or list
    optional: bool  # None is a value as well
    choices: tuple[str, ...]
    least: float | None
    most: float | None
    also: Mapping[str, object]
    pair: bool = False  # two of the kind are allowed as well

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
        found = None if value is None else _READ[self.kind](value)
        if self.choices and found not in self.choices:
            raise ValueError(f"wants one of {', '.join(self.choices)}; got {value!r}")
        none = " or None" if self.optional else ""
        if found is None:
            two = " or two of them" if self.pair else ""
            raise ValueError(f"wants {_NAMES[self.kind]}{two}{none}, got {value!r} ({type(value).__name__})")
        if (self.least is not None and found < self.least) or (self.most is not None and found > self.most):
            raise ValueError(f"wants {self._range()}{none}; got {found!r}")
        return found

    def _read_pair(self, values: Sequence[object]) -> object:
        if len(values) != 2:
            raise ValueError(f"wants {_NAMES[self.kind]} or two of them, got {values!r}")
        alone = self._replace(pair=False)
        found = [alone.read(value) for value in values]
        return found[0] if found[0] == found[1] else found

    def _range(self) -> str:
        if self.most is None:
            return f"at least {self.least}"
        return f"at most {self.most}" if self.least is None else f"{self.least} to {self.most}"


def key(
    default: object, *, or_: type | None = None, choices: tuple[str, ...] = (), least: float | None = None,
    most: float | None = None, also: Mapping[str, object] | None = None, pair: bool = False,
) -> Key:
    """A row of `ppim.config.keys`. Values are of the default's kind.

    Args:
        default: True or False, a whole number, a number, text or a list; None with `or_`.
        or_: where the default is None: the kind of all other values.
        choices: the only words allowed.
        least, most: bounds of a number, both allowed themselves.
        also: words, in lower case, that are read as another value: names of old, what yaml makes of a word.
        pair: a list of two such values is allowed as well, of which two equal ones are read as one.
    """
    kind = type(default) if or_ is None else or_
    return Key(default, kind, or_ is not None, choices, least, most, also or {}, pair)


def number(value: object) -> float | None:
    """`value` as a number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _whole(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None


def _list(value: object) -> list[object] | None:
    if not isinstance(value, (list, tuple)):
        return None
    return [item if number(item) is None else number(item) for item in value]


# Each gives None for what is not of its kind.
_READ: dict[type, Callable[[object], object]] = {
    bool: lambda value: value if isinstance(value, bool) else None, int: _whole, float: number, str: _text, list: _list,
}
_NAMES = {bool: "True or False", int: "a whole number", float: "a number", str: "text", list: "a list"}
