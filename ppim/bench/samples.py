"""How fast are samples made? One core's photos, label maps and targets; then the loader with its workers."""
from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ppim.bench.machine import Machine, drawn_jpeg
from ppim.bench.rounds import take_turns, times_as_fast
from ppim.bench.row import Row
from ppim.data.augment import Policy, parse_rand_augment
from ppim.data.batches import TrainBatches
from ppim.data.datasets import find_images
from ppim.data.images import ImageList
from ppim.data.loader import TrainSamples, make_loader
from ppim.data.transforms import history
from ppim.token_labels.card import Reading, save_card
from ppim.token_labels.maps import map_path, write_map
from ppim.token_labels.store import open_maps
from ppim.token_labels.targets import token_targets

CLASSES, KEPT, CELLS, GRID, SEED = 1000, 5, (18, 18), (14, 14), 0
_PER_MAP = 30  # different classes in a map, as in real ones
POLICY = Policy((224, 224), rand_augment=parse_rand_augment("rand-m9-mstd0.5-inc1"), erase_prob=0.25)


def prepared(folder: Path, photos: str, count: int) -> ImageList:
    """Photos to measure with, drawn where `photos` names none, and a label map of each in `folder`/maps."""
    if not photos:
        photos = str(folder / "photos")
        for number in range(count):
            path = folder / "photos" / f"class{number % 10}" / f"{number:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(drawn_jpeg(number))
    images = find_images(photos)
    rng = np.random.default_rng(SEED)
    for path in images.paths[:count]:
        names = rng.permutation(CLASSES)[:_PER_MAP]
        # (classes, rows, columns) -> (kept, rows, columns): different ones in each cell
        ids = names[np.argsort(rng.random((_PER_MAP, *CELLS)), axis=0)[:KEPT]]
        scores = -np.sort(-rng.normal(5, 3, (KEPT, *CELLS)), axis=0)
        write_map(map_path(str(folder / "maps"), path), scores, ids, np.log(np.exp(scores).sum(axis=0) + 40))
    save_card(folder / "maps", Reading(log_z=True), {"num_classes": CLASSES})
    return images


def measure(images: ImageList, folder: Path, count: int, rounds: int, machine: Machine) -> list[Row]:
    """Photos, samples, maps and targets of one core, by the processor's time; `count` photos a round."""
    maps = open_maps(str(folder / "maps"), CLASSES, Reading(log_z=True), "bench")
    plain = TrainSamples(images, POLICY, seed=SEED, num_classes=CLASSES)
    taught = TrainSamples(images, POLICY, seed=SEED, num_classes=CLASSES, maps=maps, grid=GRID)
    keys = [(0, index, 0) for index in range(min(count, len(images)))]
    label_maps = [maps.read(images.paths[index], (500, 375)) for _, index, _ in keys]
    steps = [history(ops, photo.size) for photo, ops in map(plain.view, keys)]
    seconds = take_turns({
        "decode": lambda: [images.photo(index) for _, index, _ in keys],
        "plain": lambda: [plain[key] for key in keys],
        "taught": lambda: [taught[key] for key in keys],
        "maps": lambda: [maps.read(images.paths[index], (500, 375)) for _, index, _ in keys],
        "targets": lambda: [token_targets(one, made, GRID, CLASSES) for one, made in zip(label_maps, steps)],
    }, rounds, time.process_time)
    rate = {name: len(keys) / float(np.median(found)) for name, found in seconds.items()}
    limit = rate["decode"]
    return [
        Row("samples", "photos read and decoded", rate["decode"], "/s/core", rate["decode"] / machine.decodes),
        Row("samples", "plain", rate["plain"], "/s/core", rate["plain"] / limit),
        Row("samples", "with token labels", rate["taught"], "/s/core", rate["taught"] / limit,
            times_as_fast(seconds["taught"], seconds["plain"]), "plain"),
        Row("samples", "label map read", 1e6 / rate["maps"], "us"),
        Row("samples", "targets of a view", 1e6 / rate["targets"], "us"),
    ]


def measure_loader(images: ImageList, folder: Path, workers: Sequence[int], batches: int, size: int) -> list[Row]:
    """Samples with token labels a second, by the number of worker processes."""
    maps = open_maps(str(folder / "maps"), CLASSES, Reading(log_z=True), "bench")
    samples = TrainSamples(images, POLICY, seed=SEED, num_classes=CLASSES, maps=maps, grid=GRID)
    size = min(size, len(images))
    found: list[Row] = []
    for count in workers:
        loader = iter(make_loader(samples, TrainBatches(len(images), size, SEED, stop=batches + 2), count,
                                  mix=None))
        for _ in range(2):
            next(loader)
        start = time.perf_counter()
        for _ in range(batches):
            next(loader)
        rate = batches * size / (time.perf_counter() - start)
        loader.close()
        found.append(Row("loader", f"{count} workers", rate, "/s"))
    return found
