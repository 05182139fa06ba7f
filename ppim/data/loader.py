"""Samples, and batches made of them.

A training sample is asked for by (epoch, index, copy) and depends on those and the seed alone; `batches.TrainBatches`
says which samples a rank sees at a micro-step, whose number is all that the mix of a batch depends on besides. What is
shipped is numpy: uint8 images, sparse targets, and what mixing is to do to them. A batch is

    image uint8 (B, 3, H, W), label int64 (B,), index int64 (B,)
    training:     class_row, class_id int32, class_weight float32 (T,), class_const float32 (B, 3); the same four for
                  token_* with label maps, token_const (B * N, 3); erase_at int64 (E,), erase_value float32 (E, 3);
                  mix_* where it is mixed, see `ppim.mixing.Mixed`; bad, a list of text, where samples stand in for
                  others whose photos could not be read (`bad_photos.BadPhotos` takes it out)
    segmentation: mask uint8 (B, h, w), classes of pixels, in place of the label (`ppim.segment.samples`)
    evaluation:   with label maps token_best int64 (B, N), the class of each token, -1 where it has none
"""
from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence, Sized
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ppim.data.augment import Policy, draw_erasing, draw_view
from ppim.data.bad_photos import first_readable
from ppim.data.balance import weighted
from ppim.data.images import ImageList
from ppim.data.making import Making, Samples
from ppim.data.transforms import HFlip, Operation, apply_all, history, to_array
from ppim.data.workers import FORKS, Lost, Thread, Workers
from ppim.geometry import HW, WH
from ppim.mixing import Mixed
from ppim.seeds import place_rng, sample_rng, stand_in_rng
from ppim.token_labels.controls import misplaced, offset
from ppim.token_labels.released import Move, released_targets
from ppim.token_labels.store import Maps, expect
from ppim.token_labels.targets import SparseTargets, best_class, label_targets, token_targets, with_ground_truth


class _Begun(NamedTuple):
    """A training sample whose pixels are there."""

    key: tuple[int, int, int]  # (epoch, index of the photo it was made of, copy)
    image: np.ndarray  # (3, h, w) uint8
    ops: Sequence[Operation]
    wh: WH  # of the photo
    rng: np.random.Generator  # of the sample, its view drawn
    bad: list[str]  # what was wrong with photos for which this one stands in


