"""What do our Linear and LayerNorm save on a CPU? Forward and backward beside Paddle's, on 8 images in 197 tokens.

    python tools/benchmark/operators.py [--rounds 20]

The two take turns; the fastest round of each counts.
"""
import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import ppim  # noqa: E402, F401, I001  (sets the threads before Paddle is imported)
import paddle  # noqa: E402
from paddle import nn  # noqa: E402

from ppim.memory import keep_freed_memory  # noqa: E402
from ppim.models.operators import LayerNorm, Linear  # noqa: E402


def seconds(layer: nn.Layer, x: paddle.Tensor, upstream: paddle.Tensor) -> tuple[float, float]:
    """Of one forward and one backward pass."""
    layer.clear_gradients()
    x.clear_gradient(False)
    start = time.perf_counter()
    y = layer(x)
    middle = time.perf_counter()
    y.backward(upstream)
    return middle - start, time.perf_counter() - middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    keep_freed_memory()
    pairs = {
        "Linear 384 -> 1536": (nn.Linear(384, 1536), Linear(384, 1536)),
        "LayerNorm 384": (nn.LayerNorm(384), LayerNorm(384)),
    }
    for name, layers in pairs.items():
        x = paddle.randn([8, 197, 384])
        x.stop_gradient = False
        upstream = paddle.randn(layers[0](x).shape)
        times = {layer: [] for layer in layers}
        for _ in range(args.rounds):
            for layer in layers:
                times[layer].append(seconds(layer, x, upstream))
        for whose, layer in zip(("Paddle's", "ours"), layers):
            forward, backward = (1e3 * min(part) for part in zip(*times[layer]))
            print(f"{name:<20} {whose:<9} forward {forward:7.2f} ms, backward {backward:7.2f} ms")


if __name__ == "__main__":
    main()
