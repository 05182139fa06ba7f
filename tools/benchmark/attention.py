"""Which layout of attention is fastest on this CPU? The choice in ppim/models/layers.py rests on these numbers.

    python tools/benchmark/attention.py [--batch 8 --tokens 197 --dim 384 --heads 6]

Forward and backward from packed queries, keys and values, milliseconds, best of several; layouts take turns, so that a
busy machine slows all alike.
"""
from __future__ import annotations

import argparse
import time

import ppim  # noqa: F401  (threads, before Paddle)

import paddle  # isort: skip
import paddle.nn.functional as F

from ppim.models.layers import attend


def transposed(qkv, heads, scale):
    """The usual one: (B, H, N, D) by transposing."""
    # (B, N, 3 * H * D) -> 3 x (B, H, N, D)
    q, k, v = qkv.reshape([0, 0, 3, heads, -1]).transpose([2, 0, 3, 1, 4]).unbind(0)
    weights = F.softmax(paddle.matmul(q * scale, k, transpose_y=True), axis=-1)
    return paddle.matmul(weights, v).transpose([0, 2, 1, 3]).flatten(2)


def einsum(qkv, heads, scale):
    q, k, v = qkv.reshape([0, 0, 3, heads, -1]).unbind(2)
    weights = F.softmax(paddle.einsum("bnhd,bmhd->bhnm", q * scale, k), axis=-1)
    return paddle.einsum("bhnm,bmhd->bnhd", weights, v).flatten(2)


def fused(qkv, heads, scale):
    q, k, v = qkv.reshape([0, 0, 3, heads, -1]).unbind(2)
    return F.scaled_dot_product_attention(q, k, v).flatten(2)


def milliseconds(layout, qkv, heads) -> tuple[float, float]:
    """(forward, backward) of one call."""
    qkv = qkv.clone()
    qkv.stop_gradient = False
    start = time.perf_counter()
    out = layout(qkv, heads, (qkv.shape[-1] // (3 * heads)) ** -0.5)
    middle = time.perf_counter()
    out.backward(paddle.ones_like(out))
    return 1e3 * (middle - start), 1e3 * (time.perf_counter() - middle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"batch": 8, "tokens": 197, "dim": 384, "heads": 6, "rounds": 10}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    qkv = paddle.randn([args.batch, args.tokens, 3 * args.dim])
    layouts = {"transposed": transposed, "einsum": einsum, "F.scaled_dot_product_attention": fused, "ppim": attend}
    times = {name: [] for name in layouts}
    for _ in range(args.rounds):
        for name, layout in layouts.items():
            times[name].append(milliseconds(layout, qkv, args.heads))
    print(f"B {args.batch}, N {args.tokens}, dim {args.dim}, heads {args.heads}; Paddle {paddle.__version__}")
    for name, pairs in times.items():
        forward, backward = (min(column) for column in zip(*pairs))
        print(f"{name:32} forward {forward:6.1f} ms   backward {backward:6.1f} ms")


if __name__ == "__main__":
    main()
