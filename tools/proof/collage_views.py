"""How often does a training view of the collage experiment not show its picture's class, or less of it than of another?

    python tools/proof/collage_views.py --data output/proof/collage_100 --seed 100 --epochs 15

counts, by the pictures' masks, the views that the runs of that seed are trained on, and prints a JSON object: how many
views, in which share of them (in percent) no pixel of the class is left ("lost"), and in which there are some, but more
of another class ("outgrown"). A picture's class is that of the patch of which the centred square shows most.
"""
from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from collage_displacement import TOKENS  # noqa: E402
from collage_runs import ARMS, EPOCHS, RECIPE  # noqa: E402

from ppim.config import get_config  # noqa: E402
from ppim.data.loader import TrainSamples  # noqa: E402
from ppim.data.masks import mask_path, read_mask, seen_through  # noqa: E402
from ppim.engine import build  # noqa: E402


def views(data: Path, seed: int, epochs: int) -> Iterator[tuple[np.ndarray, int, int]]:
    """(mask (h, w) of a view, label, number of classes) of every view of so many epochs."""
    samples = samples_of(data, seed)
    images = samples.images
    for epoch in range(epochs):
        for index, name in enumerate(images.paths):
            _, ops = samples.view((epoch, index, 0))
            mask = read_mask(mask_path(str(data / "masks" / "train"), name), samples.num_classes)
            yield seen_through(mask, ops, samples.policy.image_hw), int(images.labels[index]), samples.num_classes


def samples_of(data: Path, seed: int) -> TrainSamples:
    """What the runs of a seed are trained on; no arm draws other views."""
    config = get_config(RECIPE, ["SEED", str(seed), "DATA.DATA_PATH", str(data / "data"), *ARMS["plain"]])
    return build.train_samples(config, config, build.train_images(config), TOKENS)


def fate(seen: np.ndarray, label: int, classes: int) -> str:
    """What has become of a picture's class in a view: 'lost', 'outgrown' by another, or 'kept'."""
    pixels = np.bincount(seen.ravel(), minlength=256)[1:1 + classes]
    if not pixels[label]:
        return "lost"
    return "kept" if pixels[label] == pixels.max() else "outgrown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that `ppim data collage` has made")
    parser.add_argument("--seed", type=int, required=True, help="of the runs")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    args = parser.parse_args()
    fates = [fate(*view) for view in views(args.data, args.seed, args.epochs)]
    found = {name: round(100 * fates.count(name) / len(fates), 2) for name in ("lost", "outgrown")}
    print(json.dumps({"views": len(fates), **found}, allow_nan=False))


if __name__ == "__main__":
    main()
