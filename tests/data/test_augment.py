"""The policy: what is drawn, how often, and that it depends on the key alone."""
from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppim.data.augment import (
    NAMES,
    Policy,
    RandAugment,
    draw_crop,
    draw_erasing,
    draw_rand_augment,
    draw_view,
    parse_rand_augment,
)
from ppim.data.transforms import CropResize, HFlip
from ppim.seeds import sample_rng

RECIPE = Policy((224, 224), rand_augment=parse_rand_augment("rand-m9-mstd0.5-inc1"), erase_prob=0.25)


def draws(policy, count=3000):
    return [draw_rand_augment(sample_rng(0, 0, i), policy) for i in range(count)]


def test_policy_strings_mean_what_they_mean_in_timm():
    assert parse_rand_augment("rand-m9-mstd0.5-inc1") == RandAugment(9.0, 2, 0.5, 0.5, True, False)
    assert parse_rand_augment("rand-n3-m9-mstd0.5-inc1") == RandAugment(9.0, 3, 0.5, 0.5, True, False)
    assert parse_rand_augment("rand-w0") == RandAugment(10.0, 2, 0.0, 0.5, False, True)
    assert parse_rand_augment("rand-m5-p0.25-inc0-mstd101") == RandAugment(5.0, 2, np.inf, 0.25, False, False)


@pytest.mark.parametrize("text", ["augmix-m3", "rand-m9-what2", "rand-m11", "rand-mm9", "rand-m9-w1", "rand-p2", ""])
def test_a_policy_that_is_not_understood_is_refused_by_name(text):
    with pytest.raises(ValueError, match="RandAugment policy"):
        parse_rand_augment(text)


def test_arguments_at_magnitude_nine_are_those_of_the_recipe():
    policy = RECIPE._replace(rand_augment=parse_rand_augment("rand-m9-inc1"))
    seen = {}
    for op in sum(draws(policy), []):
        seen.setdefault(op.name, set()).add(round(op.amount, 6))
    assert set(seen) == set(NAMES)
    assert seen["Rotate"] == {27, -27} and seen["ShearX"] == seen["ShearY"] == {0.27, -0.27}
    assert seen["TranslateX"] == seen["TranslateY"] == {0.405, -0.405}
    assert seen["Posterize"] == {1} and seen["Solarize"] == {26} and seen["SolarizeAdd"] == {99}
    assert all(seen[name] == {1.81, 0.19} for name in ("Color", "Contrast", "Brightness", "Sharpness"))
    plain = RECIPE._replace(rand_augment=parse_rand_augment("rand-m9"))
    seen = {op.name: op.amount for op in sum(draws(plain, 500), [])}
    assert seen["Posterize"] == 3 and seen["Solarize"] == 230 and abs(seen["Color"] - 1.72) < 1e-9


def test_operations_are_equally_likely_and_each_is_applied_half_the_time():
    lists = draws(RECIPE)
    counts, names = Counter(map(len, lists)), Counter(op.name for ops in lists for op in ops)
    assert abs(counts[1] / 3000 - 0.5) < 0.05 and abs(counts[2] / 3000 - 0.25) < 0.05
    assert all(abs(names[name] / 3000 - 1 / 15) < 0.02 for name in NAMES)
    rotations = [op for ops in lists for op in ops if op.name == "Rotate"]
    assert abs(np.std([abs(op.amount) for op in rotations]) - 1.5 * 0.93) < 0.3  # cut off at magnitude 10
    assert {op.interpolation for op in rotations} == {"bilinear", "bicubic"}
    assert {op.fill for op in rotations} == {(124, 116, 104)}


def test_as_many_operations_as_have_a_weight_can_be_drawn_without_replacement():
    fifteen = {"AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd", "Color",
               "Contrast", "Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY"}
    (all_of_them,) = draws(RECIPE._replace(rand_augment=parse_rand_augment("rand-n13-p1-w0-inc1")), 1)
    assert {op.name for op in all_of_them} == fifteen - {"Invert", "Posterize"}
    with pytest.raises(ValueError, match="RandAugment policy 'rand-n14-w0': .*n at most 13 with w0"):
        parse_rand_augment("rand-n14-w0")
    assert parse_rand_augment("rand-n14").count == 14


def test_the_weighted_policy_never_inverts_and_never_repeats():
    lists = draws(RECIPE._replace(rand_augment=parse_rand_augment("rand-m9-p1-w0-inc1")), 500)
    assert not {"Invert", "Posterize"} & {op.name for ops in lists for op in ops}
    assert all(len({op.name for op in ops}) == 2 for ops in lists)


@settings(max_examples=60, deadline=None)
@given(size=st.tuples(st.integers(1, 3000), st.integers(1, 3000)), seed=st.integers(0, 99))
def test_a_crop_lies_inside_any_photo(size, seed):
    for extreme in (size, (1, size[1]), (size[0], 1), (1, 1)):
        left, top, width, height = draw_crop(sample_rng(seed, 0, 0), extreme, (0.08, 1.0), (3 / 4, 4 / 3))
        assert left >= 0 and top >= 0 and width >= 1 and height >= 1
        assert left + width <= extreme[0] and top + height <= extreme[1]


