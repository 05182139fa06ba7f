"""How fast are samples made? One core's photos, label maps and targets; then the loader with its workers."""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ppim.bench.machine import Machine, drawn_jpeg
from ppim.bench.material import CLASSES, GRID, POLICY, SEED, batch_of, drawn_map, evenly, photos_in
from ppim.bench.rounds import take_turns, times_as_fast
from ppim.bench.row import Row
from ppim.data.batches import TrainBatches
from ppim.data.images import ImageList
from ppim.data.loader import TrainSamples, make_loader
from ppim.data.transforms import history
from ppim.token_labels.card import Reading, save_card
from ppim.token_labels.maps import map_path, write_map
from ppim.token_labels.store import open_maps
from ppim.token_labels.targets import token_targets


def prepared(folder: Path, photos: str, count: int) -> ImageList:
    """`count` photos to measure with, drawn where `photos` names none, and a label map of each in `folder`/maps."""
    if not photos:
        photos = str(folder / "photos")
        for number in range(count):
            path = folder / "photos" / f"class{number % 10}" / f"{number:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(drawn_jpeg(number))
    images = evenly(photos_in(photos, folder / "unpacked"), count)
    rng = np.random.default_rng(SEED)
    for path in images.paths:
        scores, ids, log_z = drawn_map(rng)
        write_map(map_path(str(folder / "maps"), path), scores, ids, log_z[0])
    save_card(folder / "maps", Reading(log_z=True), {"num_classes": CLASSES})
    return images


def measure(images: ImageList, folder: Path, rounds: int, machine: Machine) -> list[Row]:
    """Photos, samples, maps and targets of one core, by the processor's time."""
    seconds = take_turns(making(images, folder), rounds, time.process_time)
    rate = {name: len(images) / float(np.median(found)) for name, found in seconds.items()}
    limit = rate["decode"]
    return [
        Row("samples", "photos read and decoded", rate["decode"], "/s/core", rate["decode"] / machine.decodes),
        Row("samples", "plain", rate["plain"], "/s/core", rate["plain"] / limit),
        Row("samples", "with token labels", rate["with token labels"], "/s/core", rate["with token labels"] / limit,
            times_as_fast(seconds["with token labels"], seconds["plain"]), "plain"),
        Row("samples", "label map read", 1e6 / rate["maps"], "us"),
        Row("samples", "targets of a view", 1e6 / rate["targets"], "us"),
    ]


def making(images: ImageList, folder: Path) -> dict[str, Callable[[], object]]:
    """By name, what is done once with every photo: decoding, samples, reading of maps, targets."""
    maps = open_maps(str(folder / "maps"), CLASSES, Reading(log_z=True), "bench")
    plain = TrainSamples(images, POLICY, seed=SEED, num_classes=CLASSES)
    taught = TrainSamples(images, POLICY, seed=SEED, num_classes=CLASSES, maps=maps, grid=GRID)
    keys = [(0, index, 0) for index in range(len(images))]
    label_maps = [maps.read(images.paths[index], (500, 375)) for _, index, _ in keys]
    steps = [history(ops, photo.size) for photo, ops in map(plain.view, keys)]
    return {
        "decode": lambda: [images.photo(index) for _, index, _ in keys],
        "plain": lambda: batch_of(plain, keys),
        "with token labels": lambda: batch_of(taught, keys),
        "maps": lambda: [maps.read(images.paths[index], (500, 375)) for _, index, _ in keys],
        "targets": lambda: [token_targets(one, made, GRID, CLASSES) for one, made in zip(label_maps, steps)],
    }


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
