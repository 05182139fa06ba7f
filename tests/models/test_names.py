from __future__ import annotations

import numpy as np
import pytest

import ppim
from ppim.config import get_config
from ppim.models import build_model, changed_size, create_model, list_models
from ppim.names import normalise_name


@pytest.mark.parametrize(
    ("typed", "known"),
    [
        ("lvvit_s", "lvvit_s"), ("LV-ViT-S", "lvvit_s"), ("LVViT_M_384", "lvvit_m_384"), ("lvvit_t", "lvvit_tiny"),
        ("LV-ViT-Tiny", "lvvit_tiny"), ("T2t_vit_14", "t2t_vit_14"), ("t2t-vit-14", "t2t_vit_14"),
        ("ResNet18", "resnet18"), ("deit_s", "deit_small"), ("DeiT-Ti", "deit_tiny"),
        ("deit_small_patch16_224", "deit_small"),
        ("deit_b_distilled_384", "deit_base_distilled_384"), ("deit_small_tla", "deit_small_tla"),
    ],
)
def test_a_name_may_be_spelt_in_several_ways(typed, known):
    assert normalise_name(typed) == known


def test_every_listed_name_is_in_normal_form():
    assert [normalise_name(name) for name in list_models()] == list_models()
    assert {"lvvit_tiny", "lvvit_l_512", "resnet50"} <= set(list_models())


def test_overrides_reach_the_constructor():
    model = ppim.create_model("LV-ViT-demo", class_dim=3, image_size=(32, 64), depth=1)
    assert (model.num_classes, model.grid, len(model.blocks)) == (3, (4, 8), 1)
    assert model.head.bias.shape == [3]


@pytest.mark.parametrize(("name", "network", "argument"), [
    ("lvvit_demo", "LVViT", "depth"), ("volo_d1", "VOLO", "layers"), ("t2t_vit_7", "T2TViT", "image_size"),
    ("resnet18", "PaddleVision", "num_classes")])
def test_an_argument_that_a_model_does_not_take_is_named_with_those_it_takes(name, network, argument):
    with pytest.raises(ValueError, match=rf"{network} takes no colour; it takes .*\b{argument}\b"):
        create_model(name, colour=3)


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
    config.MODEL.TYPE = "ResViT"
    with pytest.raises(ValueError, match="wants one of DeiT, LV-ViT, T2T-ViT, ViT, VOLO, paddle_vision.*'ResViT'"):
        build_model(config)


def test_the_cifar_model_has_between_one_and_two_million_parameters():
    model = create_model("lvvit_cifar10")
    assert 1e6 < sum(int(np.prod(p.shape)) for p in model.parameters() if not p.stop_gradient) < 2e6
    assert (model.image_size, model.grid) == ((32, 32), (8, 8))


def test_a_config_means_the_model_of_its_name():
    here, there = build_model(get_config(None, ["MODEL.NAME", "LV-ViT-Tiny"])), create_model("lvvit_tiny")
    assert {k: v.shape for k, v in here.state_dict().items()} == {k: v.shape for k, v in there.state_dict().items()}
    assert here.blocks[0].skip_lam == there.blocks[0].skip_lam == 1.0


def test_what_a_config_says_besides_a_name_changes_that_model():
    options = ["MODEL.NAME", "lvvit_tiny", "MODEL.TRANS.DEPTH", "3", "MODEL.TRANS.NUM_HEADS", "4"]
    config = get_config(None, options)
    assert len(build_model(config).blocks) == 3
    assert changed_size(config) == [("MODEL.TRANS.DEPTH", 3, 12)]  # it has 4 heads as it is


def test_a_file_that_states_everything_changes_nothing():
    size = {"PATCH_SIZE": 16, "EMBED_DIM": 192, "DEPTH": 12, "NUM_HEADS": 3, "MLP_RATIO": 4, "QKV_BIAS": True}
    stated = [part for key, value in size.items() for part in (f"MODEL.TRANS.{key}", str(value))]
    named = ["MODEL.TYPE", "DeiT", "MODEL.NAME", "deit_tiny_patch16_224"]
    assert changed_size(get_config(None, [*named, *stated, "MODEL.TRANS.TOKEN_TYPE", "performer"])) == []
    config = get_config(None, [*named, *stated, "MODEL.TRANS.QK_SCALE", "0.5", "MODEL.DISTILLED", "True"])
    assert changed_size(config) == [("MODEL.DISTILLED", True, False), ("MODEL.TRANS.QK_SCALE", 0.5, None)]


def test_a_name_of_ones_own_wants_a_whole_size():
    some = ["MODEL.NAME", "mine", "MODEL.TRANS.EMBED_DIM", "24", "MODEL.TRANS.DEPTH", "1", "MODEL.TRANS.NUM_HEADS", "2"]
    with pytest.raises(ValueError, match="'mine' is none of list_models.*missing: MODEL.TRANS.PATCH_SIZE, .*SKIP_LAM"):
        build_model(get_config(None, some))
    rest = {"PATCH_SIZE": 16, "MLP_RATIO": 2, "QKV_BIAS": True, "SKIP_LAM": 1, "STEM_CHANNELS": 8}
    whole = [*some, *(part for key, value in rest.items() for part in (f"MODEL.TRANS.{key}", str(value)))]
    config = get_config(None, whole)
    assert build_model(config).blocks[0].mlp.fc1.bias.shape == [48] and changed_size(config) == []


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
