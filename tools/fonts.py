"""Which names can a figure show? Chinese and others need a font that has their characters."""
from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.font_manager import FontProperties, findfont, findSystemFonts, fontManager
from matplotlib.ft2font import FT2Font

# Fonts with Chinese characters, as their files are called; of others any that has what is wanted will do.
_KNOWN = ("notosanscjk", "notosanssc", "sourcehansans", "wqy", "wenquanyi", "simhei", "pingfang", "msyh")
_FACES = ("bold", "light", "thin", "black", "medium")


def drawable(names: Sequence[str]) -> list[str]:
    """The names, in fonts that have all their characters; where there are none, numbers, and a hint on stderr.

    Looks at the fonts there are now, not at matplotlib's list of them, which is as old as its cache.
    """
    usual = findfont(FontProperties())
    missing = {ord(character) for name in names for character in name} - _characters(usual)
    if not missing:
        return list(names)
    for file in sorted(findSystemFonts(), key=_rank):
        if missing <= _characters(file):
            fontManager.addfont(file)
            plt.rcParams["font.family"] = [*plt.rcParams["font.family"], FT2Font(file).family_name]
            return list(names)
    some = "".join(map(chr, sorted(missing)[:5]))
    print(f"note: no font here has {some}, so classes are numbered; install one that has (`apt-get install "
          "fonts-noto-cjk`, or a .ttf or .otf file in ~/.fonts)", file=sys.stderr)
    return [f"class {number}" for number in range(len(names))]


def _characters(file: str) -> set[int]:
    """What a font can show; nothing where matplotlib cannot read it."""
    try:
        return set(FT2Font(file).get_charmap())
    except (RuntimeError, OSError):
        return set()


def _rank(file: str) -> tuple[bool, bool, str]:
    """Known fonts first, and of a family its regular face."""
    name = Path(file).stem.lower().replace("-", "").replace("_", "").replace(" ", "")
    return not any(known in name for known in _KNOWN), any(face in name for face in _FACES), file
