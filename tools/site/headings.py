"""What are the headings of a page, and which anchors lead to them?"""
from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = {"en": "README.md", "cn": "README_cn.md"}


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def headings(path: str) -> list[str]:
    """The headings of a page of the repository, by its path from the root, the title first; those in code left out."""
    text = (ROOT / path).read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [title.replace("`", "") for title in re.findall(r"^#+ (.+)$", prose, re.MULTILINE)]


def twin(path: str, language: str) -> str:
    """The page in a language that says what the one at `path` says; pages in English only are their own."""
    if path in HOME.values():
        return HOME[language]
    return re.sub(r"^docs/(?:en|cn)/", f"docs/{language}/", path)


def heading_at(path: str, anchor: str, language: str) -> str:
    """The heading in a language of what stands under an anchor of an English page.

    Raises:
        ValueError: the page has no such anchor.
    """
    # both languages have the same headings, in one order
    anchors = [slug(title) for title in headings(path)]
    if anchor not in anchors:
        raise ValueError(f"{path} has no heading #{anchor}; it has {', '.join(anchors)}")
    return headings(twin(path, language))[anchors.index(anchor)]
