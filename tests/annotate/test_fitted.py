"""A network without the user's classes learns them from a few pictures and says them of cells. Features are colours."""
from __future__ import annotations

import numpy as np
import paddle
import pytest
from PIL import Image

from ppim.annotate import fitted as module
from ppim.annotate.fitted import Labelled, body_of, cells_that_can_teach, fitted, held_out, linear, teaching_cells
from ppim.annotate.generate import View, top_scores
from ppim.models import create_model
from tests.helpers import images

VIEW = View((8, 8), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), interpolation="bilinear")
COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}


class Colours(paddle.nn.Layer):
    """Cells of a 2 x 2 grid are described by their mean colour, which names none of three classes."""

    grid, num_classes = (2, 2), 3

    def tokens(self, x):
        cells = paddle.nn.functional.adaptive_avg_pool2d(x, self.grid).flatten(2).transpose([0, 2, 1])

        class Output:
            token_logits = cells

        return Output


def picture(path, quarters, rng):
    """2 x 2 quarters of noisy colours."""
    pixels = np.zeros((8, 8, 3))
    for at, colour in enumerate(quarters):
        row, column = divmod(at, 2)
        pixels[4 * row:4 * row + 4, 4 * column:4 * column + 4] = colour
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels + rng.normal(0, 15, pixels.shape), 0, 255).astype(np.uint8)).save(path)
    return str(path)


@pytest.fixture
def labelled(tmp_path):
    rng = np.random.default_rng(0)
    files, labels = [], []
    for label, colour in enumerate(COLOURS.values()):
        for number in range(5 + label):
            files.append(picture(tmp_path / f"{label}" / f"{number}.png", [colour] * 4, rng))
            labels.append(label)
    return Labelled(files, np.array(labels), 3)


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_a_head_fitted_on_whole_pictures_names_the_cells_of_others(labelled, tmp_path, kind):
    found, told = fitted(Colours(), labelled, VIEW, kind, batch_size=4)
    assert told == "the head is right on 100.0 % of 3 labelled pictures that were kept from it; now fitted on all 18"
    red, green, blue = COLOURS.values()
    path = picture(tmp_path / "mixed.png", [blue, red, green, red], np.random.default_rng(1))
    pixels = np.asarray(Image.open(path)).transpose(2, 0, 1)[None]
    scores, ids, log_z = top_scores(found, pixels, VIEW, 3)
    assert ids[0, 0].tolist() == [[2, 0], [1, 0]]
    np.testing.assert_allclose(log_z, np.log(np.exp(scores).sum(axis=1)), rtol=1e-5)
    again, _ = fitted(Colours(), labelled, VIEW, kind, batch_size=7)
    for one, other in zip(top_scores(again, pixels, VIEW, 3), (scores, ids, log_z)):
        np.testing.assert_array_equal(one, other)


class Pixels(paddle.nn.Layer):
    """Every pixel is a cell, described by its colour."""

    grid, num_classes = (8, 8), 2

    def tokens(self, x):
        class Output:
            token_logits = x.flatten(2).transpose([0, 2, 1])

        return Output


def test_a_linear_head_does_not_lean_on_what_single_cells_drown(tmp_path):
    """Green tells the class of a picture's mean without fail, but in a cell it tells its place above all; red tells the
    class of most cells."""
    rng = np.random.default_rng(0)
    stripes = np.where((np.arange(8)[:, None] + np.arange(8)) % 2, 100, -100)

    def pixels(label):
        red = 128 + (60 if label else -60) * rng.choice([1, 1, 1, 1, -1], (8, 8))
        return np.stack([red, 128 + stripes + 3 * label, np.full((8, 8), 90)]).astype(np.uint8)

    files, labels = [], []
    for number in range(40):
        files.append(str(tmp_path / f"{number}.png"))
        labels.append(number % 2)
        Image.fromarray(pixels(number % 2).transpose(1, 2, 0)).save(files[-1])
    found, told = fitted(Pixels(), Labelled(files, np.array(labels), 2), VIEW)
    assert told.startswith("the head is right on 100.0 % of 8 labelled pictures")
    other = pixels(1)
    ids = top_scores(found, other[None], VIEW, 2)[1][0, 0]
    np.testing.assert_array_equal(ids, other[0] > 128)


