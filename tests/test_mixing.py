"""What a mix does to every row of a batch, against counting pixels and tokens one by one."""
from __future__ import annotations

import numpy as np
import paddle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppim.data.batches import rank_rows
from ppim.mixing import (
    MODES,
    Mix,
    Mixed,
    draw_blocks,
    draw_mix,
    mixed_rows,
    own_pixel_share,
    own_token_share,
    partners,
    shard,
)
from ppim.objective.pixels import mix_pixels
from ppim.seeds import mix_rng
from tests.helpers import as_tensors

HW, GRID = (12, 20), (3, 4)  # 4 x 5 pixels a token


def whose_pixels(mix: Mix, hw=HW) -> np.ndarray:
    """(B, B, H, W): how much of image j stands in pixel (h, w) of the mixed image b, found by mixing indicators."""
    batch = len(mix.partner)
    images = np.zeros((batch, batch, *hw), np.float32)
    images[np.arange(batch), np.arange(batch)] = 1
    return mix_pixels(paddle.to_tensor(images), as_tensors(mixed_rows(mix, hw, GRID))).numpy()


def whose_tokens(mix: Mix) -> np.ndarray:
    """(B, B, rows, columns): the same for tokens, after MixToken has exchanged some, looked up one by one."""
    batch = len(mix.partner)
    patches = whose_pixels(mix).reshape(batch, batch, GRID[0], 4, GRID[1], 5).mean((3, 5))
    tokens = patches.copy()
    for b, (top, left, bottom, right) in enumerate(mix.token_box):
        for r in range(top, bottom):
            for c in range(left, right):
                tokens[b, :, r, c] = patches[mix.partner[b], :, r, c]
    return tokens


SETTINGS = {
    "mixup": dict(mixup_alpha=0.8), "cutmix": dict(cutmix_alpha=1.0), "minmax": dict(cutmix_minmax=[0.2, 0.8]),
    "token": dict(token_alpha=1.0), "both": dict(mixup_alpha=0.8, cutmix_alpha=1.0),
    "mixup+token": dict(mixup_alpha=0.8, token_alpha=1.0),
    "patches": dict(cutmix_alpha=1.0, cutmix_grid="tokens"),
    "sometimes": dict(cutmix_alpha=1.0, prob=0.5),
}


any_mix = dict(batch=st.integers(1, 7), seed=st.integers(0, 9999), mode=st.sampled_from(MODES),
               name=st.sampled_from(sorted(SETTINGS)))


def drawn(batch, seed, mode, name) -> Mix:
    return draw_mix(np.random.default_rng(seed), batch, HW, GRID, mode=mode, **SETTINGS[name])


@settings(max_examples=80, deadline=None)
@given(**any_mix)
def test_shares_are_what_counting_says(batch, seed, mode, name):
    mix = drawn(batch, seed, mode, name)
    mixed, pixels, rows = mixed_rows(mix, HW, GRID, with_shares=True), whose_pixels(mix), np.arange(batch)
    shown = whose_tokens(mix).reshape(batch, batch, -1)
    np.testing.assert_allclose(shown.sum(1), 1, atol=1e-5)
    paired = mix.partner != rows  # a row without a partner is mixed with itself, so wholly its own whatever the share
    np.testing.assert_allclose(own_pixel_share(mix, HW)[paired], pixels[rows, rows].mean((1, 2))[paired], atol=1e-5)
    if mixed.token_share is not None:
        patches = pixels[rows, rows].reshape(batch, GRID[0], 4, GRID[1], 5).mean((2, 4)).reshape(batch, -1)
        np.testing.assert_allclose(mixed.token_share.reshape(batch, -1)[paired], patches[paired], atol=1e-5)
    if mixed.partner is not None:
        np.testing.assert_allclose(mixed.class_share[paired], shown[rows, rows].mean(1)[paired], atol=1e-5)
        np.testing.assert_allclose(mixed.partner_share[paired], shown[rows, mix.partner][paired], atol=1e-5)
        # the class share by area is what remains of the mean over tokens
        np.testing.assert_allclose(1 - mixed.partner_share.mean(1), mixed.class_share, atol=1e-5)


@settings(max_examples=80, deadline=None)
@given(**any_mix)
def test_every_token_knows_its_partner_and_its_owner(batch, seed, mode, name):
    mix = drawn(batch, seed, mode, name)
    mixed, cells = mixed_rows(mix, HW, GRID), GRID[0] * GRID[1]
    for b, n in np.ndindex(batch, cells):
        (top, left, bottom, right), (row, column) = mix.token_box[b], divmod(n, GRID[1])
        taken = top <= row < bottom and left <= column < right
        if mixed.token_partner is not None:
            assert mixed.token_partner[b * cells + n] == mix.partner[b] * cells + n
        if mixed.owner is not None:
            assert mixed.owner[b * cells + n] == (mix.partner[b] if taken else b) * cells + n