def test_crops_reach_every_corner_and_keep_area_and_ratio_in_range():
    size = (400, 300)
    boxes = np.array([draw_crop(sample_rng(0, 0, i), size, (0.08, 0.5), (3 / 4, 4 / 3)) for i in range(2000)])
    area, ratio = boxes[:, 2] * boxes[:, 3] / 120000, boxes[:, 2] / boxes[:, 3]
    assert 0.078 < area.min() < 0.09 and 0.48 < area.max() < 0.503
    assert 0.74 < ratio.min() < 0.76 and 1.31 < ratio.max() < 1.35
    free = np.array(size) - boxes[:, 2:]
    assert (boxes[:, 0] == 0).any() and (boxes[:, 0] == free[:, 0]).any()
    assert abs((boxes[:, 0] / free[:, 0]).mean() - 0.5) < 0.03 and abs((boxes[:, 1] / free[:, 1]).mean() - 0.5) < 0.03


def test_a_strip_falls_back_to_the_largest_allowed_centre_box():
    assert draw_crop(sample_rng(0, 0, 0), (3000, 100), (0.5, 1.0), (3 / 4, 4 / 3)) == (1433, 0, 133, 100)
    assert draw_crop(sample_rng(0, 0, 0), (100, 3000), (0.5, 1.0), (3 / 4, 4 / 3)) == (0, 1433, 100, 133)


def test_the_order_of_a_view_is_crop_first_or_released():
    flips = 0
    for i in range(200):
        first = draw_view(sample_rng(0, 0, i), (500, 375), RECIPE)
        assert isinstance(first[0], CropResize) and first[0].wh == (224, 224)
        flips += HFlip() in first
        assert HFlip() not in first or first[1] == HFlip()
        last = draw_view(sample_rng(0, 0, i), (500, 375), RECIPE._replace(order="released"))
        assert isinstance(last[-1], CropResize) and (HFlip() not in last or last[0] == HFlip())
    assert 70 < flips < 130


def test_views_may_be_wider_than_high():
    assert draw_view(sample_rng(0, 0, 0), (50, 60), RECIPE._replace(image_hw=(96, 160)))[0].wh == (160, 96)


def test_colour_jitter_stands_in_where_rand_augment_is_off():
    policy = Policy((32, 32), color_jitter=0.4)
    ops = [op for i in range(300) for op in draw_view(sample_rng(0, 0, i), (50, 50), policy) if hasattr(op, "amount")]
    assert {op.name for op in ops} == {"Brightness", "Contrast", "Color"} and len(ops) == 900
    amounts = [op.amount for op in ops]
    assert 0.6 <= min(amounts) < 0.62 and 1.38 < max(amounts) <= 1.4


def test_a_view_depends_on_its_key_alone():
    def view(*key):
        rng = sample_rng(*key)
        return draw_view(rng, (500, 375), RECIPE), draw_erasing(rng, RECIPE)[1].tobytes()
    assert view(1, 2, 3, 4) == view(1, 2, 3, 4)
    others = {str(view(*key)) for key in [(1, 2, 3, 4), (2, 2, 3, 4), (1, 3, 3, 4), (1, 2, 4, 4), (1, 2, 3, 5)]}
    assert len(others) == 5


@pytest.mark.parametrize("mode", ["pixel", "rand", "const"])
@pytest.mark.parametrize("count", [1, 3])
def test_erased_boxes_have_the_areas_and_the_colours_of_their_mode(mode, count):
    policy = Policy((48, 64), erase_prob=1.0, erase_mode=mode, erase_count=count)
    areas, boxes = [], Counter()
    for i in range(300):
        at, value = draw_erasing(sample_rng(0, 0, i), policy)
        assert len(np.unique(at)) == len(at) == len(value) and at.min() >= 0 and at.max() < 48 * 64
        assert at.dtype == np.int64 and value.dtype == np.float32
        areas.append(len(at) / (48 * 64))
        colours = len(np.unique(value, axis=0))
        boxes[colours if mode == "rand" else 0] += 1
        assert mode != "const" or not value.any()
        assert mode != "pixel" or colours == len(at)
    assert min(areas) < 0.06 and max(areas) < 0.36
    assert np.mean(areas) < 0.2 and (mode != "rand" or set(boxes) == set(range(1, count + 1)))


def test_a_single_box_is_a_full_rectangle_anywhere_in_the_image():
    policy = Policy((40, 60), erase_prob=1.0)
    hit = np.zeros((40, 60), bool)
    for i in range(300):
        rows, columns = np.divmod(draw_erasing(sample_rng(0, 0, i), policy)[0], 60)
        assert (np.ptp(rows) + 1) * (np.ptp(columns) + 1) == len(rows)
        hit[rows, columns] = True
    # corners are rare, borders are not
    assert hit[5:-5, 5:-5].all() and all(edge.any() for edge in (hit[0], hit[-1], hit[:, 0], hit[:, -1]))


def test_a_quarter_of_the_images_is_erased():
    erased = sum(len(draw_erasing(sample_rng(0, 0, i), RECIPE)[0]) > 0 for i in range(1000))
    assert 200 < erased < 300
