"""Draw docs/images/t2t_vit.png: how T2T-ViT makes tokens of an image, and what becomes of them.

    python tools/draw_t2t_vit_figure.py

Sizes are those of ppim/models/t2t_vit.py at 224 pixels. Needs matplotlib.
"""
from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from draw_pipeline_figure import arrow, box, label, lattice, panel
from draw_token_labels_figure import drawn_picture
from matplotlib.patches import Rectangle

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppim.commands import SHARED, guarded, import_paddle_quietly  # noqa: E402

# Coordinates: tenths of an inch, origin bottom left.
WIDTH, HEIGHT, SIDE = 121, 54, 224
NEIGHBOURS = ("#E69F00", "#0072B2")  # two windows of a split that overlap
TOKEN, CLASS_TOKEN, GRID = "#CFE6F5", "#D55E00", "#9FB9CC"
NARROW = 64  # width of the tokens between the splits


class Split(NamedTuple):
    """A soft split: square windows of side `kernel`, one every `stride`: `grid` x `grid` tokens, `channels` wide."""

    kernel: int
    stride: int
    grid: int
    channels: int


def splits() -> list[Split]:
    """The three soft splits of an image of SIDE pixels."""
    from ppim.models import t2t_vit

    found, side, channels = [], SIDE, 3
    for kernel, stride, padding in t2t_vit._SPLITS:
        side = (side + 2 * padding - kernel) // stride + 1
        found.append(Split(kernel, stride, side, kernel * kernel * channels))
        channels = NARROW
    return found


def windows(axes, split: Split, cells: int, at: int) -> None:
    """Two neighbouring windows of the split over a picture of `cells` cells a side, the first at cell (at, at)."""
    for step, colour in enumerate(NEIGHBOURS):
        place = ((at + step * split.stride) / cells, at / cells), split.kernel / cells, split.kernel / cells
        axes.add_patch(Rectangle(*place, facecolor=colour, alpha=0.35, linewidth=0))
        axes.add_patch(Rectangle(*place, fill=False, edgecolor=colour, linewidth=2.5))


def split_box(axes, left, bottom, split: Split) -> None:
    box(axes, left, bottom, 13.5, 9, f"Soft split\n{split.kernel} x {split.kernel}, stride {split.stride}")
    label(axes, left + 6.75, bottom - 4, f"{split.grid ** 2:,} tokens,\n{split.channels} wide")


def draw_tokens(axes, first: Split, second: Split, third: Split) -> None:
    """The upper lane: pixels become tokens, whose grid is split again."""
    image = drawn_picture(12)[0].crop((0, 0, 384, 384))
    windows(panel(axes, 2, 33, 16, 16, image), first, 32, 9)
    label(axes, 10, 51.5, f"Image, {SIDE} x {SIDE} x 3")
    for left, split, following in ((18, first, second), (68.5, second, third)):
        arrow(axes, (left, 41), (left + 2.5, 41))
        split_box(axes, left + 2.5, 36.5, split)
        arrow(axes, (left + 16, 41), (left + 18.5, 41))
        box(axes, left + 18.5, 36.5, 13.5, 9, "Attention,\nMLP")
        arrow(axes, (left + 32, 41), (left + 34.5, 41))
        grid = panel(axes, left + 34.5, 33, 16, 16)
        grid.set_facecolor(TOKEN)
        lattice(grid, 14, 14, GRID)  # fewer than there are, or there would be no seeing them
        windows(grid, following, 14, 4)
        label(axes, left + 42.5, 51.5, f"{split.grid} x {split.grid} tokens, {NARROW} wide")
    label(axes, 43.25, 32.5, "performer or\ntransformer")
    label(axes, 93.75, 32.5, "performer or\ntransformer")


def token_square(axes, left, colour: str) -> None:
    axes.add_patch(Rectangle((left, 13.7), 2.6, 2.6, facecolor=colour, edgecolor="#555555", linewidth=1))


def draw_backbone(axes, last: Split) -> None:
    """The lower lane: from the last split to logits."""
    from ppim.families import facts

    sizes = [size for name, size in facts()["t2t_vit"].sizes.items() if re.fullmatch(r"t2t_vit_\d+", name)]
    dims, depths = ({size[key] for size in sizes} for key in ("embed_dim", "depth"))
    arrow(axes, (111, 33), (111, 26.5), (8.75, 26.5), (8.75, 19.5))
    split_box(axes, 2, 10.5, last)
    arrow(axes, (15.5, 15), (19, 15))
    box(axes, 19, 10.5, 11.5, 9, "Linear")
    arrow(axes, (30.5, 15), (34, 15))
    for number in range(12):
        left = 34 + number * 2.6 + (number > 0)
        token_square(axes, left, TOKEN if number else CLASS_TOKEN)
    label(axes, 34, 19, "class token", color=CLASS_TOKEN, ha="left")
    label(axes, 66.2, 19, f"{last.grid ** 2} tokens", ha="right")
    label(axes, 50, 10.3, f"{min(dims)} to {max(dims)} wide,\nfixed sinusoid positions added")
    arrow(axes, (66.2, 15), (70, 15))
    box(axes, 70, 10.5, 17, 9, f"Transformer,\n{min(depths)} to {max(depths)} blocks")
    arrow(axes, (87, 15), (91, 15))
    token_square(axes, 91, CLASS_TOKEN)
    arrow(axes, (93.6, 15), (97.5, 15))
    box(axes, 97.5, 10.5, 11, 9, "Head")
    arrow(axes, (108.5, 15), (112, 15))
    label(axes, 115.7, 15, "Logits")


def draw():
    """The figure."""
    figure = plt.figure(figsize=(WIDTH / 10, (HEIGHT - 2.5) / 10))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(2.5, HEIGHT))
    axes.axis("off")
    first, second, third = splits()
    draw_tokens(axes, first, second, third)
    draw_backbone(axes, third)
    return figure


def main(argv: list[str]) -> None:
    plt.switch_backend("agg")
    parser = argparse.ArgumentParser(parents=[SHARED], description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("docs/images/t2t_vit.png"))
    args = parser.parse_args(argv)
    import_paddle_quietly()
    args.output.parent.mkdir(parents=True, exist_ok=True)
    draw().savefig(args.output, dpi=100, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    sys.exit(guarded(main))
