"""A trained model for a user's program: a run's folder is as good as a name."""
import shutil
import warnings
from pathlib import Path

import numpy as np
import paddle
import pytest
import safetensors.numpy

import ppim
from ppim.config import get_config, save
from ppim.trained.ready import of_model
from ppim.weights import read_state
from ppim.weights.checkpoints import newest_valid
from tests.helpers import images, weights


def state(model) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in model.state_dict().items()}


def assert_equal(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("as_given", [str, Path, lambda folder: newest_valid(folder / "checkpoints")[0]])
def test_a_run_folder_gives_the_model_and_what_evaluation_takes(folder, as_given):
    model = ppim.create_model(as_given(folder))
    assert_equal(state(model), weights(folder / "last_ema.pdparams"))
    model.eval()
    other = ppim.create_model(folder, image_size=32)
    other.eval()
    other.eval_token_weight = 0.0  # the token head was never taught anything
    np.testing.assert_array_equal(model(images(2)).numpy(), other(images(2)).numpy())


@pytest.mark.parametrize(("which", "file"), [("auto", "ema"), ("ema", "ema"), ("raw", "model")])
def test_weights_are_loaded_from_a_run_folder_as_from_its_newest_checkpoint(folder, which, file):
    model = ppim.create_model(folder)
    for parameter in model.parameters():
        parameter.set_value(paddle.zeros_like(parameter))
    report = ppim.load_weights(model, folder, which=which)
    path = newest_valid(folder / "checkpoints")[0] / f"{file}.safetensors"
    assert_equal(state(model), {**state(model), **safetensors.numpy.load_file(path)})
    assert report.source == str(path)


def test_a_folder_without_a_run_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="no folder of a run"):
        ppim.create_model(tmp_path)
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        ppim.load_weights(ppim.create_model(folder), tmp_path)
    with pytest.raises(ValueError, match="no model is called"):
        ppim.create_model(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="LVViT takes no colour; it takes .*image_size"):
        ppim.create_model(folder, colour=3)


def test_a_run_with_other_classes_gives_its_model_with_fresh_heads(folder):
    run = state(ppim.create_model(folder))
    for word in ("num_classes", "class_dim"):
        with pytest.warns(UserWarning, match=r"missing +4 +head.weight, head.bias, aux_head.weight, aux_head.bias"):
            model = ppim.create_model(folder, **{word: 7})
        own = state(model)
        heads = [name for name in own if name.startswith(("head.", "aux_head."))]
        assert [own[name].shape[-1] for name in heads] == [7] * 4
        assert_equal({name: own[name] for name in own if name not in heads},
                     {name: run[name] for name in run if name not in heads})
        # the run's names are those of its own classes, not of the first of these
        assert of_model(model).names == tuple(f"class {row}" for row in range(7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_equal(state(ppim.create_model(folder, num_classes=3)), run)


def test_a_name_counts_before_a_folder_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lvvit_demo").mkdir()
    assert ppim.create_model("lvvit_demo", class_dim=3).num_classes == 3
    with pytest.raises(ValueError, match="no folder of a run"):
        ppim.create_model("./lvvit_demo")


def test_the_weights_are_those_that_the_runs_configuration_has_evaluated(folder, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    save(get_config(run / "config.yaml", ["EVAL.WEIGHTS", "raw"]), run / "config.yaml")
    assert_equal(state(ppim.create_model(run)), weights(run / "last.pdparams"))


@pytest.mark.parametrize("which", ["ema", "raw"])
def test_a_run_without_checkpoints_has_both_kinds_of_weights_still(folder, tmp_path, which):
    for name in ("last.pdparams", "last_ema.pdparams"):
        shutil.copyfile(folder / name, tmp_path / name)
    model = ppim.create_model(folder)
    ppim.load_weights(model, tmp_path, which=which)
    file = {"ema": "last_ema.pdparams", "raw": "last.pdparams"}[which]
    assert_equal(state(model), weights(folder / file))
    assert_equal(read_state(tmp_path, which).state, weights(folder / file))
