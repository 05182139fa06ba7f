"""What do 8, 64 and 1,024 processes ask of the one place they share? Counted on one machine, with a pretended Paddle.

    python tools/benchmark/many_ranks.py [--sizes 2 8 64 256 1024] [--seconds 3]

Real are the package's own agreement, barriers, loop, batches, evaluation, log and checkpoints; pretended is what is
Paddle's: the job's key-value store, the collectives and DataParallel. A whole small run is made as rank 0 and as the
last rank of N, in which the others are echoes: they answer every collective with this rank's numbers and have always
arrived. Stopping is played by all N, up to 256, as threads at one store. Counts are exact; no time is told, for the
network is not there.
"""
from __future__ import annotations

import argparse
import collections
import contextlib
import functools
import os
import signal
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

sys.path.append(str(Path(__file__).resolve().parents[2]))

import ppim  # noqa: F401, E402, I001  (before Paddle: it sets the threads)
import numpy as np  # noqa: E402
import paddle  # noqa: E402
import paddle.distributed as dist  # noqa: E402
from PIL import Image  # noqa: E402

from ppim.bench.rounds import exponent  # noqa: E402
from ppim.config import get_config  # noqa: E402
from ppim.data import orders  # noqa: E402
from ppim.data.batches import EvalBatches, TrainBatches  # noqa: E402
from ppim.data.workers import nameless_file  # noqa: E402
from ppim.engine.agreement import Agreement  # noqa: E402
from ppim.engine.distributed import World  # noqa: E402
from ppim.engine.interrupt import StopRequest  # noqa: E402
from ppim.engine.reporting import Record  # noqa: E402
from ppim.engine.train import train  # noqa: E402

IMAGENET = 1_281_167
MOST_THREADS = 256  # ranks that one interpreter can play at once
SMALL = ["MODEL.NAME", "small", "MODEL.TYPE", "DeiT", "MODEL.TRANS.PATCH_SIZE", "8", "MODEL.TRANS.EMBED_DIM", "8",
         "MODEL.TRANS.DEPTH", "1", "MODEL.TRANS.NUM_HEADS", "1", "MODEL.TRANS.MLP_RATIO", "1", "MODEL.TRANS.QKV_BIAS",
         "True", "DATA.IMAGE_SIZE", "16", "DATA.BATCH_SIZE", "2", "DATA.BATCH_SIZE_EVAL", "2", "DATA.NUM_WORKERS", "0",
         "TRAIN.NUM_EPOCHS", "2", "TRAIN.WARMUP_EPOCHS", "0", "REPORT_FREQ", "1", "VALIDATE_FREQ", "1",
         "SAVE_FREQ", "1", "CHECKS", "tell"]  # echoes start from nowhere, as a check rightly says


class Store:
    """The job's key-value store. `echoes`: others that have always added as much as this one, where that is waited for.
    """

    def __init__(self, echoes: int = 0):
        self._values, self._changed = collections.defaultdict(bytes), threading.Condition()
        self._echoes = echoes
        self.requests: collections.Counter = collections.Counter()  # by rank
        self.rank = threading.local()

    def connection(self, *_) -> SimpleNamespace:
        """A connection of the rank whose thread asks for it."""
        rank = getattr(self.rank, "number", 0)
        methods = {name: functools.partial(getattr(self, f"_{name}"), rank) for name in ("add", "set", "get", "wait")}
        return SimpleNamespace(**methods)

    def _counted(self, rank: int) -> threading.Condition:
        with self._changed:
            self.requests[rank] += 1
        return self._changed

    def _set(self, rank: int, key: str, value) -> None:
        with self._counted(rank):
            self._values[key] = value
            self._changed.notify_all()

    def _get(self, rank: int, key: str):
        with self._counted(rank):
            return self._values[key]

    def _add(self, rank: int, key: str, amount: int) -> int:
        together = key in ("ppim/arrived", "ppim/offers") or key.startswith("ppim/in step/")
        with self._counted(rank):
            total = int(self._values[key] or 0) + amount * (1 + self._echoes * together)
            self._values[key] = total
            self._changed.notify_all()
            return total

    def _wait(self, rank: int, key: str) -> None:
        with self._counted(rank):
            if not self._changed.wait_for(lambda: key in self._values, timeout=120):
                raise RuntimeError(f"nobody set {key}")