@dataclass(frozen=True)
class TrainSamples(Samples):
    """Training samples by (epoch, index, copy).

    Raises:
        ValueError: the released geometry with another order of operations, or with maps of less than the whole photo.
    """

    images: ImageList
    policy: Policy  # how views are drawn
    seed: int  # of the run
    num_classes: int
    smoothing: float = 0.1
    maps: Maps | None = None  # None: plain labels
    grid: HW | None = None  # (rows, columns) of tokens
    target: str = "released"  # this and `fill`: see `token_targets`
    fill: str = "uniform"
    geometry: str = "exact"  # or "released", the released code's own; needs the policy's order "released"
    ground_truth: bool = False  # mix the true label into the class target, as the released option of that name
    class_target: str = "map"  # or "label": the photo's own label, whatever its map says of the view
    blank: str = "uniform"  # this and `confidence`: see `token_targets`
    confidence: str = "none"
    place: str = "right"  # this and the next: see `token_labels.controls`
    displacement: float = 0.0  # tokens
    exif: str = "ignore"  # see `read_photo`
    weights: np.ndarray | None = None  # (classes,) what a photo of each counts; None: all the same
    on_bad: str = "raise"  # or "skip": another sample stands in for one whose photo cannot be read, see `bad_photos`

    def __post_init__(self):
        if self.geometry == "released" and self.policy.order != "released":
            raise ValueError("geometry 'released' warps the map of the whole photo; it wants a policy of order "
                             f"'released', got {self.policy.order!r}")
        if self.geometry == "released" and self.maps is not None and self.maps.reading.frame != "whole":
            raise ValueError(f"geometry 'released' reads every map as one of the whole photo, got maps of {self.maps}; "
                             "leave it 'exact', or make maps of the whole photo")
        if self.geometry == "released" and self.displacement:
            raise ValueError("displacement wants geometry 'exact': the released code has no place to move labels from")

    def __len__(self) -> int:
        return len(self.images)

    def path(self, key: tuple[int, int, int]) -> str:
        """The image file of a sample."""
        return self.images.full_path(key[1])

    def in_order_of_reading(self, keys: Sequence[tuple[int, int, int]]) -> Sequence[int]:
        """Places in `keys`, in the order in which the samples are best read."""
        return self.images.in_order_of_reading([key[1] for key in keys])

    def view(self, key: tuple[int, int, int]) -> tuple[Image.Image, list[Operation]]:
        """The photo that a sample is made of, and what makes its view of it."""
        _, photo, _ = self._readable(*key[:2])
        return photo, draw_view(sample_rng(self.seed, *key), photo.size, self.policy)

    def expect(self, keys: Sequence[tuple[int, int, int]]) -> None:
        """Have a disk fetch the label maps of samples that are made next."""
        if self.maps is not None:
            for _, index, _ in keys:
                expect(self.maps, self.images.paths[index])

    def begin(self, key: tuple[int, int, int]) -> _Begun:
        """The view of a sample's photo."""
        index, photo, bad = self._readable(*key[:2])
        rng = sample_rng(self.seed, *key)
        ops = draw_view(rng, photo.size, self.policy)
        return _Begun((key[0], index, key[2]), to_array(apply_all(ops, photo)), ops, photo.size, rng, bad)

    def finish(self, begun: _Begun) -> dict[str, Any]:
        """The sample, all but its pixels."""
        index = begun.key[1]
        erase_at, erase_value = draw_erasing(begun.rng, self.policy)
        label = self.images.labels[index]
        sample = {"image": begun.image, "label": label, "index": np.int64(index),
                  "erase_at": erase_at, "erase_value": erase_value}
        sample["class_targets"] = label_targets(label[None], self.num_classes, self.smoothing)
        if self.maps is not None:
            of_map, sample["token_targets"] = self._map_targets(begun.key, begun.ops, begun.wh)
            # where the map does not say what the view shows, its class is the photo's own label
            if of_map.const[0, 2] > 0 and self.class_target == "map":
                sample["class_targets"] = of_map
            if self.ground_truth:
                sample["class_targets"] = with_ground_truth(sample["class_targets"], label[None], self.num_classes,
                                                            self.smoothing)
        if self.weights is not None:
            for kind in ("class_targets", "token_targets"):
                if kind in sample:
                    sample[kind] = weighted(sample[kind], self.weights[label])
        return {**sample, "bad": begun.bad} if begun.bad else sample

    def _readable(self, epoch: int, index: int) -> tuple[int, Image.Image, list[str]]:
        """The photo of sample `index` or of the one that stands in for it: whose, the photo, what was wrong before."""
        read = functools.partial(self.images.photo, exif=self.exif)
        if self.on_bad == "raise":
            return index, read(index), []
        return first_readable(read, len(self.images), index, stand_in_rng(self.seed, epoch, index))

    def _map_targets(self, key: tuple[int, int, int], ops: Sequence[Operation], wh: WH,
                     ) -> tuple[SparseTargets, SparseTargets]:
        epoch, index, copy = key
        label_map = self.maps.read(self.images.paths[index], wh)
        rng = place_rng(self.seed, epoch, index, copy)
        if self.geometry == "released":
            whole, tokens = released_targets(label_map, *released_history(ops, wh), self.grid, self.num_classes,
                                             smoothing=self.smoothing, blank=self.blank)
        else:
            whole, tokens = token_targets(label_map, history(ops, wh), self.grid, self.num_classes,
                                          smoothing=self.smoothing, fill=self.fill, target=self.target,
                                          blank=self.blank, weight=self.confidence,
                                          offset=offset(self.displacement, self.grid, rng))
        return whole, misplaced(tokens, self.place, rng)


