"""What is there to be seen of photos and their labels? A contact sheet, and a page that needs nothing beside it."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from ppim.look import paint
from ppim.look.disagreeing import best_of
from ppim.look.paint import Panel
from ppim.pages import page, source, text
from ppim.token_labels.maps import LabelMap

Colours = Mapping[int, tuple[int, int, int]]
Legend = list[tuple[tuple[int, int, int], str]]
_SIDE = 200  # pixels of a picture's longer side; twelve photos of five pictures make less than 1 MB
_QUALITY = 75
_NAMED = 6  # classes of a legend
_STYLE = """
.photo { border-top: 1px solid var(--line); padding: .6rem 0 1.2rem } .photo h2 { margin: .2rem 0 .5rem }
.panels { display: flex; flex-wrap: wrap; gap: 1rem 1.2rem; align-items: flex-start }
.panels figure { flex: 1 1 9.5rem; max-width: 12.5rem }
.panels img { display: block; width: 100%; height: auto; margin-bottom: .3rem }
.panels img.small { image-rendering: pixelated }
.legend { list-style: none; margin: .3rem 0 0; padding: 0; font-size: .8rem; color: var(--quiet) }
.legend li { overflow-wrap: anywhere; padding-left: 1.25em; text-indent: -1.25em }
.chip { display: inline-block; width: .8em; height: .8em; margin-right: .45em; vertical-align: -.05em; text-indent: 0 }
"""


class Labelled(NamedTuple):
    """A photo and its pictures."""

    path: str  # of the file, for people
    name: str  # of its folder's class
    panels: Sequence[Panel]


def colours_of(label_map: LabelMap) -> Colours:
    """A colour for each class that cells of a map show most, for all pictures of the photo."""
    return paint.colours_of(*best_of(label_map))


def map_panels(photo: Image.Image, label_map: LabelMap, colours: Colours, name: Callable[[int], str]) -> list[Panel]:
    """The photo, and its map in colours.

    Args:
        photo: RGB. name: of a class.
    """
    best, sure = best_of(label_map)
    rows, columns = best.shape
    legend = _legend(best, sure, colours, name)
    none = int((best < 0).sum())
    if none:
        legend.append((paint.OTHERS, f"nothing said: {none} of {rows * columns} cells"))
    shown = paint.classes(photo, best, sure, label_map.window, colours)
    return [Panel(photo, "the photo"), Panel(shown, f"its label map, {rows} x {columns} cells", legend)]


def said_panel(photo: Image.Image, best: np.ndarray, sure: np.ndarray, window, colours: Colours, guess: str,
               name: Callable[[int], str]) -> Panel:
    """What a model's tokens say of the part of the photo that it is shown.

    Args:
        best, sure: (rows, columns), class of each token and its probability; window: what of the photo they cover.
        guess: what the model says of the photo.
    """
    new = [number for number in paint.colours_of(best, sure) if number not in colours]
    free = [colour for colour in paint.COLOURS if colour not in colours.values()]
    seen = {number: colour for number, colour in {**colours, **dict(zip(new, free))}.items() if (best == number).any()}
    return Panel(paint.classes(photo, best, sure, window, seen), f"a model says: {guess}",
                 _legend(best, sure, seen, name))


def _legend(best: np.ndarray, sure: np.ndarray, colours: Colours, name: Callable[[int], str]) -> Legend:
    """The classes of most cells: name, share of the cells, mean probability."""
    found = []
    for number, colour in list(colours.items())[:_NAMED]:
        mine = best == number
        if mine.any():
            found.append((colour, f"{name(number)}: {_percent(mine.mean())}, {_percent(sure[mine].mean())} sure"))
    rest = [number for number in np.unique(best[best >= 0]).tolist() if number not in list(colours)[:_NAMED]]
    if rest:
        share = _percent(np.isin(best, rest).mean())
        found.append((paint.OTHERS, f"{len(rest)} more class{'es' * (len(rest) > 1)}: {share} of cells"))
    return found


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.005 or share == 0 else "below 1 %"


def sheet(shown: Sequence[Labelled], title: str) -> Image.Image:
    """All pictures on one, a row for each photo."""
    panels = [panel._replace(caption=f"{one.name}: {panel.caption}" if at == 0 else panel.caption)
              for one in shown for at, panel in enumerate(one.panels)]
    return paint.sheet(title, panels, side=220, columns=len(shown[0].panels))


def document(shown: Sequence[Labelled], title: str, about: str) -> str:
    """The page."""
    return page(title, f"<p>{text(about)}</p>{''.join(map(_photo, shown))}", style=_STYLE)


def _photo(one: Labelled) -> str:
    return (f"<section class=photo><h2>{text(one.name)}</h2><p class=quiet>{text(one.path)}</p>"
            f'<div class=panels>{"".join(map(_figure, one.panels))}</div></section>')


def _figure(panel: Panel) -> str:
    scale = _SIDE / max(panel.image.size)
    small, image = "", panel.image
    if scale < 1:
        image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    else:
        small = " class=small"
    chips = "".join(f'<li><i class=chip style="background:rgb{colour}"></i>{text(words)}</li>'
                    for colour, words in panel.legend)
    return (f'<figure><img{small} src="{source(image, _QUALITY)}" width="{image.width}" height="{image.height}" alt="">'
            f"<figcaption>{text(panel.caption)}</figcaption><ul class=legend>{chips}</ul></figure>")
