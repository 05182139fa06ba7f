"""What the tools around alignment draw and measure, on networks and pictures whose answer is known."""
from __future__ import annotations

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim.mixing import Mix, mixed_rows
from ppim.models import create_model
from ppim.token_labels.targets import SparseTargets, label_targets
from tests.helpers import ROOT, load_script, run_python


def still(model):
    """The network with attention that looks everywhere alike: queries are zero."""
    for block in model.blocks:
        width = block.attn.qkv.weight.shape[0]
        weight = block.attn.qkv.weight.numpy()
        weight[:, :width] = 0
        block.attn.qkv.weight.set_value(weight)
    model.eval()
    return model


def batch_of(classes: np.ndarray, tokens: np.ndarray, side: int) -> dict:
    """A batch as the loader gives it: two pictures, their class, and the class of each token."""
    rng = np.random.default_rng(0)
    found = {"image": paddle.to_tensor(rng.integers(0, 256, (len(classes), 3, side, side)).astype("uint8"))}
    for kind, labels in (("class", classes), ("token", tokens.reshape(-1))):
        for name, value in zip(SparseTargets._fields, label_targets(labels, 5, 0.0)):
            found[f"{kind}_{name}"] = paddle.to_tensor(value)
    return found


HALVES = Mix(np.array([1, 0]), np.ones(2, "float32"), np.array([[0, 0, 32, 16]] * 2), np.zeros((2, 4), "int64"))


def figures(tokens):
    sizes = {"image_size": 32, "patch_size": 8, "num_classes": 5, "embed_dim": 12, "depth": 2, "num_heads": 2}
    model = still(create_model("lvvit_t", **sizes, stem_channels=4))
    roll_out = load_script(ROOT / "tools" / "benchmark" / "token_label_roll_out.py")
    mixed, half = mixed_rows(HALVES, (32, 32), (4, 4), with_shares=True), [0.5] * 3
    return roll_out.compare(model, batch_of(np.array([0, 1]), tokens, 32), mixed, half, half, 5)


def test_nothing_is_left_out_where_tokens_have_the_label_of_their_picture():
    found = figures(np.repeat([[0], [1]], 16, axis=1))
    left_out = found["class target: by one number per token -> roll-out of token labels"]
    np.testing.assert_allclose(left_out, 0, atol=1e-6)
    np.testing.assert_allclose(found["classes other than the two pictures' best, in the roll-out"], 0, atol=1e-6)


def test_labels_of_other_classes_are_what_is_left_out():
    tokens = np.repeat([[0], [1]], 16, axis=1)
    tokens[:, ::4] = 4  # the first column of cells: a quarter of what attention sees everywhere alike
    found = figures(tokens)
    for name in ("class target: by one number per token -> roll-out of token labels",
                 "classes other than the two pictures' best, in the roll-out"):
        np.testing.assert_allclose(found[name], 0.25, atol=1e-6)
    assert found["class target: by area -> by one number per token"].max() < 1e-6


def test_the_shares_that_are_drawn_are_those_of_the_mixed_picture():
    sizes = {"image_size": 32, "patch_size": 8, "num_classes": 5, "embed_dim": 12, "depth": 2, "num_heads": 2}
    model = still(create_model("deit_tiny_distilled_patch16_224", **sizes))
    pictures = [np.full((32, 32, 3), value, "uint8") for value in (10, 200)]
    figure = load_script(ROOT / "tools" / "draw_alignment_figure.py")
    picture, steps = figure.shares(model, pictures, (1, 2, 4, 4), [0.5] * 3, [0.5] * 3)
    box = np.zeros((4, 4))
    box[1:4, 2:4] = 1
    np.testing.assert_array_equal(picture[:, :, 0], np.where(np.kron(box, np.ones((8, 8))), 200, 10))
    assert len(steps) == 3 and all(step.shape == (17,) for step in steps)
    np.testing.assert_allclose(steps[0], [6 / 16, *box.reshape(-1)], atol=1e-6)
    for step, kept in zip(steps, (1, 1 / 2, 1 / 4)):  # each block moves every token halfway to the mean
        np.testing.assert_allclose(step[1:] - 6 / 16, kept * (box.reshape(-1) - 6 / 16), atol=1e-6)


@pytest.fixture()
def small(tmp_path):
    recipe = tmp_path / "small.yaml"
    recipe.write_text(
        "DATA: {IMAGE_SIZE: 32}\n"
        "MODEL: {NAME: small, TYPE: DeiT, NUM_CLASSES: 10,\n"
        "        TRANS: {PATCH_SIZE: 8, EMBED_DIM: 16, DEPTH: 2, NUM_HEADS: 2, MLP_RATIO: 3, QKV_BIAS: False}}\n"
    )
    from ppim.config import get_config
    from ppim.models import build_model
    from ppim.weights import save_state

    save_state(build_model(get_config(recipe)).state_dict(), tmp_path / "w.pdparams")
    return [recipe, "--load", tmp_path / "w"]


def test_the_figure_is_drawn_of_our_own_pictures_or_of_photos(small, tmp_path):
    done = run_python("tools/draw_alignment_figure.py", "-c", *small, "--output", tmp_path / "own.png")
    assert done.returncode == 0, done.stderr
    photos = []
    for number in range(2):
        Image.fromarray(np.full((40, 60, 3), 90 * number, "uint8")).save(tmp_path / f"{number}.jpg")
        photos.append(tmp_path / f"{number}.jpg")
    done = run_python("tools/draw_alignment_figure.py", "-c", *small, "--photos", *photos, "--box", 0, 0, 2, 2,
                      "--output", tmp_path / "photos.png")
    assert done.returncode == 0, done.stderr
    own, other = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("own", "photos"))
    assert own.shape == other.shape and (own != other).any()


def test_a_box_outside_the_grid_is_one_line(small):
    done = run_python("tools/draw_alignment_figure.py", "-c", *small, "--box", 0, 0, 5, 2)
    assert done.returncode == 1 and done.stderr.startswith("error: --box wants") and "got" in done.stderr


def test_the_roll_out_is_measured_on_a_run(tiny_config, tiny_data, tmp_path):
    line = ["-c", tiny_config, "--output_dir", tmp_path / "run", "-o", "TRAIN.MAX_STEPS", 1]
    assert run_python("tools/train.py", *line).returncode == 0
    done = run_python("tools/benchmark/token_label_roll_out.py", "-c", tiny_config, "--load", tmp_path / "run" / "last",
                      "--batches", 3)
    assert done.returncode == 0, done.stderr
    assert "mixed pictures" in done.stdout and len(done.stdout.splitlines()) == 7
    done = run_python("tools/benchmark/token_label_roll_out.py", "-c", tiny_config, "--load", tmp_path / "run" / "last",
                      "-o", "MIX.TOKEN_ALPHA", 0)
    assert done.returncode == 1 and "nothing was mixed" in done.stderr
