"""Mixing two images of a batch: mixup (arXiv 1710.09412), cutmix (arXiv 1905.04899), MixToken (arXiv 2104.10858).

One `Mix` says everything about one batch. It is drawn on the host, block by block of the global batch and so the same
on every rank, cut to a rank's rows, and read by the pixels, the model and the loss. Partners are neighbours
(2j, 2j + 1); the odd one out is its own partner, for which every mix changes nothing. Boxes are top, left, bottom,
right; an empty box (0, 0, 0, 0) mixes nothing.
"""
from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import paddle

MODES = ("batch", "pair", "elem")
CUTMIX_GRIDS = ("pixels", "tokens")


class Mix(NamedTuple):
    """Row b shows `blend` of itself and the rest of its partner, and its partner alone inside `pixel_box`; inside
    `token_box` the model replaces its tokens by its partner's."""

    partner: np.ndarray  # (B,) int64, index within the (local) batch
    blend: np.ndarray  # (B,) float32, own share of every pixel; 1 = no mixup
    pixel_box: np.ndarray  # (B, 4) int64, in pixels
    token_box: np.ndarray  # (B, 4) int64, in cells of the token grid

    def tensors(self) -> Mix:
        """The same with Paddle tensors."""
        return Mix(*(paddle.to_tensor(field) for field in self))

    @property
    def mixes_pixels(self) -> bool:
        """For a Mix of arrays: does any pixel change?"""
        return bool((self.blend < 1).any() or self.pixel_box.any())

    @property
    def mixes_tokens(self) -> bool:
        """For a Mix of arrays: does any token change?"""
        return bool(self.token_box.any())


def partners(batch: int) -> np.ndarray:
    """(B,) int64: 1, 0, 3, 2, ...; the last of an odd batch is its own partner."""
    return np.minimum(np.arange(batch) ^ 1, batch - 1)


