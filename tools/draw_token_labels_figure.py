"""Draw docs/images/token_labels.png: a photo, its label map, a training view, and the targets of the view's tokens.

    python tools/draw_token_labels_figure.py
    python tools/draw_token_labels_figure.py --photo dog.jpg --map labels/dog.npy --names names.txt --output dog.png

Without a photo one of the project's own pictures is drawn. View, history and targets come from the functions training
uses; only the drawing is done here. Needs matplotlib.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch, Polygon, Rectangle
from matplotlib.patheffects import withStroke

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fonts import drawable  # noqa: E402

from ppim.data import shapes  # noqa: E402
from ppim.data.photos import read_photo  # noqa: E402
from ppim.data.transforms import CropResize, HFlip, Warp, apply_all, history  # noqa: E402
from ppim.geometry import WHOLE, centre_window, trace  # noqa: E402
from ppim.token_labels.maps import LabelMap, read_map  # noqa: E402
from ppim.token_labels.reads import blank_cells  # noqa: E402
from ppim.token_labels.targets import best_class, dense, token_targets  # noqa: E402

# Okabe and Ito's colours stay apart with every common form of colour blindness; the last stands for all other classes.
PALETTE = ("#E69F00", "#0072B2", "#009E73", "#CC79A7", "#F0E442", "#D55E00", "#56B4E9")
OTHERS = "#999999"
FILL = {"facecolor": "#E4E4E4", "edgecolor": "#777777", "hatch": "////"}
INK = "#222222"


def drawn_picture(seed: int):
    """One of our own pictures, large, with its exact map of 9 x 12 cells."""
    look = shapes.Difficulty(noise=0, texture=40, turn=40, distractors=(4, 4), distractor_area=(0.03, 0.05),
                             main_area=(0.15, 0.15))
    image, _, owner = shapes.draw_picture(np.random.default_rng(seed), (512, 384), look)
    return image, LabelMap(*shapes.label_map_of(owner, (9, 12)))


def map_confidence(label_map: LabelMap) -> tuple[np.ndarray, np.ndarray]:
    """Best class of each cell, -1 where no class stands out, and its probability; both (rows, columns)."""
    best = label_map.scores.max(axis=0)
    ids = np.take_along_axis(label_map.ids, label_map.scores.argmax(axis=0)[None], axis=0)[0]
    log_z = label_map.log_z if label_map.log_z is not None else np.logaddexp.reduce(label_map.scores, axis=0)
    return np.where(blank_cells(label_map), -1, ids), np.exp(best - log_z)


class Classes:
    """Colours and names: the classes seen most often get a colour of their own."""

    def __init__(self, names, *seen: np.ndarray):
        ids, counts = np.unique(np.concatenate([ids[ids >= 0] for ids in map(np.ravel, seen)]), return_counts=True)
        self.names = names
        self.shown = ids[np.argsort(-counts, kind="stable")][: len(PALETTE)].tolist()
        self.has_others = len(ids) > len(PALETTE)

    def colour(self, class_id: int) -> str:
        return PALETTE[self.shown.index(class_id)] if class_id in self.shown else OTHERS

    def legend(self) -> list[Patch]:
        patches = [Patch(facecolor=self.colour(i), label=self.names[i]) for i in self.shown]
        return [*patches, Patch(facecolor=OTHERS, label="other classes")] if self.has_others else patches


def draw_cells(axes, ids, confidence, classes: Classes, fill=None, window=WHOLE) -> None:
    """Tiles over `window` of the unit square: colour = class, strength and number = confidence; hatched = fill."""
    rows, columns = ids.shape
    x0, y0, x1, y1 = window
    side = (x1 - x0) / columns, (y1 - y0) / rows
    size = min(11, 84 / columns)
    halo = [withStroke(linewidth=2, foreground="white", alpha=0.7)]
    for i, j in np.ndindex(rows, columns):
        corner = x0 + j * side[0], y0 + i * side[1]
        axes.add_patch(Rectangle(corner, *side, facecolor="white", edgecolor="#BBBBBB", linewidth=0.6))
        if fill is not None and fill[i, j]:
            axes.add_patch(Rectangle(corner, *side, linewidth=0, **FILL))
        elif ids[i, j] >= 0:
            strength = 0.15 + 0.75 * confidence[i, j]
            axes.add_patch(Rectangle(corner, *side, facecolor=classes.colour(ids[i, j]), alpha=strength, linewidth=0))
            if columns <= 14:
                axes.text(corner[0] + side[0] / 2, corner[1] + side[1] / 2, f"{100 * confidence[i, j]:.0f}",
                          ha="center", va="center", fontsize=size, color=INK, zorder=5, path_effects=halo)


def frame(axes, title: str, aspect: float) -> None:
    """The unit square as axes of `aspect` = height / width, y downwards."""
    axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[], aspect=aspect)
    axes.set_title(title, loc="left", fontsize=11, color=INK)


def footprint(steps, points_per_side: int = 50) -> np.ndarray:
    """Outline of a view in its photo: the view's border followed back, (P, 2) in unit coordinates."""
    t, zero = np.linspace(0, 1, points_per_side), np.zeros(points_per_side)
    border = np.concatenate([np.stack(s, axis=1) for s in ((t, zero), (zero + 1, t), (1 - t, zero + 1), (zero, 1 - t))])
    return trace(border, steps)[0]


def show_picture(axes, image) -> None:
    """A picture over the unit square of axes whose aspect is set."""
    axes.imshow(image, extent=(0, 1, 1, 0), aspect=axes.get_aspect(), interpolation="lanczos")


