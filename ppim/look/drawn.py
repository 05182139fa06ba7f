"""Which pictures are drawn of what was seen of a photo, and what are they called?"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image

from ppim.files import write_whole
from ppim.look import paint
from ppim.look.paint import Panel
from ppim.look.photo import Seen

MEAN = "mean"


def pictures(seen: Seen, layers: Sequence[int], heads: Sequence[int], name: Callable[[int], str]) -> dict[str, Panel]:
    """Pictures of the photo's own size, by the name of their file without its suffix.

    Args:
        layers: numbers of blocks whose attention is shown, 0 the first, -1 the last.
        heads: numbers of their heads; the mean of all of them is shown besides.
        name: of a class.
    Raises:
        ValueError: no such block or head.
    """
    depth, width = seen.attention.shape[:2]
    for what, wanted, count in (("block", layers, depth), ("head", heads, width)):
        unknown = [number for number in wanted if not -count <= number < count]
        if unknown:
            raise ValueError(f"the model has {what}s 0 .. {count - 1} (or -{count} .. -1), got {unknown[0]}")
    image, window = seen.image, seen.window
    made = {}
    for layer in dict.fromkeys(number % depth for number in layers):
        for head in dict.fromkeys(number % width for number in heads):
            made[f"attention_block{layer}_head{head}"] = Panel(
                paint.heat(image, seen.attention[layer, head], window), f"attention: block {layer}, head {head}")
        made[f"attention_block{layer}_{MEAN}"] = Panel(
            paint.heat(image, seen.attention[layer].mean(axis=0), window), f"attention: block {layer}, mean of heads")
    made["rollout"] = Panel(paint.heat(image, seen.rollout[-1], window), "attention rolled out")
    for place, (number, values) in enumerate(seen.relevance.items()):
        made["relevance" if place == 0 else f"relevance_{place + 1}"] = Panel(
            paint.heat(image, values, window), f"relevance for {name(number)}")
    colours = paint.colours_of(seen.token_best, seen.token_probability)
    made["tokens"] = Panel(paint.classes(image, seen.token_best, seen.token_probability, window, colours),
                           "what each token says it sees",
                           paint.legend_of(seen.token_best, seen.token_probability, colours, name))
    return made


def save(folder: Path, made: dict[str, Panel], first: Panel, title: str) -> None:
    """Write the pictures into a folder, and `sheet.png`, which has all of them behind `first`."""
    folder.mkdir(parents=True, exist_ok=True)
    for called, panel in made.items():
        save_png(folder / f"{called}.png", panel.image)
    save_png(folder / "sheet.png", paint.sheet(title, [first, *made.values()]))


def save_png(path: Path, image: Image.Image) -> None:
    """Write a picture, whole or not at all."""
    write_whole(path, lambda beside: image.save(beside, "PNG"))


def places(names: Sequence[str]) -> list[str]:
    """A name of its own for the folder of each photo: its file's without the suffix, numbered where two are alike."""
    taken: list[str] = []
    for name in names:
        stem = wanted = Path(name).stem
        number = 2
        while wanted in taken:
            wanted, number = f"{stem}_{number}", number + 1
        taken.append(wanted)
    return taken
