"""Plain vision transformers against timm's numbers (timm_vit.npz, written by tools/compare_with_timm.py), from files as
timm, DeiT-III and DINOv2 name their weights; without a head; at any size."""
from __future__ import annotations

import json

import numpy as np
import paddle
import pytest
import safetensors.numpy

from ppim.models import create_model
from ppim.models.vit import ViT
from ppim.weights.load import load_state, load_weights
from tests.helpers import ROOT, SMALL, images, spread_weights
from tests.models.original_weights import original_array, original_images, original_state

pytestmark = pytest.mark.smoke
KNOWN = np.load(ROOT / "tests" / "models" / "timm_vit.npz")
ROWS = ("vit_small_32", "deit3_huge", "dinov2_small", "dinov2_small_reg", "vit_small_wide")


class Twin:
    """A small network of a row's form, as timm has made it."""

    def __init__(self, row: str):
        made = json.loads(str(KNOWN[f"{row}/made_of"]))
        self.row, self.hw = row, made["hw"]
        self.arguments, self.state = made["arguments"], original_state(made["shapes"])

    def model(self, **more) -> ViT:
        return create_model(self.row.removesuffix("_wide"), **{**self.arguments, **more})

    @paddle.no_grad()
    def check(self, model: ViT) -> None:
        """Logits and features are timm's."""
        model.eval()
        x = paddle.to_tensor(original_images(2, *self.hw))
        wanted = KNOWN[f"{self.row}/logits"]
        assert np.abs(model(x).numpy() - wanted).max() <= 5e-5 * wanted.std()
        features = model.encode(x)[0].numpy()[:, ::7, :16]
        assert np.abs(features - KNOWN[f"{self.row}/features"]).max() <= 5e-5


@pytest.mark.parametrize("row", ROWS)
def test_a_file_of_timms_gives_timms_numbers(row, tmp_path):
    twin, model = Twin(row), Twin(row).model()
    safetensors.numpy.save_file(twin.state, tmp_path / "model.safetensors")
    report = load_weights(model, tmp_path / "model.safetensors")
    assert not any(report[:4])
    twin.check(model)


def test_dinov2s_own_names_and_its_class_tokens_position_are_understood():
    twin = Twin("dinov2_small_reg")
    state, apart = dict(twin.state), original_array("apart", (1, 1, 48))
    # timm has added the class token's position to the token; DINOv2's own files keep both
    state["register_tokens"] = state.pop("reg_token")
    state["cls_token"] = state["cls_token"] - apart
    state["pos_embed"] = np.concatenate([apart, state["pos_embed"]], axis=1)
    state["mask_token"] = np.zeros((1, 48), np.float32)
    model = twin.model()
    assert not any(load_state(model, state, "torch")[:4])
    twin.check(model)
    chunked = {name.replace("blocks.", "blocks.0."): value for name, value in state.items()}
    again = twin.model()
    load_state(again, chunked, "torch")
    twin.check(again)


def test_deit3s_own_names_of_its_factors_are_understood():
    twin, model = Twin("deit3_huge"), Twin("deit3_huge").model()
    theirs = {name.replace(".ls1.gamma", ".gamma_1").replace(".ls2.gamma", ".gamma_2"): value
              for name, value in twin.state.items()}
    assert set(theirs) != set(twin.state) and not any(load_state(model, theirs, "torch")[:4])
    twin.check(model)


def test_a_position_is_only_made_up_where_a_file_has_none():
    """A table of 3 x 5 cells and the class token's position has 16 rows, a square."""
    model = ViT(**{**SMALL, "patch_size": 8, "registers": 2, "image_size": (24, 40)})
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    assert state["pos_embed"].shape[1] == 16
    other = ViT(**{**SMALL, "patch_size": 8, "registers": 2, "image_size": (24, 40)})
    assert not any(load_state(other, state)[:4])
    np.testing.assert_array_equal(other.pos_embed.numpy(), state["pos_embed"])


# ---- no head -------------------------------------------------------------------------------------------------------


def test_without_classes_there_is_no_head_and_the_class_token_is_given():
    model = ViT(**{**SMALL, "patch_size": 8, "num_classes": 0, "dense_head": True})
    model.eval()
    spread_weights(model)
    assert not any(name.startswith(("head", "aux_head")) for name in model.state_dict())
    np.testing.assert_array_equal(model(images(2)).numpy(), model.encode(images(2))[0][:, 0].numpy())
    assert model.evaluate_tokens(images(2)).token_logits is None and model.tokens(images(2)).token_logits is None


def test_a_file_without_a_head_starts_a_model_with_one_only_if_asked(tmp_path):
    twin = Twin("dinov2_small")
    bare = {name: value for name, value in twin.state.items() if not name.startswith("head.")}
    safetensors.numpy.save_file(bare, tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match="only in the model.*head.*--new-heads"):
        load_weights(twin.model(), tmp_path / "bare")
    assert load_weights(twin.model(), tmp_path / "bare", new_heads=True).missing == ["head.weight", "head.bias"]
    twin.arguments.pop("num_classes")
    headless = create_model("dinov2_small", **twin.arguments)
    assert headless.num_classes == 0 and not any(load_weights(headless, tmp_path / "bare")[:4])


# ---- parts ---------------------------------------------------------------------------------------------------------


def test_factors_start_as_said_and_weight_decay_leaves_them_alone():
    model = create_model("deit3_small", depth=1, embed_dim=12, image_size=32)
    assert {float(value) for value in np.unique(model.blocks[0].ls1.gamma.numpy())} == {np.float32(1e-4)}
    assert {"blocks.0.ls1.gamma", "blocks.0.ls2.gamma", "pos_embed"} <= model.no_weight_decay()


def test_registers_are_of_no_place_and_no_map():
    model = ViT(**{**SMALL, "patch_size": 8, "registers": 3})
    model.eval()
    spread_weights(model)
    assert (model.extra_tokens, model.pos_embed.shape[1]) == (4, 17)
    added = model.positions_for(model.grid).numpy()
    assert (added[:, 1:4] == 0).all() and (added[:, [0, 4]] == model.pos_embed.numpy()[:, :2]).all()
    assert model.features(images(1))[0].shape == [1, 24, 4, 4]
    model.register_tokens.set_value(model.register_tokens + 1)
    assert model.encode(images(1))[0].shape == [1, 20, 24]


@pytest.mark.parametrize("arguments", [{"class_position": False}, {"registers": 3}, {}])
def test_nothing_empty_is_put_together(arguments, monkeypatch):
    """paddle.inference ends with an exception that says nothing where a program has a tensor without elements."""
    model, concat, parts = ViT(**{**SMALL, "patch_size": 8, **arguments}), paddle.concat, []

    def watched(tensors, axis=0):
        parts.extend(tensors)
        return concat(tensors, axis)

    monkeypatch.setattr(paddle, "concat", watched)
    model(images(1))
    assert parts and all(0 not in part.shape for part in parts)
