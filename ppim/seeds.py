"""Every key of randomness: what is drawn with it, and all that the draw depends on.

    sample_rng      view and erasing of a sample (`data.augment`);      seed, epoch, index, copy
                    view of photo and mask (`segment.view`)
    stand_in_rng    who stands in for a photo that cannot be read      seed, epoch, index
    order_rng       order of the samples of an epoch (`data.loader`)    seed, epoch
    class_rng       which photos of a class come first where classes   seed, class, times all of them have come
                    are drawn equally often (`data.balance`)
    place_rng       where labels go that are misplaced on purpose        seed, epoch, index, copy
                    (`token_labels.controls`)
    mix_rng         mix of a block of the global batch (`mixing`)       seed, micro-batch, block
    dropout_seed    dropout and drop-path: Paddle's generator           seed, process, micro-batch
    picture_rng     a picture of our own (`data.shapes`)                seed, split, index

The first weights come from Paddle's generator started with the seed itself; making label maps draws nothing. A draw has
a key and no history, so nothing of it needs saving, and a run goes on anywhere. No key holds a worker, and only that of
dropout a process: any number of them trains on the same data.
"""
from __future__ import annotations

import numpy as np
from numpy.random.bit_generator import ISeedSequence

SAMPLE, ORDER, MIX, PLACE, STAND_IN, CLASS = range(6)  # streams that never meet
SPLITS = ("train", "val")  # of pictures of our own, as they are numbered in keys


class _Key(ISeedSequence):
    """A key as it is. Told only a key, numpy would still ask the system for randomness, of which it makes no use."""

    def __init__(self, key: list[int]):
        self._key = key

    def generate_state(self, n_words: int, dtype=np.uint64) -> np.ndarray:
        """The key, two words."""
        return np.array(self._key, np.uint64)


def _generator(key: list[int], stream: int, *place: int) -> np.random.Generator:
    """A counter-based one, since building it costs microseconds; draws count in the first of its four words."""
    return np.random.Generator(np.random.Philox(_Key(key), counter=[0, stream, *place]))


def sample_rng(seed: int, epoch: int, index: int, copy: int = 0) -> np.random.Generator:
    """The generator of one sample."""
    return _generator([seed, epoch], SAMPLE, index, copy)


def place_rng(seed: int, epoch: int, index: int, copy: int = 0) -> np.random.Generator:
    """The generator of a sample's misplaced labels; the sample's own draws stay what they are."""
    return _generator([seed, epoch], PLACE, index, copy)


def stand_in_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The generator of the samples that may stand in for one whose photo cannot be read."""
    return _generator([seed, epoch], STAND_IN, index, 0)


def order_rng(seed: int, epoch: int) -> np.random.Generator:
    """The generator of an epoch's order."""
    return _generator([seed, epoch], ORDER, 0, 0)


def class_rng(seed: int, label: int, cycle: int) -> np.random.Generator:
    """The generator of a class's permutation number `cycle`, where classes are drawn equally often."""
    return _generator([seed, cycle], CLASS, label, 0)


def mix_rng(seed: int, step: int, block: int = 0) -> np.random.Generator:
    """The generator of the mix of one block of the global batch, at micro-batch `step`."""
    return _generator([seed, step], MIX, block, 0)


def dropout_seed(seed: int, rank: int, step: int) -> int:
    """What Paddle's generator starts micro-batch `step` with in process `rank`."""
    return int(np.random.SeedSequence([seed, rank, step]).generate_state(1)[0])


def picture_rng(seed: int, split: str, index: int) -> np.random.Generator:
    """The generator of one picture: the same whatever the number of pictures or the order they are drawn in."""
    return np.random.default_rng([seed, SPLITS.index(split), index])
