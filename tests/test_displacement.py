"""Does every token get the label of the place it shows? Measured through the real pipeline, files to targets.

Photos whose colours are waves over the photo: the phase of a token's mean colour is the place of its centre, exactly,
because whatever blurs a wave symmetrically leaves its phase alone. One slow wave says roughly where, a fast one
finely; blue tells photo from fill. Maps whose scores grow linearly with x and y, so that the scores that reach a token
say where its label comes from. Nothing here knows how views are composed.

Maps of the centre crop are made as the published ones are said to be made: a picture whose "colours" are coordinates is
resized and cut, and a network of stride 32 scores its cells.
"""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from ppim.data.augment import Policy, draw_view, parse_rand_augment
from ppim.data.datasets import find_images
from ppim.data.loader import TrainSamples
from ppim.data.transforms import CropResize, HFlip, Warp
from ppim.seeds import sample_rng
from ppim.token_labels.card import Reading
from ppim.token_labels.store import MapFolder

SLOW, FAST = 0.4, 4.0  # periods per photo side
STEEP = 8.0  # growth of the scores over the photo
GRID, PATCH, CLASSES, SEED = (14, 14), 16, 10, 3
SIDE, STRIDE = 576, 32  # pixels of the annotator's view, and of the cells it scores
KINDS = ("crop", "flip", "Rotate", "ShearX", "ShearY", "TranslateX", "TranslateY", "several")
VIEWS = 4  # of each kind


class Tokens(NamedTuple):
    """What the tokens of one view show and what they are taught."""

    grid: tuple[int, int]  # rows, columns
    share: np.ndarray  # (N,) part of the patch that shows photo
    fill: np.ndarray  # (N,) bool: nothing but fill
    shown: np.ndarray  # (N, 2) centre of what is shown, unit coordinates of the photo
    taught: np.ndarray  # (N, 2) where the label comes from; NaN where it has no place
    uniform: np.ndarray  # (N,) bool
    ignored: np.ndarray  # (N,) bool


def write_photo(path, size: tuple, axis: int, frequency: float) -> None:
    width, height = size
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    phase = 2 * np.pi * frequency * (x, y)[axis]
    colours = np.stack([127.5 + 120 * np.cos(phase), 127.5 + 120 * np.sin(phase), np.full_like(phase, 255)], axis=-1)
    path.parent.mkdir(parents=True)
    Image.fromarray(np.rint(colours).astype(np.uint8)).save(path, quality=98, subsampling=0)


def write_linear_map(path, shape: tuple) -> None:
    y, x = np.meshgrid(*((np.arange(n) + 0.5) / n for n in shape), indexing="ij")
    ids = np.ones((2, *shape)) * np.reshape([3, 7], (2, 1, 1))
    path.parent.mkdir(parents=True)
    np.save(path, np.stack([np.stack([x, y]) * STEEP, ids]).astype(np.float32))


def write_centre_crop_map(path, size: tuple) -> None:
    """As the authors' script makes a map: short side resized to SIDE, centre SIDE x SIDE, [2, 5, 18, 18] in half."""
    (width, height), short = size, min(size)
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    resized = tuple(int(SIDE * side / short) for side in size)
    left, top = (round((side - SIDE) / 2) for side in resized)
    cells = SIDE // STRIDE
    logits = np.zeros((CLASSES, cells, cells))
    for label, values in ((3, x), (7, y)):
        picture = Image.fromarray(values.astype(np.float32)).resize(resized, Image.Resampling.BICUBIC)
        seen = np.asarray(picture.crop((left, top, left + SIDE, top + SIDE)))
        logits[label] = STEEP * seen.reshape(cells, STRIDE, cells, STRIDE).mean((1, 3))
    best = np.argsort(-logits, axis=0, kind="stable")[:5]
    path.parent.mkdir(parents=True)
    np.save(path, np.stack([np.take_along_axis(logits, best, axis=0), best]).astype(np.float16))


