"""How do photos look whose label maps speak against the class of their folder? A page that needs nothing beside it."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from ppim.look import paint
from ppim.pages import page, source, text
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.reads import blank_cells

_SIDE = 280  # pixels of a thumbnail's longer side; twelve photos make less than 1 MB
_QUALITY = 80
_NAMED = 4  # classes of a map that its caption names
_STYLE = """
.cards { display: grid; gap: 1.5rem 2rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 29rem), 1fr)) }
.card { border-top: 1px solid var(--line); padding-top: .6rem; min-width: 0 }
.card p { margin: .3rem 0; overflow-wrap: anywhere } .pair { display: flex; gap: .5rem; align-items: flex-start }
.pair img { flex: 1 1 0; min-width: 0; width: 50%; height: auto } .small { image-rendering: pixelated }
.chip { display: inline-block; width: .8em; height: .8em; margin-right: .35em; vertical-align: -.05em }
.legend span { margin-right: 1em } .quiet { font-size: .85rem }
"""


class Shown(NamedTuple):
    """A photo on the page.

    Attributes:
        path: of the file, for people; photo: RGB; label_map: its map, whose window says what it covers.
        folder, other: the class of its folder, and the one that its map favours.
        p_folder, p_other, margin: see `token_labels.disagreement`.
    """

    path: str
    photo: Image.Image
    label_map: LabelMap
    folder: int
    other: int
    p_folder: float
    p_other: float
    margin: float


def disagreement_page(shown: Sequence[Shown], about: str, name: Callable[[int], str]) -> str:
    """The page.

    Args:
        shown: the farthest first. about: what was looked at, in a sentence. name: class -> what it is called.
    """
    told = (f"<p>{text(about)}</p><p class=quiet>Ranked by log p(folder) - log p(best other class) under the map: the "
            "less, the more it speaks for another class. Wrong labels come first, and photos of several things. "
            "Left the photo, right its map: the best class of each cell in colour, the stronger the surer.</p>")
    cards = "".join(_card(rank, one, name) for rank, one in enumerate(shown, 1))
    return page("Photos whose label maps disagree with their folder", f'{told}<div class="cards">{cards}</div>',
                style=_STYLE)


def _card(rank: int, one: Shown, name: Callable[[int], str]) -> str:
    best, sure = best_of(one.label_map)
    colours = paint.colours_of(best, sure)
    small = "small" if max(one.photo.size) < _SIDE / 2 else ""
    photo = _thumbnail(one.photo)
    painted = paint.classes(photo, best, sure, one.label_map.window, colours)
    pictures = "".join(f'<img class="{small}" src="{source(image, _QUALITY)}" width="{image.width}" '
                       f'height="{image.height}" alt="{alt}">' for image, alt in ((photo, "photo"), (painted, "map")))
    chips = [f'<span><i class=chip style="background:rgb{colour}"></i>{text(name(number))} '
             f"{_percent((best == number).mean())}</span>" for number, colour in list(colours.items())[:_NAMED]]
    return (f'<div class=card><div class=pair>{pictures}</div><p><b>{rank}. {text(name(one.folder))}</b> in the folder '
            f"({_percent(one.p_folder)}), <b>{text(name(one.other))}</b> by its map ({_percent(one.p_other)}), margin "
            f'{one.margin:.2f}</p><p class=legend>{"".join(chips)}</p><p class=quiet>{text(one.path)}</p></div>')


def best_of(label_map: LabelMap) -> tuple[np.ndarray, np.ndarray]:
    """The best class of each cell and its probability, (rows, columns) each; class -1 where all are alike.

    Without log-sum-exp the probability is that among the classes that are kept.
    """
    scores = label_map.scores.astype(np.float64)
    at = scores.argmax(axis=0)[None]
    top = np.take_along_axis(scores, at, axis=0)[0]
    log_z = label_map.log_z if label_map.log_z is not None else top + np.log(np.exp(scores - top).sum(axis=0))
    best = np.take_along_axis(label_map.ids, at, axis=0)[0].astype(np.int64)
    return np.where(blank_cells(label_map), -1, best), np.minimum(np.exp(top - log_z), 1)


def _thumbnail(photo: Image.Image) -> Image.Image:
    scale = _SIDE / max(photo.size)
    how = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.NEAREST
    return photo.resize((max(1, round(photo.width * scale)), max(1, round(photo.height * scale))), how)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else "below 1 %"
