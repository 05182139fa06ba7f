"""What do MKL's kernels make of this processor? Matrix products of a vision transformer with `MKL_DEBUG_CPU_TYPE` set.

    python tools/benchmark/matrix_products.py [--rounds 5] [--settings none 5 7]

Each setting needs a process of its own, because MKL reads the variable once. Processes take turns; the fastest of all
products counts, in GFLOP/s. `none` is what MKL chooses by itself; `ppim` sets what `ppim.mkl.kernels` says.
"""
import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from ppim import mkl  # noqa: E402

# (rows, inner, columns): the MLP of 8 images in 197 tokens of width 384, queries by keys of a head, the class head
PRODUCTS = ((1576, 384, 1536), (197, 64, 197), (8, 384, 1000))


def rates(setting: str) -> list[float]:
    """GFLOP/s of each of PRODUCTS in this process, told `setting` before its first."""
    import paddle

    os.environ.pop(mkl.VARIABLE, None)
    if setting != "none":
        os.environ[mkl.VARIABLE] = setting

    found = []
    for rows, inner, columns in PRODUCTS:
        a, b, best = paddle.randn([rows, inner]), paddle.randn([inner, columns]), float("inf")
        for _ in range(30):
            before = time.perf_counter()
            paddle.matmul(a, b)
            best = min(best, time.perf_counter() - before)
        found.append(2e-9 * rows * inner * columns / best)
    return found


def measured(setting: str) -> list[float]:
    """`rates` in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--child", setting], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--settings", nargs="+", default=["none", "5", "7"], help="7 needs AVX-512")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(rates(args.child), allow_nan=False))
        return
    best = {setting: [0.0] * len(PRODUCTS) for setting in args.settings}
    for _ in range(args.rounds):
        for setting in args.settings:
            best[setting] = [max(pair) for pair in zip(best[setting], measured(setting))]
    print(f"{mkl.VARIABLE:<20}", *(f"{'x'.join(map(str, shape)):>14}" for shape in PRODUCTS))
    for setting, values in best.items():
        print(f"{setting:<20}", *(f"{value:14.1f}" for value in values))


if __name__ == "__main__":
    main()