@pytest.mark.parametrize("pictures, count, width, classes, kept", [
    (20, 16, 64, 10, 16), (1_000, 196, 768, 10, 87), (1_000, 196, 768, 1_000, 26), (100_000, 49, 2048, 1_000, 1),
])
def test_as_many_cells_teach_as_can_be_worked_on_and_every_place_of_them(pictures, count, width, classes, kept):
    assert cells_that_can_teach(pictures, count, width, classes) == kept
    found = teaching_cells(np.arange(pictures), count, kept)
    assert found.shape == (pictures, kept) and found.min() == 0 and found.max() == count - 1
    assert all(len(set(row)) == kept for row in found[:count].tolist())
    assert np.ptp(np.bincount(found.ravel())) <= -(-pictures // count)  # hardly any place more often than others


def test_where_only_some_cells_teach_they_are_those_of_their_own_picture(labelled, monkeypatch):
    whole, _ = fitted(Colours(), labelled, VIEW, batch_size=5)
    monkeypatch.setattr(module, "_MOST_VALUES", len(labelled.files) * 3 * 2)  # two of the four cells
    some, told = fitted(Colours(), labelled, VIEW, batch_size=5)
    x = images(2, 8, 8)
    with paddle.no_grad():
        one, other = whole.tokens(x).token_logits, some.tokens(x).token_logits
    assert "100.0 %" in told and not np.array_equal(one.numpy(), other.numpy())


def test_the_linear_head_is_where_nothing_gets_better_whatever_the_features_units():
    """The loss is convex, so its gradient says all: errors sum to zero for each class, and against every feature too,
    but for what little the decay holds back."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 300)
    plain = rng.normal(0, 1, (300, 4)) + np.eye(3, 4)[labels]
    weight, bias = linear(plain * [1, 20, 1e-3, 5] + [0, 90, 7, -40], np.eye(3, dtype=np.float32)[labels])
    logits = (plain * [1, 20, 1e-3, 5] + [0, 90, 7, -40]) @ weight.astype(np.float64) + bias
    errors = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(3)[labels]
    assert np.abs(errors.mean(axis=0)).max() < 1e-3 < 0.1 < np.abs(errors).mean()
    assert np.abs((plain - plain.mean(axis=0)).T @ errors / 300).max() < 1e-3


def test_a_linear_head_says_of_the_whole_the_mean_of_what_it_says_of_cells(labelled):
    found, _ = fitted(Colours(), labelled, VIEW)
    x = images(2, 8, 8)
    with paddle.no_grad():
        output = found.tokens(x)
    np.testing.assert_allclose(output.token_logits.mean(axis=1).numpy(), output.class_logits.numpy(), atol=1e-4)
    np.testing.assert_array_equal(found(x).numpy(), output.class_logits.numpy())


@pytest.mark.parametrize("kind", ["linear", "knn"])
def test_with_masks_every_cell_teaches_and_where_nothing_is_the_map_is_blank(tmp_path, kind):
    rng = np.random.default_rng(0)
    colours, files, targets = [(110, 110, 110), COLOURS["red"], COLOURS["blue"]], [], []
    for number in range(10):
        quarters = rng.integers(0, 3, 4)
        files.append(picture(tmp_path / f"{number}.png", [colours[quarter] for quarter in quarters], rng))
        targets.append(np.eye(3)[quarters])
    targets = np.array(targets, np.float32)
    targets[0, 0] = 0  # nobody knows
    found, told = fitted(Colours(), Labelled(files, np.full(10, -1), 2, targets), VIEW, kind)
    assert told == ("the head is right on 100.0 % of 8 labelled cells of 2 pictures that were kept from it; now fitted "
                    "on all 10")
    path = picture(tmp_path / "mixed.png", [colours[quarter] for quarter in (0, 1, 2, 0)], rng)
    scores, ids, _ = top_scores(found, np.asarray(Image.open(path)).transpose(2, 0, 1)[None], VIEW, 2)
    assert ids[0, 0, 0, 1] == 0 and ids[0, 0, 1, 0] == 1
    assert scores[0, 0].round(1).min() < 1.5 < 4 < scores[0, 0, [0, 1], [1, 0]].min()


def test_every_fifth_of_each_class_is_kept_apart_and_of_fewer_none(labelled):
    out = held_out(labelled)
    assert np.bincount(labelled.labels[out], minlength=3).tolist() == [1, 1, 1] and not out[:4].any()
    few = labelled._replace(files=labelled.files[:4], labels=labelled.labels[:4])
    assert "is not known" in fitted(Colours(), few, VIEW)[1]


def test_features_of_our_models_and_of_paddles_are_their_tokens_and_cells():
    paddle.seed(0)
    ours = create_model("lvvit_demo", image_size=16, num_classes=4, embed_dim=8, depth=1, num_heads=2, stem_channels=4)
    theirs = create_model("shufflenet_v2_x0_25", num_classes=4, image_size=64)
    for model, x in ((ours, images(2, 16, 16)), (theirs, images(2, 64, 64))):
        model.eval()
        with paddle.no_grad():
            cells = body_of(model)(x)
            expected = model.features(x)[0] if model is ours else model.body(x)
        assert cells.shape == [2, model.grid[0] * model.grid[1], expected.shape[1]]
        np.testing.assert_array_equal(cells[1, 1].numpy(), expected[1, :, 0, 1].numpy())
