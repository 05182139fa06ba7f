"""A state is taken whole or refused with both sides named; other projects' names are understood."""
from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppim.models.base import evaluating
from ppim.models.merging import Merging
from tests.helpers import small_lvvit

pytestmark = pytest.mark.smoke


@pytest.fixture()
def model():
    return small_lvvit()


@pytest.fixture()
def state():
    """A full state of other values than `model`'s."""
    return small_lvvit().state_dict()


@pytest.mark.parametrize("method", ["set_state_dict", "set_dict", "load_dict"])
def test_a_whole_state_is_taken(model, state, method):
    assert getattr(model, method)(state) == ([], [])
    np.testing.assert_array_equal(model.blocks[1].mlp.fc2.weight.numpy(), state["blocks.1.mlp.fc2.weight"].numpy())


@pytest.mark.parametrize("method", ["set_state_dict", "set_dict"])
def test_a_missing_entry_is_refused(model, state, method):
    del state["head.bias"]
    with pytest.raises(ValueError, match=r"only in the model \(1\): head.bias"):
        getattr(model, method)(state)


def test_an_unexpected_entry_is_refused(model, state):
    state["head.gain"] = state["head.bias"]
    with pytest.raises(ValueError, match=r"only in the weights \(1\): head.gain"):
        model.set_state_dict(state)


def test_another_shape_is_refused_with_both_shapes(model, state):
    state["head.bias"] = paddle.zeros([6])
    with pytest.raises(ValueError, match=r"head.bias \[6\] for \[5\]"):
        model.set_state_dict(state)


def test_a_refused_state_changes_nothing(model, state):
    before = model.cls_token.numpy().copy()
    del state["head.bias"]
    with pytest.raises(ValueError):
        model.set_state_dict(state)
    np.testing.assert_array_equal(model.cls_token.numpy(), before)


def test_what_fits_is_taken_when_asked(model, state):
    del state["norm.weight"]
    state["head.gain"] = state["head.bias"]
    state["aux_head.bias"] = paddle.zeros([6])
    missing, unexpected = model.set_state_dict(state, strict=False)
    assert (missing, unexpected) == (["norm.weight", "aux_head.bias"], ["head.gain", "aux_head.bias"])
    np.testing.assert_array_equal(model.cls_token.numpy(), state["cls_token"].numpy())


def test_other_float_types_and_numpy_are_converted(model, state):
    state = {name: value.numpy().astype("float16") for name, value in state.items()}
    model.set_state_dict(state)
    assert model.head.weight.dtype == paddle.float32
    np.testing.assert_array_equal(model.head.weight.numpy(), state["head.weight"].astype("float32"))
    model.set_state_dict({name: paddle.to_tensor(value.astype("float64")) for name, value in state.items()})
    np.testing.assert_array_equal(model.head.weight.numpy(), state["head.weight"].astype("float32"))


def test_names_of_a_passl_wrapper_are_understood(model, state):
    model.set_state_dict({f"backbone.{name}": value for name, value in state.items()})
    np.testing.assert_array_equal(model.cls_token.numpy(), state["cls_token"].numpy())


def test_paddles_table_of_generated_names_is_ignored(model, state):
    assert model.set_state_dict({**state, "StructuredToParameterName@@": {"cls_token": "x"}}) == ([], [])


def test_two_names_for_one_parameter_are_refused(model, state):
    state["backbone.cls_token"] = state["cls_token"]
    with pytest.raises(ValueError, match="both 'cls_token' and 'backbone.cls_token'"):
        model.set_state_dict(state)


def test_generated_names_are_refused(model, state):
    with pytest.raises(ValueError, match="structured names"):
        model.set_state_dict(state, use_structured_name=False)


# ---- evaluation in between -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapped", [lambda model: model, lambda model: Merging(model, 0.7)])
def test_every_layer_is_in_its_own_mode_again_after_an_evaluation(model, wrapped):
    """A stem that somebody keeps in evaluation, so that its running statistics stay, is not set to training."""
    for frozen in (True, False):
        model.train()
        if frozen:
            model.patch_embed.eval()
        before = {name: layer.training for name, layer in model.named_sublayers(include_self=True)}
        with evaluating(wrapped(model)):
            assert not any(layer.training for layer in model.sublayers(include_self=True))
        assert {name: layer.training for name, layer in model.named_sublayers(include_self=True)} == before
    model.eval()
    with evaluating(model):
        pass
    assert not any(layer.training for layer in model.sublayers(include_self=True))
