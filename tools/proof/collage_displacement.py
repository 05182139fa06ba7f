"""How far from where a token looks does its label come from? Measured of the arms of the collage experiment.

    python tools/proof/collage_displacement.py [--views 500] > docs/results/collage_displacement.json

prints a JSON object {arm: tokens}, the mean distance in sides of a token, for collage_figure.py. Labels are followed by
maps whose scores grow linearly over the photo, read by the arm's own settings from files to targets.
"""
from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent))

from collage_runs import ARMS, RECIPE  # noqa: E402

from ppim.config import get_config  # noqa: E402
from ppim.data.augment import draw_view  # noqa: E402
from ppim.data.collage import CANVAS, GRID  # noqa: E402
from ppim.data.loader import TrainSamples  # noqa: E402
from ppim.data.transforms import history  # noqa: E402
from ppim.engine import build  # noqa: E402
from ppim.geometry import trace  # noqa: E402
from ppim.seeds import sample_rng  # noqa: E402

TOKENS = (8, 8)
X, Y = 3, 7  # the classes whose scores are a place
STEEP = 8.0  # growth of the scores over the photo
MEASURED = ("right", "released", "frame", "displaced 1")


def write(folder: Path) -> None:
    """One grey photo, a map of all of it, and one of its centred square."""
    covers = {"whole": (0.0, 1.0), "centre": (0.5 - CANVAS[1] / CANVAS[0] / 2, 0.5 + CANVAS[1] / CANVAS[0] / 2)}
    (folder / "photos" / "train" / "a").mkdir(parents=True)
    Image.new("RGB", CANVAS, (128, 128, 128)).save(folder / "photos" / "train" / "a" / "0.png")
    rows, columns = ((np.arange(n) + 0.5) / n for n in GRID)
    for name, (left, right) in covers.items():
        y, x = np.meshgrid(rows, left + (right - left) * columns, indexing="ij")
        ids = np.ones((2, *GRID)) * np.reshape([X, Y], (2, 1, 1))
        (folder / name / "a").mkdir(parents=True)
        np.save(folder / name / "a" / "0.npy", np.stack([np.stack([x, y]) * STEEP, ids]).astype(np.float32))


def samples(folder: Path, arm: str) -> TrainSamples:
    """The photo as the arm's runs see it."""
    maps = folder / ("centre" if arm == "frame" else "whole")
    config = get_config(RECIPE, ["DATA.DATA_PATH", str(folder / "photos"), "TOKEN_LABEL.PATH", str(maps),
                                 "TOKEN_LABEL.BLANK", "uniform", "TRAIN.SMOOTHING", "0.0", "TOKEN_LABEL.FRAME", "whole",
                                 *ARMS[arm]])
    return build.train_samples(config, config, build.train_images(config), TOKENS)


def taught(sample: dict) -> np.ndarray:
    """(N, 2): where in the photo each token's label comes from; NaN where it is uniform, off the photo."""
    targets = sample["token_targets"]
    weight = np.zeros((len(targets.const), 10))
    np.add.at(weight, (targets.row, targets.id), targets.weight)
    places = np.log1p(weight[:, [X, Y]] / targets.const[:, :1]) / STEEP
    return np.where(weight.any(1, keepdims=True), places, np.nan)


def shown(data: TrainSamples, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2) where in the photo each token looks, and the sides (x, y) of a token there."""
    steps = history(draw_view(sample_rng(data.seed, epoch, 0, 0), CANVAS, data.policy), CANVAS)
    row, column = np.divmod(np.arange(TOKENS[0] * TOKENS[1]), TOKENS[1])
    centres = np.stack([(column + 0.5) / TOKENS[1], (row + 0.5) / TOKENS[0]], axis=1)
    (corner, opposite), _ = trace(np.array([[0.0, 0.0], [1.0, 1.0]]), steps)
    return trace(centres, steps)[0], np.abs(opposite - corner) / TOKENS[::-1]


def displacement(folder: Path, arm: str, views: int) -> float:
    """Mean distance between where tokens look and where their labels come from, in sides of a token."""
    data, found = samples(folder, arm), []
    for epoch in range(views):
        places, sides = shown(data, epoch)
        found.append(np.hypot(*((taught(data[epoch, 0, 0]) - places) / sides).T))
    return float(np.nanmean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--views", type=int, default=500)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        found = {arm: round(displacement(Path(folder), arm, args.views), 3) for arm in MEASURED}
        print(json.dumps(found, allow_nan=False))


if __name__ == "__main__":
    main()