def draw_outlines(axes, crop: np.ndarray, view: np.ndarray) -> None:
    """The crop, and what lies in it of the view's outline."""
    box = axes.add_patch(Polygon(crop, fill=False, visible=False))
    for width, colour in ((3.0, "white"), (1.4, INK)):
        axes.add_patch(Polygon(crop, fill=False, edgecolor=colour, linewidth=width, zorder=3))
        outline = axes.add_patch(Polygon(view, fill=False, edgecolor=colour, linewidth=width, zorder=3,
                                         linestyle=(0, (5 * 1.4 / width, 3 * 1.4 / width))))
        outline.set_clip_path(box)
    axes.set(xlim=(0, 1), ylim=(1, 0))


def draw(image, label_map: LabelMap, operations, grid, names, target: str):
    """The figure: photo and map above, view and targets below."""
    steps = history(operations, image.size)
    view = apply_all(operations, image)
    _, tokens = token_targets(label_map, steps, grid, len(names), smoothing=0.0, target=target)
    _, ignored = token_targets(label_map, steps, grid, len(names), smoothing=0.0, fill="ignore", target=target)
    best = best_class(tokens).reshape(grid)
    confidence = dense(tokens, len(names)).max(axis=1).reshape(grid)
    fill = (ignored.const[:, 2] == 0).reshape(grid)
    map_best, map_sure = map_confidence(label_map)
    classes = Classes(names, map_best, best)

    photo_aspect, view_aspect = image.height / image.width, view.height / view.width
    figure, axes = plt.subplots(2, 2, figsize=(10, 5.2 * (photo_aspect + view_aspect)), layout="constrained",
                                height_ratios=(photo_aspect, view_aspect))
    frame(axes[0, 0], "1  Photo, crop (solid), what the view shows of it (dashed)", photo_aspect)
    show_picture(axes[0, 0], image)
    rows, columns = map_best.shape
    frame(axes[0, 1], f"2  Label map, {rows} x {columns} cells: best class, % sure", photo_aspect)
    draw_cells(axes[0, 1], map_best, map_sure, classes, window=label_map.window)
    for panel in axes[0]:
        draw_outlines(panel, footprint(steps[:1]), footprint(steps))

    frame(axes[1, 0], "3  View after crop, flip and rotation, cut into tokens", view_aspect)
    show_picture(axes[1, 0], view)
    for k in range(1, grid[1]):
        axes[1, 0].axvline(k / grid[1], color="white", linewidth=0.8)
    for k in range(1, grid[0]):
        axes[1, 0].axhline(k / grid[0], color="white", linewidth=0.8)
    frame(axes[1, 1], "4  Target of each token: best class, % of the target", view_aspect)
    draw_cells(axes[1, 1], best, confidence, classes, fill)

    no_object = Patch(facecolor="white", edgecolor="#BBBBBB", label="no class stands out")
    hatched = Patch(**FILL, label="fill: shows no photo, uniform target")
    figure.legend(handles=[*classes.legend(), no_object, hatched], loc="outside lower center", ncols=4, frameon=False,
                  fontsize=10)
    return figure


def main(argv=None) -> int:
    plt.switch_backend("agg")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--photo", help="an image file (default: a picture of our own)")
    parser.add_argument("--map", help="its label map, .npy")
    parser.add_argument("--names", help="text file of class names, one a line, in the order of the ids")
    parser.add_argument("--classes", type=int, default=1000, help="number of classes, without --names (default: 1000)")
    parser.add_argument("--orientation", default="rows-first", choices=("rows-first", "columns-first"))
    parser.add_argument("--centre-crop", type=float, metavar="PCT", help="the map shows the centre square alone, PCT "
                        "of the photo's short side wide; 1.0 for the published maps (default: the whole photo)")
    parser.add_argument("--tokens", type=int, default=8, help="tokens per side of the view (default: 8)")
    parser.add_argument("--crop", type=float, nargs=4, default=(0.1, 0.06, 0.66, 0.88), metavar=("X", "Y", "W", "H"),
                        help="the crop, in shares of the photo's sides")
    parser.add_argument("--degrees", type=float, default=20.0, help="rotation of the view")
    parser.add_argument("--seed", type=int, default=12, help="which of our own pictures")
    parser.add_argument("--output", default="docs/images/token_labels.png")
    args = parser.parse_args(argv)
    if bool(args.photo) != bool(args.map):
        parser.error("--photo and --map belong together")
    try:
        if args.photo:
            numbered = [f"class {i}" for i in range(args.classes)]
            names = drawable(Path(args.names).read_text(encoding="utf-8").splitlines()) if args.names else numbered
            image, label_map = read_photo(args.photo), read_map(args.map, len(names), args.orientation)
            if args.centre_crop is not None:
                label_map = label_map._replace(window=centre_window(image.size, args.centre_crop))
        else:
            names = list(shapes.CLASSES)
            image, label_map = drawn_picture(args.seed)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    x, y, width, height = (round(v * side) for v, side in zip(args.crop, (*image.size, *image.size)))
    operations = [CropResize((x, y, width, height), (448, 448)), HFlip(), Warp("Rotate", args.degrees)]
    target = "probs" if label_map.log_z is not None else "released"
    figure = draw(image, label_map, operations, (args.tokens, args.tokens), names, target)
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.output, dpi=100, pil_kwargs={"optimize": True})
    return 0


if __name__ == "__main__":
    sys.exit(main())
