"""Geometry against Pillow: an image whose pixels hold their own coordinates says where each output pixel came from."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ppim import geometry

SIZES = [(96, 72), (72, 96), (80, 80)]
LOST = -1.0


def coordinate_image(size):
    """Two float images holding the x and the y of their pixel centres."""
    width, height = size
    x = np.tile(np.arange(width, dtype=np.float32) + 0.5, (height, 1))
    y = np.tile((np.arange(height, dtype=np.float32) + 0.5)[:, None], (1, width))
    return [Image.fromarray(x), Image.fromarray(y)]


def affine(image, matrix):
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=LOST)


# name -> (what Pillow does to an image, the step that describes it); `value` lies in [-1, 1]
OPERATIONS = {
    "rotate": lambda v: (lambda im: im.rotate(40 * v, Image.Resampling.NEAREST, fillcolor=LOST),
                         lambda size: geometry.rotate(40 * v, size)),
    "shear_x": lambda v: (lambda im: affine(im, (1, 0.4 * v, 0, 0, 1, 0)),
                          lambda size: geometry.shear_x(0.4 * v, size)),
    "shear_y": lambda v: (lambda im: affine(im, (1, 0, 0, 0.4 * v, 1, 0)),
                          lambda size: geometry.shear_y(0.4 * v, size)),
    "translate_x": lambda v: (lambda im: affine(im, (1, 0, 0.4 * v * im.width, 0, 1, 0)),
                              lambda size: geometry.translate(0.4 * v, 0)),
    "translate_y": lambda v: (lambda im: affine(im, (1, 0, 0, 0, 1, 0.4 * v * im.height)),
                              lambda size: geometry.translate(0, 0.4 * v)),
    "hflip": lambda v: (lambda im: im.transpose(Image.Transpose.FLIP_LEFT_RIGHT), lambda size: geometry.hflip()),
    "crop": lambda v: (lambda im: im.crop(box_of(v, im.size)), lambda size: crop_step(box_of(v, size), size)),
}


def box_of(value, size):
    """A whole-pixel box, its place depending on value."""
    width, height = size
    left, top = int((value + 1) / 2 * 0.3 * width), int((1 - value) / 2 * 0.4 * height)
    return left, top, left + int(0.6 * width), top + int(0.5 * height)


def crop_step(box, size):
    left, top, right, bottom = box
    return geometry.crop(left, top, right - left, bottom - top, size)


def pixel_centres(size):
    width, height = size
    y, x = np.mgrid[:height, :width]
    return np.stack([(x.ravel() + 0.5) / width, (y.ravel() + 0.5) / height], axis=1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("value", [-0.83, 0.37])
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_one_step_says_where_pillow_took_each_pixel_from(name, value, size):
    apply, describe = OPERATIONS[name](value)
    x, y = (np.asarray(apply(image)) for image in coordinate_image(size))
    points, inside = geometry.trace(pixel_centres(x.shape[::-1]), [describe(size)])
    np.testing.assert_array_equal(inside, x.ravel() != LOST)
    assert inside.sum() > 100
    error = np.abs(points[inside] * size - np.stack([x.ravel(), y.ravel()], axis=1)[inside])
    # The nearest pixel's centre is at most half a pixel away, in Pillow's 16-bit fractions; whole pixels are exact.
    assert error.max() <= (1e-4 if name in ("hflip", "crop") else 0.501)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), st.floats(-1, 1)), min_size=2, max_size=4),
       st.sampled_from(SIZES))
def test_a_chain_of_steps_says_where_pillow_took_each_pixel_from(chain, size):
    images, steps = coordinate_image(size), []
    for name, value in chain:
        apply, describe = OPERATIONS[name](value)
        steps.append(describe(images[0].size))
        images = [apply(image) for image in images]
    x, y = (np.asarray(image).ravel() for image in images)
    centres = pixel_centres(images[0].size)
    points, inside = geometry.trace(centres, steps)
    # Each step moves a point by up to half a pixel, so only pixels whose surroundings agree are looked at.
    around = [geometry.trace(centres + np.array(shift) / images[0].size, steps)[1]
              for shift in np.stack(np.meshgrid([-3, 0, 3], [-3, 0, 3]), -1).reshape(-1, 2)]
    np.testing.assert_array_equal(x[np.all(around, axis=0)] != LOST, True)
    np.testing.assert_array_equal(x[~np.any(around, axis=0)] != LOST, False)
    sure = np.all(around, axis=0)
    error = np.abs(points * size - np.stack([x, y], axis=1))[sure]
    assert error.size == 0 or error.max() <= 0.5 * 1.5 * len(chain) + 0.01


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(sorted(OPERATIONS)), st.floats(-1, 1)), max_size=5), st.sampled_from(SIZES),
       st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))
def test_tracing_a_chain_is_walking_its_steps_backwards_one_by_one(chain, size, x, y):
    steps = [OPERATIONS[name](value)[1](size) for name, value in chain]
    points, inside = geometry.trace(np.array([[x, y]]), steps)
    lost = False
    for step in steps[::-1]:
        (a, b, c), (d, e, f) = step.matrix.tolist()
        x, y = a * x + b * y + c, d * x + e * y + f
        if min(abs(x), abs(y), abs(x - 1), abs(y - 1)) < 1e-9:
            return  # on the very edge, rounding decides
        lost = lost or not (0 <= x <= 1 and 0 <= y <= 1)
    np.testing.assert_allclose(points, [[x, y]], atol=1e-12)
    assert bool(inside[0]) is not lost


def test_what_an_intermediate_frame_lost_stays_lost_though_the_matrices_cancel():
    there_and_back = [geometry.translate(0.5, 0), geometry.translate(-0.5, 0)]
    points, inside = geometry.trace(np.array([[0.25, 0.5], [0.75, 0.5]]), there_and_back)
    np.testing.assert_allclose(points, [[0.25, 0.5], [0.75, 0.5]])
    assert inside.tolist() == [False, True]


def test_no_steps_leave_points_where_they_are():
    points, inside = geometry.trace(np.array([[0.2, 0.7]]), [])
    assert points.tolist() == [[0.2, 0.7]] and inside.tolist() == [True]


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (300, 300)])
@pytest.mark.parametrize("crop_pct", [0.875, 1.0])
def test_the_centre_window_is_what_resize_and_centre_crop_show(size, crop_pct):
    side = 224
    scale = side / crop_pct / min(size)
    resized = [round(edge * scale) for edge in size]
    left, top = ((edge - side) / 2 for edge in resized)
    expected = [left / resized[0], top / resized[1], (left + side) / resized[0], (top + side) / resized[1]]
    np.testing.assert_allclose(geometry.centre_window(size, crop_pct), expected, atol=0.003)


@pytest.mark.parametrize("crop_pct", [0, -1, 1.01, 87.5])
def test_a_crop_share_outside_of_0_to_1_is_refused(crop_pct):
    with pytest.raises(ValueError, match="crop_pct"):
        geometry.centre_window((4, 3), crop_pct)


def test_a_crop_may_leave_the_frame_and_loses_what_lies_outside():
    points, inside = geometry.trace(np.array([[0.1, 0.5], [0.9, 0.5]]), [geometry.crop(-50, 0, 100, 100, (100, 100))])
    np.testing.assert_allclose(points, [[-0.4, 0.5], [0.4, 0.5]])
    assert inside.tolist() == [False, True]
