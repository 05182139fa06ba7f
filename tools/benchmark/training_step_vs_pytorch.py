"""Is a training step on a CPU as fast as PyTorch's? Ours beside timm's DeiT, or beside LV-ViT of timm's blocks.

    python tools/benchmark/training_step_vs_pytorch.py --pytorch VENV/bin/python [--model lvvit_s] [--batch 8]
    python tools/benchmark/training_step_vs_pytorch.py --against .           ours beside itself: what noise makes of it
    python tools/benchmark/training_step_vs_pytorch.py --against CHECKOUT    beside another version of this repository

VENV has torch, timm and numpy. Both have the same weights (their logits are compared first), images and labels. A step
is forward, cross entropy of classes and of tokens where there are any, backward and AdamW, in float32; a forward pass
gives evaluation logits without a gradient. Each contestant has a process of its own on the same cores with the same
number of threads; the one that waits is stopped, and so are its threads. They take turns as ABBA. Printed is the
median over pairs of the ratio of ours to the other's, with a 95 % bootstrap interval.
"""
from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
WARM_UP = 3


class Ours:
    """A model in training; writes its weights, inputs and logits to `file` for the other to take."""

    difference = None

    def __init__(self, name: str, batch: int, file: str):
        import ppim  # noqa: F401, I001  (sets the threads before Paddle is imported)
        import paddle

        from ppim.engine.optimizer import build_optimizer
        from ppim.memory import keep_freed_memory
        from ppim.models import create_model

        keep_freed_memory()
        paddle.seed(0)
        self.model = create_model(name)
        self.optimizer = build_optimizer(self.model, "AdamW", weight_decay=0.05)
        self.optimizer.set_lr(1e-6)
        rng = np.random.default_rng(0)
        images = rng.normal(size=(batch, 3, *self.model.image_size)).astype("float32")
        labels = rng.integers(0, self.model.num_classes, batch)
        self.images, self.labels = paddle.to_tensor(images), paddle.to_tensor(labels)
        self.version = f"Paddle {paddle.__version__}"
        if file:
            self._write(file, images, labels)

    def _write(self, file: str, images: np.ndarray, labels: np.ndarray) -> None:
        import paddle

        from ppim.weights.convert import to_torch

        model = self.model
        model.eval()
        with paddle.no_grad():
            logits = model(self.images).numpy()
        arrays = to_torch(model, {name: value.numpy() for name, value in model.state_dict().items()})
        np.savez(file, images=images, labels=labels, logits=logits, sizes=json.dumps(self._sizes(), allow_nan=False),
                 **{f"state/{name}": value for name, value in arrays.items()})

    def _sizes(self) -> dict:
        model = self.model
        if not hasattr(model.patch_embed, "conv1"):
            return {"classes": model.num_classes}
        block, dim = model.blocks[0], model.cls_token.shape[-1]
        return {
            "classes": model.num_classes, "channels": model.patch_embed.conv1.weight.shape[0], "dim": dim,
            "patch": model.image_size[0] // model.grid[0], "tokens": model.grid[0] * model.grid[1],
            "depth": len(model.blocks), "heads": block.attn.num_heads, "skip_lam": block.skip_lam,
            "mlp_ratio": block.mlp.fc1.weight.shape[1] / dim,
        }

    def forward(self) -> None:
        import paddle

        self.model.eval()
        with paddle.no_grad():
            self.model(self.images)

    def step(self) -> None:
        import paddle.nn.functional as F

        self.model.train()
        output = self.model.tokens(self.images)
        loss = F.cross_entropy(output.class_logits, self.labels)
        if output.token_logits is not None:
            tokens = output.token_logits
            loss = loss + F.cross_entropy(tokens.flatten(0, 1), self.labels.repeat_interleave(tokens.shape[1]))
        loss.backward()
        self.optimizer.step()
        self.optimizer.clear_grad(set_to_zero=False)
        loss.item()


