"""From words to a run: which folder it gets, and which weights are meant."""
import numpy as np
import pytest

from ppim.config import get_config, recipe_path
from ppim.engine.classifying import evaluate_weights
from ppim.engine.command import resolve
from ppim.engine.distributed import World
from ppim.weights.write import save_state

RECIPE = str(recipe_path("lvvit_demo"))


def test_a_run_without_a_folder_gets_one_named_after_its_recipe(tmp_path):
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"BASE: [{RECIPE}]\n")
    assert resolve(str(recipe), []).SAVE == "output/mine"
    assert resolve(str(recipe), ["SAVE", "elsewhere"]).SAVE == "elsewhere"


@pytest.mark.parametrize("named", ["w.pdparams", "w"])
def test_training_does_not_resume_from_a_file_of_weights(named, tmp_path):
    save_state({"w": np.zeros(2, "float32")}, tmp_path / "w.pdparams")
    with pytest.raises(ValueError, match="is a file of weights; .* give --load"):
        resolve(RECIPE, ["MODEL.RESUME", str(tmp_path / named)])
    only = resolve(RECIPE, ["MODEL.RESUME", str(tmp_path / named), "EVAL.ONLY", "True"])
    assert only.MODEL.RESUME.endswith(named)
    assert resolve(RECIPE, ["MODEL.RESUME", str(tmp_path)]).MODEL.RESUME == str(tmp_path)


@pytest.mark.parametrize(
    ("options", "got"), [([], "none"), (["MODEL.PRETRAINED", "a", "MODEL.RESUME", "b"], "a and b")]
)
def test_an_evaluation_wants_weights_from_one_place(options, got):
    config = get_config("lvvit_demo", [*options, "EVAL.ONLY", "True", "SAVE", "s"])
    with pytest.raises(ValueError, match=f"got {got}; e.g. --load s/best.pdparams"):
        evaluate_weights(config, config, World())
