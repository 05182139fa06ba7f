"""How are a model's maps of photos turned over by hand? A page of HTML with sliders for blocks and heads, which needs
nothing beside it."""
from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from importlib.resources import files

import numpy as np
from PIL import Image

from ppim import pages
from ppim.look import paint
from ppim.look.photo import Seen
from ppim.strict_json import dumps

LARGEST = 720  # pixels along a photo's longer side on the page

_STYLE = """
.panes { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start }
.panes > * { min-width: 0 } .controls { flex: 1 1 17rem; display: grid; gap: .8rem }
canvas { max-width: 100%; border-radius: .3rem; display: block }
fieldset { border: 1px solid var(--line); border-radius: .3rem; display: grid; gap: .2rem; padding: .5rem .8rem }
label { display: flex; gap: .6rem; align-items: center } label > input[type=range] { flex: 1; min-width: 0 }
label > span:first-child { min-width: 4.5rem } output { min-width: 3rem; text-align: right }
[hidden] { display: none !important }
.strip { display: flex; gap: .5rem; flex-wrap: wrap; margin-bottom: 1rem }
.strip button { border: 2px solid transparent; border-radius: .3rem; background: none; padding: 2px; cursor: pointer }
.strip button[aria-pressed=true] { border-color: var(--mark) } .strip img { height: 64px; display: block }
ul { list-style: none; padding: 0; margin: 0 } li { display: flex; gap: .5rem; align-items: center }
li i { width: .9rem; height: .9rem; border-radius: .15rem; flex: none }
.bar { height: .7rem; border-radius: .2rem; margin: .2rem 0; background: linear-gradient(90deg, HEAT) }
.ends { display: flex; justify-content: space-between }
"""

_METHODS = {
    "attention": "attention of a head",
    "rollout": "attention rolled out",
    "relevance": "relevance for a class",
    "tokens": "what each token says",
}


def document(seen: Sequence[tuple[str, Seen]], name: Callable[[int], str], token: tuple[int, int] | None = None) -> str:
    """The page.

    Args:
        seen: photos by what they are called, at least one.
        name: of a class.
        token: row and column of the token that looks; None: the class token.
    """
    looked = [_photo(photo, name, token) for _, photo in seen]
    data = dumps(looked).replace("<", "\\u003c")  # nothing in it may end the script
    strip = "".join(f'<button data-photo="{number}" title="{pages.text(called)}"><img alt="{pages.text(called)}">'
                    "</button>" for number, (called, _) in enumerate(seen))
    colours = ", ".join(f"rgb({','.join(str(int(value)) for value in colour)})" for colour in paint.HEAT)
    body = (f'<div class="strip"{" hidden" * (len(seen) < 2)}>{strip}</div><div class="panes"><div>'
            '<canvas id="view"></canvas><p id="said" class="quiet"></p></div>' + _controls(token) + "</div>")
    code = f"const LOOKED = {data};\n" + files("ppim.look").joinpath("viewer.js").read_text(encoding="utf-8")
    return pages.page("Looking inside", body, code, _STYLE.replace("HEAT", colours))


def _controls(token: tuple[int, int] | None) -> str:
    methods = "".join(f'<label><input type="radio" name="method" value="{value}">{text}</label>'
                      for value, text in _METHODS.items())
    who = "the class token" if token is None else f"the token at row {token[0]}, column {token[1]}"
    return (f'<div class="controls"><div id="guess"></div><fieldset><legend>of {who}</legend>{methods}</fieldset>'
            + _slider("layer", "block", 0) + _slider("head", "head", -1)
            + '<label id="classes"><span>class</span><select id="class"></select></label>'
            + '<ul id="legend"></ul><div id="scale"><div class="bar"></div><div class="ends quiet">'
            + '<span id="low"></span><span id="high"></span></div></div>'
            + '<label><span>colour</span><input id="strength" type="range" min="0" max="100"></label></div>')


def _slider(name: str, text: str, least: int) -> str:
    return (f'<label id="{name}s"><span>{text}</span><input id="{name}" type="range" min="{least}" step="1">'
            f'<output id="{name}-at"></output></label>')


def _photo(seen: Seen, name: Callable[[int], str], token: tuple[int, int] | None) -> dict[str, object]:
    """What the script wants to know of a photo."""
    layers, heads, *grid = seen.attention.shape
    with_mean = np.concatenate([seen.attention, seen.attention.mean(axis=1, keepdims=True)], axis=1)
    colours = paint.colours_of(seen.token_best, seen.token_probability)
    best = int(seen.probability.argmax())
    return {
        "image": pages.source(_shrunk(seen.image)),
        "window": list(seen.window),
        "grid": grid,
        "layers": layers,
        "heads": heads,
        "token": None if token is None else list(token),
        "guess": f"{name(best)}, {100 * seen.probability[best]:.0f} % sure",
        "attention": _packed(with_mean.reshape(-1, *grid)),
        "rollout": _packed(seen.rollout),
        "relevance": _packed(np.stack(list(seen.relevance.values()))),
        # probabilities are of the photo, not of one of its tokens
        "told": [name(number) if token else f"{name(number)} ({100 * seen.probability[number]:.0f} %)"
                 for number in seen.relevance],
        "tokens": {
            "best": seen.token_best.ravel().tolist(),
            "sure": [round(float(value), 4) for value in seen.token_probability.ravel()],
            "names": {str(number): name(int(number)) for number in np.unique(seen.token_best)},
            "colours": {str(number): list(colour) for number, colour in colours.items()},
            "legend": paint.legend_of(seen.token_best, seen.token_probability, colours, name),
        },
    }


def _packed(maps: np.ndarray) -> dict[str, object]:
    """(M, rows, columns) as 16-bit numbers between the least and the most of each."""
    levels = np.stack([np.rint(65535 * paint.unit(values.astype(np.float64))) for values in maps]).astype("<u2")
    return {"values": base64.b64encode(levels.tobytes()).decode(),
            "low": [float(values.min()) for values in maps], "high": [float(values.max()) for values in maps]}


def _shrunk(image: Image.Image) -> Image.Image:
    scale = LARGEST / max(image.size)
    if scale >= 1:
        return image
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))),
                        Image.Resampling.LANCZOS)
