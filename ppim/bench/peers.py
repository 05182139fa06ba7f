"""What do others do with the same? PyTorch and timm, in a Python of their own.

This file is run by that Python too, so nothing of ours is imported. It reads a JSON list of photos. Then
`python peers.py all ROUNDS THREADS BATCH` prints one JSON object {name: seconds in every round}, and
`python peers.py samples` a list of names of what it can do; for every name it reads it prints the processor's seconds
that doing it took.
"""
from __future__ import annotations

import contextlib
import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence

MODEL = "deit_small_patch16_224"  # ours: deit_small


def ask(python: str, photos: Sequence[str], rounds: int, threads: int, batch: int) -> dict[str, list[float]]:
    """Seconds of what a peer does, by name, in every round: `sample` of one photo, `forward` and `step` of a batch.

    Args:
        python: an interpreter that has torch, torchvision and timm.
        photos: paths.

    Raises:
        ValueError: it cannot be run; its last words.
    """
    words = [python, __file__, "all", str(rounds), str(threads), str(batch)]
    done = subprocess.run(words, input=_as_line(photos), capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ValueError(f"--peer {python} wants a Python with torch, torchvision and timm: {last[:200]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


@contextlib.contextmanager
def samples_on_call(python: str, photos: Sequence[str]) -> Iterator[dict[str, Callable[[], float]]]:
    """A peer that waits until it is called: by name, what makes samples of all photos once and gives the processor's
    seconds that this took.

    Args:
        python: as of `ask`; photos: paths.

    Raises:
        ValueError: it cannot be run.
    """
    words = [python, __file__, "samples"]
    try:
        peer = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                text=True)
    except OSError as error:
        raise ValueError(f"--peer {python}: {error.strerror}") from None

    def told(line: str) -> object:
        try:
            print(line, file=peer.stdin, flush=True)
            return json.loads(peer.stdout.readline())
        except (OSError, ValueError):  # it is gone
            raise ValueError(f"--peer {python} wants a Python with torch, torchvision and timm") from None

    try:
        names = told(_as_line(photos))
        yield {name: functools.partial(told, name) for name in names}
    finally:
        peer.kill()
        with contextlib.suppress(OSError):  # of what it has not read
            peer.stdin.close()
        peer.stdout.close()
        peer.wait()


def _as_line(photos: Sequence[str]) -> str:
    return json.dumps([str(photo) for photo in photos], allow_nan=False)


def main(rounds: int, threads: int, batch: int) -> None:
    """Run by the peer's Python."""
    import timm
    import torch

    torch.set_num_threads(threads)
    photos = json.loads(sys.stdin.readline())
    model = timm.create_model(MODEL).train()
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

    found = {"sample": _timed(_samples(photos)["timm"], rounds, time.process_time, len(photos)),
             "forward": _timed(lambda: forward(False), rounds),
             "forward bfloat16": _timed(lambda: forward(True), rounds), "step": _timed(step, rounds)}
    print(json.dumps(found, allow_nan=False))


def _timed(action, rounds: int, clock=time.perf_counter, parts: int = 1) -> list[float]:
    action()
    seconds = []
    for _ in range(rounds):
        start = clock()
        action()
        seconds.append((clock() - start) / parts)
    return seconds


def serve() -> None:
    """Run by the peer's Python: samples whenever a name is read."""
    import torch

    torch.set_num_threads(1)
    ways = _samples(json.loads(sys.stdin.readline()))
    print(json.dumps(list(ways), allow_nan=False), flush=True)
    for line in sys.stdin:
        start = time.process_time()
        ways[line.strip()]()
        print(time.process_time() - start, flush=True)


def _samples(photos: Sequence) -> dict[str, Callable[[], None]]:
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

    return {"timm": making(), "timm, pixels as bytes": making(use_prefetcher=True)}


if __name__ == "__main__":
    serve() if sys.argv[1] == "samples" else main(*map(int, sys.argv[2:5]))
