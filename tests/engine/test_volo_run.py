"""A run of a small VOLO with token labels and MixToken: it learns, and goes on where it stopped, bit for bit."""
from __future__ import annotations

import shutil

import numpy as np
import pytest

from ppim.engine.command import run
from ppim.models import create_model
from ppim.weights.load import load_weights
from tests.helpers import assert_same_weights, losses, weights

RECIPE = """
DATA: {{DATA_PATH: {data}, IMAGE_SIZE: 32, BATCH_SIZE: 4, BATCH_SIZE_EVAL: 4, NUM_WORKERS: 0, CROP_PCT: 1.0,
       EXIF: ignore}}
MODEL:
  TYPE: VOLO
  NAME: small
  NUM_CLASSES: 3
  DROPPATH: 0.1
  TRANS: {{LAYERS: [1, 1, 1, 1], EMBED_DIM: 16, NUM_HEADS: 2, OUTLOOK_HEADS: 2, MLP_RATIO: 3, QKV_BIAS: False,
          STEM_CHANNELS: 8}}
TRAIN: {{NUM_EPOCHS: 4, WARMUP_EPOCHS: 1, BASE_LR: 1.0e-2, MIXUP_ALPHA: 0.0, CUTMIX_ALPHA: 0.0, MODEL_EMA_DECAY: 0.9,
        LAYER_DECAY: 0.9}}
TOKEN_LABEL: {{ENABLE: True, PATH: {data}/maps, FRAME: whole}}
MIX: {{TOKEN_ALPHA: 1.0, CLASS_SHARE: attention}}
SAVE: {save}
REPORT_FREQ: 1
VALIDATE_FREQ: 100
SAVE_STEPS: 8
KEEP_CHECKPOINTS: 2
"""


@pytest.fixture(scope="module")
def whole(tiny_data, tmp_path_factory):
    """Recipe and folder of a run of 12 steps, two epochs, with checkpoints at 8 and 12."""
    root = tmp_path_factory.mktemp("volo")
    recipe = root / "small.yaml"
    recipe.write_text(RECIPE.format(data=tiny_data, save=root / "run"))
    result = run(str(recipe), ["TRAIN.MAX_STEPS", "12"])
    assert result.count == 11
    return str(recipe), root / "run"


def test_every_part_of_the_network_learns(whole):
    folder = whole[1]
    told = losses(folder)
    assert list(told) == list(range(1, 13)) and np.isfinite(list(told.values())).all()
    model = create_model("volo_d1", layers=[1, 1, 1, 1], embed_dim=16, num_heads=2, outlook_heads=2, stem_channels=8,
                         num_classes=3, image_size=32)
    assert not any(load_weights(model, folder / "last.pdparams")[:4])
    spread = {name: value.std() for name, value in weights(folder / "last.pdparams").items()}
    assert min(spread[name] for name in ("aux_head.weight", "head.weight", "network.0.0.attn.attn.weight",
                                         "post_network.1.attn.q.weight", "pos_embed")) > 5e-3


def test_a_run_that_goes_on_in_the_middle_of_an_epoch_ends_as_if_it_never_stopped(whole, tmp_path):
    recipe, folder = whole
    copy = shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(copy / "checkpoints" / "step_00000012")
    for name in ("last.pdparams", "last_ema.pdparams"):
        (copy / name).unlink()
    run(recipe, ["TRAIN.MAX_STEPS", "12", "SAVE", str(copy), "MODEL.RESUME", "auto"])
    for name in ("last.pdparams", "last_ema.pdparams"):
        assert_same_weights(folder / name, copy / name)
