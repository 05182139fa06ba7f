"""Draw docs/images/pipeline.png: how a photo and its label map become the two losses of token labeling.

    python tools/draw_pipeline_figure.py

The photo is one of the project's own pictures; its map, view and targets are what training makes of them. The logits
are drawn blank. Needs matplotlib.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from draw_token_labels_figure import FILL, INK, Classes, draw_outlines, drawn_picture, footprint, map_confidence
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppim.data import shapes  # noqa: E402
from ppim.data.transforms import CropResize, HFlip, Warp, apply_all, history  # noqa: E402
from ppim.token_labels.targets import best_class, dense, token_targets  # noqa: E402

GRID = (8, 8)
WORK, LOSS, BLANK = "#E8EEF4", "#FBE6D5", "#EDEDED"  # what computes; what is summed; logits
# Coordinates: tenths of an inch, origin bottom left.
WIDTH, HEIGHT = 122, 62


def box(axes, left, bottom, width, height, text: str, colour=WORK) -> None:
    axes.add_patch(FancyBboxPatch((left + 1, bottom + 1), width - 2, height - 2, boxstyle="round,pad=1", linewidth=1,
                                  facecolor=colour, edgecolor=INK))
    axes.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", fontsize=10, color=INK,
              linespacing=1.3)


def arrow(axes, *corners: tuple) -> None:
    """A line along the corners, which ends in a head."""
    axes.plot(*zip(*corners), color=INK, linewidth=1.3, solid_capstyle="butt", zorder=1)
    axes.add_patch(FancyArrowPatch(corners[-2], corners[-1], arrowstyle="-|>", mutation_scale=13, color=INK,
                                   linewidth=0, shrinkA=0, shrinkB=0))


def label(axes, x, y, text: str, **how) -> None:
    axes.text(x, y, text, **{"fontsize": 10, "color": INK, "ha": "center", "va": "center", "linespacing": 1.3, **how})


def panel(axes, left, bottom, width, height, image=None):
    """Axes of their own over the unit square, y downwards, at a place of the figure."""
    inner = axes.inset_axes((left, bottom, width, height), transform=axes.transData)
    inner.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[], aspect="auto")
    if image is not None:
        inner.imshow(image, extent=(0, 1, 1, 0), aspect="auto", interpolation="lanczos")
    return inner


def tiles(axes, ids, sure, classes: Classes, fill=None) -> None:
    """One tile a cell: colour is the class, strength how sure it is; fill is hatched."""
    rows, columns = ids.shape
    for i, j in np.ndindex(rows, columns):
        look = {"facecolor": "white"}
        if fill is not None and fill[i, j]:
            look = FILL
        elif ids[i, j] >= 0:
            look = {"facecolor": classes.colour(ids[i, j]), "alpha": 0.15 + 0.85 * sure[i, j]}
        axes.add_patch(Rectangle((j / columns, i / rows), 1 / columns, 1 / rows, **{**look, "linewidth": 0}))
    lattice(axes, rows, columns, "#BBBBBB")


def lattice(axes, rows: int, columns: int, colour: str) -> None:
    axes.vlines(np.arange(1, columns) / columns, 0, 1, colour, linewidth=0.7)
    axes.hlines(np.arange(1, rows) / rows, 0, 1, colour, linewidth=0.7)


def shares(axes, distribution: np.ndarray, classes: Classes) -> None:
    """A distribution as a bar: the classes with a colour of their own, largest first, then all others."""
    left = 0.0
    for class_id in sorted(classes.shown, key=lambda c: -distribution[c]):
        axes.add_patch(Rectangle((left, 0), distribution[class_id], 1, facecolor=classes.colour(class_id), linewidth=0))
        left += distribution[class_id]
    axes.add_patch(Rectangle((left, 0), 1 - left, 1, facecolor="white", linewidth=0))


def draw_labels(axes, label_map, steps, view_hw) -> None:
    """The upper lane: from the photo to targets."""
    names = list(shapes.CLASSES)
    whole, tokens = token_targets(label_map, steps, GRID, len(names), smoothing=0.0, target="probs")
    _, ignored = token_targets(label_map, steps, GRID, len(names), smoothing=0.0, fill="ignore", target="probs")
    best, sure = best_class(tokens).reshape(GRID), dense(tokens, len(names)).max(axis=1).reshape(GRID)
    map_best, map_sure = map_confidence(label_map)
    classes = Classes(names, map_best, best)

    arrow(axes, (11, 38), (11, 50), (25, 50))
    box(axes, 25, 44, 17, 12, "Annotator,\ntrained before,\nonce per photo")
    arrow(axes, (42, 50), (47, 50))
    label(axes, 56, 59, "Label map, on disk")
    tiles(panel(axes, 47, 43.25, 18, 13.5), map_best, map_sure, classes)
    arrow(axes, (65, 50), (77, 50))
    label(axes, 71, 46.5, "same crop,\nflip, rotation")
    label(axes, 85.5, 40.8, "Token targets", ha="left")
    tiles(panel(axes, 77, 42.5, 15, 15), best, sure, classes, (ignored.const[:, 2] == 0).reshape(GRID))
    arrow(axes, (71, 50), (71, 60), (109, 60), (109, 52))
    label(axes, 99, 46.2, "Class target", ha="left")
    shares(panel(axes, 99, 48, 20, 4), dense(whole, len(names))[0], classes)


def draw_model(axes, image, view, operations) -> None:
    """The lower lane: from the photo to logits."""
    label(axes, 2, 22.8, "Photo", ha="left")
    inner = panel(axes, 2, 24.5, 18, 13.5, image)
    draw_outlines(inner, footprint(history(operations[:1], image.size)), footprint(history(operations, image.size)))
    arrow(axes, (11, 24.5), (11, 11.5), (26, 11.5))
    label(axes, 33.5, 21.5, "View: crop, flip, rotation")
    lattice(panel(axes, 26, 4, 15, 15, view), *GRID, "white")
    arrow(axes, (41, 11.5), (45, 11.5))
    box(axes, 45, 6, 13, 11, "Patches,\nembedded;\nMixToken")
    arrow(axes, (58, 11.5), (61, 11.5))
    box(axes, 61, 6, 12, 11, "Transformer")
    arrow(axes, (73, 11.5), (77, 11.5))
    lattice_of_logits = panel(axes, 77, 4, 15, 15)
    lattice_of_logits.set_facecolor(BLANK)
    lattice(lattice_of_logits, *GRID, "#AAAAAA")
    label(axes, 77, 2.2, "Token logits", ha="left")
    arrow(axes, (67, 6), (67, -1.5), (109, -1.5), (109, 9.5))
    panel(axes, 99, 9.5, 20, 4).set_facecolor(BLANK)
    label(axes, 99, 7.7, "Class logits", ha="left")


def draw_losses(axes) -> None:
    """Between the lanes: each target meets its logits."""
    for centre, text in ((84.5, "Token loss,\nmean over tokens"), (109, "Class loss")):
        box(axes, centre - 9, 27, 18, 8, text, LOSS)
    arrow(axes, (84.5, 42.5), (84.5, 35))
    arrow(axes, (84.5, 19), (84.5, 27))
    arrow(axes, (109, 48), (109, 35))
    arrow(axes, (109, 13.5), (109, 27))
    label(axes, 96.8, 31, "+", fontsize=16)


def draw():
    """The figure."""
    image, label_map = drawn_picture(12)
    x, y, width, height = (round(share * side) for share, side in zip((0.1, 0.06, 0.66, 0.88), image.size * 2))
    operations = [CropResize((x, y, width, height), (448, 448)), HFlip(), Warp("Rotate", 20.0)]
    figure = plt.figure(figsize=(WIDTH / 10, (HEIGHT + 3) / 10))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(-3, HEIGHT))
    axes.axis("off")
    draw_labels(axes, label_map, history(operations, image.size), GRID)
    draw_model(axes, image, apply_all(operations, image), operations)
    draw_losses(axes)
    return figure


def main(argv=None) -> int:
    plt.switch_backend("agg")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("docs/images/pipeline.png"))
    args = parser.parse_args(argv)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    draw().savefig(args.output, dpi=100, pil_kwargs={"optimize": True})
    return 0


if __name__ == "__main__":
    sys.exit(main())
