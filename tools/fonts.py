"""Which names can a figure show? Chinese and others need a font that has their characters."""
from __future__ import annotations

import sys
from collections.abc import Sequence

import matplotlib.pyplot as plt
from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font

from ppim.fonts import hint, rank


def drawable(names: Sequence[str]) -> list[str]:
    """The names, in fonts that have all their characters; where there are none, numbers, and a hint on stderr.

    Looks at the fonts there are now, not at matplotlib's list of them, which is as old as its cache.
    """
    usual = findfont(FontProperties())
    missing = {ord(character) for name in names for character in name} - _characters(usual)
    if not missing:
        return list(names)
    for file in sorted(findSystemFonts(), key=rank):
        if missing <= _characters(file):
            fontManager.addfont(file)
            plt.rcParams["font.family"] = [*plt.rcParams["font.family"], FT2Font(file).family_name]
            return list(names)
    print(f"note: {hint(map(chr, missing))}; classes are numbered", file=sys.stderr)
    return [f"class {number}" for number in range(len(names))]


def _characters(file: str) -> set[int]:
    """What a font can show; nothing where matplotlib cannot read it."""
    try:
        return set(FT2Font(file).get_charmap())
    except (RuntimeError, OSError):
        return set()

