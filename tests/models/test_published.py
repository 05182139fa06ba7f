"""Architecture parity: every published size with the reference's random weights gives the original code's numbers."""
from __future__ import annotations

import json

import numpy as np
import paddle
import pytest
import safetensors.numpy

from ppim.models import create_model
from ppim.names import normalise_name
from ppim.weights.convert import to_torch
from ppim.weights.load import load_weights
from ppim.weights.write import save_state
from tests.models.original_weights import original_images, original_state

PUBLISHED = [
    "lvvit_t", "lvvit_s", "lvvit_s_384", "lvvit_m", "lvvit_m_384", "lvvit_m_448", "lvvit_l", "lvvit_l_448",
    "lvvit_l_512", "t2t_vit_7", "t2t_vit_10", "t2t_vit_12", "t2t_vit_14", "t2t_vit_19", "t2t_vit_24", "t2t_vit_t_14",
    "t2t_vit_t_19", "t2t_vit_t_24", "t2t_vit_14_384", "t2t_vit_14_resnext", "t2t_vit_14_wide",
    "deit_tiny_patch16_224", "deit_small_patch16_224", "deit_base_patch16_224", "deit_tiny_distilled_patch16_224",
    "deit_small_distilled_patch16_224", "deit_base_distilled_patch16_224", "deit_base_patch16_384",
]


def test_every_row_of_the_reference_is_tested(reference):
    assert {path.stem for path in (reference / "models").glob("*.json")} == set(PUBLISHED)


@pytest.fixture(scope="module", params=PUBLISHED)
def published(request, reference, tmp_path_factory):
    """(model loaded from a file in PyTorch's layout, description, stored numbers) of one published size."""
    description = json.loads((reference / "models" / f"{request.param}.json").read_text())
    file = tmp_path_factory.getbasetemp() / "published.safetensors"
    safetensors.numpy.save_file(original_state(description["state"]), file)
    model = create_model(request.param)
    load_weights(model, file)
    model.eval()
    return model, description, np.load(reference / "models" / f"{request.param}.npz")


def furthest(model, description, stored) -> float:
    """Largest difference from the original's logits, in standard deviations of those."""
    x = paddle.to_tensor(original_images(description["batch"], description["img_size"])[:1])
    with paddle.no_grad():
        logits = model(x).numpy()
    return np.abs(logits - stored["logits"][:1]).max() / stored["logits"].std()


def test_logits_equal_the_original(published):
    assert furthest(*published) <= 5e-5


def test_weights_go_back_to_the_names_and_the_layout_of_the_original(published):
    model, description, _ = published
    back = to_torch(model, {name: value.numpy() for name, value in model.state_dict().items()})
    assert {name: list(array.shape) for name, array in back.items()} == {
        name: list(shape) for name, shape in description["state"].items()
    }
    for name, array in original_state(description["state"]).items():
        assert (back[name] == array).all(), name


def test_parameters_are_as_many_as_in_the_original(published):
    model, description, _ = published
    running = {p.name for name, p in model.named_parameters() if name.endswith(("._mean", "._variance"))}
    sizes = {p.name: int(np.prod(p.shape)) for p in model.parameters() if p.name not in running}
    trainable = {p.name for p in model.parameters() if not p.stop_gradient}
    assert sum(sizes.values()) == description["params"]
    assert sum(size for name, size in sizes.items() if name in trainable) == description["trainable"]


def test_names_and_shapes_are_those_of_ppim_files(published, reference):
    model, description, _ = published
    files = json.loads((reference / "peer_keys" / "ppim.json").read_text())["ppim"]
    ours = normalise_name(description["model"])
    theirs = next((keys for name, keys in files.items() if normalise_name(name) == ours), None)
    if theirs is None:
        pytest.skip("no published file of this size")
    assert {name: list(value.shape) for name, value in model.state_dict().items()} == theirs


def test_paddlevit_files_give_the_same_model(published, reference, tmp_path):
    model, description, stored = published
    files = json.loads((reference / "peer_keys" / "paddlevit.json").read_text())["paddlevit"]
    theirs = files.get(description["model"])
    if theirs is None:
        pytest.skip("no published file of this size")
    theirs_for = {"tokens_to_token.attention": "patch_embed.attn", "tokens_to_token.project": "patch_embed.proj"}
    renamed = {}
    for name, value in model.state_dict().items():
        ours = next((part for part in theirs_for if name.startswith(part)), "")
        renamed[theirs_for.get(ours, "") + name[len(ours) :]] = value.numpy()
    assert {name: list(array.shape) for name, array in renamed.items()} == theirs
    save_state(renamed, tmp_path / "theirs.pdparams")
    fresh = create_model(description["model"])
    report = load_weights(fresh, tmp_path / "theirs")
    fresh.eval()
    assert not report.missing and not report.unexpected and "1e-6" in str(report)
    assert {layer._epsilon for layer in fresh.sublayers() if isinstance(layer, paddle.nn.LayerNorm)} == {1e-6}
    fresh.note_source(())  # the reference is the original's, whose epsilon is another
    assert furthest(fresh, description, stored) <= 5e-5


@pytest.mark.parametrize("name", ["deit_base_distilled_384", "t2t_vit_24_token_labeling"])
def test_sizes_the_reference_lacks_have_the_names_of_ppim_files(name, reference):
    files = json.loads((reference / "peer_keys" / "ppim.json").read_text())["ppim"]
    theirs = next(keys for known, keys in files.items() if normalise_name(known) == name)
    assert {key: list(value.shape) for key, value in create_model(name).state_dict().items()} == theirs
