"""Draw docs/images/tl_align.png: a mixed picture, and whose content each token holds at the start and after each block.

    python tools/draw_alignment_figure.py -c RECIPE --load WEIGHTS
    python tools/draw_alignment_figure.py -c RECIPE --load WEIGHTS --photos dog.jpg cat.jpg --box 2 3 9 9 --output x.png

Without photos two of the project's own pictures are mixed. The labels are those training with token-label alignment
works with; only the drawing is done here. Needs matplotlib.
"""
from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppim.commands import SHARED, guarded, import_paddle_quietly  # noqa: E402

# Okabe and Ito's blue and orange stay apart with every common form of colour blindness.
OWN, PARTNER, INK = "#0072B2", "#E69F00", "#222222"
COLOURS = LinearSegmentedColormap.from_list("share", [OWN, "#FFFFFF", PARTNER])
PER_ROW = 4


def drawn_pictures(seed: int, view) -> list[np.ndarray]:
    """Two of our own pictures, of different classes, as the model sees them."""
    from ppim.data import shapes
    from ppim.data.transforms import apply_all
    from ppim.seeds import picture_rng

    pictures = []
    for index in range(2):
        image, _, _ = shapes.draw_picture(picture_rng(seed, "val", index), class_id=(seed + 3 * index) % 10)
        pictures.append(np.asarray(apply_all(view, image)))
    return pictures


def shares(model, pictures: list[np.ndarray], box, mean, std) -> tuple[np.ndarray, list[np.ndarray]]:
    """The mixed picture (h, w, 3) uint8, and the partner's share (1 + N,) in each token, from the start on."""
    import paddle

    from ppim.mixing import Mix, Mixed, mixed_rows
    from ppim.objective.pixels import mix_pixels, normalise

    height, width = model.image_size
    cell = height // model.grid[0], width // model.grid[1]
    pixels = [side * cell[k % 2] for k, side in enumerate(box)]
    mix = Mix(np.array([1, 0]), np.ones(2, "float32"), np.array([pixels, pixels]), np.zeros((2, 4), "int64"))
    # (h, w, 3) -> (2, 3, h, w)
    batch = paddle.to_tensor(np.stack(pictures).transpose(0, 3, 1, 2))
    fields = mixed_rows(mix, model.image_size, model.grid, with_shares=True).as_fields()
    mixed = Mixed.of_batch({name: paddle.to_tensor(value) for name, value in fields.items()})
    model.share_rule = "alignment"
    with paddle.no_grad():
        images = mix_pixels(normalise(batch, mean, std), mixed)
        after = model.roll_out(images, mixed, model.carried_shares(mixed))
    top, left, bottom, right = pixels
    picture = pictures[0].copy()
    picture[top:bottom, left:right] = pictures[1][top:bottom, left:right]
    first = model.extra_tokens
    return picture, [np.concatenate([y.numpy()[0, :1, 0], y.numpy()[0, first:, 0]]) for y in after]


