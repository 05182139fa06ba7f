"""What does token-label alignment add to a training step, in time and in counted work?

    python tools/benchmark/alignment.py [--model deit_small_patch16_224] [--batch 8] [--steps 15]

With and without shares take turns in one process; the figure is the median of their paired ratios with a bootstrap
interval, for a block's attention alone and for a whole step. The other way to get the shares, as one more column of the
values, is timed beside it.
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

    from ppim.mixing import Mixed
    from ppim.models import create_model

    paddle.seed(0)
    model = create_model(args.model)
    model.train()
    model.share_rule = "alignment"
    mix = Mixed(partner_share=paddle.rand([args.batch, model.grid[0] * model.grid[1]]))
    carried = model.carried_shares(mix)
    print(f"{args.model}, batch {args.batch}, forward and backward")
    report("attention of one block", take_turns(attention_of(model, args.batch), carried, 8 * args.steps))
    report("training step", take_turns(step_of(model, args.batch), mix, args.steps))


def attention_of(model, batch: int):
    """A function (what is carried, attention) that runs one block's attention forward and backward."""
    import paddle

    attention = model.blocks[0].attn
    tokens = model.extra_tokens + model.grid[0] * model.grid[1]
    qkv = paddle.randn([batch, tokens, attention.qkv.weight.shape[1]])
    qkv.stop_gradient = False

    def run(carried, attend) -> None:
        attend(qkv, attention.num_heads, attention.scale, 0.0, carried)[0].square().mean().backward()
        qkv.clear_gradient()

    return run


def step_of(model, batch: int):
    """A function (mix, attention) that runs the model forward and backward."""
    import paddle

    from ppim.models import layers

    x = paddle.randn([batch, 3, *model.image_size])

    def run(mix, attend) -> None:
        layers.attend = attend
        model.classes(x, mix).class_logits.square().mean().backward()
        model.clear_gradients()

    return run


def take_turns(run, thing, repeats: int) -> dict[str, np.ndarray]:
    """Seconds of every way, `repeats` times in turn after one round that does not count; `thing` carries the shares."""
    from ppim.models.layers import attend

    ways = {"no shares": (None, attend), "matrix times vector": (thing, attend),
            "one more column": (thing, attend_with_a_column)}
    times = {name: [] for name in ways}
    for _ in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            run(*way)
            times[name].append(time.perf_counter() - start)
    return {name: np.array(seconds[1:]) for name, seconds in times.items()}


def report(what: str, times: dict[str, np.ndarray]) -> None:
    """Every way's time in that of the first."""
    (_, base), *others = times.items()
    print(f"{what}: {len(base)} paired runs, {1000 * np.median(base):.1f} ms without shares")
    rng = np.random.default_rng(0)
    for name, seconds in others:
        ratio = seconds / base
        low, high = np.percentile(np.median(rng.choice(ratio, (2000, len(ratio))), axis=1), [2.5, 97.5])
        print(f"  {name:20} {np.median(ratio):.3f} of it (95 % interval {low:.3f} .. {high:.3f})")


if __name__ == "__main__":
    main()