def pipelines(folder, size: tuple, maps: MapFolder, order: str, grid: tuple[int, int] = GRID) -> tuple:
    """One data set per axis and wave, alike but for the photo's colours, so that equal keys give equal views."""
    policy = Policy((grid[0] * PATCH, grid[1] * PATCH), order=order, fill=(0, 0, 0), scale=(0.08, 1.0),
                    rand_augment=parse_rand_augment("rand-m9-mstd0.5-inc1"))
    sets = []
    for axis in (0, 1):
        for frequency, suffix in ((SLOW, "jpg"), (FAST, "png")):
            root = folder / f"{axis}{frequency}"
            if not root.is_dir():
                write_photo(root / "a" / f"photo.{suffix}", size, axis, frequency)
            sets.append(TrainSamples(find_images(root), policy, seed=SEED, num_classes=CLASSES, smoothing=0.0,
                                     maps=maps, grid=grid))
    return policy, sets


def views(policy: Policy, size: tuple, kind: str) -> list:
    """Epochs in which the photo's view is of a kind: only moved, never recoloured."""
    found, epoch = [], 0
    while len(found) < VIEWS:
        ops = draw_view(sample_rng(SEED, epoch, 0, 0), size, policy)
        warps = [op.name for op in ops if isinstance(op, Warp)]
        moved = all(isinstance(op, (Warp, HFlip, CropResize)) for op in ops)
        wanted = {"crop": not warps and HFlip() not in ops, "flip": not warps and HFlip() in ops,
                  "several": len(warps) > 1}.get(kind, warps == [kind])
        if moved and wanted:
            found.append(epoch)
        epoch += 1
    return found


