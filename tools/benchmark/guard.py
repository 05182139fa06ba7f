"""What does it cost to look at all numbers of every step? Share of a training step on a CPU, and operators on a GPU.

    python tools/benchmark/guard.py [--model lvvit_s] [--batch 8] [--rounds 7]
"""
from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import ppim  # noqa: E402, F401, I001  (sets the threads before Paddle is imported)
import numpy as np  # noqa: E402
import paddle  # noqa: E402

from ppim.bench.network import drawn_batch  # noqa: E402
from ppim.engine.distributed import World  # noqa: E402
from ppim.engine.optimizer import build_optimizer, take_step  # noqa: E402
from ppim.engine.run import Meter  # noqa: E402
from ppim.engine.sound import Guard  # noqa: E402
from ppim.memory import keep_freed_memory  # noqa: E402
from ppim.models import create_model  # noqa: E402
from ppim.objective.objective import Objective  # noqa: E402
from ppim.paddle_compat import GradScaler  # noqa: E402
from tools.benchmark.operator_counts import counted  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lvvit_s")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    keep_freed_memory()
    model = create_model(args.model)
    model.train()
    optimizer, scaler = build_optimizer(model, "AdamW", weight_decay=0.05), GradScaler(enable=False)
    optimizer.set_lr(1e-5)
    batch = drawn_batch(model, args.batch)
    objective = Objective(model, 1.0, 1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    state = SimpleNamespace(model=model, optimizer=optimizer, scaler=scaler, loss_scale=1.0)
    guard = Guard(SimpleNamespace(state=state, meter=Meter(), world=World()))
    shares = []
    for turn in range(args.rounds + 1):
        begin = time.perf_counter()
        guard.begin_step()
        kept = time.perf_counter()
        terms = objective(batch)
        terms.total.backward()
        guard.note(batch, terms)
        looked = time.perf_counter()
        guard.allows_step()
        decided = time.perf_counter()
        if turn == args.rounds:
            break
        take_step(optimizer, scaler)
        seconds = kept - begin + decided - looked
        if turn:  # the first is a warm-up
            shares.append(seconds / (time.perf_counter() - begin - seconds))
    print(f"{args.model}, {args.batch} images: {100 * np.median(shares):.2f} % of a step")
    kept = counted(guard.begin_step)[0]
    guard.note(batch, terms)
    asked = counted(guard.allows_step)[0]
    norms = sum(isinstance(layer, paddle.nn.BatchNorm2D) for layer in model.sublayers())
    print(f"{kept + asked} operators a step, {norms} BatchNorms")


if __name__ == "__main__":
    main()
