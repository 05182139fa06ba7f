"""Normalising and erasing on the device."""
from __future__ import annotations

import numpy as np
import paddle

from ppim.data.pixels import erase, normalise

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
