"""What do others do with the same? PyTorch and timm, in a Python of their own.

This file is run by that Python too, so nothing of ours is imported. `python peers.py` reads the arguments of `on_call`
as a JSON object and prints a JSON list of names of what it can do; then, for every name it reads, the seconds that it
took.
"""
from __future__ import annotations

import contextlib
import functools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

MODEL = "deit_small_patch16_224"  # ours: deit_small
_SETTLE = 0.3  # seconds after which threads of a product no longer wait for the next one at full speed


@contextlib.contextmanager
def on_call(python: str, photos: Sequence[str] = (), batch: int = 0,
            threads: int = 1) -> Iterator[dict[str, Callable[[], float]]]:
    """A peer that stands still until it is called: by name, what does something once and gives its seconds.

    Args:
        python: an interpreter that has torch, torchvision and timm.
        photos: paths; of them it makes samples, on one thread, whose seconds are the processor's.
        batch: images of a forward pass and a training step, on `threads` threads; seconds by the clock.

    Raises:
        ValueError: it cannot be run.
    """
    try:
        peer = subprocess.Popen([python, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)
    except OSError as error:
        raise ValueError(f"--peer {python}: {error.strerror}") from None

    def told(line: str) -> object:
        try:
            peer.send_signal(signal.SIGCONT)
            print(line, file=peer.stdin, flush=True)
            answer = json.loads(peer.stdout.readline())
            peer.send_signal(signal.SIGSTOP)  # its threads would wait for more, at full speed
            return answer
        except (OSError, ValueError):  # it is gone
            raise ValueError(f"--peer {python} wants a Python with torch, torchvision and timm") from None

    def seconds(name: str) -> float:
        time.sleep(_SETTLE)  # ours do so too
        return told(name)

    try:
        about = {"photos": [str(photo) for photo in photos], "batch": batch, "threads": threads}
        yield {name: functools.partial(seconds, name) for name in told(json.dumps(about, allow_nan=False))}
    finally:
        peer.kill()
        with contextlib.suppress(OSError):  # of what it has not read
            peer.stdin.close()
        peer.stdout.close()
        peer.wait()


def main() -> None:
    """Run by the peer's Python."""
    about = json.loads(sys.stdin.readline())
    ways = _samples(about["photos"]) if about["photos"] else {}
    if about["batch"]:
        ways |= _network(about["batch"])
    print(json.dumps(list(ways), allow_nan=False), flush=True)
    for line in sys.stdin:
        name = line.strip()
        print(_seconds(ways[name], *((1, time.process_time) if "sample" in name else (about["threads"],
                                                                                      time.perf_counter))), flush=True)


def _seconds(action: Callable[[], None], threads: int, clock: Callable[[], float]) -> float:
    import torch

    torch.set_num_threads(threads)
    start = clock()
    action()
    return clock() - start


def _network(batch: int) -> dict[str, Callable[[], None]]:
    import timm
    import torch

    model = timm.create_model(MODEL)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    images, labels = torch.randn(batch, 3, 224, 224), torch.randint(0, 1000, (batch,))

    def forward(half: bool):
        model.eval()
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            model(images)

    def step():
        model.train()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()

    return {"forward": lambda: forward(False), "forward, bfloat16": lambda: forward(True), "training step": step}


def _samples(photos: Sequence[str]) -> dict[str, Callable[[], None]]:
    """timm's samples as its loader has them made: normalised and erased there, or left to its prefetcher as bytes."""
    from PIL import Image
    from timm.data import create_transform

    def making(**how):
        make = create_transform((3, 224, 224), is_training=True, auto_augment="rand-m9-mstd0.5-inc1", re_prob=0.25,
                                re_mode="pixel", interpolation="random", **how)

        def samples():
            for path in photos:
                with contextlib.suppress(ValueError):  # newer Pillows refuse an operation that timm draws at times
                    make(Image.open(path).convert("RGB"))
        return samples

    return {"timm's samples": making(), "timm's samples, pixels as bytes": making(use_prefetcher=True)}


if __name__ == "__main__":
    main()