def work(args: argparse.Namespace) -> None:
    """A contestant's process: does what each line of its input says and answers with the seconds it took."""
    if args.worker == "pytorch":
        sys.path.insert(0, str(Path(__file__).parent))
        from pytorch_twin import Contestant

        with np.load(args.file) as found:
            arrays = {name: found[name] for name in found.files}
        sizes = json.loads(str(arrays.pop("sizes")))
        contestant = Contestant(args.model, sizes, arrays, int(os.environ["OMP_NUM_THREADS"]))
    else:
        contestant = Ours(args.model, args.batch, args.file)
    print(json.dumps({"version": contestant.version, "difference": contestant.difference}, allow_nan=False), flush=True)
    for line in sys.stdin:
        before = time.perf_counter()
        getattr(contestant, line.strip())()
        print(time.perf_counter() - before, flush=True)


class Process:
    """A contestant as the referee sees it."""

    def __init__(self, python: str, root: Path, arguments: list[str], threads: int):
        env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": str(threads), "PPIM_THREADS": str(threads),
               "GLOG_minloglevel": "2"}
        self._process = subprocess.Popen(
            [python, "-W", "ignore", __file__, *arguments], env=env, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        self.ready = json.loads(self._answer())
        self._process.send_signal(signal.SIGSTOP)

    def _answer(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(map(str, self._process.args))} ended with {self._process.wait()}")
        return line

    def seconds(self, what: str) -> float:
        # stopped while it waits, or its threads, which spin for a while, would take the other's cores
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        found = float(self._answer())
        self._process.send_signal(signal.SIGSTOP)
        return found

    def close(self) -> None:
        self._process.send_signal(signal.SIGCONT)
        self._process.stdin.close()
        self._process.wait()


def bootstrap_interval(ratios: np.ndarray, rng: np.random.Generator, draws: int = 10_000) -> tuple[float, float]:
    """95 % interval of the median."""
    medians = np.median(rng.choice(ratios, (draws, len(ratios))), axis=1)
    return tuple(np.quantile(medians, [0.025, 0.975]))


def compare(ours: Process, other: Process, what: str, pairs: int) -> None:
    """Take turns and print a row."""
    for _ in range(WARM_UP):
        ours.seconds(what), other.seconds(what)
    times = {ours: [], other: []}
    for pair in range(pairs):
        for contestant in (ours, other) if pair % 2 == 0 else (other, ours):
            times[contestant].append(contestant.seconds(what))
    first, second = np.array(times[ours]), np.array(times[other])
    low, high = bootstrap_interval(first / second, np.random.default_rng(0))
    print(f"{what:<8} ours {1e3 * np.median(first):8.1f} ms, other {1e3 * np.median(second):8.1f} ms, ratio "
          f"{np.median(first / second):.3f} [{low:.3f}, {high:.3f}], {pairs} pairs", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="lvvit_s")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--pytorch", help="interpreter of an environment with torch and timm")
    parser.add_argument("--against", type=Path, help="a checkout of this repository, instead of PyTorch")
    parser.add_argument("--worker", choices=("ours", "pytorch"), help=argparse.SUPPRESS)
    parser.add_argument("--file", default="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args)
        return
    if bool(args.pytorch) == bool(args.against):
        parser.error("give --pytorch INTERPRETER or --against CHECKOUT")
    common = ["--model", args.model, "--batch", str(args.batch)]
    with tempfile.TemporaryDirectory() as folder:
        shared = ["--file", f"{folder}/ours.npz"]
        ours = Process(sys.executable, ROOT, [*common, "--worker", "ours", *shared], args.threads)
        if args.pytorch:
            other = Process(args.pytorch, ROOT, [*common, "--worker", "pytorch", *shared], args.threads)
        else:
            other = Process(sys.executable, args.against.resolve(), [*common, "--worker", "ours"], args.threads)
    print(f"{args.model}, batch {args.batch}, {args.threads} threads: {ours.ready['version']} beside "
          f"{other.ready['version']}", flush=True)
    if args.pytorch:
        print(f"logits differ by {other.ready['difference']:.1e}", flush=True)
        if not other.ready["difference"] <= 1e-4:
            raise SystemExit("that is too much for the same model")
    for what in ("step", "forward"):
        compare(ours, other, what, args.pairs)
    for contestant in (ours, other):
        contestant.close()


if __name__ == "__main__":
    main()
