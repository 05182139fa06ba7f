"""The operations against Pillow's own."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from ppim.data.transforms import (
    CentreCrop,
    Colour,
    CropResize,
    HFlip,
    ResizeShort,
    Warp,
    apply_all,
    eval_view,
    history,
    to_array,
)

PILLOW = {
    "AutoContrast": lambda image, _: ImageOps.autocontrast(image),
    "Equalize": lambda image, _: ImageOps.equalize(image),
    "Invert": lambda image, _: ImageOps.invert(image),
    "Posterize": lambda image, bits: ImageOps.posterize(image, bits),
    "Solarize": lambda image, at: ImageOps.solarize(image, at),
    "Color": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "Contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "Brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "Sharpness": lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor),
}


def picture(seed: int, low: int = 0, high: int = 256, size=(43, 37)) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(low, max(high, low + 1), (size[1], size[0], 3), np.uint8))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), low=st.integers(0, 255), high=st.integers(1, 256), factor=st.floats(0.1, 1.9),
       bits=st.integers(1, 8), at=st.integers(0, 256))
def test_colour_operations_give_the_bytes_of_pillow(seed, low, high, factor, bits, at):
    image = picture(seed, min(low, high), high)
    for name, oracle in PILLOW.items():
        amount = {"Posterize": bits, "Solarize": at}.get(name, factor)
        ours, theirs = Colour(name, amount).apply(image), oracle(image, amount)
        assert np.array_equal(np.asarray(ours), np.asarray(theirs)), name


def test_solarize_add_brightens_the_dark_half_only():
    image = Image.fromarray(np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3))
    values = np.asarray(Colour("SolarizeAdd", 99).apply(image))[..., 0].ravel()
    assert values[100] == 199 and values[127] == 226 and values[128] == 128 and values[255] == 255


def test_posterize_to_no_bits_keeps_one():
    image = picture(0)
    assert np.array_equal(np.asarray(Colour("Posterize", 0).apply(image)), np.asarray(ImageOps.posterize(image, 1)))


def test_a_flat_picture_survives_equalize_and_auto_contrast():
    image = Image.new("RGB", (9, 9), (7, 80, 200))
    for name in ("AutoContrast", "Equalize"):
        assert Colour(name).apply(image).getpixel((4, 4)) == (7, 80, 200)


@pytest.mark.parametrize("size, resized, corner", [
    ((500, 375), (330, 248), (53, 12)), ((375, 500), (248, 330), (12, 53)), ((300, 300), (248, 248), (12, 12)),
    ((32, 48), (248, 372), (12, 74)),
])
def test_the_evaluation_view_resizes_the_short_side_and_cuts_the_centre(size, resized, corner):
    resize, crop = eval_view((224, 224), 0.9)
    assert resize.out_wh(size) == resized
    image = picture(1, size=size)
    whole = image.resize(resized, Image.Resampling.BICUBIC)
    expected = whole.crop((*corner, corner[0] + 224, corner[1] + 224))
    assert np.array_equal(np.asarray(apply_all([resize, crop], image)), np.asarray(expected))


def test_the_evaluation_view_serves_other_shapes_and_refuses_bad_shares():
    ops = eval_view((96, 160), 1.0)
    for size in ((50, 400), (400, 50), (161, 97), (1, 3)):
        assert apply_all(ops, picture(0, size=size)).size == (160, 96)
    for bad in (0, 1.2, -1):
        with pytest.raises(ValueError, match=f"crop_pct wants .*got {bad}"):
            eval_view((224, 224), bad)


def test_a_crop_is_cut_before_it_is_resized():
    image = picture(3, size=(40, 30))
    op = CropResize((5, 4, 20, 16), (32, 24), "bicubic")
    expected = image.crop((5, 4, 25, 20)).resize((32, 24), Image.Resampling.BICUBIC)
    assert np.array_equal(np.asarray(op.apply(image)), np.asarray(expected))


@pytest.mark.parametrize("op", [
    CropResize((3, 2, 9, 11), (24, 18)), HFlip(), ResizeShort((40, 40)), CentreCrop((10, 8)), Warp("Rotate", 20.0),
    Colour("Invert")])
def test_the_announced_size_is_the_size(op):
    assert op.apply(picture(0)).size == op.out_wh((43, 37))


def test_a_positive_translation_moves_the_picture_left_or_up_and_uncovers_the_fill():
    image, fill = picture(2, 10, 200, size=(20, 8)), (1, 2, 3)
    before = np.asarray(image)
    left = np.asarray(Warp("TranslateX", 0.25, fill).apply(image))
    assert np.array_equal(left[:, :15], before[:, 5:]) and (left[:, 15:] == fill).all()
    right = np.asarray(Warp("TranslateX", -0.25, fill).apply(image))
    assert np.array_equal(right[:, 5:], before[:, :15]) and (right[:, :5] == fill).all()
    up = np.asarray(Warp("TranslateY", 0.25, fill).apply(image))
    assert np.array_equal(up[:6], before[2:]) and (up[6:] == fill).all()


def test_a_history_follows_the_size_through_the_operations():
    ops = [CropResize((10, 0, 50, 100), (20, 40)), Colour("Invert"), CentreCrop((10, 20))]
    first, second = history(ops, (100, 100))
    assert np.allclose(first.matrix, [[0.5, 0, 0.1], [0, 1, 0]])
    assert np.allclose(second.matrix, [[0.5, 0, 0.25], [0, 0.5, 0.25]])


def test_an_image_becomes_channels_first():
    image = picture(5)
    assert np.array_equal(to_array(image), np.asarray(image).transpose(2, 0, 1))
