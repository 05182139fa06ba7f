"""What the site's navigation leads to: every page once, called as in its own language, every section there."""
import re

import pytest

from tests.helpers import ROOT
from tests.pages import headings


@pytest.mark.parametrize("language", ["en", "cn"])
def test_every_page_stands_in_the_navigation_once(tool, language):
    navigation, places = tool("navigation"), tool("places")
    entries = [entry for group in navigation.sections(language).values() for entry in group]
    assert sorted(entry.place for entry in entries if not entry.anchor) == sorted(places.pages(language))
    own = {path.relative_to(ROOT / "docs" / language).as_posix() for path in (ROOT / "docs" / language).rglob("*.md")}
    assert own < set(places.pages(language)) and "trouble.md" in own


def test_titles_of_sections_are_those_of_the_pages_in_both_languages(tool):
    english, chinese = (tool("navigation").sections(language) for language in ("en", "cn"))
    assert [len(group) for group in english.values()] == [len(group) for group in chinese.values()]
    assert all(re.search("[\u4e00-\u9fff]", title) for title in chinese) and "Several devices" in english
    several = {language: plan[title] for language, plan, title in
               (("en", english, "Several devices"), ("cn", chinese, "多个设备"))}
    for language, entries in several.items():
        titles = [text for _, text in headings(ROOT / "docs" / language / "training.md")]
        assert entries[0].place == "training.md" and entries[0].title in titles
    assert several["en"][0].title == "Several processes" and several["cn"][0].anchor == "多进程"


def test_a_page_or_a_section_that_is_not_there_is_named(tool, tmp_path):
    plan = tmp_path / "plan.yaml"
    for said, words in (("nowhere.md", "nowhere.md"), ("demo.md#nowhere", "demo.md")):
        plan.write_text(f"- A | B: [{said}]\n")
        with pytest.raises(ValueError, match=words):
            tool("navigation").sections("en", plan)