def means(plane: np.ndarray) -> np.ndarray:
    """(rows * 16, columns * 16) -> the mean of each token's patch (N,)."""
    height, width = plane.shape
    return plane.reshape(height // PATCH, PATCH, width // PATCH, PATCH).mean((1, 3)).ravel()


def wave_centre(image: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """(3, H, W) picture of a wave -> the phase of each token's mean colour in turns (N,)."""
    colour = (image[:2].astype(float) - 127.5) * photo
    # (2, rows * 16, columns * 16) -> (2, N)
    mean = np.stack([means(plane) for plane in colour])
    return np.arctan2(mean[1], mean[0]) / (2 * np.pi)


def look(sets: list, epoch: int) -> Tokens:
    samples = [one[epoch, 0, 0] for one in sets]
    photo = samples[1]["image"][2] >= 250
    share, blue = means(photo), means(samples[1]["image"][2])
    shown = []
    for slow, fast in (samples[:2], samples[2:]):
        rough = wave_centre(slow["image"], photo) % 1 / SLOW
        fine = wave_centre(fast["image"], photo) / FAST
        shown.append(fine + np.rint((rough - fine) * FAST) / FAST)
    targets = samples[0]["token_targets"]
    weight = np.zeros((len(share), CLASSES))
    np.add.at(weight, (targets.row, targets.id), targets.weight)
    with np.errstate(invalid="ignore"):
        scores = np.log1p(weight[:, [3, 7]] / targets.const[:, :1])
    uniform = ~weight.any(1)
    taught = np.where(uniform[:, None], np.nan, scores / STEEP)
    return Tokens(sets[0].grid, share, blue == 0, np.stack(shown, 1), taught, uniform, targets.const[:, 2] == 0)


def in_tokens(tokens: Tokens, which: np.ndarray) -> np.ndarray:
    """Distance (which,) between shown and taught, in token sides: the view's scale is fitted to what is shown."""
    whole = tokens.share == 1
    row, column = np.divmod(np.arange(len(whole)), tokens.grid[1])
    place = np.stack([column, row, np.ones_like(row)], 1)
    pitch = np.linalg.lstsq(place[whole].astype(float), tokens.shown[whole], rcond=None)[0][:2]
    return np.hypot(*((tokens.taught - tokens.shown)[which] @ np.linalg.inv(pitch)).T)


def measure(sets: list, policy: Policy, size: tuple, map_shape: tuple, kind: str, covered=(1.0, 1.0)) -> tuple:
    """Distances of whole tokens away from the map's border, of cut ones, and of how many tokens in all.

    Args:
        covered: the share of the photo's width and height, in its middle, that the map shows.
    """
    whole_distances, cut_distances, count = [], [], 0
    covered = np.array(covered)
    edge = (1 - covered) / 2
    for epoch in views(policy, size, kind):
        tokens = look(sets, epoch)
        whole = tokens.share == 1
        # beyond the outermost cell centres a label is clamped: only tokens that lie wholly within them are judged
        reach = 0.75 * np.abs(np.ptp(tokens.shown[whole], axis=0)).max() / min(tokens.grid)
        margin = edge + 0.5 * covered / np.array(map_shape[::-1]) + reach
        inner = ((tokens.shown > margin) & (tokens.shown < 1 - margin)).all(1)
        beyond = ((tokens.shown < edge - reach) | (tokens.shown > 1 - edge + reach)).any(1)
        # fill has the uniform target, photo has not; in between a few points decide, so a sharp corner may count
        assert tokens.uniform[tokens.fill].all() and not (tokens.uniform & ~tokens.ignored)[tokens.share > 0.8].any()
        assert ((tokens.share < 0.2) & ~tokens.uniform).mean() < 0.01
        # photo without a label counts for nothing, fill and photo with one do
        assert tokens.ignored[whole & beyond].all() and not tokens.ignored[tokens.fill | (whole & inner)].any()
        whole_distances.append(in_tokens(tokens, whole & inner))
        cut_distances.append(in_tokens(tokens, (tokens.share > 0.8) & ~whole & inner))
        count += len(whole)
    return np.concatenate(whole_distances), np.concatenate(cut_distances), count


@pytest.mark.parametrize("order", ["crop-first", "released"])
@pytest.mark.parametrize("map_shape", [(18, 18), (12, 18)])
@pytest.mark.parametrize(("size", "grid"), [((400, 300), GRID), ((300, 400), (10, 18)), ((360, 360), (16, 12))])
def test_tokens_are_taught_what_they_show(tmp_path, size, grid, map_shape, order):
    write_linear_map(tmp_path / "maps" / "a" / "photo.npy", map_shape)
    policy, sets = pipelines(tmp_path, size, MapFolder(tmp_path / "maps", CLASSES), order, grid)
    judged, total = 0, 0
    for kind in KINDS:
        distances, cut, count = measure(sets, policy, size, map_shape, kind)
        assert np.quantile(distances, 0.99) < 0.05, (kind, np.quantile(distances, [0.5, 0.9, 0.99]))
        # a token cut by the photo's edge shows, and is taught, a part of itself
        assert not len(cut) or np.quantile(cut, 0.9) < 0.15, (kind, np.quantile(cut, [0.5, 0.9]))
        judged, total = judged + len(distances), total + count
    assert judged > 0.3 * total


@pytest.mark.parametrize("order", ["crop-first", "released"])
@pytest.mark.parametrize("size", [(400, 300), (300, 400), (500, 333)])
def test_tokens_are_taught_what_they_show_by_maps_of_the_centre_crop(tmp_path, size, order):
    write_centre_crop_map(tmp_path / "maps" / "a" / "photo.npy", size)
    cropped, taken_for_whole = (pipelines(tmp_path, size, MapFolder(tmp_path / "maps", CLASSES, reading), order)
                                for reading in (Reading("centre-crop", 1.0), Reading("whole")))
    shape, covered = (SIDE // STRIDE,) * 2, min(size) / np.array(size)
    judged, total, mistaken = 0, 0, []
    for kind in KINDS:
        policy, sets = cropped
        distances, cut, count = measure(sets, policy, size, shape, kind, covered)
        assert np.quantile(distances, 0.99) < 0.05, (kind, np.quantile(distances, [0.5, 0.9, 0.99]))
        assert not len(cut) or np.quantile(cut, 0.9) < 0.15, (kind, np.quantile(cut, [0.5, 0.9]))
        judged, total = judged + len(distances), total + count
        mistaken.append(measure(taken_for_whole[1], policy, size, shape, kind)[0])
    assert judged > 0.5 * total
    # read as if they showed the whole photo, the same maps teach something else: the measurement would see it
    assert np.median(np.concatenate(mistaken)) > 0.9
