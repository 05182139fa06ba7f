"""Draws the figures of docs/{en,cn}/looking_inside.md: what `ppim visualize` makes of a picture drawn by our own code.

    python tools/draw_visualize_figure.py --load output/demo/token_labels_seed0

Weights, data and maps are those of `ppim demo`; pictures and their colours are of its seed.
"""
from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from ppim.data.shapes import CLASSES, draw_picture
from ppim.engine.looking import load_subject, look_at_samples, look_into
from ppim.seeds import picture_rng

SEED, INDEX = 1, 9  # of the picture; the demo's own are of seed 0
LARGE = (512, 384)  # drawn as large as a photo


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--load", required=True, help="run folder of the demo's token labels")
    parser.add_argument("--output", type=Path, default=Path("docs/images"))
    args = parser.parse_args(argv)
    args.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        image, _, _ = draw_picture(picture_rng(SEED, "val", INDEX), LARGE, class_id=CLASSES.index("triangle"))
        image.save(root / "drawn.png")
        subject, _ = load_subject(args.load)
        look_into(subject, [str(root / "drawn.png")], root / "looked")
        shutil.copy(root / "looked" / "drawn" / "sheet.png", args.output / "visualize.png")
        look_at_samples(str(Path(args.load) / "config.yaml"), [1300], 0, root / "samples")
        shutil.copy(root / "samples" / "sample1300_epoch0.png", args.output / "visualize_sample.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
