"""What does Paddle itself not give back? Bytes of memory that each call leaves behind, in this process for good.

    python tools/benchmark/paddle_leaks.py

Paddle 3.3.1: two objects of Python's, 112 bytes, for every tensor made of numbers or of an array, which `lerp_` with a
number makes as well. Any Paddle: the name, 112 bytes and more, of every tensor that a loader's worker has shipped
through shared memory, in the worker and in the process it works for. Where the last column is 0, nothing is lost.
"""
from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import ppim  # noqa: E402, F401, I001  (sets the threads before Paddle is imported)
import numpy as np  # noqa: E402
import paddle  # noqa: E402

TENSORS = 16  # of a batch


class Batches(paddle.io.Dataset):
    """Batches of small arrays."""

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, index: int) -> list[np.ndarray]:
        return [np.full(4, index, "float32") for _ in range(TENSORS)]


def private_bytes() -> int:
    """Memory that this process alone has written to."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("Private_Dirty")).split()[1])


def left_behind(call: Callable[[], object], calls: int) -> float:
    """Bytes a call; the first calls, which fill what is kept at hand, do not count."""
    for _ in range(calls // 2):
        call()
    before = private_bytes()
    for _ in range(calls):
        call()
    return (private_bytes() - before) / calls


def main() -> None:
    a, b, share, array = paddle.ones([64]), paddle.zeros([64]), paddle.full([1], 0.1), np.ones(64, "float32")
    ways = {
        "to_tensor(0.1)": lambda: paddle.to_tensor(0.1),
        "to_tensor(array)": lambda: paddle.to_tensor(array),
        "a.lerp_(b, 0.1)": lambda: a.lerp_(b, 0.1),
        "a.lerp_(b, tensor)": lambda: a.lerp_(b, share),
        "full([1], 0.1)": lambda: paddle.full([1], 0.1),
        "a.set_value(array)": lambda: a.set_value(array),
    }
    print(f"Paddle {paddle.__version__}")
    with paddle.no_grad():
        for name, call in ways.items():
            print(f"{name:<44}{left_behind(call, 20_000):8.0f} bytes a call")
    for shared in (True, False):
        loader = iter(paddle.io.DataLoader(Batches(), batch_sampler=[[i] for i in range(30_000)], num_workers=1,
                                           collate_fn=lambda batch: batch[0], use_shared_memory=shared))
        lost = left_behind(lambda loader=loader: next(islice(loader, 1)), 10_000) / TENSORS
        print(f"{'DataLoader, a worker, ' + ('shared memory' if shared else 'pipes'):<44}{lost:8.0f} bytes a tensor")


if __name__ == "__main__":
    main()