class Traffic:
    """Collectives whose other processes are echoes; counts them and their bytes."""

    def __init__(self, size: int):
        self._size = size
        self.calls, self.bytes = 0, 0

    def all_reduce(self, tensor, op=dist.ReduceOp.SUM, **_) -> None:
        """In place: sums are `size` times what they were, least and most stay."""
        self.calls += 1
        self.bytes += tensor.size * tensor.element_size()
        if op == dist.ReduceOp.SUM:
            tensor.set_value((tensor * self._size).astype(tensor.dtype))


class Alone(paddle.nn.Layer):
    """Paddle's DataParallel of one: the gradients of echoes are one's own, so their mean is too."""

    def __init__(self, layer):
        super().__init__()
        self._layers = layer

    def forward(self, *inputs):
        """As the layer."""
        return self._layers(*inputs)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Nothing to hold back."""
        yield


def pretended(store: Store, traffic: Traffic | None, backend: str = "NCCL") -> contextlib.ExitStack:
    """Inside, Paddle's store is `store`, and its collectives are `traffic`."""
    stack = contextlib.ExitStack()
    core = paddle.base.core
    stack.enter_context(mock.patch.object(core, "create_or_get_global_tcp_store", store.connection))
    stack.enter_context(mock.patch.object(core, "TCPStore", store.connection))
    stack.enter_context(mock.patch.dict("os.environ", PADDLE_MASTER="127.0.0.1:1"))
    if traffic:
        stack.enter_context(mock.patch.object(dist, "all_reduce", traffic.all_reduce))
        stack.enter_context(mock.patch.object(dist, "get_backend", lambda: backend))
        stack.enter_context(mock.patch.object(paddle, "DataParallel", Alone))
    return stack


def write_photos(folder: Path, count: int) -> None:
    """Twice as many training photos as processes take at once, one to validate for each process; two classes."""
    rng = np.random.default_rng(0)
    for split, photos in (("train", 2 * 2 * count), ("val", max(count, 2))):
        for number in range(photos):
            path = folder / split / f"class{number % 2}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 255, (16, 16, 3)).astype("uint8")).save(path)


def whole_run(data: Path, rank: int, size: int, backend: str, steps: int = 0) -> dict[str, int]:
    """Two epochs, each saved and evaluated, or so many steps, as one rank of `size`: what it asked, sent and wrote."""
    store, traffic = Store(size - 1), Traffic(size)
    with tempfile.TemporaryDirectory() as folder, pretended(store, traffic, backend):
        run = Path(folder) / "run"
        config = get_config(None, [*SMALL, "DATA.DATA_PATH", str(data), "SAVE", str(run),
                                   "TRAIN.MAX_STEPS", str(steps)])
        said = Path(folder) / "said"
        with said.open("w") as file, contextlib.redirect_stdout(file):
            train(config, config, World(rank, size))
        files = [path for path in run.rglob("*") if path.is_file()] if run.exists() else []
        log = run / "log.jsonl"
        return {"requests": sum(store.requests.values()), "collectives": traffic.calls, "bytes": traffic.bytes,
                "files": len(files), "written": sum(path.stat().st_size for path in files),
                "log": (log.stat().st_size if log.exists() else 0), "said": said.stat().st_size}


