"""Whose is what of a mixed batch: mixup (arXiv 1710.09412), cutmix (1905.04899), MixToken (2104.10858).

The one convention of mixing, as `ppim.geometry` is that of places. A `Mix` is what is drawn of a batch: block by block
of the global batch, and so the same on every rank, then cut to a rank's rows. `mixed_rows` works out, once, what that
does to every row; the `Mixed` it returns is all that pixels, model and loss know of mixing.

Partners are neighbours (2j, 2j + 1); the odd one out is its own partner, for which every mix changes nothing. Boxes are
top, left, bottom, right; an empty box (0, 0, 0, 0) mixes nothing. Only numpy.
"""
from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

HW = tuple[int, int]  # height, width; of a grid its rows, columns
Box = tuple[int, int, int, int]  # top, left, bottom, right
MODES = ("batch", "pair", "elem")
CUTMIX_GRIDS = ("pixels", "tokens")


class Mix(NamedTuple):
    """Row b shows `blend` of itself and the rest of its partner, and its partner alone inside `pixel_box`; inside
    `token_box` the model replaces its tokens by its partner's."""

    partner: np.ndarray  # (B,) int64, index within the (local) batch
    blend: np.ndarray  # (B,) float32, own share of every pixel; 1 = no mixup
    pixel_box: np.ndarray  # (B, 4) int64, in pixels
    token_box: np.ndarray  # (B, 4) int64, in cells of the token grid


class Mixed(NamedTuple):
    """What a mix does to the rows of a batch of B pictures of N tokens; None: nothing is to be done there.

    Arrays in the workers, which ship them with the batch; tensors in a training step. Row b * N + n is token n of
    picture b.
    """

    partner: np.ndarray | None = None  # (B,) int64: the other picture of each
    blend: np.ndarray | None = None  # (B,) float32: own share of every pixel outside the box
    pixel_box: np.ndarray | None = None  # (B, 4) int64: inside it the partner's pixels stand
    class_share: np.ndarray | None = None  # (B,) float32: own share of the class target, by area
    token_partner: np.ndarray | None = None  # (B * N,) int64: the same token of the partner
    token_share: np.ndarray | None = None  # (B * N,) float32: own share of a token's pixels and target, before MixToken
    owner: np.ndarray | None = None  # (B * N,) int64: whose token stands here after MixToken
    partner_share: np.ndarray | None = None  # (B, N) float32: the partner's share of what a token shows in the end

    def as_fields(self) -> dict[str, np.ndarray]:
        """What there is of it, under the names it has in a batch: `mix_partner`, `mix_owner`, ..."""
        return {f"mix_{name}": value for name, value in self._asdict().items() if value is not None}

    @classmethod
    def of_batch(cls, batch: Mapping) -> Mixed:
        """What a batch says of its mix; nothing where it was not mixed."""
        # spelt out, because tracing does not know `get`
        keys = [f"mix_{name}" for name in cls._fields]
        return cls(*[batch[key] if key in batch else None for key in keys])


def partners(batch: int) -> np.ndarray:
    """(B,) int64: 1, 0, 3, 2, ...; the last of an odd batch is its own partner."""
    return np.minimum(np.arange(batch) ^ 1, batch - 1)


