from __future__ import annotations

import numpy as np
import paddle
import pytest
import safetensors.numpy

import ppim
from ppim.weights import load_weights, save_state
from ppim.weights.convert import resize_position
from ppim.weights.load import load_state
from tests.helpers import small_lvvit

pytestmark = pytest.mark.smoke


@pytest.fixture()
def source():
    paddle.seed(5)
    return small_lvvit()


@pytest.fixture()
def path(tmp_path, source):
    save_state(source.state_dict(), tmp_path / "w.pdparams")
    return tmp_path / "w.pdparams"


def equal(model, other, names) -> bool:
    ours, theirs = model.state_dict(), other.state_dict()
    return all((ours[name].numpy() == theirs[name].numpy()).all() for name in names)


def test_our_own_file_matches_whole(path, source):
    model = small_lvvit()
    report = ppim.load_weights(model, str(path)[: -len(".pdparams")])
    assert report[:4] == ([], [], [], [])
    assert equal(model, source, source.state_dict())
    assert str(report) == f"weights from {str(path)[: -len('.pdparams')]}\n  everything matched"


def test_a_pytorch_layout_file_matches_whole(tmp_path, source):
    names = {"_mean": "running_mean", "_variance": "running_var"}
    state = {"patch_embed.bn1.num_batches_tracked": np.array(3)}
    for name, value in source.state_dict().items():
        layer, _, part = name.rpartition(".")
        value = value.numpy()
        torch_name = f"{layer}.{names.get(part, part)}" if layer else name
        state[torch_name] = np.ascontiguousarray(value.T if value.ndim == 2 else value)  # only Linear weights have 2
    safetensors.numpy.save_file(state, tmp_path / "w.safetensors")
    model = small_lvvit()
    assert load_weights(model, tmp_path / "w.safetensors")[:4] == ([], [], [], [])
    assert equal(model, source, source.state_dict())


def test_a_difference_names_the_path_and_both_sides_and_changes_nothing(tmp_path, source):
    state = source.state_dict()
    state["extra"] = state.pop("norm.weight")
    state["cls_token"] = paddle.zeros([1, 1, 23])
    save_state(state, tmp_path / "odd.pdparams")
    model = small_lvvit()
    before = model.head.weight.numpy().copy()
    with pytest.raises(ValueError) as error:
        load_weights(model, tmp_path / "odd.pdparams")
    message = str(error.value)
    for part in (
        "odd.pdparams", "only in the model (1): norm.weight", "only in the weights (1): extra",
        "cls_token [1, 1, 23] for [1, 1, 24]",
    ):
        assert part in message
    np.testing.assert_array_equal(model.head.weight.numpy(), before)


def test_weights_of_another_model_are_recognised_in_one_short_line_and_debug_has_the_details():
    theirs = {name: value.numpy() for name, value in
              ppim.create_model("lvvit_demo", num_classes=7).state_dict().items()}
    with pytest.raises(ValueError) as error:
        load_state(ppim.create_model("t2t_vit_7"), theirs, source="w.pdparams")
    assert str(error.value) == ("w.pdparams does not fit the model: these are lvvit_demo's weights (recognised), the "
                                "model is t2t_vit_7; give --model lvvit_demo")
    assert "only in the model" in str(error.value.__cause__) and "blocks.0." in str(error.value.__cause__)
    with pytest.raises(ValueError, match=r"lvvit_demo's weights \(recognised\), the model is another; ") as error:
        load_state(small_lvvit(), theirs)
    assert "only in the weights (" in str(error.value) and len(str(error.value)) < 400


def test_weights_with_many_differences_are_refused_in_one_line_of_a_few_names(source):
    state = {name if name.startswith("head") else f"strange.{name}": value.numpy()
             for name, value in source.state_dict().items()}
    with pytest.raises(ValueError) as error:
        load_state(small_lvvit(), state)
    assert len(str(error.value)) < 250 and "only in the weights (" in str(error.value)
    assert len(str(error.value.__cause__)) > len(str(error.value))


