"""Where on the site does a file of the repository stand, and where do its pages' links lead there?

The pages of a language are `docs/LANGUAGE/*.md`, the README of that language as the home page, the notebooks, and the
pages in English only. What else they link to (recipes, sources, the licence) gets a page that shows it, so that no link
leads out of the site but those to other hosts.
"""
from __future__ import annotations

import os
import re
from collections.abc import Callable

from headings import FENCED, HOME, ROOT, heading_at, headings, slug, text_of, twin

ENGLISH_ONLY = {"docs/architecture.md": "architecture.md", "data/README.md": "data.md", "compat/README.md": "compat.md"}
SHOWN = "files"  # the folder of the pages that show a file

_LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")
_CALLED_BY_PATH = re.compile(r"\[[\w./]+\.md\]\((?!http)([^)\s#]+\.md)((?:#[^)\s]*)?)\)")
_TWIN = re.compile(r"\A(?:English \| \[简体中文\]|简体中文 \| \[English\])\(\S+\)\n+")


def is_elsewhere(link: str) -> bool:
    """Does a link lead to another host, or stay on its page?"""
    return link.startswith("#") or re.match(r"[a-z]+:", link) is not None


def pages(language: str) -> dict[str, str]:
    """{place on the site: path from the repository's root} of the pages of a language, the home page first."""
    folder = ROOT / "docs" / language
    own = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.md"))]
    return {"index.md": HOME[language], **{place: f"docs/{language}/{place}" for place in own},
            **{place: path for path, place in ENGLISH_ONLY.items()},
            **{place_of(path, language): path for path in _notebooks()}}


def place_of(path: str, language: str) -> str:
    """Place on the site of a language of a file or folder, by its path from the repository's root."""
    if path in ENGLISH_ONLY:
        return ENGLISH_ONLY[path]
    for own in ("en", "cn"):
        if path == HOME[own]:
            return "index.md"
        if path.startswith(f"docs/{own}/"):
            return path.removeprefix(f"docs/{own}/")
    if path in _notebooks():
        return path.replace(".ipynb", ".md")
    if path.startswith("docs/images/"):
        return path.removeprefix("docs/")
    return f"{SHOWN}/{path}.md"


def targets(text: str, path: str) -> list[str]:
    """The files and folders of the repository that a page at `path` links to, as paths from the root."""
    found = []
    _each_link(text, lambda link: found.append(_from_root(link, path)) or link)
    return found


def as_on_site(text: str, path: str, language: str) -> str:
    """A page's Markdown with its links as they lead on the site, and without its link to its twin.

    A page that a link calls by its path is called by its title. Where a page in English only leads to one that is
    there in both languages, it leads to the language of the site.

    Args:
        text: the page as it stands in the repository at `path`.
        language: of the site, en or cn.
    """
    here = os.path.dirname(place_of(path, language)) or "."

    def on_site(link: str) -> str:
        target, anchor = _from_root(link, path), link.partition("#")[2]
        if anchor and twin(target, language) != target:
            anchor = slug(heading_at(target, anchor, language))
        return os.path.relpath(place_of(target, language), here) + (anchor and f"#{anchor}")

    def with_title(found: re.Match[str]) -> str:
        return f"[{headings(twin(_from_root(found[1], path), language), language)[0]}]({found[1]}{found[2]})"

    return _each_link(_CALLED_BY_PATH.sub(with_title, _TWIN.sub("", text)), on_site)


def page_showing(path: str) -> str:
    """A page that shows a file of the repository, or lists a folder of it."""
    place = ROOT / path
    head = f"---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n"
    if place.is_file():
        fence = "````"
        return f"{head}{fence}{place.suffix[1:]}\n{place.read_text(encoding='utf-8')}\n{fence}\n"
    here = os.path.dirname(f"{SHOWN}/{path}")
    places = {file: os.path.relpath(place_of(f"{path}/{file}", "en"), here) for file in _listed(path)}
    return head + "".join(f"- [{file}]({place})\n" for file, place in places.items())


def shown(language: str) -> list[str]:
    """Paths of the files and folders that get a page to show them, those in shown folders included."""
    linked = {target for path in pages(language).values()
              for target in targets(text_of(path, language), path)}
    first = {path for path in linked if place_of(path, language).startswith(f"{SHOWN}/")}
    missing = sorted(path for path in first if not (ROOT / path).exists())
    if missing:
        raise FileNotFoundError(f"pages link to {', '.join(missing)}, which the repository does not have")
    inside = {f"{path}/{file}" for path in first for file in _listed(path)}
    return sorted(first | {path for path in inside if place_of(path, language).startswith(f"{SHOWN}/")})


def _notebooks() -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("notebooks/*.ipynb"))


def _listed(path: str) -> list[str]:
    folder = ROOT / path
    return sorted(file.name for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []


def _from_root(link: str, path: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(path), link.partition("#")[0]))


def _each_link(text: str, change: Callable[[str], str]) -> str:
    """The text with every link within the repository changed; code stays as it is."""
    parts = FENCED.split(text)
    return "".join(part if number % 2 else _LINK.sub(lambda found: found[0] if is_elsewhere(found[0])
                                                     else change(found[0]), part)
                   for number, part in enumerate(parts))
