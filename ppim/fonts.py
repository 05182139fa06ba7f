"""Which fonts are on this machine, and which of them can show a text? Chinese and others need one that has them."""
from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

# Fonts with Chinese characters, as their files are called; of others any that has what is wanted will do.
_KNOWN = ("notosanscjk", "notosanssc", "sourcehansans", "wqy", "wenquanyi", "simhei", "pingfang", "msyh")
_USUAL = ("dejavusans", "notosans-regular", "liberationsans-regular", "arial", "helvetica")  # quickly tried first
_FACES = ("bold", "light", "thin", "black", "medium", "italic", "oblique", "mono", "condensed", "serif")
_FOLDERS = ("/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts", "/System/Library/Fonts",
            "/Library/Fonts", "~/Library/Fonts", "C:/Windows/Fonts")
_SUFFIXES = (".ttf", ".otf", ".ttc")
_NO_CHARACTER = "\U000f8fff"  # of private use; no font has it, so that what is drawn stands for all that is missing


def installed() -> list[str]:
    """Files of fonts: those known to have Chinese characters first, and of a family its regular face."""
    found = {os.path.join(here, name) for folder in _FOLDERS
             for here, _, names in os.walk(os.path.expanduser(folder)) for name in names
             if name.lower().endswith(_SUFFIXES)}
    return sorted(found, key=rank)


def rank(file: str) -> tuple[bool, bool, str]:
    """Where a font's file stands among others."""
    name = Path(file).stem.lower().replace("_", "").replace(" ", "")
    return (not any(known in name.replace("-", "") for known in _KNOWN), any(face in name for face in _FACES), file)


def hint(missing: Iterable[str]) -> str:
    """What to do about characters that no font here has."""
    return (f"no font here has {''.join(sorted(missing)[:5])}; install one that has (`apt-get install fonts-noto-cjk`, "
            "or a .ttf or .otf file in ~/.fonts)")


class Font:
    """A font of one size in which names can be drawn: the usual one where it has all the characters, else another.

    What no font has is drawn as a question mark; `missing` says which characters those are.
    """

    def __init__(self, names: Iterable[str], size: int):
        wanted = {character for name in names for character in name if _is_drawn(character)}
        self.pillow, self.missing = _choose(frozenset(wanted), size)

    def shown(self, name: str) -> str:
        """A name as it can be drawn, in one line."""
        return "".join(one if _is_drawn(one) and one not in self.missing else "?" for one in name)

    def fitted(self, name: str, width: float) -> str:
        """The same, cut off where it would be wider than `width` pixels."""
        name = self.shown(name)
        if self.pillow.getlength(name) <= width:
            return name
        ellipsis = "..."
        while name and self.pillow.getlength(name + ellipsis) > width:
            name = name[:-1]
        return name + ellipsis

    def tell(self) -> None:
        """Say on stderr what cannot be shown, if anything."""
        if self.missing:
            print(f"note: {hint(self.missing)}", file=sys.stderr)


def _is_drawn(character: str) -> bool:
    """Is it more than the end of a line, half a character or the like?"""
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")


def _choose(wanted: frozenset[str], size: int) -> tuple[ImageFont.FreeTypeFont, frozenset[str]]:
    """The first font with all characters, or else the one that lacks the fewest, and what it lacks."""
    files = _installed_once()
    usual = [file for name in _USUAL for file in files if Path(file).stem.lower() == name]
    best: tuple[int, str, frozenset[str]] | None = None
    for file in [*usual, *files]:
        lacking = wanted - _had(file, wanted)
        if best is None or len(lacking) < best[0]:
            best = len(lacking), file, lacking
        if not lacking:
            break
    if best is None:
        return _built_in(size), frozenset(character for character in wanted if ord(character) > 255)
    return ImageFont.truetype(best[1], size), best[2]


@lru_cache(maxsize=1)
def _installed_once() -> tuple[str, ...]:
    return tuple(installed())


def _had(file: str, wanted: Iterable[str]) -> frozenset[str]:
    """Which of the characters a font has: those that look otherwise than one that no font has."""
    try:
        font = ImageFont.truetype(file, 16)
        blank = _look(font, _NO_CHARACTER)
        return frozenset(one for one in wanted if one == " " or _look(font, one) != blank)
    except OSError:  # none that Pillow can read
        return frozenset()


def _look(font: ImageFont.FreeTypeFont, character: str) -> tuple[object, bytes]:
    mask = font.getmask(character)
    return mask.size, bytes(mask)


def _built_in(size: int) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.load_default(size)
    except TypeError:  # before Pillow 10.1 it has one size
        return ImageFont.load_default()

