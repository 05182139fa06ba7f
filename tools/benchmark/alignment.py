"""What does token-label alignment add to a training step, in time and in counted work?

    python tools/benchmark/alignment.py [--model deit_small_patch16_224] [--batch 8] [--steps 15]

Steps with and without shares take turns in one process; the figure is the median of their paired ratios with a
bootstrap interval. The other way to get the shares, as one more column of the values, is timed beside it.
"""
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

import ppim  # noqa: E402, F401


def attend_with_a_column(qkv, num_heads, scale, dropout=0.0, carried=None):
    """`layers.attend` with the carried number as one more column of every head's values."""
    import paddle
    import paddle.nn.functional as F

    pieces, out, passed_on = qkv.split(3 * num_heads, axis=-1), [], []
    for q, k, v in zip(pieces[:num_heads], pieces[num_heads : 2 * num_heads], pieces[2 * num_heads :]):
        weights = F.softmax(paddle.matmul(q * scale, k, transpose_y=True), axis=-1)
        both = paddle.matmul(weights, paddle.concat([v, carried], axis=-1))
        out.append(both[:, :, :-1])
        passed_on.append(both[:, :, -1:].detach())
    return paddle.concat(out, axis=-1), sum(passed_on) / num_heads


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="deit_small_patch16_224")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=15)
    args = parser.parse_args()

    import paddle

    from ppim.models import create_model, layers
    from ppim.models.transformer import TokenMix

    paddle.seed(0)
    model = create_model(args.model)
    model.train()
    x = paddle.randn([args.batch, 3, *model.image_size])
    shares = paddle.rand([args.batch, model.grid[0] * model.grid[1]])
    mix = TokenMix(paddle.to_tensor(np.minimum(np.arange(args.batch) ^ 1, args.batch - 1)), None, shares)
    matrix_vector = layers.attend

    def step(mix, attend) -> float:
        layers.attend = attend
        start = time.perf_counter()
        model.classes(x, mix).class_logits.square().mean().backward()
        model.clear_gradients()
        return time.perf_counter() - start

    ways = {"no shares": (None, matrix_vector), "matrix times vector": (mix, matrix_vector),
            "one more column": (mix, attend_with_a_column)}
    times = {name: [] for name in ways}
    for _ in range(args.steps + 1):
        for name, way in ways.items():
            times[name].append(step(*way))
    base = np.array(times["no shares"][1:])
    print(f"{args.model}, batch {args.batch}, forward and backward, {args.steps} paired steps, "
          f"{np.median(base):.2f} s without shares")
    rng = np.random.default_rng(0)
    for name in list(ways)[1:]:
        ratio = np.array(times[name][1:]) / base
        low, high = np.percentile(np.median(rng.choice(ratio, (2000, len(ratio))), axis=1), [2.5, 97.5])
        print(f"{name:20} {np.median(ratio):.3f} of it (95 % interval {low:.3f} .. {high:.3f})")


if __name__ == "__main__":
    main()
