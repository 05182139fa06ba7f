"""What does a page say, which are its headings, and which anchors lead to them?"""
from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = {"en": "README.md", "cn": "README_cn.md"}
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def text_of(path: str, language: str) -> str:
    """The Markdown of a page by its path from the repository's root; of a notebook, its text in a language and its
    code."""
    text = (ROOT / path).read_text(encoding="utf-8")
    return _of_notebook(json.loads(text)["cells"], language) if path.endswith(".ipynb") else text


def _of_notebook(cells: list[dict], language: str) -> str:
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code":
            shell = source.startswith("%%bash\n")
            parts.append(f"```{'bash' if shell else 'python'}\n{source.removeprefix('%%bash').lstrip()}\n```")
        else:
            parts += [part for part in source.split("\n\n")
                      if (language == "cn") == bool(re.search("[\u4e00-\u9fff]", part))]
    return "\n\n".join(parts) + "\n"


def slug(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def headings(path: str, language: str) -> list[str]:
    """The headings of a page, the title first; those in code left out."""
    prose = FENCED.sub("", text_of(path, language))
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
    anchors = [slug(title) for title in headings(path, "en")]
    if anchor not in anchors:
        raise ValueError(f"{path} has no heading #{anchor}; it has {', '.join(anchors)}")
    return headings(twin(path, language), language)[anchors.index(anchor)]
