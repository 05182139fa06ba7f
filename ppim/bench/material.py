"""With which photos and label maps are samples measured, and how are they made? Nothing here needs Paddle."""
from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ppim.data.augment import Policy, parse_rand_augment
from ppim.data.datasets import find_images
from ppim.data.images import ImageList
from ppim.data.making import Making, Samples
from ppim.index import names_digest
from ppim.token_labels.pack import MapPack, ascending
from ppim.token_labels.pack_writer import SHARD_MAPS, Encoded, Plan, write_pack
from ppim.token_labels.record import encode, seal_record

CLASSES, KEPT, CELLS, GRID, SEED = 1000, 5, (18, 18), (14, 14), 0
PER_MAP = 30  # different classes in a map, as in real ones
POLICY = Policy((224, 224), rand_augment=parse_rand_augment("rand-m9-mstd0.5-inc1"), erase_prob=0.25)


def photos_in(place: str, folder: Path) -> ImageList:
    """The photos of a folder of class folders, or of a tar file of one, which is unpacked into `folder`."""
    if os.path.isfile(place):
        with tarfile.open(place) as archive:
            archive.extractall(folder)
        place = str(folder)
        while len(os.listdir(place)) == 1:  # the folder that wraps the class folders
            place = os.path.join(place, os.listdir(place)[0])
    return find_images(place)


def evenly(images: ImageList, count: int) -> ImageList:
    """`count` of the photos, or all where there are less, of all classes alike."""
    return images.pick(np.linspace(0, len(images) - 1, min(len(images), count)).astype(int))


def drawn_map(rng: np.random.Generator, classes: int = CLASSES, per_map: int = PER_MAP) -> np.ndarray:
    """A map of our own form, (3, KEPT, *CELLS) float64: scores, ids and log-sum-exps, the best class first. Each class
    is strong in some region, as in photos.

    Args:
        classes: ids lie below it; per_map: how many of them the map is of. KEPT falls with either.
    """
    names = rng.permutation(classes)[:per_map]
    # five by five random heights per class, read in between: neighbouring cells see much the same
    rows, columns = (np.maximum(0, 1 - np.abs(np.linspace(0, 4, n)[:, None] - np.arange(5))) for n in CELLS)
    strength = rows @ rng.normal(1, 4, (len(names), 5, 5)) @ columns.T
    return _best(strength, names)


def noise_map(rng: np.random.Generator, classes: int = CLASSES) -> np.ndarray:
    """The same of any classes anywhere, the worst case."""
    return _best(rng.normal(0, 3, (classes, *CELLS)), np.arange(classes))


def _best(strength: np.ndarray, names: np.ndarray) -> np.ndarray:
    """(classes, rows, columns) -> the map of the best of each cell."""
    best = np.argsort(-strength, axis=0)[:KEPT]
    scores = np.take_along_axis(strength, best, 0)
    return np.stack([scores, names[best], np.broadcast_to(np.log(np.exp(strength).sum(axis=0)), scores.shape)])


def pack_maps(path: Path, stems: Sequence[str], maps: Sequence[np.ndarray], classes: int = CLASSES) -> MapPack:
    """A pack whose records repeat `maps`, as of `drawn_map`, each sealed for its own stem.

    Args:
        stems: in any order.
        classes: ids lie below it.
    """
    stems = ascending(stems)
    plan = Plan(names_digest(stems), len(stems), (KEPT, *CELLS), "<u2", True, classes, False, SHARD_MAPS, "", "", None)
    bodies = [encode(plan.record, "", "", one, classes, round_scores=True)[0][:-4] for one in maps]

    def encoded(first: int) -> Iterator[Encoded]:
        for at in range(first, len(stems), 256):
            pieces = [seal_record(stem, bodies[(at + number) % len(bodies)])
                      for number, stem in enumerate(stems[at:at + 256])]
            yield Encoded(b"".join(pieces), classes - 1, 0.0)

    write_pack(path, stems, plan, lambda stem: 0.0, encoded, lambda done: None)
    return MapPack(str(path), classes)


def batch_of(samples: Samples, keys: Sequence) -> dict[str, np.ndarray]:
    """Samples as a worker makes them: a batch.

    Raises:
        ValueError: one cannot be made.
    """
    batch = Making(samples, None)(0, keys, lambda path: None)
    if "error" in batch:
        raise ValueError(batch["error"])
    return batch
