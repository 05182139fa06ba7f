"""What does training with token labels cost beside plain training, loader included; and how long is data waited for?

    python tools/benchmark/token_label_epoch.py --photos data/ILSVRC2012/val      a folder of class folders, or a tar
    PPIM_THREADS=1 python tools/benchmark/token_label_epoch.py --photos photos.tar --workers 1 --model lvvit_s --batch 8

Steps of the same model (forward, backward, AdamW) on batches as they come from worker processes: plain labels with
cutmix, and token labels out of a pack with MixToken. They take turns of `--steps` steps; seconds by the clock. Printed
are the medians of both and their ratio, round by round, with the interval that encloses its median with 95 %, and of
either the share of the time in which the step waited for its batch: the median turn, and the whole.
"""
from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
import ppim  # noqa: E402, F401, I001  (sets the threads before Paddle is imported)
import numpy as np  # noqa: E402

from ppim.bench.material import PER_MAP, POLICY, SEED, drawn_map, evenly, pack_maps, photos_in  # noqa: E402
from ppim.bench.network import stepping  # noqa: E402
from ppim.bench.rounds import median_of  # noqa: E402
from ppim.data.batches import TrainBatches  # noqa: E402
from ppim.data.images import ImageList  # noqa: E402
from ppim.data.loader import TrainSamples, make_loader  # noqa: E402
from ppim.memory import keep_freed_memory  # noqa: E402
from ppim.mixing import Mixed, draw_mix, mixed_rows  # noqa: E402
from ppim.models import create_model  # noqa: E402
from ppim.seeds import mix_rng  # noqa: E402
from ppim.token_labels.maps import stem_of  # noqa: E402

MIXES = {"plain labels": {"cutmix_alpha": 1.0}, "token labels": {"token_alpha": 1.0}}


def mixing(model, size: int, how: dict) -> Callable[[int], Mixed]:
    """Number of a batch -> what mixing does to its rows."""
    def mix(step: int) -> Mixed:
        return mixed_rows(draw_mix(mix_rng(SEED, step), size, model.image_size, model.grid, **how), model.image_size,
                          model.grid)
    return mix


def turns(images: ImageList, folder: Path, args: argparse.Namespace) -> dict[str, Callable[[], tuple[float, float]]]:
    """By name, what takes a turn and gives its seconds, and those of them that were waited for data."""
    rng = np.random.default_rng(SEED)
    stems = [stem_of(path) for path in images.paths]
    maps = pack_maps(folder / "pack", stems, [drawn_map(rng, args.classes, PER_MAP) for _ in stems], args.classes)
    made = {}
    for name, mix in MIXES.items():
        model = create_model(args.model, num_classes=args.classes)
        policy = POLICY._replace(image_hw=tuple(model.image_size))
        taught = {"maps": maps, "grid": model.grid} if name == "token labels" else {}
        samples = TrainSamples(images, policy, seed=SEED, num_classes=args.classes, **taught)
        batches = TrainBatches(len(images), args.batch, SEED, stop=(args.rounds + 1) * args.steps)
        loader = make_loader(samples, batches, args.workers, mixing(model, args.batch, mix))
        made[name] = _turn(iter(loader), stepping(model, 0.5 if taught else 0.0), args.steps)
    return made


def _turn(batches: Iterator, step: Callable, steps: int) -> Callable[[], tuple[float, float]]:
    def turn() -> tuple[float, float]:
        begin, waited = time.perf_counter(), 0.0
        for _ in range(steps):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            step(batch)
        return time.perf_counter() - begin, waited
    return turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", required=True, help="folder of class folders, or a tar file of one")
    parser.add_argument("--model", default="lvvit_s")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=4, help="of a turn")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--workers", type=int, default=1)
    args = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        images = evenly(photos_in(args.photos, Path(folder) / "photos"), 1 << 30)
        ways = turns(images, Path(folder), args)
        found = [[ways[name]() for name in MIXES] for _ in range(args.rounds + 1)]
    # (rounds, ways, 2), the first dropped
    seconds = np.array(found)[1:]
    for place, name in enumerate(MIXES):
        taken, waited = seconds[:, place].T
        print(f"{name:14s} {1000 * np.median(taken) / args.steps:8.1f} ms a step of {args.batch}, waits for data "
              f"{100 * np.median(waited / taken):.2f} % of a turn, {100 * waited.sum() / taken.sum():.2f} % of all")
    print(f"token labels over plain labels: {median_of(seconds[:, 1, 0] / seconds[:, 0, 0])}")


if __name__ == "__main__":
    main()
