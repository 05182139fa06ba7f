"""Sizes by formulas that share no code with the models, and what is counted from the models."""
from __future__ import annotations

import paddle
import pytest

from ppim import zoo
from ppim.models import create_model
from ppim.zoo.macs import count_macs, count_parameters, split_macs

each_row = pytest.mark.parametrize("row", zoo.ROWS, ids=[row.name for row in zoo.ROWS])


def body(tokens: int, depth: int, dim: int, ratio: float, bias: bool) -> tuple:
    """(parameters, MACs of layers, MACs inside attention) of the blocks and the last norm."""
    hidden = int(dim * ratio)
    matrices = 3 * dim * dim + dim * dim + 2 * dim * hidden
    vectors = (3 * dim if bias else 0) + dim + 4 * dim + hidden + dim
    return depth * (matrices + vectors) + 2 * dim, depth * tokens * matrices, depth * 2 * tokens * tokens * dim


def lvvit_size(size, depth, dim, stem=64) -> tuple:
    n = (size // 16) ** 2
    parameters, layers, attention = body(n + 1, depth, dim, 3, False)
    convolutions = 3 * 49 * stem + 2 * 9 * stem * stem
    patch = stem * 8 * 8 * dim
    parameters += convolutions + 3 * 2 * stem + patch + dim + dim + (n + 1) * dim + 2 * (dim + 1) * 1000
    return parameters, layers + (size // 2) ** 2 * convolutions + n * patch + (n + 1) * dim * 1000, attention


def deit_size(size, dim, extra=1) -> tuple:
    n = (size // 16) ** 2
    parameters, layers, attention = body(n + extra, 12, dim, 4, True)
    parameters += 768 * dim + dim + extra * dim + (n + extra) * dim + extra * (dim + 1) * 1000
    return parameters, layers + n * 768 * dim + extra * dim * 1000, attention


def t2t_size(size, depth, dim, ratio, performer=True) -> tuple:
    n = (size // 16) ** 2
    parameters, layers, attention = body(n + 1, depth, dim, ratio, False)
    for wide, tokens in ((147, (size // 4) ** 2), (576, (size // 8) ** 2)):
        parameters += 2 * wide + wide * 192 + 3 * (64 * 64 + 64) + 2 * 64 + (192 + 32 * 64 if performer else 0)
        layers += tokens * (wide * 192 + 3 * 64 * 64)
        attention += tokens * (2 * 64 * 32 + 2 * 32 * 64 + 32) if performer else 2 * tokens * tokens * 64
    parameters += 576 * dim + dim + dim + (n + 1) * dim + (dim + 1) * 1000
    return parameters, layers + n * 576 * dim + dim * 1000, attention


def volo_size(size, layers, dim, heads, ratio=3, stem=64) -> tuple:
    """`heads`: of outlook attention, over half the width, at twice the tokens a side."""
    n, half = (size // 16) ** 2, dim // 2
    parameters, in_layers, attention = body(n, sum(layers[1:]), dim, ratio, False)
    convolutions = 3 * 49 * stem + 2 * 9 * stem * stem
    parameters += convolutions + 3 * 2 * stem + (16 * stem + 1) * half + (4 * half + 1) * dim
    in_layers += (size // 2) ** 2 * convolutions + 4 * n * 16 * stem * half + n * 4 * half * dim
    # outlookers: values, weights by the cell, projection, MLP
    matrices, weights = half * half * (2 + 2 * ratio), half * 81 * heads
    parameters += layers[0] * (matrices + weights + 81 * heads + half * (1 + 4 + ratio + 1))
    in_layers += layers[0] * (4 * n * matrices + n * weights)
    attention += layers[0] * n * 81 * half + 2 * 2 * (n + 1) * dim
    # class attention: keys and values of all, the rest of the class token alone
    parameters += 2 * (dim * dim * (4 + 2 * ratio) + dim * (1 + 4 + ratio + 1))
    in_layers += 2 * dim * dim * (2 * (n + 1) + 2 + 2 * ratio) + (n + 1) * dim * 1000
    return parameters + dim + n * dim + 2 * (dim + 1) * 1000, in_layers, attention


D1, D2, D3 = ((4, 4, 8, 2), 384, 6), ((6, 4, 10, 4), 512, 8), ((8, 8, 16, 4), 512, 8)
D4, D5 = ((8, 8, 16, 4), 768, 12), ((12, 12, 20, 4), 768, 12, 4, 128)
def vit_size(size, dim, patch=16, depth=12, classes=1000, scale=False, registers=0, placed=True) -> tuple:
    n = (size // patch) ** 2
    parameters, layers, attention = body(n + 1 + registers, depth, dim, 4, True)
    of_patch = 3 * patch * patch * dim
    parameters += of_patch + dim + (1 + registers) * dim + (n + placed) * dim + (dim + 1) * classes
    return parameters + 2 * scale * depth * dim, layers + n * of_patch + dim * classes, attention


def deit3_size(size, dim, patch=16, depth=12) -> tuple:
    return vit_size(size, dim, patch, depth, scale=True, placed=False)


def dinov2_size(dim, depth, registers) -> tuple:
    return vit_size(518, dim, 14, depth, classes=0, scale=True, registers=registers)


SIZES = {
    "volo_d1": volo_size(224, *D1), "volo_d2": volo_size(224, *D2), "volo_d3": volo_size(224, *D3),
    "volo_d4": volo_size(224, *D4), "volo_d5": volo_size(224, *D5), "volo_d1_384": volo_size(384, *D1),
    "volo_d2_384": volo_size(384, *D2), "volo_d3_448": volo_size(448, *D3), "volo_d4_448": volo_size(448, *D4),
    "volo_d5_448": volo_size(448, *D5), "volo_d5_512": volo_size(512, *D5),
    "lvvit_tiny": lvvit_size(224, 12, 240), "lvvit_s": lvvit_size(224, 16, 384), "lvvit_m": lvvit_size(224, 20, 512),
    "lvvit_l": lvvit_size(224, 24, 768, 128), "lvvit_s_384": lvvit_size(384, 16, 384),
    "lvvit_m_384": lvvit_size(384, 20, 512), "lvvit_m_448": lvvit_size(448, 20, 512),
    "lvvit_l_448": lvvit_size(448, 24, 768, 128), "lvvit_l_512": lvvit_size(512, 24, 768, 128),
    "t2t_vit_7": t2t_size(224, 7, 256, 2), "t2t_vit_10": t2t_size(224, 10, 256, 2),
    "t2t_vit_12": t2t_size(224, 12, 256, 2), "t2t_vit_14": t2t_size(224, 14, 384, 3),
    "t2t_vit_19": t2t_size(224, 19, 448, 3), "t2t_vit_24": t2t_size(224, 24, 512, 3),
    "t2t_vit_t_14": t2t_size(224, 14, 384, 3, False), "t2t_vit_t_19": t2t_size(224, 19, 448, 3, False),
    "t2t_vit_t_24": t2t_size(224, 24, 512, 3, False), "t2t_vit_14_384": t2t_size(384, 14, 384, 3),
    "t2t_vit_14_resnext": t2t_size(224, 14, 384, 3), "t2t_vit_14_wide": t2t_size(224, 4, 768, 3),
    "t2t_vit_24_token_labeling": t2t_size(384, 24, 512, 3),
    "deit_tiny": deit_size(224, 192), "deit_small": deit_size(224, 384),
    "deit_base": deit_size(224, 768), "deit_tiny_distilled": deit_size(224, 192, 2),
    "deit_small_distilled": deit_size(224, 384, 2),
    "deit_base_distilled": deit_size(224, 768, 2), "deit_base_384": deit_size(384, 768),
    "deit_base_distilled_384": deit_size(384, 768, 2),
    "vit_tiny": vit_size(224, 192), "vit_small": vit_size(224, 384), "vit_base": vit_size(224, 768),
    "vit_large": vit_size(224, 1024, depth=24), "vit_small_32": vit_size(224, 384, 32),
    "vit_base_32": vit_size(224, 768, 32), "vit_tiny_384": vit_size(384, 192), "vit_small_384": vit_size(384, 384),
    "vit_base_384": vit_size(384, 768), "vit_large_384": vit_size(384, 1024, depth=24),
    "vit_small_32_384": vit_size(384, 384, 32), "vit_base_32_384": vit_size(384, 768, 32),
    "deit3_small": deit3_size(224, 384), "deit3_medium": deit3_size(224, 512), "deit3_base": deit3_size(224, 768),
    "deit3_large": deit3_size(224, 1024, depth=24), "deit3_huge": deit3_size(224, 1280, 14, 32),
    "deit3_small_384": deit3_size(384, 384), "deit3_base_384": deit3_size(384, 768),
    "deit3_large_384": deit3_size(384, 1024, depth=24),
    "dinov2_small": dinov2_size(384, 12, 0), "dinov2_base": dinov2_size(768, 12, 0),
    "dinov2_large": dinov2_size(1024, 24, 0), "dinov2_small_reg": dinov2_size(384, 12, 4),
    "dinov2_base_reg": dinov2_size(768, 12, 4), "dinov2_large_reg": dinov2_size(1024, 24, 4),
}
SMALL = [name for name, (_, layers, _) in SIZES.items() if layers < 5e9]
PUBLISHED_PARAMETERS = {  # as the papers' code counts them
    "lvvit_tiny": 8_534_720, "lvvit_s": 26_151_824, "lvvit_m": 55_830_544, "lvvit_l": 150_021_968,
    "lvvit_s_384": 26_297_744, "lvvit_m_384": 56_025_104, "lvvit_m_448": 56_131_600, "lvvit_l_448": 150_473_552,
    "lvvit_l_512": 150_657_872, "t2t_vit_7": 4_310_222, "t2t_vit_10": 5_889_230, "t2t_vit_12": 6_941_902,
    "t2t_vit_14": 21_545_550, "t2t_vit_19": 39_177_422, "t2t_vit_24": 64_105_934, "t2t_vit_t_14": 21_541_070,
    "t2t_vit_t_19": 39_172_942, "t2t_vit_t_24": 64_101_454, "t2t_vit_14_384": 21_691_470,
    "t2t_vit_14_resnext": 21_545_550, "t2t_vit_14_wide": 25_156_302, "deit_tiny": 5_717_416,
    "volo_d1": 26_632_040, "volo_d2": 58_678_336, "volo_d3": 86_325_072, "volo_d4": 192_961_520,
    "volo_d5": 295_455_584, "volo_d1_384": 26_777_960, "volo_d2_384": 58_872_896, "volo_d3_448": 86_626_128,
    "volo_d4_448": 193_413_104, "volo_d5_448": 295_907_168, "volo_d5_512": 296_091_488,
    "deit_small": 22_050_664, "deit_base": 86_567_656,
    "deit_tiny_distilled": 5_910_800, "deit_small_distilled": 22_436_432,
    "deit_base_distilled": 87_338_192, "deit_base_384": 86_859_496,
}


def test_every_published_model_has_a_formula():
    assert set(SIZES) == {row.name for row in zoo.ROWS}


@each_row
def test_the_stored_counts_follow_the_formulas(row):
    parameters, layers, attention = SIZES[row.name]
    stored = {"parameters": parameters, "macs": layers + attention, "attention_macs": attention}
    assert zoo.counts()[row.name] == stored


def test_the_parameters_are_the_published_ones():
    counts = zoo.counts()
    assert {name: counts[name]["parameters"] for name in PUBLISHED_PARAMETERS} == PUBLISHED_PARAMETERS


@pytest.mark.parametrize("name", SMALL)
def test_the_stored_counts_are_those_of_the_model(name):
    model = create_model(name)
    layers, attention = split_macs(model)
    stored = zoo.counts()[name]
    assert (layers + attention, attention) == (stored["macs"], stored["attention_macs"])
    assert count_parameters(model) == stored["parameters"] and model.image_size == (zoo.find(name).image_size,) * 2


@pytest.mark.smoke
def test_counting_leaves_no_trace_and_follows_the_image():
    model = create_model("lvvit_tiny", depth=2, image_size=(32, 64))
    first, layers = count_macs(model), len(model.sublayers())
    assert count_macs(model) == first == sum(split_macs(model)) and len(model.sublayers()) == layers
    assert not any(layer._forward_post_hooks for layer in model.sublayers())
    # 8 tokens and the class token: 2 blocks of 2 * 9 * 9 * 240
    assert split_macs(model)[1] == 2 * 2 * 9 * 9 * 240


def test_a_grouped_convolution_counts_its_own_channels_only():
    class Grouped(paddle.nn.Layer):
        image_size = (8, 8)

        def __init__(self):
            super().__init__()
            self.conv = paddle.nn.Conv2D(3, 6, 3, padding=1, groups=3)

        def forward(self, x):
            return self.conv(x)

    assert count_macs(Grouped()) == 8 * 8 * 6 * 9


@each_row
def test_published_macs_fit_the_count_as_the_row_says(row):
    counts = zoo.counts()[row.name]
    with_attention, without = counts["macs"] / 1e9, (counts["macs"] - counts["attention_macs"]) / 1e9

    def fits(giga, counted, within=0.02):
        return abs(giga - counted) <= max(within * counted, 0.051)  # or rounding to one decimal

    for macs in row.macs:
        if macs.attention is None:
            assert not fits(macs.giga, with_attention) and not fits(macs.giga, without)
        elif macs.attention:
            assert fits(macs.giga, with_attention)
        else:
            # the tool behind these tables counts norms and softmax besides
            assert fits(macs.giga, without, within=0.025)
            assert abs(macs.giga - without) < abs(macs.giga - with_attention)
