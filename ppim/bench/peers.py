"""What do others do with the same? PyTorch and timm, in a Python of their own.

This file is run by that Python too, so nothing of ours is imported: `python peers.py FOLDER ROUNDS THREADS BATCH`
prints one JSON object {name: seconds in every round}.
"""
from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path

MODEL = "deit_small_patch16_224"  # ours: deit_small


def ask(python: str, folder: str, rounds: int, threads: int, batch: int) -> dict[str, list[float]]:
    """Seconds of what a peer does, by name, in every round: `sample` of one photo, `forward` and `step` of a batch.

    Args:
        python: an interpreter that has torch, torchvision and timm.
        folder: photos, in class folders.

    Raises:
        ValueError: it cannot be run; its last words.
    """
    words = [python, __file__, folder, str(rounds), str(threads), str(batch)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise ValueError(f"--peer {python} wants a Python with torch, torchvision and timm: {last[:200]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main(folder: str, rounds: int, threads: int, batch: int) -> None:
    """Run by the peer's Python."""
    import timm
    import torch
    from PIL import Image
    from timm.data import create_transform

    torch.set_num_threads(threads)
    make = create_transform((3, 224, 224), is_training=True, auto_augment="rand-m9-mstd0.5-inc1", re_prob=0.25,
                            interpolation="bicubic")
    photos = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))[:100]
    model = timm.create_model(MODEL).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    images, labels = torch.randn(batch, 3, 224, 224), torch.randint(0, 1000, (batch,))

    def samples():
        for path in photos:
            with contextlib.suppress(ValueError):  # newer Pillows refuse an operation that timm draws at times
                make(Image.open(path).convert("RGB"))

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

    found = {"sample": _timed(samples, rounds, time.process_time, len(photos)),
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


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
