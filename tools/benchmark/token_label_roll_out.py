"""Of a class target made from token labels: what does alignment by one number per token leave out?

    python tools/benchmark/token_label_roll_out.py -c RECIPE --load WEIGHTS [--batches 16] [-o KEY VALUE ...]

One number per token follows which picture a token's content is of, so it is exact while every token of a picture has
that picture's label. Token labels may name other classes. Here both are worked out for mixed training batches of the
recipe, with a trained model: the target by one number per token, and the token labels themselves carried through every
block (a number per token and class). Distances between targets are total variation: half the sum of the absolute
differences, from 0 to 1.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from ppim.commands import SHARED, guarded, import_paddle_quietly  # noqa: E402


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Total variation between rows: (..., K), (..., K) -> (...)."""
    return np.abs(one - other).sum(axis=-1) / 2


def dense_labels(batch: dict, kind: str, classes: int) -> np.ndarray:
    """Targets of the loader's batch, as arrays, written out: (rows, classes)."""
    from ppim.token_labels.targets import SparseTargets, dense

    return dense(SparseTargets(*(batch[f"{kind}_{field}"] for field in SparseTargets._fields)), classes)


def rolled_out(model, batch: dict, mixed, tokens: np.ndarray, mean, std) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """By one number per token and by token labels (B, N, K): (B,) share of the partner in the class token at the end,
    (B, E + N, K) labels of all tokens at the start, and at the end."""
    import paddle

    from ppim.mixing import Mixed
    from ppim.objective.pixels import mix_pixels, normalise

    in_model = Mixed.of_batch(batch)
    images = mix_pixels(normalise(batch["image"], mean, std), in_model)
    share = mixed.partner_share[..., None]
    start = (1 - share) * tokens + share * tokens[mixed.partner]
    first = np.repeat(start.mean(axis=1, keepdims=True), model.extra_tokens, axis=1)
    start = np.concatenate([first, start], axis=1)
    with paddle.no_grad():
        shares = model.roll_out(images, in_model, model.carried_shares(in_model))[-1].numpy()
        labels = model.roll_out(images, in_model, paddle.to_tensor(start))[-1].numpy()
    return shares[:, 0, 0], start, labels


def compare(model, batch: dict, mean, std, classes: int) -> dict[str, np.ndarray]:
    """(B,) figures of one mixed batch of the loader's, for the samples that mixing has changed; for a model whose
    `share_rule` is alignment."""
    from ppim.mixing import Mixed

    arrays = {name: value.numpy() for name, value in batch.items()}
    mixed, own = Mixed.of_batch(arrays), dense_labels(arrays, "class", classes)
    tokens = dense_labels(arrays, "token", classes).reshape(len(own), -1, classes)
    share, start, labels = rolled_out(model, batch, mixed, tokens, mean, std)
    area = 1 - mixed.class_share

    def of_two(share):
        return (1 - share[:, None]) * own + share[:, None] * own[mixed.partner]

    best = np.eye(classes)[own.argmax(axis=1)]
    others = 1 - np.maximum(best, best[mixed.partner])
    figures = {
        "class target: by area -> by one number per token": distance(of_two(area), of_two(share)),
        "class target: by one number per token -> roll-out of token labels": distance(of_two(share), labels[:, 0]),
        "class target: plain mean of token labels -> their roll-out": distance(start[:, 0], labels[:, 0]),
        "classes other than the two pictures' best, by one number per token": (of_two(share) * others).sum(axis=1),
        "classes other than the two pictures' best, in the roll-out": (labels[:, 0] * others).sum(axis=1),
        "token targets: as taught -> after the roll-out": distance(start, labels)[:, model.extra_tokens :].mean(axis=1),
    }
    changed = (mixed.partner_share > 0).any(axis=1)
    return {name: values[changed] for name, values in figures.items()}


def measure(config, weights: str, count: int) -> dict[str, np.ndarray]:
    """The figures of all mixed pictures in the first `count` training batches of a configuration."""
    from ppim.data.loader import make_loader
    from ppim.engine import build
    from ppim.engine.classes import with_rows
    from ppim.engine.distributed import World
    from ppim.engine.train_state import build_model_for
    from ppim.weights.load import load_weights

    images = build.train_images(config)
    config = with_rows(config, len(images.classes))
    model = build_model_for(config)
    model.share_rule = "alignment"
    load_weights(model, weights)
    model.eval()
    samples = build.train_samples(config, config, images, model.grid)
    found: dict[str, list] = {}
    batches = build.train_batches(config, len(images), World(), 0, count)
    for batch in make_loader(samples, batches, 0, build.mix_of_step(config, batches, model)):
        if "mix_partner" in batch:
            data = config.DATA
            for name, values in compare(model, batch, data.IMAGENET_MEAN, data.IMAGENET_STD,
                                        config.MODEL.NUM_CLASSES).items():
                found.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in found.items()}


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(parents=[SHARED], description=__doc__.splitlines()[0])
    parser.add_argument("-c", "--config", required=True, help="recipe, with TOKEN_LABEL.PATH and a way of mixing")
    parser.add_argument("--load", required=True, help="trained weights")
    parser.add_argument("--batches", type=int, default=16)
    parser.add_argument("-o", "--override", nargs="+", default=[], metavar="KEY VALUE")
    args = parser.parse_args(argv)
    import_paddle_quietly()

    from ppim.config import get_config

    config = get_config(args.config, args.override)
    if not config.TOKEN_LABEL.ENABLE:
        raise ValueError(f"{args.config} has no token labels; set TOKEN_LABEL.ENABLE True and TOKEN_LABEL.PATH")
    figures = measure(config, args.load, args.batches)
    if not figures:
        raise ValueError("nothing was mixed; switch on MIX.TOKEN_ALPHA or TRAIN.CUTMIX_ALPHA")
    print(f"{len(next(iter(figures.values())))} mixed pictures; mean, and nine in ten are below")
    for name, values in figures.items():
        print(f"{name:68} {values.mean():.3f} {np.percentile(values, 90):.3f}")


if __name__ == "__main__":
    sys.exit(guarded(main))
