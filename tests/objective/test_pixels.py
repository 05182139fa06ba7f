"""Normalising, erasing and mixing pixels on the device."""
from __future__ import annotations

import numpy as np
import paddle

from ppim.mixing import Mixed
from ppim.objective.pixels import erase, mix_pixels, normalise
from tests.helpers import as_tensors

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_normalising_gives_zero_mean_pixels_in_units_of_the_deviation():
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7), np.uint8)
    expected = (image / 255.0 - np.reshape(MEAN, (1, 3, 1, 1))) / np.reshape(STD, (1, 3, 1, 1))
    out = normalise(paddle.to_tensor(image), MEAN, STD)
    assert out.dtype == paddle.float32
    np.testing.assert_allclose(out.numpy(), expected, atol=2e-6)


def test_erasing_writes_the_given_pixels_of_the_given_image_and_no_other():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((3, 3, 4, 5)).astype(np.float32)
    at = np.array([0, 7, 20 + 3, 40 + 19])
    value = rng.standard_normal((4, 3)).astype(np.float32)
    expected = x.copy()
    for position, colour in zip(at, value):
        expected[position // 20, :, position % 20 // 5, position % 5] = colour
    out = erase(paddle.to_tensor(x), paddle.to_tensor(at), paddle.to_tensor(value))
    np.testing.assert_array_equal(out.numpy(), expected)


def test_the_filler_of_a_batch_without_erasing_changes_nothing():
    x = np.random.default_rng(2).standard_normal((2, 3, 4, 5)).astype(np.float32)
    out = erase(paddle.to_tensor(x), paddle.zeros([1], "int64"), paddle.full([1, 3], float("nan")))
    np.testing.assert_array_equal(out.numpy(), x)


def test_pixels_are_blended_outside_the_box_and_the_partners_inside():
    rng = np.random.default_rng(3)
    x, partner, blend = rng.standard_normal((3, 3, 6, 5)).astype("float32"), [1, 0, 2], [0.25, 0.5, 1.0]
    boxes = [(1, 2, 4, 5), (0, 0, 0, 0), (0, 0, 6, 1)]
    expected = np.empty_like(x)
    for b, (top, left, bottom, right) in enumerate(boxes):
        expected[b] = blend[b] * x[b] + (1 - blend[b]) * x[partner[b]]
        expected[b, :, top:bottom, left:right] = x[partner[b], :, top:bottom, left:right]
    mixed = Mixed(np.array(partner), np.array(blend, "float32"), np.array(boxes))
    np.testing.assert_allclose(mix_pixels(paddle.to_tensor(x), as_tensors(mixed)).numpy(), expected, atol=1e-6)


def test_pictures_of_which_no_pixel_is_mixed_stay_themselves():
    x = paddle.ones([2, 3, 4, 4])
    assert mix_pixels(x, as_tensors(Mixed(partner=np.array([1, 0]), owner=np.arange(8)))) is x
