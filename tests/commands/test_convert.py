"""`ppim convert` as a process: there and back again, byte for byte."""
from __future__ import annotations

import numpy as np
import pytest

from ppim.models import create_model
from ppim.weights import read_state, save_state
from ppim.weights.card import read_card
from tests.helpers import run_python

CONVERT = ("-m", "ppim", "convert")


@pytest.mark.parametrize(
    ("name", "classes", "named"),
    [("lvvit_demo", 10, ["--model", "lvvit_demo"]), ("t2t_vit_7", 7, []),
     ("lvvit_demo", 3, ["-c", "configs/lvvit/lvvit_demo.yaml"])],
)
def test_a_round_trip_is_exact(tmp_path, name, classes, named):
    model = create_model(name, num_classes=classes)
    save_state(model.state_dict(), tmp_path / "a.pdparams")
    there = run_python(*CONVERT, tmp_path / "a", tmp_path / "b.safetensors", *named, "--to", "torch")
    assert there.returncode == 0 and "everything matched" in there.stdout, there.stderr
    torch_state = read_state(tmp_path / "b.safetensors")
    assert torch_state.layout == "torch"
    np.testing.assert_array_equal(torch_state.state["head.weight"], model.head.weight.numpy().T)
    back = run_python(*CONVERT, tmp_path / "b.safetensors", tmp_path / "c.pdparams", *named)
    assert back.returncode == 0, back.stderr
    first, last = read_state(tmp_path / "a").state, read_state(tmp_path / "c").state
    assert {key: value.tobytes() for key, value in first.items()} == {
        key: value.tobytes() for key, value in last.items()
    }


def test_weights_of_a_run_know_their_model(tiny_config, tmp_path):
    assert run_python("tools/train.py", "-c", tiny_config, "-o", "TRAIN.MAX_STEPS", 1).returncode == 0
    done = run_python(*CONVERT, tmp_path / "run" / "last.pdparams", tmp_path / "b.safetensors", "--to", "torch")
    assert done.returncode == 0 and "run/config.yaml" in done.stdout, done.stderr
    assert read_state(tmp_path / "b.safetensors").state["head.bias"].shape == (3,)


@pytest.mark.parametrize(
    ("target", "words"), [("b.pth", "ending in .pdparams or .safetensors"), ("b.pdparams", "written as .safetensors")]
)
def test_a_target_that_cannot_hold_it_is_refused(tmp_path, target, words):
    done = run_python(*CONVERT, tmp_path / "a", tmp_path / target, "--model", "lvvit_demo", "--to", "torch")
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr


def test_the_card_tells_the_image_size_that_positions_were_resized_to(tmp_path):
    model = create_model("lvvit_demo", image_size=64)
    card = {"form": 1, "model": "lvvit_demo", "num_classes": 10, "classes": [], "image_size": 64, "exif": "apply"}
    save_state(model.state_dict(), tmp_path / "a.pdparams", card=card)
    done = run_python(*CONVERT, tmp_path / "a", tmp_path / "b.safetensors", "--model", "lvvit_demo")
    assert done.returncode == 0 and "pos_embed" in done.stdout, done.stderr
    assert read_card(tmp_path / "b") == {**card, "image_size": create_model("lvvit_demo").image_size[0]}
