"""What is a class called in a picture?"""
from __future__ import annotations

from collections.abc import Sequence

from ppim.data.classes import in_words


def called(names: Sequence[str], number: int) -> str:
    """A class in words: its name, or `class 7` where it has none."""
    return readable(in_words(names[number]) if 0 <= number < len(names) else f"class {number}")


def readable(name: str) -> str:
    """The name of a file or folder as text, which it need not be."""
    return name.encode("utf-8", "replace").decode("utf-8")
