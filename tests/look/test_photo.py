"""What is seen of a photo: all maps at once, each of the token that was asked."""
import numpy as np
import paddle
import pytest
from PIL import Image

import ppim
from ppim.data.transforms import apply_all, eval_view, to_array
from ppim.look import paint
from ppim.look.attention import attention, rollout
from ppim.look.photo import View, see, token_classes
from ppim.look.relevance import relevance
from ppim.objective.pixels import normalise
from tests.helpers import small_lvvit, small_volo, spread_weights

VIEW = View(eval_view((32, 48), 0.9), (0.5,) * 3, (0.25,) * 3)


@pytest.fixture(scope="module")
def model():
    made = small_lvvit(image_size=(32, 48))
    spread_weights(made)
    made.eval_token_weight = 0.5
    made.eval()
    return made


@pytest.fixture(scope="module")
def photo():
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 70, 3)).astype("uint8"))


def shown(photo) -> paddle.Tensor:
    return normalise(paddle.to_tensor(to_array(apply_all(VIEW.ops, photo))[None]), VIEW.mean, VIEW.std)


@pytest.mark.smoke
@pytest.mark.parametrize("token", [None, (2, 4)])
def test_maps_are_of_the_token_that_was_asked_and_of_its_class(model, photo, token):
    x, place = shown(photo), 0 if token is None else 1 + 2 * 6 + 4
    seen = see(model, photo, VIEW, asked=[3], top=2, token=token)
    weights = attention(model, x)[:, 0]
    np.testing.assert_array_equal(seen.attention, weights[:, :, place, 1:].reshape(2, 3, 4, 6))
    brought, itself = rollout(weights)[:, place], np.eye(25)[place]
    wanted = brought - np.array([[0.5], [0.25]]) * itself  # half of a token stays in each block
    np.testing.assert_allclose(seen.rollout, wanted[:, 1:].reshape(2, 4, 6), atol=1e-12)
    assert seen.rollout.min() >= 0
    output = model.evaluate_tokens(x)
    logits = output.class_logits if token is None else output.token_logits[:, place - 1]
    best = np.argsort(-logits.numpy()[0])[:2].tolist()
    assert list(seen.relevance) == list(dict.fromkeys([3, *best]))
    for number, found in seen.relevance.items():
        one = relevance(model, x, [number], None if token is None else place - 1)[0, place] - itself
        np.testing.assert_allclose(found, one[1:].reshape(4, 6), atol=1e-5)
    assert seen.probability.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(seen.token_best, output.token_logits.numpy()[0].argmax(-1).reshape(4, 6))


def test_tokens_say_what_the_class_head_reads_where_their_own_has_no_say(model, photo):
    x = shown(photo)
    encoded = model.encode(x)[0][:, 1:]
    model.eval_token_weight = 0.0
    try:
        said, best, sure = token_classes(model, x)
    finally:
        model.eval_token_weight = 0.5
    logits = model.head(encoded).numpy()[0].astype(np.float64)
    wanted = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_array_equal(best[0].ravel(), wanted.argmax(-1))
    np.testing.assert_allclose(sure[0].ravel(), wanted.max(-1), atol=1e-5)
    assert said.shape == (1, 5)
    assert (best != token_classes(model, x)[1]).any()


@pytest.mark.parametrize(("asked", "token", "says"), [
    ([5], None, "classes 0 .. 4, got 5"), ([-1], None, "got -1"), ([], (4, 0), r"0 0 .. 3 5 \(row, column\), got 4 0")])
def test_what_is_not_there_cannot_be_asked(model, photo, asked, token, says):
    with pytest.raises(ValueError, match=says):
        see(model, photo, VIEW, asked=asked, token=token)


def test_a_network_without_attention_among_its_tokens_is_refused(photo):
    with pytest.raises(ValueError, match="PaddleVision has no attention to look at; wanted LV-ViT"):
        see(ppim.create_model("shufflenet_v2_x0_25", num_classes=3, image_size=64), photo, VIEW)
    with pytest.raises(ValueError, match="VOLO has no attention to look at; wanted LV-ViT.*ppim labels show MAPS"):
        see(small_volo(), photo, VIEW)


@pytest.mark.smoke
def test_a_map_is_brightest_where_it_is_most_and_the_photo_dark_where_nothing_was_shown(photo):
    grey = Image.new("RGB", (80, 40), (120, 120, 120))
    values = np.zeros((2, 2))
    values[1, 0] = 5.0
    picture = np.asarray(paint.heat(grey, values, (0.25, 0.0, 0.75, 1.0)), int).sum(-1)
    assert picture.shape == (40, 80) and np.unravel_index(picture.argmax(), picture.shape)[0] >= 20
    assert (picture[:, :20] == 3 * round(120 * paint.DIMMED)).all() and picture[:, 20:60].min() > picture[0, 0]
    assert picture[35, 25] > picture[5, 55]


@pytest.mark.smoke
def test_classes_have_colours_by_how_often_they_are_seen_and_names_beside_them():
    best = np.array([[2, 2, 1], [2, 1, -1]])
    sure = np.array([[0.5, 0.7, 1.0], [0.6, 0.4, 0.9]])
    colours = paint.colours_of(best)
    assert list(colours) == [2, 1]
    legend = paint.legend_of(best, sure, colours, ("a", "b", "猫").__getitem__)
    assert [text for _, text in legend] == ["猫: 3 tokens, 60 %", "b: 2 tokens, 70 %"]
    many = np.arange(24).reshape(4, 6)
    legend = paint.legend_of(many, np.ones((4, 6)), paint.colours_of(many), str)
    assert len(legend) == len(paint.COLOURS) + 1 and legend[-1] == (paint.OTHERS, "other classes: 14 tokens")
    picture = paint.classes(Image.new("RGB", (60, 40), (255, 0, 0)), best, sure, (0.0, 0.0, 1.0, 1.0), colours)
    pixels = np.asarray(picture, int)
    assert (pixels[30, 50] == pixels[30, 50, 0]).all()  # no class: the photo in grey
    assert np.abs(pixels[10, 50] - colours[1]).max() < np.abs(pixels[30, 30] - colours[1]).max()  # surer, stronger
