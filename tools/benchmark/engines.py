"""How fast are evaluation's engines, and do they answer alike? Dygraph, paddle.inference in float32 and in bfloat16.

    python tools/benchmark/engines.py --models lvvit_cifar10:128 deit_small:8 --threads 1
    python tools/benchmark/engines.py --load weights/cifar10/plain --photos data/cifar10/test

The first times random weights, interleaved, medians of `--rounds`; with `--peer PYTHON`, an interpreter that has
PyTorch and timm, also timm's DeiT of the same sizes in float32 and bfloat16 (models deit_*). The second asks trained
weights about every photo: top-1 by either engine, the share of answers that differ, and the difference of the
accuracies with its 95 % interval (over photos that one gets right and the other does not).
"""
from __future__ import annotations

import argparse
import json
import math
import subprocess
import time

import numpy as np  # isort: skip

from ppim.bench.network import time_engines
from ppim.data.paths import meant
from ppim.engine.inference import has_products
from ppim.trained.predict import answers
from ppim.trained.ready import of_weights

PEER = """
import json, statistics, sys, time, torch, timm
name, batch, rounds, threads = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
model = timm.create_model(name).eval()
x = torch.randn(batch, 3, 224, 224)
def seconds(dtype):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == "bfloat16"):
        start = time.perf_counter(); model(x); return time.perf_counter() - start
print(json.dumps({f"PyTorch {d}": statistics.median([seconds(d) for _ in range(rounds + 1)][1:])
                  for d in ("float32", "bfloat16")}))
"""


def compared(weights: str, photos: str) -> None:
    """Ask every photo by dygraph and by either precision of paddle.inference."""
    ready = of_weights(weights)
    shown = meant([photos])
    labels = np.array([photo.path.split("/")[-2] for photo in shown])
    said = {}
    for engine, precision in (("dygraph", "float32"), ("inference", "float32"), ("inference", "bfloat16")):
        if not has_products(precision):
            continue
        config = ready.config.clone()
        config.defrost()
        config.EVAL.ENGINE, config.EVAL.PRECISION = engine, precision
        start = time.perf_counter()
        rows = [int(logits.argmax()) for _, logits, _ in answers(ready._replace(config=config), shown)]
        took = time.perf_counter() - start
        said[f"{engine} {precision}"] = np.array(rows)
        right = {key: np.array(ready.ids)[found] == labels for key, found in said.items()}
        first, key = said["dygraph float32"], f"{engine} {precision}"
        gained = (right[key] & ~right["dygraph float32"]).sum()
        lost = (~right[key] & right["dygraph float32"]).sum()
        mean, reach = (gained - lost) / len(rows), 1.96 * math.sqrt(max(gained + lost, 1)) / len(rows)
        print(f"{key:<22} top-1 {100 * right[key].mean():.2f} %  other answers {(said[key] != first).sum()} of "
              f"{len(rows):,}  top-1 minus dygraph's {100 * mean:+.3f} +- {100 * reach:.3f} points  {took:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=[], metavar="NAME:BATCH")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--threads", type=int, default=1, help="of the peer; ours: PPIM_THREADS")
    parser.add_argument("--load", metavar="WEIGHTS")
    parser.add_argument("--photos", metavar="DIR", help="class folders")
    args = parser.parse_args()
    for name, batch in (word.split(":") for word in args.models):
        seconds = time_engines(name, int(batch), args.rounds)
        found = {engine: float(np.median(taken)) for engine, taken in seconds.items()}
        if args.peer and name.startswith("deit_"):
            done = subprocess.run([args.peer, "-c", PEER, f"{name}_patch16_224", batch, str(args.rounds),
                                   str(args.threads)], capture_output=True, text=True, check=True)
            found |= json.loads(done.stdout.splitlines()[-1])
        first = found["dygraph"]
        print(f"{name} x {batch}: " + ", ".join(f"{engine} {1000 * took:.0f} ms ({first / took:.2f}x)"
                                                for engine, took in found.items()), flush=True)
    if args.load:
        compared(args.load, args.photos)


if __name__ == "__main__":
    main()
