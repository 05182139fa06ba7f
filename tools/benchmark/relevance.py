"""Do maps of what a model looked at lie on the object it names? Share on the object / its share of the area.

    python tools/benchmark/relevance.py --load output/demo/token_labels_seed0

Pictures are drawn by ppim.data.shapes, so that it is known to the pixel where their object is; of a model that was
trained on such pictures (`ppim demo`). 1 is what a map says that knows nothing; the same model before training stands
beside it. Only pictures whose class it tells are counted for the trained one.
"""
from __future__ import annotations

import argparse

import ppim  # noqa: F401  (threads, before Paddle)

import numpy as np  # isort: skip
import paddle  # isort: skip

from ppim.data.masks import seen_through, shares
from ppim.data.shapes import CLASSES, draw_picture
from ppim.engine.looking import load_subject
from ppim.look.photo import see
from ppim.models.base import TokenModel
from ppim.seeds import picture_rng

SEED = 1  # of the pictures; the demo's own are of seed 0


def measured(model: TokenModel, view, count: int, only_right: bool) -> tuple[dict[str, float], int]:
    """Mean ratio by the kind of map over the pictures counted, and how many those are."""
    ratios: dict[str, list[float]] = {}
    for index in range(count):
        image, label, owner = draw_picture(picture_rng(SEED, "val", index), class_id=index % len(CLASSES))
        seen = see(model, image, view, asked=[label], top=0)
        if only_right and int(seen.probability.argmax()) != label:
            continue
        mask = seen_through((owner + 1).astype(np.uint8), view.ops, model.image_size)
        object_share = shares(mask, model.grid, len(CLASSES))[..., 1 + label]
        maps = {f"attention of block {layer}": maps.mean(axis=0) for layer, maps in enumerate(seen.attention)}
        for name, values in {**maps, "rolled out": seen.rollout[-1], "relevance": seen.relevance[label]}.items():
            if values.sum() > 0:
                ratio = (values * object_share).sum() / values.sum() / object_share.mean()
                ratios.setdefault(name, []).append(float(ratio))
    return {name: float(np.mean(found)) for name, found in ratios.items()}, len(ratios["rolled out"])


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--load", required=True, help="folder of a run on drawn pictures")
    parser.add_argument("--count", type=int, default=300)
    args = parser.parse_args(argv)
    subject, _ = load_subject(args.load)
    trained, counted = measured(subject.model, subject.view, args.count, only_right=True)
    paddle.seed(0)
    for parameter in subject.model.parameters():
        if len(parameter.shape) > 1 and not parameter.stop_gradient:
            parameter.set_value(0.02 * paddle.randn(parameter.shape))
    fresh, _ = measured(subject.model, subject.view, args.count, only_right=False)
    print(f"{counted} of {args.count} pictures are told by the trained model\n{'':<24}{'trained':>9}{'untrained':>11}")
    for name, value in trained.items():
        print(f"{name:<24}{value:>9.2f}{fresh[name]:>11.2f}")


if __name__ == "__main__":
    main()
