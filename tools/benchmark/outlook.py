"""What does outlook attention cost by gathers, and by unfold and fold? One of VOLO-D1's, forward and with gradients.

    python tools/benchmark/outlook.py [--batch 8] [--rounds 7]

Both compute the same with the same weights (checked first). They take turns; the least time of the processor counts,
so that other programs do not.
"""
import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import ppim  # noqa: E402, F401, I001  (before Paddle, for the threads)
import paddle  # noqa: E402
import paddle.nn.functional as F  # noqa: E402

from ppim.memory import keep_freed_memory  # noqa: E402
from ppim.models.outlook import OutlookAttention  # noqa: E402

SIDE, WIDTH, HEADS = 28, 192, 6


def unfolded(layer: OutlookAttention, x):
    """Outlook attention as it is usually written: windows by `unfold`, their sums by `fold`, transposes between."""
    batch, rows, columns, width = x.shape
    heads, cells = layer.num_heads, rows * columns // 4
    values = F.unfold(layer.v(x).transpose([0, 3, 1, 2]), 3, strides=2, paddings=1)
    values = values.reshape([batch, heads, width // heads, 9, cells]).transpose([0, 1, 4, 3, 2])
    means = F.avg_pool2d(x.transpose([0, 3, 1, 2]), 2, 2).transpose([0, 2, 3, 1])
    scores = layer.attn(means).reshape([batch, cells, heads, 9, 9]).transpose([0, 2, 1, 3, 4])
    taken = paddle.matmul(F.softmax(scores * layer.scale), values).transpose([0, 1, 4, 3, 2])
    folded = F.fold(taken.reshape([batch, width * 9, cells]), [rows, columns], 3, strides=2, paddings=1)
    return layer.proj(folded.transpose([0, 2, 3, 1]))


def milliseconds(function) -> float:
    """Of the processor, for one call."""
    before = time.process_time()
    function()
    return 1e3 * (time.process_time() - before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    keep_freed_memory()
    layer, x = OutlookAttention(WIDTH, HEADS), paddle.randn([args.batch, SIDE, SIDE, WIDTH])
    ways = {"gathers": layer, "unfold and fold": lambda x: unfolded(layer, x)}
    results = [way(x) for way in ways.values()]
    assert (results[0] - results[1]).abs().max().item() < 1e-5

    def forward(way):
        with paddle.no_grad():
            way(x)

    def both(way):
        found = way(x)
        found.backward(found.detach())
        layer.clear_gradients()

    x.stop_gradient = False
    print(f"one outlook attention of {args.batch} images, {SIDE}x{SIDE} tokens of {WIDTH}, ms")
    for name, step in (("forward", forward), ("forward and backward", both)):
        best = {way: min(times) for way, times in zip(ways, zip(*(
            [milliseconds(lambda way=way, step=step: step(way)) for way in ways.values()]
            for _ in range(args.rounds))))}
        gathers, unfold = best.values()
        print(f"  {name}: gathers {gathers:.1f}, unfold and fold {unfold:.1f}, {unfold / gathers:.1f} times")


if __name__ == "__main__":
    main()