@settings(max_examples=40, deadline=None)
@given(**any_mix)
def test_nothing_is_said_where_nothing_is_to_be_done(batch, seed, mode, name):
    mix = drawn(batch, seed, mode, name)
    pixels, tokens = bool((mix.blend < 1).any() or mix.pixel_box.any()), bool(mix.token_box.any())
    said = {"partner": pixels or tokens, "class_share": pixels or tokens, "partner_share": pixels or tokens,
            "blend": pixels, "pixel_box": pixels, "token_partner": pixels, "token_share": pixels, "owner": tokens}
    mixed = mixed_rows(mix, HW, GRID, with_shares=True)
    assert {field: value is not None for field, value in mixed._asdict().items()} == said
    shares = [value for value in mixed if value is not None and value.dtype.kind == "f"]
    assert all(share.dtype == np.float32 for share in shares)


def test_shares_for_the_model_are_worked_out_only_where_they_are_asked_for():
    mix = draw_mix(np.random.default_rng(0), 4, HW, GRID, mixup_alpha=0.8)
    plain, shared = (mixed_rows(mix, HW, GRID, with_shares=shares) for shares in (False, True))
    assert plain.partner_share is None and shared.partner_share.shape == (4, 12)


def test_patches_that_do_not_divide_the_image_share_their_pixels():
    mix = Mix(partners(2), np.ones(2, np.float32), np.array([[0, 0, 5, 10]] * 2), np.zeros((2, 4), np.int64))
    share = own_token_share(mix, (10, 10), (4, 1))
    np.testing.assert_allclose(share, [[0, 0, 1, 1]] * 2)
    np.testing.assert_allclose(own_token_share(mix, (10, 10), (3, 1))[0], [0, 0.5, 1], atol=1e-6)


def test_partners_are_neighbours_and_stay_partners():
    assert partners(1).tolist() == [0] and partners(5).tolist() == [1, 0, 3, 2, 4]
    mix = draw_mix(np.random.default_rng(0), 7, HW, GRID, mixup_alpha=1.0, token_alpha=1.0, mode="elem")
    assert np.array_equal(mix.partner[mix.partner], np.arange(7))
    # tokens are exchanged, so both partners must agree where
    assert np.array_equal(mix.token_box, mix.token_box[mix.partner])


def test_modes_draw_once_for_the_batch_the_pair_or_the_element():
    def kinds(mode):
        mix = draw_mix(np.random.default_rng(3), 8, (64, 64), (8, 8), mixup_alpha=0.8, mode=mode, token_alpha=1.0)
        return len(np.unique(mix.blend)), len(np.unique(mix.token_box, axis=0))
    assert kinds("batch") == (1, 1)
    assert kinds("pair")[0] == 4 and kinds("pair")[1] > 1
    assert kinds("elem")[0] == 8
    with pytest.raises(ValueError, match="MIXUP_MODE"):
        draw_mix(np.random.default_rng(0), 2, HW, GRID, mode="half")


def test_cutmix_and_mixup_take_turns_and_rests_as_often_as_asked():
    drawn = [draw_mix(np.random.default_rng(i), 2, (64, 64), (8, 8), mixup_alpha=0.8, cutmix_alpha=1.0, prob=0.8,
                      switch_prob=0.25) for i in range(800)]
    up = sum((mix.blend < 1).all() for mix in drawn)
    cut = sum(mix.pixel_box.any() for mix in drawn)
    assert abs(up / 800 - 0.6) < 0.06 and 0.13 < cut / 800 < 0.24 and not any(
        (mix.blend < 1).any() and mix.pixel_box.any() for mix in drawn)
    assert mixed_rows(draw_mix(np.random.default_rng(0), 4, HW, GRID), HW, GRID, with_shares=True) == Mixed()


def test_the_area_of_a_box_follows_its_beta_draw_and_covers_both_axes():
    shares = [1 - own_pixel_share(draw_mix(np.random.default_rng(i), 2, (100, 100), GRID, cutmix_alpha=1.0),
                                  (100, 100))[0] for i in range(600)]
    # a uniform share would give a half; the borders cut a part off
    assert 0.25 < np.mean(shares) < 0.4 and max(shares) > 0.8
    box = np.array([draw_mix(np.random.default_rng(i), 2, (20, 60), GRID, cutmix_minmax=[0.2, 0.5]).pixel_box[0]
                    for i in range(300)])
    assert (box[:, 2] <= 20).all() and (box[:, 3] <= 60).all() and box[:, 3].max() > 50
    sides = box[:, 2:] - box[:, :2]
    assert sides[:, 0].min() >= 4 and sides[:, 0].max() < 10 and sides[:, 1].min() >= 12 and sides[:, 1].max() < 30


