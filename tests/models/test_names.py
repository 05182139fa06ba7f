from __future__ import annotations

import numpy as np
import pytest

import ppim
from ppim.config import get_config
from ppim.models import build_model, create_model, list_models, normalise_name
from ppim.models.lvvit import VARIANTS


@pytest.mark.parametrize(
    ("typed", "known"),
    [
        ("lvvit_s", "lvvit_s"), ("LV-ViT-S", "lvvit_s"), ("LVViT_M_384", "lvvit_m_384"), ("lvvit_tiny", "lvvit_t"),
        ("LV-ViT-Tiny", "lvvit_t"), ("T2t_vit_14", "t2t_vit_14"), ("t2t-vit-14", "t2t_vit_14"),
        ("ResNet18", "resnet18"), ("deit_s", "deit_small_patch16_224"), ("DeiT-Ti", "deit_tiny_patch16_224"),
        ("deit_b_distilled_384", "deit_base_distilled_patch16_384"),
    ],
)  # fmt: skip
def test_a_name_may_be_spelt_in_several_ways(typed, known):
    assert normalise_name(typed) == known


def test_every_listed_name_is_in_normal_form():
    assert [normalise_name(name) for name in list_models()] == list_models()
    assert {"lvvit_t", "lvvit_l_512", "resnet50"} <= set(list_models())


def test_overrides_reach_the_constructor():
    model = ppim.create_model("LV-ViT-demo", class_dim=3, image_size=(32, 64), depth=1)
    assert (model.num_classes, model.grid, len(model.blocks)) == (3, (4, 8), 1)
    assert model.head.bias.shape == [3]


@pytest.mark.parametrize(("typed", "nearest"), [("lvvit_xs", "lvvit_s"), ("resnet51", "resnet50")])
def test_an_unknown_name_brings_the_nearest_ones(typed, nearest):
    with pytest.raises(ValueError, match=rf"{typed}.*nearest:.*{nearest}"):
        create_model(typed)


def test_a_network_without_exact_cell_logits_is_refused_by_name_too():
    with pytest.raises(ValueError, match="mobilenet_v3_small.*nonlinearity.*resnet, resnext"):
        create_model("mobilenet_v3_small")


def test_an_unknown_family_is_an_error_naming_the_known_ones():
    config = get_config(None)
    config.defrost()
    config.MODEL.TYPE = "ViT"
    with pytest.raises(ValueError, match="MODEL.TYPE wants one of LV-ViT, T2T-ViT, DeiT, paddle_vision.*'ViT'"):
        build_model(config)


def test_the_cifar_model_has_between_one_and_two_million_parameters():
    model = create_model("lvvit_cifar10")
    assert 1e6 < sum(int(np.prod(p.shape)) for p in model.parameters() if not p.stop_gradient) < 2e6
    assert (model.image_size, model.grid) == ((32, 32), (8, 8))


@pytest.mark.parametrize("name", [n for n in VARIANTS if n != "lvvit_t"] + ["lvvit_tiny"])
def test_a_config_describes_the_model_of_its_name(name):
    config = get_config(f"configs/lvvit/{name}.yaml")
    trans, variant = config.MODEL.TRANS, VARIANTS[normalise_name(name)]
    assert config.DATA.IMAGE_SIZE == variant.get("image_size", 224)
    assert config.MODEL.NUM_CLASSES == variant.get("num_classes", 1000)
    assert (trans.EMBED_DIM, trans.DEPTH, trans.NUM_HEADS) == (
        variant["embed_dim"], variant["depth"], variant["num_heads"],
    )  # fmt: skip
    assert (trans.SKIP_LAM, trans.STEM_CHANNELS) == (variant.get("skip_lam", 1), variant.get("stem_channels", 64))
    assert (trans.PATCH_SIZE, trans.MLP_RATIO, trans.QKV_BIAS) == (variant.get("patch_size", 16), 3, False)


def test_a_config_is_built_as_it_says():
    opts = ["MODEL.DROPPATH", "0.3", "MODEL.STEM_BN", "frozen", "MODEL.NUM_CLASSES", "7", "MODEL.TRANS.SKIP_LAM", "1.5"]
    model = build_model(get_config("configs/lvvit/lvvit_cifar10.yaml", [*opts, "MODEL.TRANS.QK_SCALE", "0.25"]))
    block = model.blocks[-1]
    assert (model.num_classes, block.drop_path, block.skip_lam, block.attn.scale) == (7, 0.3, 1.5, 0.25)
    assert model.patch_embed.bn1._use_global_stats


def test_a_config_may_ask_for_a_paddle_vision_network():
    opts = ["MODEL.TYPE", "paddle_vision", "MODEL.NAME", "shufflenet_v2_x0_25", "MODEL.NUM_CLASSES", "4"]
    model = build_model(get_config(None, opts))
    assert (model.num_classes, model.grid) == (4, (7, 7))
