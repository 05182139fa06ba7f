"""A model's name in every spelling there is."""
import pytest

from ppim.config import get_config, recipe_path
from ppim.families import names
from ppim.names import normalise_name, plain_name


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("LV-ViT-S", "lvvit_s"), ("lvvit_t", "lvvit_tiny"), ("LV-ViT-M-384", "lvvit_m_384"),
        ("T2t_vit_14", "t2t_vit_14"),
        ("t2t-vit-t-24", "t2t_vit_t_24"), ("T2T-ViT_t-14", "t2t_vit_t_14"), ("deit_s", "deit_small"),
        ("deit_ti_distilled", "deit_tiny_distilled"), ("deit_b_distilled_384", "deit_base_distilled_384"),
        ("deit_base_patch16_384", "deit_base_384"), ("deit_small_distilled_patch16_224", "deit_small_distilled"),
        ("deit_small_tla", "deit_small_tla"),
    ],
)
def test_a_models_name_in_any_spelling_finds_its_recipe(name, recipe):
    assert normalise_name(name) == recipe and recipe_path(name).stem == recipe


def test_every_published_model_finds_a_recipe_of_that_model():
    for name in names():
        assert normalise_name(get_config(recipe_path(name)).MODEL.NAME) == normalise_name(name)


@pytest.mark.parametrize(
    ("name", "plain"), [("LV-ViT-S", "lvvit_s"), ("T2t-vit_14", "t2t_vit_14"), ("deit_s", "deit_s")]
)
def test_a_plain_name_is_lower_case_with_underscores(name, plain):
    assert plain_name(name) == plain
