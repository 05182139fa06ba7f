"""Recipes: every one loads, and is found by its name."""
import re
from pathlib import Path

import pytest

from ppim.config import find_recipe, get_config, published_recipes, recipe_path

RECIPES = sorted((Path(__file__).parents[2] / "configs").glob("[!_]*/*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_loads_and_says_how_it_is_run(path):
    config = get_config(path)
    assert config.MODEL.NAME
    head = path.read_text().split("BASE")[0]
    assert f"-c configs/{path.parent.name}/{path.name}" in head and "Batch:" in head


@pytest.mark.parametrize("name", ["lvvit_s", "t2t_vit_24_token_labeling"])
def test_what_is_missing_for_the_released_geometry_is_told_and_suffices(name):
    released = ["TOKEN_LABEL.GEOMETRY", "released"]
    with pytest.raises(ValueError, match="TOKEN_LABEL.GEOMETRY released .*TOKEN_LABEL.FRAME whole") as caught:
        get_config(name, released)
    told = re.search(r"-o (.+) as well", str(caught.value))[1].split()
    config = get_config(name, [*released, *told])
    assert (config.DATA.AUG_ORDER, config.TOKEN_LABEL.FRAME) == ("released", "whole")


@pytest.mark.parametrize("path", [None, *RECIPES], ids=lambda path: path.stem if path else "defaults")
def test_maps_without_a_card_are_read_as_the_authors_script_writes_them(path):
    """The published set has no card, and every recipe that does not say otherwise looks for it."""
    labels = get_config(path).TOKEN_LABEL
    assert (labels.FRAME, labels.FRAME_CROP_PCT, labels.ORIENTATION) == ("centre-crop", 1.0, "rows-first")


def test_a_recipe_is_found_by_its_name_and_a_misspelt_one_by_its_neighbour():
    assert recipe_path("lvvit_tiny").name == "lvvit_tiny.yaml"
    with pytest.raises(FileNotFoundError, match="did you mean lvvit_tiny"):
        recipe_path("lvvit_tiy")


def test_a_path_of_a_clone_is_found_where_there_is_none_and_a_file_of_ones_own_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    published = published_recipes()["lvvit_tiny"]
    for path in ("configs/lvvit/lvvit_tiny.yaml", "./configs/lvvit_tiny.yaml"):
        assert find_recipe(path) == published
    own = tmp_path / "configs" / "lvvit" / "lvvit_tiny.yaml"
    for path in ("configs/deit/lvvit_tiny.yaml", "lvvit/lvvit_tiny.yaml", str(own)):
        assert not find_recipe(path).is_file()
    own.parent.mkdir(parents=True)
    own.write_text("SEED: 1\n")
    assert find_recipe("configs/lvvit/lvvit_tiny.yaml").resolve() == own
