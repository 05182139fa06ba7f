"""Weights without a head, such as DINOv2's: a start for training, features for neighbours and annotators; no class."""
from __future__ import annotations

import json

import numpy as np
import paddle
import pytest
from safetensors.numpy import save_file

from ppim.cli import main
from ppim.engine.command import run
from ppim.engine.loaded import load_by
from ppim.models import create_model
from ppim.models.vit import ViT
from ppim.token_labels.maps import read_map
from ppim.weights.convert import to_torch
from tests.helpers import spread_weights, weights

BARE = """
DATA: {{DATA_PATH: {data}, IMAGE_SIZE: 32, BATCH_SIZE: 4, BATCH_SIZE_EVAL: 4, NUM_WORKERS: 0, CROP_PCT: 1.0}}
MODEL:
  TYPE: ViT
  NAME: bare
  DROPPATH: 0.0
  TRANS: {{PATCH_SIZE: 8, EMBED_DIM: 16, DEPTH: 2, NUM_HEADS: 2, MLP_RATIO: 3, QKV_BIAS: True, LAYER_SCALE: True,
           REGISTERS: 2}}
TRAIN: {{NUM_EPOCHS: 4, WARMUP_EPOCHS: 1, MODEL_EMA: False, MAX_STEPS: 2, FREEZE: backbone}}
SAVE: {save}
"""


@pytest.fixture(scope="module")
def bare(tiny_data, tmp_path_factory):
    """(recipe, file of weights without a head in PyTorch's layout, those weights in ours)."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "bare.yaml").write_text(BARE.format(data=tiny_data, save=folder / "run"))
    paddle.seed(4)
    model = ViT(patch_size=8, embed_dim=16, depth=2, num_heads=2, mlp_ratio=3, qkv_bias=True, layer_scale=True,
                registers=2, image_size=32, num_classes=0)
    spread_weights(model)
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    save_file(to_torch(model, state), folder / "bare.safetensors")
    return folder / "bare.yaml", folder / "bare.safetensors", state


def test_what_needs_classes_says_that_there_is_no_head(bare):
    with pytest.raises(ValueError, match="bare.safetensors has no head.*ppim finetune PHOTOS --load.*ppim knn"):
        load_by(str(bare[0]), str(bare[1]))
    assert main(["evaluate", "-c", str(bare[0]), "--load", str(bare[1])]) == 1


def test_the_nearest_photos_are_asked_for_features_alone(bare, tmp_path):
    (loaded, _, _) = load_by(str(bare[0]), str(bare[1]), features_do=True)
    assert loaded.model.num_classes == 0 and not any(loaded.report[:4])
    main(["knn", "-c", str(bare[0]), "--load", str(bare[1]), "-k", "3", "--json", str(tmp_path / "knn.json")])
    assert 0 <= json.loads((tmp_path / "knn.json").read_text())["k"]["3"]["top1"] <= 100


@pytest.mark.parametrize("head", ["linear", "knn"])
def test_an_annotator_is_made_of_features_and_a_few_labelled_pictures(bare, tiny_data, tmp_path, head):
    images, maps = tiny_data / "val", tmp_path / "maps"
    common = ["labels", "make", "--images", str(images), "--output", str(maps), "-c", str(bare[0]), "--load",
              str(bare[1]), "--batch-size", "4", "--input-size", "32", "48"]
    assert main(common) == 1  # knows no class by itself
    assert main([*common, "--labelled", str(tiny_data / "train"), "--head", head]) == 0
    made = sorted(maps.rglob("*.npy"))
    assert made and read_map(made[0], 3).scores.shape == (3, 4, 6)


def test_training_starts_a_head_and_leaves_the_rest_as_it_was(bare, capsys):
    run(str(bare[0]), ["MODEL.PRETRAINED", str(bare[1]), "MODEL.NEW_HEADS", "auto"])
    assert "missing       2  head.weight, head.bias" in capsys.readouterr().out
    after = weights(bare[0].parent / "run" / "last.pdparams")
    assert after["head.bias"].shape == (3,)
    for name, value in bare[2].items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)


def test_a_published_name_without_a_head_is_built_with_the_rows_that_are_asked_for():
    small = {"depth": 1, "embed_dim": 12, "image_size": 28}
    assert create_model("dinov2_small", **small).head is None
    assert create_model("dinov2_small", class_dim=5, **small).head.weight.shape == [12, 5]
