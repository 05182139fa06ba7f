"""What does merging tokens cost in accuracy, and what does it save?

    python tools/benchmark/fewer_tokens.py --load output/run --photos data/cifar10 --rounds 9
    python tools/benchmark/fewer_tokens.py --model deit_small --batch 8 --rounds 9

For every share of patches kept: top-1 on the validation photos (of weights that are given), and how many times as fast
as with all of them, paddle.inference in float32, in turns on one thread, by processor time, so that other programs
count little; with the 95 % interval of the median.
"""
from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("PPIM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import ppim  # noqa: E402, F401  (threads, before Paddle)

# isort: split
import numpy as np  # noqa: E402
import paddle  # noqa: E402

from ppim.bench.rounds import take_turns, times_as_fast  # noqa: E402
from ppim.engine.command import run  # noqa: E402
from ppim.engine.inference import Inferred  # noqa: E402
from ppim.models import create_model  # noqa: E402
from ppim.models.merging import Merging  # noqa: E402

KEEPS = (1.0, 0.75, 0.5, 0.35, 0.25)


def programs(model, batch: int) -> dict[str, object]:
    """An action for each share: a batch of numbers drawn, answered."""
    model.eval()
    x = paddle.to_tensor(np.random.default_rng(0).normal(size=(batch, 3, *model.image_size)).astype(np.float32))
    made = {keep: Inferred(model if keep == 1 else Merging(model, keep)) for keep in KEEPS}
    return {f"{keep:g}": lambda one=one: one(x).numpy() for keep, one in made.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--load", help="a run's folder or weights, to be evaluated")
    parser.add_argument("--photos", help="their photos")
    parser.add_argument("--model", default="lvvit_cifar10", help="of which times are taken, with random weights")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    accuracy = {}
    for keep in KEEPS if args.load else ():
        result = run(None, ["MODEL.PRETRAINED", args.load, "EVAL.ONLY", "True", "DATA.DATA_PATH", args.photos,
                            "EVAL.KEEP", str(keep), "EVAL.ENGINE", "inference"])
        accuracy[f"{keep:g}"] = result.top1
    seconds = take_turns(programs(create_model(args.model), args.batch), args.rounds, time.process_time)
    for name, taken in seconds.items():
        told = f", top-1 {accuracy[name]:.2f}" if name in accuracy else ""
        print(f"{args.model}, keep {name}: {times_as_fast(taken, seconds['1'])} times as fast{told}")


if __name__ == "__main__":
    main()
