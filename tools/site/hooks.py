"""What MkDocs asks while it builds the site of a language: which pages there are, what they say, what leads to them."""
from __future__ import annotations

import sys
from pathlib import Path

from mkdocs.structure.files import File
from mkdocs.structure.nav import Link, Section

sys.path.insert(0, str(Path(__file__).resolve().parent))

from headings import ROOT, text_of  # noqa: E402
from navigation import sections  # noqa: E402
from places import SHOWN, as_on_site, page_showing, pages, shown  # noqa: E402


def on_config(config):
    """The pages of the navigation; what leads to a section of a page follows in `on_nav`."""
    config.nav = [{title: [entry.place for entry in entries if not entry.anchor]}
                  for title, entries in sections(config.extra["language"]).items()]
    config.theme.static_templates.discard("404.html")  # its links lead to the root of a host, and we know none
    return config


def on_files(files, config):
    """The pages of the language with their links as they lead here, pictures, and what pages show of the repository."""
    language = config.extra["language"]
    for file in files.documentation_pages():
        files.remove(file)
    for place, path in pages(language).items():
        text = as_on_site(text_of(path, language), path, language)
        files.append(File.generated(config, place, content=text))
    for path in shown(language):
        files.append(File.generated(config, f"{SHOWN}/{path}.md", content=page_showing(path)))
    for folder in (ROOT / "docs" / "images", ROOT / "tools" / "site" / "assets"):
        for path in folder.iterdir():
            files.append(File.generated(config, f"{folder.name}/{path.name}", abs_src_path=str(path)))
    return files


def on_nav(nav, config, files):
    """The navigation with what leads to a section of a page."""
    planned = sections(config.extra["language"])
    for item in nav.items:
        if isinstance(item, Section):
            for number, entry in enumerate(planned[item.title]):
                if entry.anchor:
                    url = files.get_file_from_path(entry.place).url
                    link = Link(entry.title, f"{url}#{entry.anchor}")
                    link.parent = item
                    item.children.insert(number, link)
    return nav


def on_page_markdown(markdown, page, config, files):
    """Whoever searches wants the users' pages before the builders'."""
    if page.file.src_uri == "architecture.md":
        page.meta["search"] = {"boost": 0.2}
    return markdown
