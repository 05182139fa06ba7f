"""The released geometry against numbers of the released code."""
from __future__ import annotations

import numpy as np
import pytest

from ppim import geometry
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.released import released_targets, warp
from ppim.token_labels.targets import dense, token_targets


@pytest.mark.parametrize("argument", [0, 1])
@pytest.mark.parametrize("name", ["rotate", "shear_x", "shear_y", "translate_x_rel", "translate_y_rel"])
def test_label_operations_are_the_released_ones_bit_for_bit(reference, name, argument):
    vectors = np.load(reference / "vectors" / "label_affine_asreleased.npz")
    before = LabelMap(vectors["map"][0], vectors["map"][1].astype(np.int32))
    after = warp(before, name, float(vectors[f"{name}_{argument}_arg"]))
    expected = vectors[f"{name}_{argument}"]
    np.testing.assert_array_equal(after.scores, expected[0])
    np.testing.assert_array_equal(after.ids, expected[1])
    assert after.scores.dtype == np.float32 and after.ids.dtype == np.int32


@pytest.mark.parametrize("side", [14, 7, 1])
def test_targets_of_a_crop_are_the_released_ones(reference, side):
    vectors = np.load(reference / "vectors" / "token_label_target.npz")
    expected, classes = vectors[f"target_asreleased_{side}"], int(vectors["num_classes"])
    for image, box in enumerate(vectors["crop_box_top_left_height_width"].astype(float)):
        label_map = LabelMap(vectors["scores"][image].astype(np.float32), vectors["classes"][image].astype(np.int32))
        whole, tokens = released_targets(label_map, [], tuple(box), (side, side), classes, smoothing=0.1)
        np.testing.assert_allclose(dense(whole, classes)[0], expected[image, :, 1], atol=1e-5)
        if side > 1:
            np.testing.assert_allclose(dense(tokens, classes).T, expected[image, :, 2:], atol=1e-5)


def random_map(side=6, classes=20):
    rng = np.random.default_rng(3)
    ids = np.stack([rng.permutation(classes)[:2] for _ in range(side * side)], axis=1).reshape(2, side, side)
    return LabelMap(rng.normal(3, 2, (2, side, side)).astype(np.float32), ids.astype(np.int32))


def test_operations_move_the_map_in_the_order_given_and_before_the_crop():
    label_map, crop = random_map(), (0.1, 0.3, 0.5, 0.4)
    moved = warp(warp(label_map, "hflip"), "rotate", 30.0)
    ours = released_targets(label_map, [("hflip",), ("rotate", 30.0)], crop, (3, 3), 20)
    for got, expected in zip(ours, released_targets(moved, [], crop, (3, 3), 20)):
        np.testing.assert_array_equal(dense(got, 20), dense(expected, 20))
    other = released_targets(label_map, [("rotate", 30.0), ("hflip",)], crop, (3, 3), 20)
    assert np.abs(dense(ours[1], 20) - dense(other[1], 20)).max() > 0.01


def test_a_flip_mirrors_the_map():
    label_map = random_map()
    np.testing.assert_array_equal(warp(label_map, "hflip").ids[:, 2], label_map.ids[:, 2, ::-1])
    np.testing.assert_array_equal(warp(label_map, "hflip").scores[:, 2], label_map.scores[:, 2, ::-1])


def test_the_box_is_widened_to_one_cell():
    tiny = released_targets(random_map(), [], (0.5, 0.25, 0.01, 0.02), (1, 1), 20)[1]
    one_cell = token_targets(random_map(), [geometry.crop(0.5, 0.25, 1 / 6, 1 / 6, (1, 1))], (1, 1), 20)[1]
    np.testing.assert_allclose(dense(tiny, 20), dense(one_cell, 20), atol=1e-6)


def test_an_operation_that_was_never_released_is_an_error_that_lists_those_that_were():
    with pytest.raises(ValueError, match="'zoom'.*hflip, rotate"):
        warp(random_map(), "zoom", 1.0)
