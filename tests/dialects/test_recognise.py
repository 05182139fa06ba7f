"""A model is recognised by the names and shapes of its weights, in every project's spelling."""
import json
from pathlib import Path

import numpy as np
import paddle
import pytest
from safetensors.numpy import save_file

from ppim.models import create_model
from ppim.names import normalise_name
from ppim.weights.recognise import head_classes, recognise, recognise_file

MODELS = sorted(path.stem for path in (Path(__file__).parents[3] / "shared" / "reference" / "models").glob("*.json"))


TWINS = {"t2t_vit_14": "t2t_vit_14_resnext", "deit_tiny": "vit_tiny", "deit_small": "vit_small",
         "deit_base": "vit_base", "deit_base_384": "vit_base_384"}


def published(name: str) -> str:
    """Two variants have the same weights in every shape; only their heads' number differs, which no file tells."""
    return "t2t_vit_14" if name == "t2t_vit_14_resnext" else normalise_name(name)


@pytest.mark.parametrize("name", MODELS)
def test_the_original_pytorch_files(reference, name):
    shapes = json.loads((reference / "models" / f"{name}.json").read_text())["state"]
    found = recognise(shapes)
    assert (found.name, found.num_classes) == (published(name), 1000)
    assert found.twins == tuple(twin for name, twin in TWINS.items() if name == found.name)


@pytest.mark.parametrize("name", ["vit_tiny", "vit_small", "vit_base_384", "vit_small_32_384", "deit3_small",
                                  "deit3_huge", "dinov2_small", "dinov2_small_reg"])
def test_plain_vision_transformers_are_told_apart_but_for_those_that_are_deits_in_every_shape(name):
    with paddle.LazyGuard():
        model = create_model(name)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    deit = {twin: ours for ours, twin in TWINS.items()}.get(name)
    found = recognise(shapes)
    assert (found.name, found.twins) == ((deit, (name,)) if deit else (name, ()))
    assert found.num_classes == (0 if name.startswith("dinov2") else 1000)


def test_files_of_other_projects_are_of_their_own_family_at_any_size():
    with paddle.LazyGuard():
        deit3, dino = create_model("deit3_small", image_size=256), create_model("dinov2_small_reg")
    ours = {key: tuple(value.shape) for key, value in deit3.state_dict().items()}
    theirs = {key.replace(".ls1.gamma", ".gamma_1").replace(".ls2.gamma", ".gamma_2"): shape
              for key, shape in ours.items()}
    for shapes in (ours, theirs):
        assert recognise(shapes, any_size=True) == ("deit3_small", 1000, ("deit3_small_384",))
    timms = {key.replace("register_tokens", "reg_token"): tuple(value.shape)
             for key, value in dino.state_dict().items()}
    timms["pos_embed"] = (1, 37 * 37, 384)
    assert recognise(timms) == ("dinov2_small_reg", 0, ())


@pytest.mark.parametrize("project", ["ppim", "paddlevit"])
def test_the_files_of_other_paddle_projects(reference, project):
    files = json.loads((reference / "peer_keys" / f"{project}.json").read_text())[project]
    assert {name: recognise(shapes).name for name, shapes in files.items()} == {name: published(name) for name in files}


@pytest.mark.parametrize("wrapper", ["module.", "backbone.", "_layers.backbone."])
@pytest.mark.parametrize("arguments", [{"num_classes": 10}, {"num_classes": 7, "dense_head": True}])
def test_wrapped_fine_tuned_and_dense_weights(wrapper, arguments):
    state = create_model("deit_tiny_distilled_patch16_224", **arguments).state_dict()
    found = recognise({f"{wrapper}{name}": tuple(value.shape) for name, value in state.items()})
    assert (found.name, found.num_classes) == ("deit_tiny_distilled", arguments["num_classes"])


def test_what_is_of_no_published_model_says_what_was_seen(tmp_path):
    with pytest.raises(ValueError, match="conv1.weight"):
        recognise({"conv1.weight": (64, 3, 7, 7), "fc.weight": (512, 1000)})
    shapes = {name: tuple(value.shape) for name, value in create_model("deit_tiny", depth=3).state_dict().items()}
    with pytest.raises(ValueError, match="no published DeiT has embed_dim 192, depth 3, .*image_size 224"):
        recognise(shapes)
    del shapes["cls_token"]
    with pytest.raises(ValueError, match="no cls_token"):
        recognise(shapes)
    save_file({"fc.weight": np.zeros((2, 2), "float32")}, tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match="net.*fc.weight"):
        recognise_file(tmp_path / "net")


def test_the_number_of_classes_is_that_of_the_head(tmp_path):
    zeros = np.zeros
    save_file({"module.head.bias": zeros(7, "float32"), "module.aux_head.bias": zeros(9, "float32")},
              tmp_path / "a.safetensors")
    save_file({"norm.bias": zeros(7, "float32")}, tmp_path / "b.safetensors")
    assert (head_classes(tmp_path / "a"), head_classes(tmp_path / "b")) == (7, 0)