def draw_mix(rng: np.random.Generator, batch: int, image_hw: tuple, grid: tuple, *, mixup_alpha: float = 0.0,
             cutmix_alpha: float = 0.0, cutmix_minmax: Sequence[float] | None = None, prob: float = 1.0,
             switch_prob: float = 0.5, mode: str = "batch", token_alpha: float = 0.0,
             cutmix_grid: str = "pixels") -> Mix:
    """How one batch, or one block of it, is mixed; the parameters are timm's, token_alpha LV-ViT's.

    Args:
        batch: any size from 1.
        image_hw: image size in pixels; grid: (rows, columns) of tokens.
        mixup_alpha, cutmix_alpha: beta(a, a) draws the own share; 0 switches one off.
        cutmix_minmax: least and largest share of a side, instead of the beta draw.
        prob: that anything is mixed; switch_prob: of cutmix where both are on.
        mode: one draw for the batch, for every pair, or for every element.
        token_alpha: beta(a, a) draws the box of MixToken; 0 is off. Partners share a token box in every mode.
        cutmix_grid: where cutmix boxes may begin and end, `pixels`, or `tokens` so that every token shows one image.

    Raises:
        ValueError: an unknown mode or cutmix grid.
    """
    for key, value, allowed in (("TRAIN.MIXUP_MODE", mode, MODES), ("MIX.CUTMIX_GRID", cutmix_grid, CUTMIX_GRIDS)):
        if value not in allowed:
            raise ValueError(f"{key} must be one of {', '.join(allowed)}, got {value!r}")
    frame = tuple(image_hw) if cutmix_grid == "pixels" else tuple(grid)
    blend, pixel_box = np.ones(batch, np.float32), np.zeros((batch, 4), np.int64)
    # row b takes draw number group[b]
    group = {"batch": np.zeros(batch, int), "pair": np.arange(batch) // 2, "elem": np.arange(batch)}[mode]
    if mixup_alpha > 0 or cutmix_alpha > 0 or cutmix_minmax is not None:
        draws = [_draw_pixels(rng, frame, mixup_alpha, cutmix_alpha, cutmix_minmax, prob, switch_prob)
                 for _ in range(group[-1] + 1)]
        blend = np.array([lam for lam, _ in draws], np.float32)[group]
        cell = np.array(image_hw) // np.array(frame)
        pixel_box = np.array([box for _, box in draws], np.int64)[group] * np.tile(cell, 2)
    token_box = np.zeros((batch, 4), np.int64)
    if token_alpha > 0:
        group = np.minimum(group, np.arange(batch) // 2)
        boxes = [draw_box(rng, grid, rng.beta(token_alpha, token_alpha)) for _ in range(group[-1] + 1)]
        token_box = np.array(boxes, np.int64)[group]
    return Mix(partners(batch), blend, pixel_box, token_box)


def draw_blocks(rng_of: Callable[[int], np.random.Generator], batch: int, image_hw: tuple, grid: tuple, *, group: int,
                **how) -> Mix:
    """How a global batch is mixed: by a draw of its own for each block of `group` rows, the last of which may be short.

    The released codes draw in each process for its own batch. Blocks are cut from the global batch instead, so that
    the number of processes changes nothing.

    Args:
        rng_of: block number -> the generator it is drawn from.
        group: rows, even, because partners are neighbours.
        how: as for `draw_mix`.

    Raises:
        ValueError: no even group, an unknown mode or cutmix grid.
    """
    if group < 2 or group % 2:
        raise ValueError(f"a block wants an even number of rows, for partners are neighbours; got {group}")
    blocks = [draw_mix(rng_of(number), min(group, batch - start), image_hw, grid, **how)
              for number, start in enumerate(range(0, batch, group))]
    whole = Mix(*(np.concatenate(fields) for fields in zip(*blocks)))
    return whole._replace(partner=partners(batch))


def _draw_pixels(rng, frame, mixup_alpha, cutmix_alpha, cutmix_minmax, prob, switch_prob) -> tuple:
    """-> own share of every pixel, box within `frame` (rows, columns)."""
    nothing = (0, 0, 0, 0)
    if rng.random() >= prob:
        return 1.0, nothing
    cutmix = cutmix_alpha > 0 or cutmix_minmax is not None
    if mixup_alpha > 0 and cutmix:
        cutmix = rng.random() < switch_prob
    if not cutmix:
        return rng.beta(mixup_alpha, mixup_alpha), nothing
    if cutmix_minmax is not None:
        return 1.0, _draw_minmax_box(rng, frame, cutmix_minmax)
    return 1.0, draw_box(rng, frame, rng.beta(cutmix_alpha, cutmix_alpha))


def draw_box(rng: np.random.Generator, hw: tuple, own_share: float) -> tuple:
    """A box of about 1 - own_share of a frame `hw`, its centre anywhere, cut off at the borders (so its true area, not
    own_share, is what a target is mixed by)."""
    side = math.sqrt(1 - own_share)
    centre = [int(rng.integers(n)) for n in hw]
    half = [int(n * side) // 2 for n in hw]
    top, left = (max(0, c - r) for c, r in zip(centre, half))
    bottom, right = (min(n, c + r) for n, c, r in zip(hw, centre, half))
    return (top, left, bottom, right) if bottom > top and right > left else (0, 0, 0, 0)


def _draw_minmax_box(rng: np.random.Generator, hw: tuple, minmax: Sequence[float]) -> tuple:
    sides = [int(rng.integers(int(n * minmax[0]), max(int(n * minmax[0]), int(n * minmax[1]) - 1) + 1)) for n in hw]
    corner = [int(rng.integers(n - side + 1)) for n, side in zip(hw, sides)]
    box = (*corner, corner[0] + sides[0], corner[1] + sides[1])
    return box if min(sides) > 0 else (0, 0, 0, 0)


def shard(mix: Mix, start: int, stop: int) -> Mix:
    """The rows start..stop of a batch, for the rank that holds them.

    Raises:
        ValueError: the cut would part two partners.
    """
    local = Mix(*(field[start:stop] for field in mix))
    partner = local.partner - start
    if len(partner) and (partner.min() < 0 or partner.max() >= stop - start):
        raise ValueError(f"rows {start}..{stop} part two partners; a shard starts and ends between pairs")
    return local._replace(partner=partner)


def _of(like) -> object:
    """numpy or paddle, whichever the value is of."""
    return np if isinstance(like, np.ndarray) else paddle


def inside_boxes(box, rows: int, columns: int):
    """(B, 4) boxes -> (B, rows, columns) bool, arrays or tensors as given."""
    xp = _of(box)
    row, column = xp.arange(rows), xp.arange(columns)
    tall = (row >= box[:, 0:1]) & (row < box[:, 2:3])
    wide = (column >= box[:, 1:2]) & (column < box[:, 3:4])
    return tall[:, :, None] & wide[:, None, :]


def mix_pixels(x: paddle.Tensor, mix: Mix) -> paddle.Tensor:
    """(B, 3, H, W) images -> the mixed ones; `mix` holds tensors."""
    other = paddle.index_select(x, mix.partner)
    blend = mix.blend.reshape([-1, 1, 1, 1]).astype(x.dtype)
    mixed = x * blend + other * (1 - blend)
    return paddle.where(inside_boxes(mix.pixel_box, x.shape[2], x.shape[3]).unsqueeze(1), other, mixed)


def own_pixel_share(mix: Mix, image_hw: tuple):
    """(B,) float32: which part of an image's pixels is its own."""
    box = mix.pixel_box.astype("float32")
    area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) / float(image_hw[0] * image_hw[1])
    return mix.blend * (1 - area)


def own_token_share(mix: Mix, image_hw: tuple, grid: tuple):
    """(B, N) float32: which part of the pixels of each token's patch is its image's own (before MixToken)."""
    box = mix.pixel_box.astype("float32")
    tall = _overlap(box[:, 0:1], box[:, 2:3], grid[0], image_hw[0])
    wide = _overlap(box[:, 1:2], box[:, 3:4], grid[1], image_hw[1])
    covered = tall[:, :, None] * wide[:, None, :]
    # (B, rows, columns) -> (B, N)
    return mix.blend[:, None] * (1 - covered.reshape([covered.shape[0], grid[0] * grid[1]]))


def _overlap(start, stop, cells: int, length: int):
    """(B, 1) borders in pixels -> (B, cells): the share of each of `cells` equal parts of 0..length between them."""
    xp, size = _of(start), length / cells
    low = xp.arange(cells).astype("float32") * size
    shared = xp.minimum(stop, low + size) - xp.maximum(start, low)
    return shared.clip(0.0) / size


def token_box_share(mix: Mix, grid: tuple):
    """(B,) float32: which part of the tokens MixToken takes from the partner."""
    box = mix.token_box.astype("float32")
    return (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) / float(grid[0] * grid[1])


def class_share(mix: Mix, image_hw: tuple, grid: tuple):
    """(B,) float32: the own share of the class target. Tokens from the partner show the partner's pixels, of which
    mixing has made a part the row's own: (1 - t) a + t (1 - a of the partner)."""
    own, taken = own_pixel_share(mix, image_hw), token_box_share(mix, grid)
    partners_own = own[mix.partner] if _of(own) is np else paddle.gather(own, mix.partner)
    return (1 - taken) * own + taken * (1 - partners_own)


def partner_token_share(mix: Mix, image_hw: tuple, grid: tuple) -> np.ndarray:
    """(B, N) float32: the partner's share of what each token shows in the end, for a Mix of arrays. A token that
    MixToken took from the partner shows the partner's patch, whose own share is the partner's."""
    own = own_token_share(mix, image_hw, grid)
    taken = inside_boxes(mix.token_box, *grid).reshape(own.shape)
    return np.where(taken, own[mix.partner], 1 - own).astype("float32")
