"""How is a prediction shown? Below its photo, in a picture; among others, on a page; in a table; as JSON or CSV."""
from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ppim import pages
from ppim.data.photos import read_photo
from ppim.files import printable, write_whole
from ppim.fonts import Font
from ppim.report import tables
from ppim.strict_json import dumps
from ppim.trained.predict import Prediction

_LEAST, _MOST = 320, 640  # pixels of a picture's longer side
_LINE, _TEXT, _EDGE = 26, 15, 10  # pixels: height of a caption's line, of its letters, and what is left free
_GROUND, _INK, _BAR = (255, 255, 255), (28, 30, 33), (190, 218, 246)
_ON_A_PAGE = 288
_LONGEST_NAME = 255  # bytes
_BARS = """
.bars div { position: relative; display: flex; justify-content: space-between; gap: .6rem; padding: 0 .3rem;
  margin-top: 2px }
.bars i { position: absolute; inset: 0 auto 0 0; background: var(--mark); opacity: .25 }
.bars span { position: relative; overflow-wrap: anywhere } .bars span + span { font-variant-numeric: tabular-nums;
  white-space: nowrap }
figure img { width: 100%; height: 11rem; object-fit: contain }
"""


def percent(probability: float) -> str:
    """A probability for people; what is not 0 or 1 is not written as if it were."""
    value = 100 * probability
    if 0 < value < 0.01:
        return "< 0.01 %"
    return "> 99.99 %" if 99.99 < value < 100 else f"{value:.2f} %"


def as_json(one: Prediction) -> str:
    """One line of strict JSON: path and `predictions`, or path and `error`."""
    if one.error:
        return dumps({"path": one.path, "error": one.error})
    told = [{"row": row, "id": id_, "name": name, "probability": probability}
            for row, id_, name, probability in zip(one.rows, one.ids, one.names, one.probabilities)]
    return dumps({"path": one.path, "predictions": told})


def print_table(found: Sequence[Prediction], console: Console) -> None:
    """For people: of each photo its classes, one below the other, in a table as wide as it needs to be or can be."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("photo", overflow="fold")
    table.add_column("class", overflow="fold")
    table.add_column("probability", justify="right", no_wrap=True)
    for one in found:
        path, end = printable(one.path), one is not found[-1]
        if one.error:
            table.add_row(Text(path), Text("cannot be read", "red"), "", end_section=end)
        for place, (name, probability) in enumerate(zip(one.names, one.probabilities)):
            style = "bold" if place == 0 else "dim"
            table.add_row(Text("" if place else path), Text(name, style), Text(percent(probability), style))
    console.print(table)


def write_csv(found: Sequence[Prediction], path: str | os.PathLike[str]) -> None:
    """One row a photo: path, error, then row, id, name and probability of each class. UTF-8."""
    most = max((len(one.rows) for one in found), default=0)
    fields = ("row", "id", "name", "probability")
    rows = []
    for one in found:
        cells = [cell for group in zip(one.rows, one.ids, one.names, one.probabilities) for cell in group]
        rows.append([one.path, one.error, *cells, *[""] * (len(fields) * most - len(cells))])
    head = [f"{field}{place}" for place in range(1, most + 1) for field in fields]
    tables.write_csv(path, ["path", "error", *head], rows)


def captioned(photo: Image.Image, one: Prediction, font: Font) -> Image.Image:
    """The photo, brought to 320 .. 640 pixels, above a strip with a line for each class.

    Args:
        photo: RGB.
        font: of 15 pixels, with the characters of the names.
    """
    photo = _brought_to_size(photo)
    width, strip = max(photo.width, _LEAST), _LINE * len(one.names) + _EDGE
    picture = Image.new("RGB", (width, photo.height + strip), _GROUND)
    picture.paste(photo, ((width - photo.width) // 2, 0))
    draw, room = ImageDraw.Draw(picture), width - 2 * _EDGE
    for place, (name, probability) in enumerate(zip(one.names, one.probabilities)):
        top = photo.height + _EDGE // 2 + place * _LINE
        said = percent(probability)
        length = font.pillow.getlength(said)
        draw.rectangle((_EDGE, top + 3, _EDGE + round(room * probability), top + _LINE - 3), fill=_BAR)
        draw.text((_EDGE + 4, top + _LINE / 2), font.fitted(name, room - length - 16), _INK, font.pillow, anchor="lm")
        draw.text((width - _EDGE - 4, top + _LINE / 2), said, _INK, font.pillow, anchor="rm")
    return picture


def _brought_to_size(photo: Image.Image) -> Image.Image:
    longer = max(photo.size)
    if longer < _LEAST:  # every pixel of a small picture stays one
        times = -(-_LEAST // longer)
        return photo.resize((photo.width * times, photo.height * times), Image.Resampling.NEAREST)
    if longer > _MOST:
        photo = photo.copy()
        photo.thumbnail((_MOST, _MOST))
    return photo


def save_pictures(found: Iterable[Prediction], folder: str | os.PathLike[str], exif: str) -> Font:
    """Write `captioned` of every photo that could be read as NUMBER_NAME.jpg; the number is its place in the order.

    Args:
        exif: see `ppim.data.photos.read_photo`.
    """
    found = list(found)
    font = Font([name for one in found for name in one.names], _TEXT)
    digits = len(str(len(found)))
    for number, one in enumerate(found, 1):
        if not one.error:
            picture = captioned(read_photo(one.path, exif), one, font)
            place = Path(folder) / _named(f"{number:0{digits}}_{Path(one.path).stem}", ".jpg")
            write_whole(place, lambda beside, picture=picture: picture.save(beside, "JPEG", quality=90), durable=False)
    return font


def _named(stem: str, suffix: str) -> str:
    """A file's name, cut to what a file system takes: the photo's own may be as long already."""
    while len(os.fsencode(stem + suffix)) > _LONGEST_NAME:
        stem = stem[:-1]
    return stem + suffix


def page_of(found: Sequence[Prediction], exif: str, title: str) -> str:
    """A page that needs nothing beside it: every photo with its classes, and those that could not be read."""
    figures, bad = [], [one for one in found if one.error]
    for one in found:
        if not one.error:
            photo = read_photo(one.path, exif)
            photo.thumbnail((_ON_A_PAGE, _ON_A_PAGE))
            bars = "".join(_bar(*pair) for pair in zip(one.names, one.probabilities))
            figures.append(pages.figure(photo, f'<div class="quiet">{pages.text(one.path)}</div>'
                                               f'<div class="bars">{bars}</div>'))
    body = f'<p class="quiet">{len(figures):,} photos</p>\n{pages.grid(figures)}'
    if bad:
        rows = [(one.path, one.error) for one in bad]
        body += f"<h2>Could not be read</h2>\n{pages.table(('photo', 'why'), rows)}"
    return pages.page(title, body, style=_BARS)


def _bar(name: str, probability: float) -> str:
    return (f'<div><i style="width:{100 * probability:.1f}%"></i><span>{pages.text(name)}</span>'
            f"<span>{pages.text(percent(probability))}</span></div>")
