"""The page for those who come from elsewhere names every flag there is, beside what it sets, and no other."""
import re

import pytest

from ppim import dialects
from tests.conftest import ROOT

TABLES = (dialects._SETS, dialects._LISTS, dialects._SWITCHES, dialects._IGNORED, dialects._ONLY, dialects._REFUSED)
OURS = set("-c -o --config --model --load --finetune --resume --evaluate-only --new-heads --debug".split())
FLAGS = {flag for table in TABLES for flag in table} - OURS | {"-resume", "--input-size"}
each_page = pytest.mark.parametrize("page", ["coming_from.md", "coming_from_cn.md"])


def flags_of(text: str) -> list[str]:
    return [name if name[:2] != "--" else name.replace("_", "-") for name in re.findall(r"`(--?[a-z][\w-]*)", text)]


@each_page
def test_every_flag_is_on_the_page_and_none_besides(page):
    assert set(flags_of((ROOT / "docs" / page).read_text(encoding="utf-8"))) - OURS == FLAGS


@each_page
def test_a_flag_stands_beside_what_it_sets(page):
    rows = {}
    for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            flags, sets = line.strip("| ").split(" | ")[:2]
            rows.update(dict.fromkeys(flags_of(flags), sets))
    sets = {**dialects._SETS, **dialects._LISTS, "-resume": "--resume", "--input-size": "DATA.IMAGE_SIZE"}
    expected = {flag: f"`{thing}`" for flag, thing in sets.items()}
    for flag, (thing, value) in dialects._SWITCHES.items():
        expected[flag] = f"`{thing}`" if value is None else f"`{thing}` `{value}`"
    expected.update({flag: f"`{value}`" for flag, (value, _) in dialects._ONLY.items()})
    assert {flag: rows[flag] for flag in expected if flag in FLAGS} == {
        flag: thing for flag, thing in expected.items() if flag in FLAGS
    }