def draw_mix(rng: np.random.Generator, batch: int, image_hw: HW, grid: HW, *, mixup_alpha: float = 0.0,
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
    frame_hw = tuple(image_hw) if cutmix_grid == "pixels" else tuple(grid)
    blend, pixel_box = np.ones(batch, np.float32), np.zeros((batch, 4), np.int64)
    # row b takes draw number group[b]
    group = {"batch": np.zeros(batch, int), "pair": np.arange(batch) // 2, "elem": np.arange(batch)}[mode]
    if mixup_alpha > 0 or cutmix_alpha > 0 or cutmix_minmax is not None:
        draws = [_draw_pixels(rng, frame_hw, mixup_alpha, cutmix_alpha, cutmix_minmax, prob, switch_prob)
                 for _ in range(group[-1] + 1)]
        blend = np.array([lam for lam, _ in draws], np.float32)[group]
        cell = np.array(image_hw) // np.array(frame_hw)
        pixel_box = np.array([box for _, box in draws], np.int64)[group] * np.tile(cell, 2)
    token_box = np.zeros((batch, 4), np.int64)
    if token_alpha > 0:
        group = np.minimum(group, np.arange(batch) // 2)
        boxes = [draw_box(rng, grid, rng.beta(token_alpha, token_alpha)) for _ in range(group[-1] + 1)]
        token_box = np.array(boxes, np.int64)[group]
    return Mix(partners(batch), blend, pixel_box, token_box)


def draw_blocks(rng_of: Callable[[int], np.random.Generator], batch: int, image_hw: HW, grid: HW, *, group: int,
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


def _draw_pixels(rng, hw, mixup_alpha, cutmix_alpha, cutmix_minmax, prob, switch_prob) -> tuple[float, Box]:
    """Own share of every pixel, and a box within a frame of `hw` pixels or cells."""
    nothing = (0, 0, 0, 0)
    if rng.random() >= prob:
        return 1.0, nothing
    cutmix = cutmix_alpha > 0 or cutmix_minmax is not None
    if mixup_alpha > 0 and cutmix:
        cutmix = rng.random() < switch_prob
    if not cutmix:
        return rng.beta(mixup_alpha, mixup_alpha), nothing
    if cutmix_minmax is not None:
        return 1.0, _draw_minmax_box(rng, hw, cutmix_minmax)
    return 1.0, draw_box(rng, hw, rng.beta(cutmix_alpha, cutmix_alpha))


def draw_box(rng: np.random.Generator, hw: HW, own_share: float) -> Box:
    """A box of about 1 - own_share of a frame `hw`, its centre anywhere, cut off at the borders (so its true area, not
    own_share, is what a target is mixed by)."""
    side = math.sqrt(1 - own_share)
    centre = [int(rng.integers(n)) for n in hw]
    half = [int(n * side) // 2 for n in hw]
    top, left = (max(0, c - r) for c, r in zip(centre, half))
    bottom, right = (min(n, c + r) for n, c, r in zip(hw, centre, half))
    return (top, left, bottom, right) if bottom > top and right > left else (0, 0, 0, 0)


def _draw_minmax_box(rng: np.random.Generator, hw: HW, minmax: Sequence[float]) -> Box:
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


def mixed_rows(mix: Mix, image_hw: HW, grid: HW, with_shares: bool = False) -> Mixed:
    """What `mix` does to pictures of `image_hw` pixels with tokens on a `grid` (rows, columns).

    Args:
        with_shares: work out `partner_share` too, from which a model finds the share of the class target itself.
    """
    changes_pixels, changes_tokens = bool((mix.blend < 1).any() or mix.pixel_box.any()), bool(mix.token_box.any())
    if not changes_pixels and not changes_tokens:
        return Mixed()
    own, taken = own_token_share(mix, image_hw, grid), inside_boxes(mix.token_box, grid)
    here = np.arange(own.size).reshape(own.shape)
    there = here[mix.partner]
    return Mixed(
        partner=mix.partner,
        blend=mix.blend if changes_pixels else None,
        pixel_box=mix.pixel_box if changes_pixels else None,
        class_share=class_share(mix, image_hw, grid),
        token_partner=there.reshape(-1) if changes_pixels else None,
        token_share=own.reshape(-1) if changes_pixels else None,
        owner=np.where(taken, there, here).reshape(-1) if changes_tokens else None,
        # a token taken from the partner shows the partner's patch, whose own share is the partner's
        partner_share=np.where(taken, own[mix.partner], 1 - own) if with_shares else None,
    )


def draw_mixed_rows(step: int, *, rng_of: Callable[[int, int], np.random.Generator], batch: int, rows: tuple[int, int],
                    image_hw: HW, grid: HW, with_shares: bool = False, **how) -> Mixed:
    """What mixing does to one process's rows of a global batch: drawn for all of it, then cut.

    Args:
        step: micro-batch number.
        rng_of: (micro-batch number, block number) -> the generator it is drawn from.
        batch: of all processes; rows: start and stop of those wanted.
        with_shares: as for `mixed_rows`; how: as for `draw_blocks`.
    """
    mix = draw_blocks(functools.partial(rng_of, step), batch, image_hw, grid, **how)
    return mixed_rows(shard(mix, *rows), image_hw, grid, with_shares)


def inside_boxes(box: np.ndarray, grid: HW) -> np.ndarray:
    """(B, 4) boxes in cells of a grid -> (B, N) bool: the cells inside, row-major."""
    row, column = np.arange(grid[0]), np.arange(grid[1])
    tall = (row >= box[:, 0:1]) & (row < box[:, 2:3])
    wide = (column >= box[:, 1:2]) & (column < box[:, 3:4])
    # (B, rows, 1) & (B, 1, columns) -> (B, N)
    return (tall[:, :, None] & wide[:, None, :]).reshape(len(box), -1)


def _box_share(box: np.ndarray, hw: HW) -> np.ndarray:
    """(B,) float32: which part of a frame of `hw` pixels or cells lies in each box."""
    top, left, bottom, right = box.astype("float32").T
    return (bottom - top) * (right - left) / float(hw[0] * hw[1])


def own_pixel_share(mix: Mix, image_hw: HW) -> np.ndarray:
    """(B,) float32: which part of an image's pixels is its own."""
    return mix.blend * (1 - _box_share(mix.pixel_box, image_hw))


def own_token_share(mix: Mix, image_hw: HW, grid: HW) -> np.ndarray:
    """(B, N) float32: which part of the pixels of each token's patch is its image's own (before MixToken)."""
    box = mix.pixel_box.astype("float32")
    tall = _overlap(box[:, 0:1], box[:, 2:3], grid[0], image_hw[0])
    wide = _overlap(box[:, 1:2], box[:, 3:4], grid[1], image_hw[1])
    # (B, rows, 1) * (B, 1, columns) -> (B, N)
    covered = (tall[:, :, None] * wide[:, None, :]).reshape(len(box), -1)
    return mix.blend[:, None] * (1 - covered)


def _overlap(start: np.ndarray, stop: np.ndarray, cells: int, length: int) -> np.ndarray:
    """(B, 1) borders in pixels -> (B, cells): the share of each of `cells` equal parts of 0..length between them."""
    size = length / cells
    low = np.arange(cells).astype("float32") * size
    return (np.minimum(stop, low + size) - np.maximum(start, low)).clip(0.0) / size


def class_share(mix: Mix, image_hw: HW, grid: HW) -> np.ndarray:
    """(B,) float32: the own share of the class target. Tokens from the partner show the partner's pixels, of which
    mixing has made a part the row's own: (1 - t) a + t (1 - a of the partner)."""
    own, taken = own_pixel_share(mix, image_hw), _box_share(mix.token_box, grid)
    return (1 - taken) * own + taken * (1 - own[mix.partner])