def test_a_shard_keeps_its_rows_and_refuses_to_part_partners():
    mix = draw_mix(np.random.default_rng(0), 7, HW, GRID, mixup_alpha=1.0, cutmix_alpha=1.0, mode="elem")
    whole = whose_pixels(mix)
    for start, stop in ((0, 4), (4, 7), (6, 7), (3, 3)):
        part = shard(mix, start, stop)
        if stop > start:
            np.testing.assert_array_equal(whose_pixels(part), whole[start:stop, start:stop])
    with pytest.raises(ValueError, match="part two partners"):
        shard(mix, 1, 4)


blocks = dict(batch=st.integers(1, 26), group=st.sampled_from([2, 4, 6, 10, 26]), seed=st.integers(0, 9999),
              mode=st.sampled_from(MODES), name=st.sampled_from(sorted(SETTINGS)))


@settings(max_examples=80, deadline=None)
@given(**blocks)
def test_a_block_of_a_batch_is_mixed_as_if_it_were_alone(batch, group, seed, mode, name):
    how = dict(mode=mode, **SETTINGS[name])
    mix = draw_blocks(lambda block: np.random.default_rng([seed, block]), batch, HW, GRID, group=group, **how)
    assert np.array_equal(mix.partner, partners(batch))
    for block, start in enumerate(range(0, batch, group)):
        size = min(group, batch - start)  # the last may be short
        alone = draw_mix(np.random.default_rng([seed, block]), size, HW, GRID, **how)
        for field, expected in zip(shard(mix, start, start + size), alone):
            np.testing.assert_array_equal(field, expected)
            assert field.dtype == expected.dtype


@settings(max_examples=60, deadline=None)
@given(**blocks)
def test_any_number_of_processes_holds_the_blocks_of_the_whole_batch(batch, group, seed, mode, name):
    whole = draw_blocks(lambda block: mix_rng(seed, 5, block), batch, HW, GRID, group=group, mode=mode,
                        **SETTINGS[name])
    for world in range(1, batch // 2 + 1):
        shares = []
        for rank in range(world):
            start, stop = rank_rows(batch, rank, world)
            local = shard(whole, start, stop)
            shares.append(local._replace(partner=local.partner + start))
        for field, parts in zip(whole, zip(*shares)):
            np.testing.assert_array_equal(np.concatenate(parts), field)


def test_one_draw_holds_for_a_block_and_no_two_blocks_are_drawn_alike():
    def by_blocks(group, step=0):
        return draw_blocks(lambda block: mix_rng(7, step, block), 1000, HW, GRID, group=group, mixup_alpha=0.8)

    mix = by_blocks(128)
    assert len(np.unique(mix.blend)) == 8
    assert all(len(np.unique(mix.blend[start:start + 128])) == 1 for start in range(0, 1000, 128))
    assert not np.intersect1d(mix.blend, by_blocks(128, step=1).blend).size
    # a block as large as the batch is the one draw of the step
    np.testing.assert_array_equal(by_blocks(1024).blend, draw_mix(mix_rng(7, 0), 1000, HW, GRID, mixup_alpha=0.8).blend)


@pytest.mark.parametrize("group", [7, 0, -2])
def test_a_block_that_would_part_partners_is_refused(group):
    with pytest.raises(ValueError, match=f"even number of rows.*got {group}"):
        draw_blocks(np.random.default_rng, 8, HW, GRID, group=group)


def test_boxes_on_the_token_grid_leave_every_token_to_one_image():
    rng, seen = np.random.default_rng(0), set()
    for _ in range(50):
        mix = draw_mix(rng, 2, HW, GRID, cutmix_alpha=1.0, cutmix_grid="tokens")
        share = own_token_share(mix, HW, GRID)
        assert set(np.unique(share)) <= {0.0, 1.0}
        seen.add(tuple(mix.pixel_box[0]))
    assert len(seen) > 10 and max(box[3] for box in seen) == HW[1] and max(box[2] for box in seen) == HW[0]


@pytest.mark.parametrize("wrong", [{"mode": "half"}, {"cutmix_grid": "cells"}])
def test_an_unknown_mode_or_grid_is_named(wrong):
    with pytest.raises(ValueError, match=f"must be one of .*, got '{next(iter(wrong.values()))}'"):
        draw_mix(np.random.default_rng(0), 2, HW, GRID, **wrong)
