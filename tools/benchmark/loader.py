"""How many training samples does one core make? Decode alone, with a crop, the plain sample, the token-label sample.

The last two once with RandAugment on the crop and once on the whole photo, as LV-ViT's recipes have it (crop last).

    python tools/benchmark/loader.py --photos data/ILSVRC2012/val        a folder of class folders, or a tar of one

Label maps (18x18, the 5 best classes) are random and written to a temporary folder: once with `--classes` different
classes a map, as real ones have, and once with ids at random, about 800 a map, the worst case. The processor's time is
counted and rounds take turns, so that a busy machine slows every task alike; medians are printed, and each as a share
of decode-only. JPEG, one process.
"""
from __future__ import annotations

import argparse
import os
import sys
import tarfile
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # one core is what is measured
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from ppim.data.augment import Policy, draw_crop, parse_rand_augment  # noqa: E402
from ppim.data.datasets import find_images  # noqa: E402
from ppim.data.images import ImageList  # noqa: E402
from ppim.data.loader import TrainSamples  # noqa: E402
from ppim.data.photos import read_photo  # noqa: E402
from ppim.data.transforms import CropResize, to_array  # noqa: E402
from ppim.seeds import sample_rng  # noqa: E402
from ppim.token_labels.maps import map_path, write_map  # noqa: E402
from ppim.token_labels.store import MapFolder  # noqa: E402

CLASSES, SEED = 1000, 0
POLICY = Policy((224, 224), rand_augment=parse_rand_augment("rand-m9-mstd0.5-inc1"), erase_prob=0.25)
CROP_LAST = POLICY._replace(order="released")


def write_maps(folder: str, paths: list, classes_per_map: int) -> MapFolder:
    """A random map for each image, its ids drawn from `classes_per_map` classes."""
    rng = np.random.default_rng(SEED)
    for path in paths:
        classes = rng.permutation(CLASSES)[:classes_per_map]
        # (classes, 18, 18) -> (5, 18, 18): five different ones in each cell
        ids = classes[np.argsort(rng.random((classes_per_map, 18, 18)), axis=0)[:5]]
        write_map(map_path(folder, path), -np.sort(-rng.normal(5, 3, (5, 18, 18)), axis=0), ids)
    return MapFolder(folder, CLASSES)


def tasks(images: ImageList, folder: str, classes_per_map: int) -> dict:
    """Name -> function of a sample's key (epoch, index, copy)."""

    def decode(key):
        return read_photo(images.full_path(key[1]))

    def decode_and_crop(key):
        photo, rng = decode(key), sample_rng(SEED, *key)
        return to_array(CropResize(draw_crop(rng, photo.size, POLICY.scale, POLICY.ratio), (224, 224)).apply(photo))

    def samples(policy=POLICY, **arguments):
        return TrainSamples(images, policy, seed=SEED, num_classes=CLASSES, **arguments).__getitem__

    few = write_maps(os.path.join(folder, "few"), images.paths, classes_per_map)
    many = write_maps(os.path.join(folder, "many"), images.paths, CLASSES)
    return {
        "decode only": decode,
        "decode, bicubic crop": decode_and_crop,
        "plain sample": samples(),
        "plain sample, crop last": samples(CROP_LAST),
        f"token-label sample, {classes_per_map} classes a map": samples(maps=few, grid=(14, 14)),
        f"token-label sample, {classes_per_map} classes, crop last": samples(CROP_LAST, maps=few, grid=(14, 14)),
        "token-label sample, random ids": samples(maps=many, grid=(14, 14)),
    }


def measure(functions: dict, count: int, rounds: int) -> dict:
    """Name -> samples per second, the median of `rounds`."""
    rates = {name: [] for name in functions}
    for epoch in range(rounds):
        for name, function in functions.items():
            start = time.process_time()
            for index in range(count):
                function((epoch, index, 0))
            rates[name].append(count / (time.process_time() - start))
    return {name: float(np.median(rate)) for name, rate in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", required=True, help="folder of class folders, or a tar file of one")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=250, help="photos a round")
    parser.add_argument("--classes", type=int, default=30, help="different classes in a realistic map")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = arguments.photos
        if os.path.isfile(photos):
            with tarfile.open(photos) as archive:
                archive.extractall(os.path.join(folder, "photos"))
            photos = os.path.join(folder, "photos")
            while len(os.listdir(photos)) == 1:  # the folder that wraps the class folders
                photos = os.path.join(photos, os.listdir(photos)[0])
        images = find_images(photos)
        functions = tasks(images, os.path.join(folder, "maps"), arguments.classes)
        rates = measure(functions, min(len(images), arguments.count), arguments.rounds)
    first = next(iter(rates.values()))
    for name, rate in rates.items():
        print(f"{name:45s} {rate:6.0f} /s/core   {rate / first:.2f} of decode-only")


if __name__ == "__main__":
    main()
