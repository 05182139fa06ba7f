"""What does the site's navigation lead to, in which order, under which titles?"""
from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import yaml
from headings import heading_at, slug
from places import pages

FILE = Path(__file__).with_name("navigation.yaml")


class Entry(NamedTuple):
    """A page, or a section of one where there is an anchor; `title` of a section only."""

    place: str
    anchor: str = ""
    title: str = ""


def sections(language: str, file: Path = FILE) -> dict[str, list[Entry]]:
    """What the navigation shows in a language: {title: entries}.

    Raises:
        ValueError: a page or a heading is not there.
    """
    column = ("en", "cn").index(language)
    plan = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {title.split(" | ")[column]: [_entry(said, language) for said in entries]
            for section in plan for title, entries in section.items()}


def _entry(said: str, language: str) -> Entry:
    place, _, anchor = said.partition("#")
    if place not in pages(language):
        raise ValueError(f"the navigation names {place}, which is no page")
    if not anchor:
        return Entry(place)
    title = heading_at(pages("en")[place], anchor, language)
    return Entry(place, slug(title), title)