def stopping(size: int, seconds: float) -> dict[str, float]:
    """All ranks train, without doing anything, then the last is asked to stop: requests a second, and for the stop."""
    store, stops = Store(), [StopRequest() for _ in range(size)]
    last, ready = [0] * size, threading.Barrier(size + 1)

    def process(rank: int) -> None:
        store.rank.number = rank
        agreement = Agreement(World(rank, size), stops[rank], 0, 1e6, lambda why: None)
        with agreement:
            ready.wait()
            step = 1
            while not agreement.ends_after(step):
                time.sleep(0.2)
                step += 1
            last[rank] = step

    backend = mock.patch.object(dist, "get_backend", lambda: "NCCL")
    with pretended(store, None), backend:
        threads = [threading.Thread(target=process, args=(rank,)) for rank in range(size)]
        for thread in threads:
            thread.start()
        ready.wait()
        time.sleep(seconds)
        with store._changed:
            training, rounds = collections.Counter(store.requests), [_rounds(store, rank) for rank in (0, 1)]
        stops[-1].requested = signal.SIGTERM
        for thread in threads:
            thread.join(120)
    after = store.requests - training
    assert len(set(last)) == 1, f"ranks stopped after different steps: {sorted(set(last))}"
    return {"a second, rank 0": training[0] / rounds[0], "a second, others": training[1] / rounds[1],
            "stop, rank 0": after[0], "stop, most of others": max(after[rank] for rank in range(1, size)),
            "stop, store": sum(after.values())}


def _rounds(store: Store, rank: int) -> int:
    """Times that a rank has shown that it lives: once a second."""
    return max(int(store._values[f"ppim/lives/{rank}"] or 0), 1)


def sampler_memory(size: int, length: int = IMAGENET) -> dict[str, float]:
    """MB that the samplers of a rank and of its workers take at most, and keep, in the middle of an epoch."""
    found = {}
    files: list[int] = []  # which tracemalloc does not see

    def nameless() -> int:
        files.append(nameless_file())
        return files[-1]

    tracemalloc.start()
    with mock.patch.object(orders, "nameless_file", nameless):
        batches = iter(TrainBatches(length, 128, seed=0, stop=1 << 20, rank=size - 1, world=size))
    next(batches)
    shared = sum(os.fstat(file).st_size for file in files)
    found["train, kept"], found["train, most"] = ((value + shared) / 1e6 for value in tracemalloc.get_traced_memory())
    del batches
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    next(iter(EvalBatches(50_000, 128, rank=size - 1, world=size)))
    found["evaluation"] = (tracemalloc.get_traced_memory()[1] - before) / 1e6
    tracemalloc.stop()
    return found


def gathering(size: int, images: int = 50_000) -> dict[str, float]:
    """What a rank sends for the answers of an evaluation: in how many collectives, how many MB."""
    traffic = Traffic(size)
    with pretended(Store(size - 1), traffic):
        Record(images).gathered(World(size - 1, size), 5)
    return {"answers, collectives": traffic.calls, "answers, MB": traffic.bytes / 1e6}


def main() -> None:
    """Print a table of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2, 8, 64, 256, 1024])
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    values: dict[str, dict[int, float]] = {}
    for size in args.sizes:
        print(f"\n{size} ranks")
        played = stopping(size, args.seconds) if size <= MOST_THREADS else {}
        for name, value in {**played, **sampler_memory(size), **gathering(size)}.items():
            print(f"  {name:<28}{value:12.1f}")
            values.setdefault(name, {})[size] = value
        with tempfile.TemporaryDirectory() as data:
            write_photos(Path(data), size)
            for backend in ("NCCL", "GLOO"):
                for rank in (0, size - 1):
                    print(f"  {backend}, rank {rank}: {whole_run(Path(data), rank, size, backend)}", flush=True)
    print("\npower of the number of ranks by which each grows, from 8 on")
    for name, by_size in values.items():
        sizes = [size for size in by_size if size >= 8 and by_size[size] > 0]
        if len(sizes) > 1:
            print(f"  {name:<28}{exponent(sizes, [by_size[size] for size in sizes]):12.2f}")


if __name__ == "__main__":
    main()
