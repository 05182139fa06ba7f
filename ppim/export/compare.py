"""Does a bundle say of photos what the model says?

The model is asked here, as `ppim evaluate` asks it; the bundle by its own program, in a process of its own, as whoever
gets it will: from the bytes of the files, with its own preprocessing.
"""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import paddle

from ppim.data.photos import read_photo
from ppim.data.transforms import apply_all, eval_view, to_array
from ppim.export.formats import OUTPUTS
from ppim.models.base import TokenModel
from ppim.objective.pixels import normalise

TOLERANCE = 1e-4  # of the range of the model's logits; engines sum in another order, which makes 1e-6 or so
_BATCH = 16  # photos computed together


class Agreement(NamedTuple):
    """How far an engine's logits are from the model's.

    Attributes:
        engine, photos: which, and on how many.
        largest: difference of two logits, infinite where one is no number; `limit`: what is allowed.
        range: from the model's smallest logit to its largest, or their size where all are equal.
        same: photos, or pixels, with the same top-1. Where logits differ by `largest` at most, the two classes of any
            other have logits within twice that of each other: a tie.
        pixels: of all photos, where the network names pixels.
    """

    engine: str
    photos: int
    largest: float
    limit: float
    range: float
    same: int
    pixels: int | None = None

    @property
    def holds(self) -> bool:
        """Is it the same model but for rounding?"""
        return self.largest <= self.limit

    def as_dict(self) -> dict[str, Any]:
        """What is known."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    def __str__(self) -> str:
        named = self.photos if self.pixels is None else self.pixels
        of = f"photos{f' ({named - self.same:,} are ties)' if self.holds and self.same < named else ''}"
        what = (f"top-1 the same on {self.same:,} of {named:,} {of}" if self.pixels is None else
                f"class the same at {self.same:,} of {named:,} pixels of {self.photos:,} {of}")
        return (f"{self.engine:<9} {what}; largest difference of a logit {self.largest:.2g}, of a range of "
                f"{self.range:.3g}")


class Comparison(NamedTuple):
    """How two computations of one kind of network are asked, `parts` of which are judged one by one.

    Attributes:
        at_once: photos whose logits are held.
        of_model: model, preprocess as `Source` has it, photos, and whether the tokens' logits count too -> parts;
            raises ValueError for a photo that cannot be read and for logits that are not finite.
        of_bundle: the arrays that the bundle's program wrote -> parts. A part is a list of arrays, of which the first
            has photos and classes as its axes, then rows and columns where pixels are named.
    """

    at_once: int
    of_model: Callable[[Any, dict[str, Any], Sequence[str], bool], list[Sequence[np.ndarray]]]
    of_bundle: Callable[[Mapping[str, np.ndarray]], list[Sequence[np.ndarray]]]


def compare(
    kind: Comparison, model: TokenModel, preprocess: dict[str, Any], bundle: Path, engines: Sequence[str],
    photos: Sequence[str], scratch: Path, tokens: bool, say: Callable[[str], object],
) -> list[Agreement]:
    """The bundle against the model on photos, for each of its engines.

    Args:
        preprocess: as `Source` has it.
        scratch: a folder for temporary files.
        tokens: compare the logits of the tokens as well.
        say: takes a line now and then.

    Raises:
        ValueError: a photo cannot be read, the model's logits are not finite, or the bundle's program fails.
    """
    found: dict[str, list[Agreement]] = {engine: [] for engine in engines}
    for start in range(0, len(photos), kind.at_once):
        some = photos[start : start + kind.at_once]
        wanted = kind.of_model(model, preprocess, some, tokens)
        for engine in engines:
            with np.load(answers_of_bundle(bundle, engine, some, scratch)) as arrays:
                got = kind.of_bundle(arrays)
            found[engine] += [_agreement(engine, *both) for both in zip(wanted, got)]
        if len(photos) > kind.at_once:
            say(f"checked on {start + len(some):,} of {len(photos):,} photos")
    return [_all(parts) for parts in found.values()]


@paddle.no_grad()
def logits_of_model(
    model: TokenModel, preprocess: dict[str, Any], photos: Sequence[str], tokens: bool
) -> list[Sequence[np.ndarray]]:
    """One part: (B, K), and with `tokens` (B, N, K), by eager computing on what evaluation makes of the files.

    Raises:
        ValueError: a photo cannot be read, or logits are not finite.
    """
    view = eval_view(tuple(preprocess["image_size"]), preprocess["crop_pct"], preprocess["interpolation"])
    outputs = []
    for start in range(0, len(photos), _BATCH):
        pixels = np.stack([to_array(apply_all(view, read_photo(path, preprocess["exif"])))
                           for path in photos[start : start + _BATCH]])
        image = normalise(paddle.to_tensor(pixels), preprocess["mean"], preprocess["std"])
        found = model.evaluate_tokens(image)[:2] if tokens else (model(image),)
        outputs.append([output.numpy() for output in found])
        if not all(np.isfinite(array).all() for array in outputs[-1]):
            raise ValueError(f"the model's logits of {photos[start]} or of the photos behind it are not finite; are "
                             "its weights whole?")
    return [[np.concatenate(arrays) for arrays in zip(*outputs)]]


def logits_of_bundle(arrays: Mapping[str, np.ndarray]) -> list[Sequence[np.ndarray]]:
    """The same by the bundle's program."""
    return [[arrays[name] for name in OUTPUTS if name in arrays]]


def answers_of_bundle(bundle: Path, engine: str, photos: Sequence[str], scratch: Path) -> Path:
    """The file of arrays that the bundle's program writes of photos.

    Raises:
        ValueError: the program fails.
    """
    named, result = scratch / "photos.txt", scratch / "logits.npz"
    named.write_bytes(b"\n".join(map(os.fsencode, photos)))
    threads = os.environ.get("OMP_NUM_THREADS", "0")
    command = [sys.executable, bundle / "infer.py", "--engine", engine, "--list", named, "--logits", result,
               "--batch-size", str(_BATCH), "--threads", threads]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace")
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise ValueError(f"{engine} does not run the exported model (exit code {done.returncode}: "
                         f"{lines[-1].removeprefix('error: ') if lines else 'it says nothing'}); leave it out of "
                         "--formats, or try another version of it") from RuntimeError(done.stdout + done.stderr)
    return result


def _agreement(engine: str, wanted: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> Agreement:
    """Of a part; top-1 is that of its first arrays."""
    first = wanted[0].argmax(axis=1)
    pixels = first.size if first.ndim > 1 else None
    # one photo of one class has no range: its logit's own size then says how far rounding reaches
    span = max(float(np.ptp(array)) or float(np.abs(array).max()) for array in wanted)
    same_shapes = [array.shape for array in wanted] == [array.shape for array in got]
    largest = max(float(np.abs(one - other).max()) for one, other in zip(wanted, got)) if same_shapes else np.inf
    if not np.isfinite(largest):
        return Agreement(engine, len(first), np.inf, TOLERANCE * span, span, 0, pixels)
    same = int((first == got[0].argmax(axis=1)).sum())
    return Agreement(engine, len(first), largest, TOLERANCE * span, span, same, pixels)


def _all(parts: Sequence[Agreement]) -> Agreement:
    """Of all photos; the range is that of the part that allows least."""
    least = min(parts, key=lambda part: part.limit)
    worst = max(part.largest for part in parts)
    counted = {name: sum(getattr(part, name) for part in parts) for name in ("photos", "same", "pixels")
               if getattr(least, name) is not None}
    return least._replace(largest=worst, **counted)


OF_PHOTOS = Comparison(512, logits_of_model, logits_of_bundle)