def test_what_fits_is_loaded_when_asked_and_the_rest_reported(tmp_path, source):
    state = source.state_dict()
    state["extra"] = state.pop("norm.weight")
    state["cls_token"] = paddle.zeros([1, 1, 23])
    save_state(state, tmp_path / "odd.pdparams")
    model = small_lvvit()
    report = load_weights(model, tmp_path / "odd.pdparams", strict=False)
    assert (report.missing, report.unexpected, report.dropped) == (["norm.weight"], ["extra"], ["cls_token"])
    assert equal(model, source, ["pos_embed", "head.weight"])


def test_positions_follow_the_image_size_and_it_is_said(path, source):
    model = small_lvvit(image_size=(64, 32))
    report = load_weights(model, path)
    assert report.resized == ["pos_embed"]
    assert "resized       1  pos_embed" in str(report)
    np.testing.assert_array_equal(model.pos_embed[:, 0].numpy(), source.pos_embed[:, 0].numpy())
    assert equal(model, source, ["blocks.1.mlp.fc2.weight", "cls_token"])


def test_another_number_of_classes_is_an_error_that_says_what_to_do(path):
    with pytest.raises(ValueError, match=r"head.weight \[24, 5\] for \[24, 7\].*new_heads=True"):
        load_weights(small_lvvit(num_classes=7), path)


@pytest.mark.parametrize("classes", [5, 7])
def test_new_heads_stay_fresh_even_where_the_old_ones_would_fit(path, source, classes):
    model = small_lvvit(num_classes=classes)
    fresh = model.head.weight.numpy().copy()
    report = load_weights(model, path, new_heads=True)
    assert report.dropped == ["head.weight", "head.bias", "aux_head.weight", "aux_head.bias"]
    np.testing.assert_array_equal(model.head.weight.numpy(), fresh)
    assert equal(model, source, ["norm.weight", "blocks.0.attn.qkv.weight"])


def test_weights_that_are_neither_raw_nor_averaged_cannot_be_asked_for(path, tmp_path):
    for place in (path, tmp_path / "run"):
        with pytest.raises(ValueError, match="which wants one of auto, raw, ema; got 'best'"):
            load_weights(small_lvvit(), place, which="best")


def test_new_heads_do_not_excuse_other_differences(tmp_path, source):
    state = source.state_dict()
    del state["norm.weight"]
    save_state(state, tmp_path / "w.pdparams")
    with pytest.raises(ValueError, match=r"only in the model \(1\): norm.weight"):
        load_weights(small_lvvit(), tmp_path / "w", new_heads=True)


def test_a_path_in_an_error_is_the_users(tmp_path):
    (tmp_path / "w.pdparams").write_bytes(b"not a weights file")
    with pytest.raises(ValueError, match="w.pdparams: wanted weights of Paddle, PyTorch or safetensors"):
        load_weights(small_lvvit(), tmp_path / "w.pdparams")


@pytest.mark.parametrize(("size", "other"), [((16, 64), 32), (32, (16, 64)), ((16, 64), (64, 16))])
def test_positions_of_as_many_tokens_on_another_grid_are_resized(tmp_path, size, other):
    """Their tables have one shape: 16 tokens, as 2 rows of 8, 4 of 4 or 8 of 2."""
    source, model = small_lvvit(image_size=size, patch_size=8), small_lvvit(image_size=other, patch_size=8)
    save_state(source.state_dict(), tmp_path / "w.pdparams",
               card={"form": 1, "num_classes": 5, "classes": [], "image_size": list(size) if size != 32 else size})
    report = load_weights(model, tmp_path / "w.pdparams")
    assert report.resized == ["pos_embed"]
    table = source.pos_embed.numpy()
    np.testing.assert_array_equal(model.pos_embed.numpy(), resize_position(table, 1, model.grid, source.grid))
    own = small_lvvit(image_size=size, patch_size=8)
    assert not load_weights(own, tmp_path / "w.pdparams").resized and equal(own, source, source.state_dict())