def released_history(ops: Sequence[Operation], wh: WH) -> tuple[list[Move], tuple[float, ...]]:
    """A view of a photo of `wh` in the released order as its code describes it: operations on the map, and the crop as
    (top, left, height, width) in fractions of the photo."""
    *before, crop = ops
    names = {"Rotate": "rotate", "ShearX": "shear_x", "ShearY": "shear_y",
             "TranslateX": "translate_x_rel", "TranslateY": "translate_y_rel"}
    moves = [("hflip",) if isinstance(op, HFlip) else (names[op.name], op.amount)
             for op in before if isinstance(op, HFlip) or op.name in names]
    (left, top, width, height), (photo_width, photo_height) = crop.box, wh
    return moves, (top / photo_height, left / photo_width, height / photo_height, width / photo_width)


@dataclass(frozen=True)
class EvalSamples(Samples):
    """Evaluation samples by index; with label maps each has the best class of its tokens."""

    images: ImageList
    ops: Sequence[Operation]  # the view
    num_classes: int
    maps: Maps | None = None
    grid: HW | None = None  # (rows, columns) of tokens
    exif: str = "ignore"  # see `read_photo`

    def __len__(self) -> int:
        return len(self.images)

    def path(self, index: int) -> str:
        """The image file of a sample."""
        return self.images.full_path(index)

    def in_order_of_reading(self, keys: Sequence[int]) -> Sequence[int]:
        """Places in `keys`, in the order in which the samples are best read."""
        return self.images.in_order_of_reading(keys)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if self.maps is not None:
            expect(self.maps, self.images.paths[index])
        photo = self.images.photo(index, self.exif)
        sample = {"image": to_array(apply_all(self.ops, photo)), "label": self.images.labels[index],
                  "index": np.int64(index)}
        if self.maps is not None:
            label_map = self.maps.read(self.images.paths[index], photo.size)
            # logits may all lie below zero, which is what a softmax without log-sum-exp gives to all other classes
            target = "released" if label_map.log_z is None else "probs"
            _, tokens = token_targets(label_map, history(self.ops, photo.size), self.grid, self.num_classes,
                                      fill="ignore", target=target)
            sample["token_best"] = best_class(tokens)
        return sample


@dataclass(frozen=True)
class _Places:
    """The place of each of `count` batches, as what Paddle calls a batch sampler."""

    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[list[int]]:
        for place in range(self.count):
            yield [place]


@dataclass(frozen=True)
class _Arriving:
    """Batches as they come, to Paddle's reader, which asks for one place after the other."""

    maker: Workers | Thread

    def __getitem__(self, _: int) -> dict[str, Any]:
        try:
            return self.maker.receive()
        except Lost as lost:
            return {"error": str(lost), "index": np.zeros(1, np.int64)}


class SampleError(ValueError):
    """A sample cannot be had: its file is damaged or does not answer, or who read it is gone."""


@dataclass(frozen=True)
class Loader:
    """Batches as dicts of Paddle tensors; iterating raises `SampleError` where one cannot be made."""

    make: Making
    batches: Sized
    workers: int
    first: int
    timeout: float

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        import paddle  # only here: samples are numpy, and whoever only wants samples need not wait for Paddle

        count = len(self.batches)
        if not count:
            return
        how = {"first": self.first, "timeout": self.timeout}
        forks = self.workers and FORKS
        maker = Workers(self.make, self.batches, self.workers, **how) if forks else Thread(
            self.make, self.batches, **how)
        try:
            # a thread of Paddle's copies batches to the device ahead of the step
            for batch in paddle.io.DataLoader(_Arriving(maker), batch_sampler=_Places(count),
                                              collate_fn=itemgetter(0), num_workers=0):
                if "error" in batch:
                    raise SampleError(batch["error"])
                yield batch
        finally:
            maker.close()


def make_loader(samples, batches, workers: int, mix: Callable[[int], Mixed] | None = None,
                timeout: float = 0) -> Loader:
    """Samples in the order of `batches`, made by `workers` processes (0: in this one; the same values).

    Args:
        mix: number of a micro-batch -> what mixing does to its rows (`batches`: `TrainBatches`); None: nothing.
        timeout: seconds that a sample may take before it counts as lost; 0: any.
    """
    return Loader(Making(samples, mix), batches, workers, batches.start if mix else 0, timeout)
