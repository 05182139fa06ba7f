"""Which part of a photo does a view show? Boxes cut by Pillow are found again; what is no part of a photo is not."""
import numpy as np
import pytest
from PIL import Image

from ppim.checks.matching import LEAST, find_box


@pytest.fixture(scope="module")
def photo():
    """160 x 120, of soft blots in all sizes, as photos are."""
    rng = np.random.default_rng(0)
    layers = [Image.fromarray(rng.integers(0, 256, (3 * n, 4 * n, 3), np.uint8)).resize((160, 120)) for n in (1, 3, 9)]
    return Image.fromarray(np.mean([np.asarray(layer) for layer in layers], axis=0).astype(np.uint8))


@pytest.mark.parametrize(("box", "flip"), [
    ((20, 10, 100, 80), False), ((64, 31, 60, 75), True), ((0, 0, 160, 120), True)])
def test_the_box_of_a_view_is_found_mirrored_or_not_and_in_other_light(photo, box, flip):
    left, top, width, height = box
    view = photo.crop((left, top, left + width, top + height)).resize((64, 64), Image.Resampling.BICUBIC)
    view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else view
    found, mirrored, alike = find_box(photo, (np.asarray(view) * 0.6 + 30).astype(np.uint8))
    assert mirrored == flip and alike > 0.97
    np.testing.assert_allclose(found, (left / 160, top / 120, width / 160, height / 120), atol=0.012)


def test_a_view_of_another_photo_is_like_no_part_of_this_one(photo):
    other = np.random.default_rng(1).integers(0, 256, (9, 12, 3), np.uint8)
    view = np.asarray(Image.fromarray(other).resize((64, 64), Image.Resampling.BICUBIC))
    assert find_box(photo, view)[2] < LEAST
