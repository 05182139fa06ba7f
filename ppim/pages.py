"""How is a page of HTML made that needs nothing beside it? Style, pictures and script stand inside it."""
from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ppim.files import printable, write_whole

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --quiet: #6a7178; --ground: #fff; --line: #d9dde1; --mark: #0b66c3 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --quiet: #9aa0a6; --ground: #17191c; --line: #3a3e43; --mark: #7db7f0 } }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei",
  sans-serif }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem } .quiet { color: var(--quiet) }
figure { margin: 0; min-width: 0 } figcaption { font-size: .85rem; overflow-wrap: anywhere } img { max-width: 100% }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)) }
table { border-collapse: collapse }
td, th { border-bottom: 1px solid var(--line); padding: .2rem .7rem; text-align: left }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
.scroll { overflow-x: auto }
"""


def page(title: str, body: str, script: str = "", style: str = "") -> str:
    """A whole document.

    Args:
        title: plain text, the page's heading too.
        body: HTML, as the functions below make it.
        script, style: JavaScript and CSS of this page alone.
    """
    code = f"<script>{script}</script>\n" if script else ""
    return (f'<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n<title>{text(title)}</title>\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<style>{_STYLE}{style}</style>\n</head>\n<body>\n<h1>{text(title)}</h1>\n{body}\n{code}</body>\n</html>\n")


def save_page(path: str | os.PathLike[str], document: str) -> None:
    """Write a document, whole or not at all."""
    write_whole(Path(path), lambda beside: beside.write_text(document, encoding="utf-8"))


def text(value: object) -> str:
    """Anything as text that means nothing to a browser but itself; what is none in a name is a question mark in a box.
    """
    return html.escape(printable(str(value)))


def source(image: Image.Image | np.ndarray, quality: int | None = 88) -> str:
    """A picture as an address that holds it.

    Args:
        image: RGB, or RGBA where `quality` is None; as an array (h, w, 3 or 4) uint8.
        quality: of a JPEG, 1 .. 95; None: a PNG, which keeps every pixel and how much shows through it.
    """
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    written = io.BytesIO()
    if quality is None:
        image.save(written, "PNG", optimize=True)
    else:
        image.save(written, "JPEG", quality=quality)
    kind = "png" if quality is None else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}"


def figure(image: Image.Image | np.ndarray, caption: str = "", quality: int | None = 88) -> str:
    """A picture with a caption, which is HTML; `image` and `quality` as for `source`."""
    return f'<figure><img src="{source(image, quality)}" alt=""><figcaption>{caption}</figcaption></figure>'


def grid(figures: Iterable[str]) -> str:
    """Figures side by side, as many as there is room for."""
    return f'<div class="grid">{"".join(figures)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of plain text; a column whose cells are all numbers, or None for none, stands at the right."""
    rows = [list(row) for row in rows]
    numeric = [all(value is None or isinstance(value, (int, float)) for value in column) for column in zip(*rows)]
    numeric = numeric or [False] * len(head)

    def line(cells, tag):
        return "<tr>" + "".join(f'<{tag}{" class=number" * at_right}>{text("" if cell is None else cell)}</{tag}>'
                                for cell, at_right in zip(cells, numeric)) + "</tr>"

    return f'<div class="scroll"><table>{line(head, "th")}{"".join(line(row, "td") for row in rows)}</table></div>'
