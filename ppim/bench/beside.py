"""How fast are we beside PyTorch and timm? Samples and DeiT-S, theirs and ours in turns."""
from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import paddle

from ppim.bench.network import drawn_batch, step_of
from ppim.bench.peers import on_call
from ppim.bench.rounds import Seconds, take_turns, times_as_fast
from ppim.bench.row import Row
from ppim.bench.samples import making
from ppim.data.images import ImageList
from ppim.engine.inference import Inferred, has_products
from ppim.models import create_model

_MODEL = "deit_small"


def measure_samples(peer: str, images: ImageList, folder: Path, rounds: int) -> list[Row]:
    """Samples of one core, beside timm's plain ones.

    Args:
        images, folder: as of `samples.prepared`.

    Raises:
        ValueError: the peer cannot be run.
    """
    ours = making(images, folder)
    with on_call(peer, [images.full_path(number) for number in range(len(images))]) as theirs:
        seconds = take_turns({name: ours[name] for name in ("plain", "with token labels")}, rounds, time.process_time,
                             theirs)
    return _rows(seconds, len(images), "/s/core", {
        "samples, plain": ("plain", "timm's samples", "timm's"),
        "samples with token labels": ("with token labels", "timm's samples", "timm's plain ones"),
        "samples with token labels again": ("with token labels", "timm's samples, pixels as bytes",
                                            "timm's plain ones as bytes"),
    })


def measure_network(peer: str, size: int, rounds: int, threads: int) -> list[Row]:
    """Forward pass and training step of DeiT-S, beside timm's by PyTorch.

    Raises:
        ValueError: the peer cannot be run.
    """
    with on_call(peer, batch=size, threads=threads) as theirs:
        seconds = take_turns({f"our {name}": way for name, way in _network(size).items()}, rounds, others=theirs)
    compared = {f"{_MODEL}, {size} images: {name[4:]}": (name, _like(name[4:]), "PyTorch") for name in seconds
                if name.startswith("our ")}
    return _rows(seconds, size, "/s", compared)


def _network(size: int) -> dict[str, Callable[[], object]]:
    model, taught = create_model(_MODEL), create_model(_MODEL)
    model.eval()
    images = paddle.to_tensor(np.random.default_rng(0).normal(0, 1, (size, 3, 224, 224)).astype(np.float32))

    def asking(model) -> Callable[[], object]:
        def ask():
            with paddle.no_grad():
                return model(images).numpy()
        return ask

    ways = {"forward": asking(model), "forward by paddle.inference": asking(Inferred(model))}
    if has_products("bfloat16"):
        ways["forward by paddle.inference, bfloat16"] = asking(Inferred(model, precision="bfloat16"))
    return {**ways, "training step": step_of(taught, drawn_batch(taught, size))}


def _like(name: str) -> str:
    return name.replace(" by paddle.inference", "")


def _rows(seconds: Seconds, count: int, unit: str, compared: dict[str, tuple[str, str, str]]) -> list[Row]:
    """`compared`: what it is called: (ours, theirs, whose)."""
    return [Row("peer", what, count / float(np.median(seconds[ours])), unit, None,
                times_as_fast(seconds[ours], seconds[theirs]), whose)
            for what, (ours, theirs, whose) in compared.items()]
