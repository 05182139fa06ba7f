"""The page for those who come from elsewhere names every flag there is, beside what it sets, and no other."""
import re

import pytest

from ppim.dialects import flags
from tests.helpers import ROOT

TABLES = (flags._SETS, flags._LISTS, flags._SWITCHES, flags._IGNORED, flags._ONLY, flags._REFUSED)
RECIPE = set("-c -o --config --model --debug".split())
FLAGS = {flag for table in TABLES for flag in table} - RECIPE | {"-resume", "--resume", "--input-size"}
each_page = pytest.mark.parametrize("page", ["en/coming_from.md", "cn/coming_from.md"])


def flags_of(text: str) -> list[str]:
    return [name if name[:2] != "--" else name.replace("_", "-") for name in re.findall(r"`(--?[a-z][\w-]*)", text)]


@each_page
def test_every_flag_is_on_the_page_and_none_besides(page):
    assert set(flags_of((ROOT / "docs" / page).read_text(encoding="utf-8"))) - RECIPE == FLAGS


@each_page
def test_a_flag_stands_beside_what_it_sets(page):
    rows = {}
    for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            named, sets = line.strip("| ").split(" | ")[:2]
            rows.update(dict.fromkeys(flags_of(named), sets))
    sets = {**flags._SETS, **flags._LISTS, "--input-size": "DATA.IMAGE_SIZE",
            **dict.fromkeys(("-resume", "--resume"), "MODEL.RESUME")}
    expected = {flag: f"`{thing}`" for flag, thing in sets.items()}
    expected.update({flag: f"`{thing}` `{value}`" for flag, (thing, value) in flags._SWITCHES.items()})
    expected.update({flag: f"`{value}`" for flag, (value, _) in flags._ONLY.items()})
    assert {flag: rows[flag] for flag in expected if flag in FLAGS} == {
        flag: thing for flag, thing in expected.items() if flag in FLAGS
    }
