"""Names are drawn in a font that has their characters, cut to fit, and what no font has is named."""
from __future__ import annotations

import pytest

from ppim.fonts import Font, installed, rank

STRANGE = "\U0010ff00"  # a character that nobody's font has


def test_plain_names_have_all_their_characters_and_strange_ones_are_told(capsys):
    font = Font(["tench", "great grey owl"], 15)
    assert not font.missing and font.shown("tench\n") == "tench?"
    font.tell()
    assert capsys.readouterr().err == ""
    font = Font(["cat", STRANGE * 2], 15)
    assert font.missing == {STRANGE} and font.shown(f"a{STRANGE}") == "a?"
    font.tell()
    said = capsys.readouterr().err
    assert said.startswith(f"note: no font here has {STRANGE}") and "fonts-noto-cjk" in said and said.count("\n") == 1


def test_a_name_is_cut_to_the_room_there_is():
    font = Font(["a long name of a class"], 15)
    whole = font.pillow.getlength("a long name of a class")
    assert font.fitted("a long name of a class", whole) == "a long name of a class"
    cut = font.fitted("a long name of a class", whole / 2)
    assert cut.endswith("...") and len(cut) > 6 and font.pillow.getlength(cut) <= whole / 2


def test_chinese_names_are_drawn_where_a_font_has_them():
    if not any("cjk" in file.lower() for file in installed()):
        pytest.skip("no font with Chinese characters is installed")
    font = Font(["猫", "dog"], 15)
    assert not font.missing
    assert bytes(font.pillow.getmask("猫")) != bytes(font.pillow.getmask("狗"))


def test_fonts_known_to_have_chinese_come_first_and_regular_faces_before_others():
    files = ["/f/DejaVuSans.ttf", "/f/NotoSansCJK-Bold.ttc", "/f/NotoSansCJK-Regular.ttc", "/f/wqy-microhei.ttc"]
    assert sorted(files, key=rank) == [files[2], files[3], files[1], files[0]]
