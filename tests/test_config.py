"""Configurations: what is read from where, and what is refused in which words."""
from pathlib import Path

import pytest

from ppim.config import differences, get_config, recipe_path, save

RECIPES = sorted((Path(__file__).parent.parent / "configs").glob("[!_]*/*.yaml"))

# As PaddleViT's own files write such values: None and 1e-3 are text to yaml, 1 and 2.0 change places.
PADDLEVIT = """
DATA: {IMAGE_SIZE: 224, CROP_PCT: 0.9}
MODEL:
    TYPE: T2T-ViT
    NAME: t2t-vit-7
    TRANS: {TOKEN_TYPE: performer, EMBED_DIM: 256, DEPTH: 7.0, NUM_HEADS: 4, MLP_RATIO: 2, QKV_BIAS: False,
            QK_SCALE: None}
TRAIN: {NUM_EPOCHS: 300, WARMUP_EPOCHS: 10, BASE_LR: 1e-3, GRAD_CLIP: None, AUTO_AUGMENT: True}
"""


def test_paddlevits_files_load_unchanged(tmp_path):
    (tmp_path / "t2t.yaml").write_text(PADDLEVIT)
    config = get_config(tmp_path / "t2t.yaml")
    assert config.MODEL.TRANS.QK_SCALE is None and config.TRAIN.GRAD_CLIP is None
    assert config.TRAIN.BASE_LR == 0.001 and config.MODEL.TRANS.MLP_RATIO == 2.0 and config.MODEL.TRANS.DEPTH == 7
    assert config.TRAIN.AUTO_AUGMENT == "rand-m9-mstd0.5-inc1"


def test_a_file_starts_from_its_base_and_options_win_over_both(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "a.yaml").write_text("TRAIN: {NUM_EPOCHS: 7, BASE_LR: 0.5}\nSEED: 3\n")
    (tmp_path / "b.yaml").write_text("BASE: [base/a.yaml]\nTRAIN: {NUM_EPOCHS: 8}\n")
    config = get_config(tmp_path / "b.yaml", ["SEED", "4"])
    assert (config.TRAIN.NUM_EPOCHS, config.TRAIN.BASE_LR, config.SEED) == (8, 0.5, 4)


def test_a_base_that_leads_back_to_itself_is_an_error(tmp_path):
    (tmp_path / "a.yaml").write_text("BASE: [b.yaml]\n")
    (tmp_path / "b.yaml").write_text("BASE: [a.yaml]\n")
    with pytest.raises(ValueError, match="leads back"):
        get_config(tmp_path / "a.yaml")


def test_a_saved_configuration_comes_back_equal(tmp_path):
    config = get_config(None, ["TRAIN.GRAD_CLIP", "1.5", "TRAIN.CUTMIX_MINMAX", "[0.2, 0.8]"])
    save(config, tmp_path / "config.yaml")
    assert differences(config, get_config(tmp_path / "config.yaml")) == []


def test_mixed_precision_is_automatic_on_or_off(tmp_path):
    assert get_config().AMP == "auto"
    path = tmp_path / "mine.yaml"
    for text, value in (("True", True), ("false", False), ("auto", "auto")):
        path.write_text(f"AMP: {text}\n")
        for config in (get_config(path), get_config(None, ["AMP", text])):
            assert type(config.AMP) is type(value) and config.AMP == value


def test_a_configuration_is_frozen():
    with pytest.raises(AttributeError):
        get_config().SEED = 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["TRAIN.BASE_LRR", "1"], "did you mean TRAIN.BASE_LR"),
        (["MODEL.EMBED_DIM", "64"], "did you mean MODEL.TRANS.EMBED_DIM"),
        (["TRIAN.NUM_EPOCHS", "1"], "did you mean TRAIN"),
        (["TRAIN.NUM_EPOCHS", "many"], "TRAIN.NUM_EPOCHS wants a whole number, got 'many'"),
        (["TRAIN.BASE_LR", "fast"], "TRAIN.BASE_LR wants a number, got 'fast'"),
        (["AMP", "1"], "AMP wants one of auto, True, False; got '1'"),
        (["AMP", "on"], "AMP wants one of auto, True, False; got 'on'"),
        (["DETERMINISTIC", "1"], "DETERMINISTIC wants True or False, got 1"),
        (["TRAIN.GRAD_CLIP", "tight"], "a number or None"),
        (["TRAIN", "5"], "TRAIN is a section"),
        (["SEED"], "has no value"),
        (["MODEL.TRANS.EMBED_DIM", "65"], "MODEL.TRANS.NUM_HEADS"),
        (["DATA.IMAGE_SIZE", "230"], "the nearest are 224 and 240"),
        (["TOKEN_LABEL.GEOMETRY", "released"], "DATA.AUG_ORDER released"),
        (["TOKEN_LABEL.GEOMETRY", "released", "DATA.AUG_ORDER", "released", "TOKEN_LABEL.FILL", "ignore"],
         "FILL uniform"),
        (["TRAIN.MIXUP_PROB", "1.5"], "TRAIN.MIXUP_PROB wants 0 to 1"),
        (["TRAIN.WARMUP_EPOCHS", "300"], "must be less than TRAIN.NUM_EPOCHS"),
        (["EVAL.WEIGHTS", "best"], "one of auto, raw, ema"),
        (["DATA.CROP_SCALE", "[1.0, 0.5]"], "DATA.CROP_SCALE"),
        (["TOKEN_LABEL.ENABLE", "True", "TOKEN_LABEL.PATH", ""], "TOKEN_LABEL.PATH"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words_that_help(options, words):
    with pytest.raises(ValueError, match=words.replace("[", r"\[")):
        get_config(None, options)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.yaml"):
        get_config(tmp_path / "nowhere.yaml")


def test_a_file_that_is_no_yaml_is_named(tmp_path):
    (tmp_path / "broken.yaml").write_text("TRAIN: [1,\n")
    with pytest.raises(ValueError, match="broken.yaml"):
        get_config(tmp_path / "broken.yaml")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads_and_says_how_it_is_run(path):
    config = get_config(path)
    assert config.MODEL.NAME
    head = path.read_text().split("BASE")[0]
    assert f"-c configs/{path.parent.name}/{path.name}" in head and "Batch:" in head


def test_a_recipe_is_found_by_its_name_and_a_misspelt_one_by_its_neighbour():
    assert recipe_path("lvvit_tiny").name == "lvvit_tiny.yaml"
    with pytest.raises(FileNotFoundError, match="did you mean lvvit_tiny"):
        recipe_path("lvvit_tiy")
