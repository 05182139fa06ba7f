"""Recipes: every one loads, and is found by its name."""
from pathlib import Path

import pytest

from ppim.config import get_config, recipe_path

RECIPES = sorted((Path(__file__).parents[2] / "configs").glob("[!_]*/*.yaml"))


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
