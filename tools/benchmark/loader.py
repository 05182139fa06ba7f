"""How many training samples does one core make? Decode alone, with a crop, the plain sample, the token-label sample.

The last two once with RandAugment on the crop and once on the whole photo, as LV-ViT's recipes have it (crop last).

    python tools/benchmark/loader.py --photos data/ILSVRC2012/val        a folder of class folders, or a tar of one
    python tools/benchmark/loader.py --photos data/ILSVRC2012/val --peer PYTHON

Label maps (18x18, the 5 best classes) are drawn and written to a temporary folder, in packs: once with `--classes`
different classes a map, each strong in some region, as in photos, and once with ids at random, about 800 a map, the
worst case. Samples are made as workers make them, a batch at a time. The processor's time is counted and rounds take
turns, so that a busy machine slows every task alike; medians are printed, and each as a share of decode-only. JPEG, one
process.

With `--peer`, a Python that has torch, torchvision and timm makes timm's plain samples of the same photos in the same
rounds, with the same policy: normalised and erased in floats, as its transform does by itself, and as bytes, as it does
for its prefetcher. Batches are put together here, which counts, and not there. How many times as fast, with the
interval that encloses the median of the rounds with 95 %.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # one core is what is measured
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from ppim.bench import peers  # noqa: E402
from ppim.bench.material import (  # noqa: E402
    CLASSES,
    GRID,
    PER_MAP,
    POLICY,
    SEED,
    batch_of,
    drawn_map,
    evenly,
    noise_map,
    pack_maps,
    photos_in,
)
from ppim.bench.rounds import times_as_fast  # noqa: E402
from ppim.data.augment import draw_crop  # noqa: E402
from ppim.data.images import ImageList  # noqa: E402
from ppim.data.loader import TrainSamples  # noqa: E402
from ppim.data.photos import read_photo  # noqa: E402
from ppim.data.transforms import CropResize, to_array  # noqa: E402
from ppim.memory import keep_freed_memory  # noqa: E402
from ppim.seeds import sample_rng  # noqa: E402
from ppim.token_labels.maps import stem_of  # noqa: E402

CROP_LAST = POLICY._replace(order="released")


def tasks(images: ImageList, folder: str, classes_per_map: int, batch: int) -> dict:
    """Name -> function that makes one sample of each photo, of an epoch that is given."""

    def one_by_one(make):
        return lambda epoch: [make((epoch, index, 0)) for index in range(len(images))]

    def decode(key):
        return read_photo(images.full_path(key[1]))

    def decode_and_crop(key):
        photo, rng = decode(key), sample_rng(SEED, *key)
        return to_array(CropResize(draw_crop(rng, photo.size, POLICY.scale, POLICY.ratio), (224, 224)).apply(photo))

    def samples(policy=POLICY, **arguments):
        made = TrainSamples(images, policy, seed=SEED, num_classes=CLASSES, **arguments)
        places = [range(first, min(first + batch, len(images))) for first in range(0, len(images), batch)]
        return lambda epoch: [batch_of(made, [(epoch, index, 0) for index in some]) for some in places]

    rng, stems = np.random.default_rng(SEED), [stem_of(path) for path in images.paths]
    few = pack_maps(Path(folder) / "few", stems, [drawn_map(rng, per_map=classes_per_map) for _ in stems])
    many = pack_maps(Path(folder) / "many", stems, [noise_map(rng) for _ in stems])
    return {
        "decode only": one_by_one(decode),
        "decode, bicubic crop": one_by_one(decode_and_crop),
        "plain sample": samples(),
        "plain sample, crop last": samples(CROP_LAST),
        f"token-label sample, {classes_per_map} classes a map": samples(maps=few, grid=GRID),
        f"token-label sample, {classes_per_map} classes, crop last": samples(CROP_LAST, maps=few, grid=GRID),
        "token-label sample, random ids": samples(maps=many, grid=GRID),
    }


def measure(functions: dict, theirs: dict, rounds: int) -> dict:
    """The processor's seconds by name, (rounds,), the first of them dropped; ours and theirs take turns."""
    seconds = {name: [] for name in [*functions, *theirs]}
    for epoch in range(rounds + 1):
        for name, make in functions.items():
            start = time.process_time()
            make(epoch)
            seconds[name].append(time.process_time() - start)
        for name, ask in theirs.items():
            seconds[name].append(ask())
    return {name: np.array(found[1:]) for name, found in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", required=True, help="folder of class folders, or a tar file of one")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=250, help="photos a round")
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--classes", type=int, default=PER_MAP, help="different classes in a realistic map")
    parser.add_argument("--peer", metavar="PYTHON", help="a Python with torch, torchvision and timm")
    arguments = parser.parse_args()
    keep_freed_memory()  # as in training
    plain, taught = "plain sample", f"token-label sample, {arguments.classes} classes a map"
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        images = evenly(photos_in(arguments.photos, Path(folder) / "photos"), arguments.count)
        functions, theirs = tasks(images, os.path.join(folder, "maps"), arguments.classes, arguments.batch), {}
        if arguments.peer:
            functions = {name: functions[name] for name in ("decode only", plain, taught)}
            paths = [images.full_path(index) for index in range(len(images))]
            theirs = stack.enter_context(peers.on_call(arguments.peer, paths))
        seconds = measure(functions, theirs, arguments.rounds)
    first = np.median(seconds["decode only"])
    for name, found in seconds.items():
        middle = np.median(found)
        print(f"{name:45s} {len(images) / middle:6.0f} /s/core   {first / middle:.2f} of decode-only")
    print(f"seconds of a token-label sample over a plain one's: {times_as_fast(seconds[plain], seconds[taught])}")
    for other in theirs:
        for name in (plain, taught):
            print(f"{name}, times as fast as {other}: {times_as_fast(seconds[name], seconds[other])}")


if __name__ == "__main__":
    main()