def draw_shares(axes, share: np.ndarray, grid, title: str) -> None:
    """Tiles of one step; the class token stands above them, in the middle."""
    rows, columns = grid
    numbers = columns <= 10

    def tile(x, y, value, size):
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=COLOURS(value), edgecolor="#BBBBBB", linewidth=0.5))
        if size:
            dark = abs(value - 0.5) > 0.35 and value < 0.5
            axes.text(x + 0.5, y + 0.5, f"{100 * value:.0f}", ha="center", va="center", fontsize=size,
                      color="white" if dark else INK)

    for k, value in enumerate(share[1:]):
        tile(k % columns, k // columns, value, 60 / columns if numbers else 0)
    axes.text(columns / 2 - 0.7, -0.9, "class token", ha="right", va="center", fontsize=9, color=INK)
    scale = 1 if numbers else columns / 10
    axes.add_patch(Rectangle((columns / 2 - 0.5, -1.4), 2.2 * scale, scale, facecolor=COLOURS(share[0]),
                             edgecolor=INK, linewidth=1))
    axes.text(columns / 2 - 0.5 + 1.1 * scale, -1.4 + scale / 2, f"{100 * share[0]:.1f}", ha="center", va="center",
              fontsize=9, color=INK)
    axes.set(xlim=(-0.05, columns + 0.05), ylim=(rows + 0.05, -1.6), xticks=[], yticks=[], aspect=1)
    axes.set_title(title, loc="left", fontsize=11, color=INK)
    axes.set_frame_on(False)


def draw(picture: np.ndarray, steps: list[np.ndarray], box, grid):
    """The figure: the picture, then one panel for the start and one for each block."""
    panels = 1 + len(steps)
    rows = math.ceil(panels / PER_ROW)
    figure, axes = plt.subplots(rows, PER_ROW, figsize=(2.9 * PER_ROW, 3.3 * rows), layout="constrained", squeeze=False)
    for spare in axes.flat[panels:]:
        spare.set_axis_off()
    height, width = grid
    first = axes.flat[0]
    first.imshow(picture, extent=(0, width, height, 0), interpolation="nearest")
    top, left, bottom, right = box
    for line, colour in ((3.5, "white"), (1.8, PARTNER)):
        first.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, lw=line))
    first.set(xlim=(-0.05, width + 0.05), ylim=(height + 0.05, -1.6), xticks=[], yticks=[], aspect=1)
    first.set_frame_on(False)
    first.set_title("Mixed; the partner in the box", loc="left", fontsize=11, color=INK)
    for index, (panel, share) in enumerate(zip(axes.flat[1:], steps)):
        draw_shares(panel, share, grid, f"After block {index}" if index else "Start: area")
    shade = figure.colorbar(plt.cm.ScalarMappable(plt.Normalize(0, 100), COLOURS), ax=axes, location="bottom",
                            fraction=0.03, aspect=60, pad=0.01)
    shade.set_label("The partner's share of what a token holds, %", fontsize=10, color=INK)
    return figure


def main(argv: list[str]) -> None:
    plt.switch_backend("agg")
    parser = argparse.ArgumentParser(parents=[SHARED], description=__doc__.split("\n")[0])
    parser.add_argument("-c", "--config", required=True, help="recipe")
    parser.add_argument("--load", required=True, help="trained weights")
    parser.add_argument("--photos", nargs=2, metavar="FILE", help="two image files (default: pictures of our own)")
    parser.add_argument("--box", type=int, nargs=4, metavar=("TOP", "LEFT", "BOTTOM", "RIGHT"),
                        help="what the second shows, in tokens (default: the right half, without the upper quarter)")
    parser.add_argument("--seed", type=int, default=0, help="which of our own pictures")
    parser.add_argument("--output", default="docs/images/tl_align.png")
    parser.add_argument("-o", "--override", nargs="+", default=[], metavar="KEY VALUE")
    args = parser.parse_args(argv)
    import_paddle_quietly()

    from ppim.config import get_config
    from ppim.data.photos import read_photo
    from ppim.data.transforms import apply_all, eval_view
    from ppim.models import build_model
    from ppim.weights.load import load_weights

    config = get_config(args.config, args.override)
    model = build_model(config)
    load_weights(model, args.load)
    model.eval()
    rows, columns = model.grid
    box = args.box or (rows // 4, columns // 2, rows, columns)
    if not (0 <= box[0] < box[2] <= rows and 0 <= box[1] < box[3] <= columns):
        raise ValueError(f"--box wants 0 <= TOP < BOTTOM <= {rows} and 0 <= LEFT < RIGHT <= {columns}, got {box}")
    view = eval_view(model.image_size, config.DATA.CROP_PCT, config.DATA.INTERPOLATION)
    if args.photos:
        photos = map(read_photo, args.photos)
        pictures = [np.asarray(apply_all(view, photo)) for photo in photos]
    else:
        pictures = drawn_pictures(args.seed, view)
    picture, steps = shares(model, pictures, box, config.DATA.IMAGENET_MEAN, config.DATA.IMAGENET_STD)
    Path(args.output).parent.mkdir(parents=True, exist_ok=True)
    draw(picture, steps, box, model.grid).savefig(args.output, dpi=100, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    sys.exit(guarded(main))
