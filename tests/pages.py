"""Reading the Markdown of the documentation: code, headings, tables, links."""
from __future__ import annotations

import re
from pathlib import Path


def code_blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of the fenced blocks."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def headings(page: Path) -> list[tuple[int, str]]:
    """(level, text)"""
    return [(len(marks), text) for marks, text in re.findall(r"^(#+) (.+)$", prose(page), re.MULTILINE)]


def tables(page: Path) -> list[list[str]]:
    """Rows of cells of all tables, one after another."""
    return [[cell.strip() for cell in line.strip("| ").split(" | ")]
            for line in prose(page).splitlines() if line.startswith("|")]


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def tables_below(page: Path) -> list[tuple[str, list[list[str]]]]:
    """(heading, rows of cells of the tables below it), the lines of headings and of dashes among the rows."""
    parts = re.split(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)[1:]
    return [(heading, [[cell.strip() for cell in line.strip("| ").split(" | ")]
                       for line in text.splitlines() if line.startswith("|")])
            for heading, text in zip(parts[::2], parts[1::2])]
