"""What does this segmenter say lies where in photos? `python infer.py photo.jpg --masks DIR` writes a coloured PNG.

This program lies in every bundle that `ppim export` writes of a segmenter, beside `engines.py`, which runs the network,
and `preprocess.py`; ppim itself is not needed. A photo is resized, windows of the network's size slide over it, what
they say of a pixel is averaged and resized to the photo's own size, and the best class is taken.

As a module: `run = open_engine("onnx")`, then `classes_of(logits_of(run, photo), photo.size[::-1])` for a Pillow image
that `engines.decoded(path)` gives; `run(batch)` is a list with the logits (B, rows, h, w) of windows (B, 3, h, w).
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from engines import SETTINGS, Run, decoded, ended, guarded, opened, parser_of, save, typed
from PIL import Image
from preprocess import normalised

_CELLS = 1 << 24  # logits resized together


# ---- from a photo to classes ---------------------------------------------------------------------------------------


def fitted(wh: tuple[int, int], scale: Sequence[float]) -> tuple[int, int]:
    """(width, height) of a photo of `wh`, resized with its sides' ratio until it just fits into (long, short) sides."""
    factor = min(max(scale) / max(wh), min(scale) / min(wh))
    return max(1, int(wh[0] * factor + 0.5)), max(1, int(wh[1] * factor + 0.5))


def starts(length: int, side: int, stride: int) -> list[int]:
    """Where windows of `side` begin along a side of `length`; the last is moved back to end with it."""
    count = max(length - side + stride - 1, 0) // stride + 1
    return [max(min(number * stride + side, length) - side, 0) for number in range(count)]


def logits_of(run: Run, photo: Image.Image, at_once: int = 4) -> np.ndarray:
    """(rows, h, w) float32 of a photo once resized: of every pixel the mean over the windows it lies in.

    Args:
        at_once: windows computed together.
    """
    shown = photo.resize(fitted(photo.size, SETTINGS["scale"]), Image.Resampling.BILINEAR)
    picture = normalised(np.asarray(shown).transpose(2, 0, 1), SETTINGS["mean"], SETTINGS["std"])
    (_, height, width), side = picture.shape, SETTINGS["image_size"][0]
    corners = [(top, left) for top in starts(height, side, SETTINGS["stride"])
               for left in starts(width, side, SETTINGS["stride"])]
    total, seen = 0.0, np.zeros((height, width), np.float32)
    for first in range(0, len(corners), at_once):
        some = corners[first : first + at_once]
        batch = np.zeros((len(some), 3, side, side), np.float32)  # 0 is the mean colour
        for window, (top, left) in zip(batch, some):
            crop = picture[:, top : top + side, left : left + side]
            window[:, : crop.shape[1], : crop.shape[2]] = crop
        for said, (top, left) in zip(run(batch)[0], some):
            if isinstance(total, float):
                total = np.zeros((len(said), height, width), np.float32)
            part = total[:, top : top + side, left : left + side]
            part += said[:, : part.shape[1], : part.shape[2]]
            seen[top : top + side, left : left + side] += 1
    return total / seen


def resized(logits: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """(K, h, w) -> (K, *hw), bilinear; pixels are areas, so corners do not lie on corners."""
    for axis, length in ((1, hw[0]), (2, hw[1])):
        old = logits.shape[axis]
        at = np.maximum((np.arange(length) + 0.5) * old / length - 0.5, 0)
        low = np.minimum(at.astype(np.int64), old - 1)
        share = (at - low).astype(np.float32).reshape([-1, 1] if axis == 1 else [-1])
        high = np.minimum(low + 1, old - 1)
        logits = logits.take(low, axis) * (1 - share) + logits.take(high, axis) * share
    return logits


def classes_of(logits: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """(H, W) int64: the row of highest logit of each pixel, the first of equals, of logits (rows, h, w) resized to
    `hw`."""
    at_once = max(1, _CELLS // (hw[0] * hw[1]))
    best, where = np.full(hw, -np.inf, np.float32), np.zeros(hw, np.int64)
    for first in range(0, len(logits), at_once):
        some = resized(logits[first : first + at_once], hw)
        better = some.max(axis=0) > best
        where[better] = (some.argmax(axis=0) + first)[better]
        best[better] = some.max(axis=0)[better]
    return where


# ---- the program ---------------------------------------------------------------------------------------------------


def save_mask(rows: np.ndarray, path: Path) -> None:
    """Write a PNG of palette indices: 0 the ground, or nothing, 1 .. the classes."""
    mask = Image.fromarray((rows + SETTINGS["first"]).astype(np.uint8))
    mask.putpalette(SETTINGS["palette"])
    path.parent.mkdir(parents=True, exist_ok=True)
    mask.save(path)


def told(path: str, mask: Path, rows: np.ndarray, names: Sequence[tuple[str, str]], topk: int, as_json: bool) -> str:
    """What is printed of a photo: a line of JSON, or its path above the shares of its largest classes."""
    counts = np.bincount(rows.ravel(), minlength=len(names))
    order = [int(row) for row in np.argsort(-counts, kind="stable") if counts[row]]
    if as_json:
        seen = [{"index": row + SETTINGS["first"], "name": names[row][1], "share": float(counts[row] / counts.sum())}
                for row in order]
        return json.dumps({"path": path, "mask": str(mask), "classes": seen}, ensure_ascii=False, allow_nan=False)
    lines = (f"  {100 * counts[row] / counts.sum():6.2f} %  {names[row][1]}" for row in order[:topk])
    return "\n".join([f"{path} -> {mask}", *lines])


def options() -> argparse.Namespace:
    """What is typed behind the program's name."""
    parser = parser_of("Say what lies where in photos, as coloured masks.", "classes to tell", 4, "windows",
                       "write the averaged logits of each photo, logits_0 ..., instead of masks")
    parser.add_argument("--masks", metavar="DIR", default="masks", help="where the masks go, NAME.png (masks)")
    args = typed(parser)
    masks = [Path(path).stem for path in args.photos]
    if len(set(masks)) < len(masks) and not args.logits:
        parser.error("two photos of one name would have one mask; give them one after the other")
    photos = {os.path.realpath(path) for path in args.photos}
    lost = [name for name in masks if os.path.realpath(Path(args.masks) / f"{name}.png") in photos]
    if lost and not args.logits:
        parser.error(f"{Path(args.masks) / lost[0]}.png is one of the photos and would be written over; give another "
                     "--masks DIR")
    return args


def main() -> int:
    """The exit code: 0, or 1 where a photo or another file cannot be read or written, or the engine is missing."""
    return guarded(lambda: answered(options()))


def answered(args: argparse.Namespace) -> int:
    """The exit code; raises OSError where masks or arrays cannot be written."""
    faults, kept = [], {}
    try:
        names, run = opened(args)
    except ValueError as error:
        return ended([str(error)])
    for number, path in enumerate(args.photos):
        try:
            photo = decoded(path)
        except ValueError as error:
            faults.append(str(error))
            continue
        logits = logits_of(run, photo, max(1, args.batch_size))
        if args.logits:
            kept[f"logits_{number}"] = logits
            continue
        rows, mask = classes_of(logits, photo.size[::-1]), Path(args.masks) / f"{Path(path).stem}.png"
        save_mask(rows, mask)
        print(told(path, mask, rows, names, max(1, args.topk), args.json), flush=True)
    if kept:
        save(args.logits, kept)
    return ended(faults)


if __name__ == "__main__":
    sys.exit(main())
