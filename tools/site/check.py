"""Does every link of a built site lead somewhere, does no page load anything from another host, can words be searched?

    python tools/site/check.py site

Hosts of others are not asked. Ends with exit code 1 and a line for each fault.
"""
from __future__ import annotations

import functools
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

_LOADS = {"img": "src", "script": "src", "iframe": "src", "source": "src", "link": "href", "use": "href"}
_FOREIGN = re.compile(r"(?:https?:)?//")
_FROM_CSS = re.compile(r"(?:url\(|@import )\s*[\"']?((?:https?:)?//[^\"')]+)")

_CHINESE = re.compile("[\u4e00-\u9fff]{20}")  # as no English page has them
_APART = "\u200b"


class _Page(HTMLParser):
    """What a page has to lead to (`ids`), what it leads to (`links`) and what it loads (`loads`)."""

    def __init__(self):
        super().__init__()
        self.ids, self.links, self.loads = set(), [], []

    def handle_starttag(self, tag, attrs):
        said = {name: value or "" for name, value in attrs}
        self.ids.update(said[name] for name in ("id", "name") if name in said)
        if tag == "a" and "href" in said:
            self.links.append(said["href"])
        elif _LOADS.get(tag) in said and said.get("rel") != "canonical":
            self.loads.append(said[_LOADS[tag]])


@functools.cache
def _read(path: Path) -> _Page:
    page = _Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def faults(site: Path) -> list[str]:
    """One line for each dead link or anchor of the pages of a site, for each thing loaded from another host, and for
    each index of a search in which Chinese words are not told apart."""
    found = []
    for path in sorted(site.rglob("*.html")):
        name, page = path.relative_to(site), _read(path)
        found += [f"{name}: loads {address} from another host" for address in page.loads if _FOREIGN.match(address)]
        inner = [link for link in page.links + page.loads
                 if not _FOREIGN.match(link) and not re.match(r"(?:data|mailto|javascript):", link)]
        found += [f"{name}: {link} leads nowhere" for link in dict.fromkeys(inner) if not _leads(site, path, link)]
    for path in sorted(site.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        found += [f"{path.relative_to(site)}: loads {address} from another host" for address in _FROM_CSS.findall(text)]
    for path in sorted(site.rglob("search_index.json")):
        texts = [entry["text"] for entry in json.loads(path.read_text(encoding="utf-8"))["docs"]]
        if any(_CHINESE.search(text) for text in texts) and not any(_APART in text for text in texts):
            found.append(f"{path.relative_to(site)}: Chinese words are not told apart; is jieba installed?")
    return found


def _leads(site: Path, path: Path, link: str) -> bool:
    place, _, anchor = link.partition("#")
    place = unquote(place.partition("?")[0])
    target = path if not place else site / place[1:] if place.startswith("/") else path.parent / place
    target = target.resolve() / "index.html" if target.is_dir() else target.resolve()
    if not target.is_file() or site.resolve() not in target.parents:
        return False
    return not anchor or target.suffix != ".html" or unquote(anchor) in _read(target).ids


def main(site: Path) -> int:
    """Print what is wrong with the site; 1 where something is, or where there is no page."""
    pages, found = len(list(site.rglob("*.html"))), faults(site)
    print("\n".join([*found, f"{len(found)} faults in {pages} pages of {site}"]))
    return int(bool(found) or not pages)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
