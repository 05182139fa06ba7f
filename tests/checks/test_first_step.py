"""What checks of gradients, steps, rates, weights and processes say, on arrays that can be worked out by hand."""
import numpy as np
import paddle
import pytest

from ppim.checks import network, pixels, processes, recipe, samples, weights
from ppim.data.making import collate
from ppim.data.transforms import eval_view
from ppim.engine.optimizer import build_optimizer
from tests.helpers import small_lvvit

RNG = np.random.default_rng(0)


def test_a_gradient_that_is_missing_endless_or_zero_is_told_apart():
    def level(seen, excused=(), may_overflow=False):
        finding = network.gradients_are_there({"a": (1.0, 1.0), "b": seen}, excused, may_overflow)
        return finding.level, " b; " in finding.text

    assert level((0.5, 1.0))[0] == "fine"
    assert level(None) == ("error", True) and level(None, ["b"])[0] == "fine"
    assert level((np.nan, 0.0)) == ("error", True) and level((np.inf, 0.0), may_overflow=True)[0] == "fine"
    assert level((0.0, 1.0))[0] == "warning" and level((0.0, 1.0), ["b"])[0] == "fine"


@pytest.mark.smoke
def test_a_parameter_that_should_have_moved_is_told():
    before = {"w": paddle.ones([3]), "still": paddle.ones([2])}
    after = dict(before)
    assert network.parameters_moved(before, after, {"w"}).text.startswith("the first step")
    after["w"] = paddle.to_tensor([1.0, 1.001, 1.0])
    assert network.parameters_moved(before, after, {"w"}).level == "fine"
    assert network.parameters_moved(before, after, {"w", "still"}).level == "error"
    nearly = {"w": paddle.zeros([2])}, {"w": paddle.full([2], 1.5e-11)}  # the first step of a warm-up
    assert network.parameters_moved(*nearly, {"w"}).level == "fine"


@pytest.mark.parametrize(("value", "gradient", "adaptive", "owed"), [
    ([1.0, 1.0], [1.0, 0.0], False, True),
    ([1.0, 1.0], [1e-5, 0.0], False, False),  # lost in the rounding of a one
    ([1.0, 1e-3], [1.0, 1e-5], False, True),
    ([1.0, 1e-9], [1e-6, 1e-16], False, False),  # where there is a gradient the value is too large, and the reverse
    ([1.0, 0.0], [0.0, 0.0], False, False),
    ([1.0, 0.0], [0.0, 1e-35], False, False),
    ([1.0, 1.0], [1e-5, 0.0], True, True),  # AdamW's step is the rate, whatever the gradient
    ([1.0, 1.0], [1e-12, 0.0], True, False),  # unless that is below its epsilon
])
def test_a_move_is_owed_where_an_element_of_float32_can_show_it(value, gradient, adaptive, owed):
    found = network.owe_a_move({"w": paddle.to_tensor(value), "none": paddle.ones([1])},
                               {"w": paddle.to_tensor(gradient), "none": None}, {"w": 1e-3}, adaptive)
    assert found == ({"w"} if owed else set())


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize(("factor", "level"), [(1.0, "fine"), (32.0, "error"), (1 / 32, "error")])
def test_the_length_of_a_step_is_the_rates(adaptive, factor, level):
    gradient = RNG.normal(size=50)
    change = -1e-3 * factor * (np.sign(gradient) if adaptive else gradient)
    assert network.step_is_as_long_as_the_rate(change, np.zeros(50), gradient, 1e-3, adaptive).level == level
    # at a value of one, a step of 1e-9 is lost in rounding
    assert network.step_is_as_long_as_the_rate(change * 1e-6, np.ones(50), gradient, 1e-9, True).level == "unknown"


def test_gradients_behind_layer_scale_are_not_taken_for_a_wrong_rate():
    """Clipped, they are no larger than AdamW's epsilon; the others tell."""
    gradient = np.concatenate([np.full(90, 2e-6), np.full(10, 0.5)])
    clipped = gradient / 40
    change = -1e-3 * clipped / (clipped + 1e-8)
    assert np.median(np.abs(change)) < 0.9e-3
    assert network.step_is_as_long_as_the_rate(change, np.zeros(100), gradient, 1e-3, True).level == "fine"
    assert network.step_is_as_long_as_the_rate(change / 2, np.zeros(100), gradient, 1e-3, True).level == "error"


def test_steps_that_a_large_epsilon_shortens_are_not_taken_for_a_wrong_rate():
    """Others than AdamW's usual 1e-8 are a matter of the recipe (TRAIN.OPTIMIZER.EPS)."""
    layer = paddle.nn.Linear(1, 64)
    optimizer = build_optimizer(layer, "AdamW", weight_decay=0.0, eps=1e-3)
    before, gradient = layer.bias.numpy().copy(), np.linspace(2e-4, 2e-3, 64, dtype=np.float32)
    layer.bias.grad = paddle.to_tensor(gradient)
    optimizer.set_lr(1e-2)
    optimizer.step()
    change = layer.bias.numpy() - before
    assert np.median(np.abs(change)) < 0.6e-2
    assert network.step_is_as_long_as_the_rate(change, before, gradient, 1e-2, True, 1e-3).level == "unknown"
    assert network.step_is_as_long_as_the_rate(change, before, gradient, 1e-2, True).level == "error"
    # nor does a parameter owe a move that such an epsilon keeps too small for float32 to show
    owed = [network.owe_a_move({"w": paddle.ones([2])}, {"w": paddle.full([2], 1e-4)}, {"w": 1e-2}, True, epsilon)
            for epsilon in (1e-8, 1.0)]
    assert owed == [{"w"}, set()]


@pytest.mark.smoke
def test_a_dead_and_an_endless_channel_are_named_by_layer_and_number():
    paddle.seed(1)
    model = small_lvvit()
    pictures = paddle.to_tensor(RNG.normal(size=(2, 3, 32, 32)).astype("float32"))

    def seen(change=lambda weight: weight):
        model.patch_embed.conv2.weight.set_value(change(model.patch_embed.conv2.weight.numpy()).astype("float32"))
        stem = network.Stem(model)
        model.tokens(pictures)
        stem.close()
        assert stem.pictures is not None and stem.pictures.shape == [2, 3, 32, 32]
        return stem.is_alive()

    assert seen().level == "fine"
    dead = seen(lambda weight: weight * (np.arange(8) != 5).reshape(-1, 1, 1, 1))
    assert dead.level == "warning" and "patch_embed.conv2" in dead.text and "1 of 8 channels: 5" in dead.text
    endless = seen(lambda weight: weight + np.where(np.arange(8) == 6, np.inf, 0).reshape(-1, 1, 1, 1))
    assert endless.level == "error" and "channels 6" in endless.text


@pytest.mark.parametrize(("base", "reference", "batch", "level"), [
    (1.6e-3, 1024, 64, "fine"),           # the recipe's, scaled by the run
    (1.6e-3 / 16, 1024, 64, "warning"),   # scaled by hand as well
    (1.6e-3, None, 64, "warning"),        # not scaled at all
    (1e-4, None, 64, "fine"),             # scaled by hand alone
    (1.6e-3, None, 1024, "unknown"),      # nothing to scale
    (3e-4, 1024, 64, "fine"),             # a rate of one's own
])
def test_rates_scaled_by_hand_are_held_against_the_recipe(base, reference, batch, level):
    published = {"base": 1.6e-3, "reference": 1024}
    assert recipe.rate_is_not_scaled_by_hand(base, reference, batch, published).level == level


def test_the_peak_of_the_schedule_is_the_rate_scaled_once():
    assert recipe.rate_follows_batch(1e-4, 1.6e-3, 1024, 64).level == "fine"
    assert recipe.rate_follows_batch(1.6e-3, 1.6e-3, None, 64).level == "fine"
    for wrong in (1.6e-3, 6.25e-6):
        assert recipe.rate_follows_batch(wrong, 1.6e-3, 1024, 64).level == "error"


def test_processes_that_disagree_are_told_by_number():
    assert processes.shares_make_a_batch(np.array([[1, 2], [3, 3]]), [3, 1, 3, 2]).level == "fine"  # repeated
    twice = processes.shares_make_a_batch(np.array([[1, 2], [1, 2]]), [1, 2, 3, 4])
    assert twice.level == "error" and "photos 1, 2 in processes 0, 1" in twice.text
    other = processes.same_everywhere(np.array([[1.0, 2.0], [1.0, 2.5], [1.0, 2.0]]), ["a", "b"], "weights")
    assert other.level == "error" and "process 1" in other.text and "other b" in other.text
    own = np.array([[1.0, 2.0], [3.0, 6.0]])
    means = np.tile(own.mean(axis=0), (2, 1))
    assert processes.gradients_are_averaged(own, means, "bias").level == "fine"
    assert "its own in every process" in processes.gradients_are_averaged(own, own, "bias").text
    assert "their sum" in processes.gradients_are_averaged(own, 2 * means, "bias").text


def test_tensors_left_fresh_are_told_unless_the_file_has_the_same_values():
    fresh = {"w": paddle.to_tensor([[1.0, 2.0], [3.0, 4.0]]), "b": paddle.zeros([2]), "v": paddle.to_tensor([5.0, 6.0])}
    before = weights.fingerprints(fresh)
    loaded = {**fresh, "v": paddle.to_tensor([7.0, 8.0])}

    def level(theirs, told=()):
        return weights.all_were_loaded(before, loaded, told, lambda: theirs, "file").level

    assert level({"v": np.array([7.0, 8.0])}) == "error"
    assert level({"v": np.array([7.0, 8.0])}, told=["w"]) == "fine"
    assert level({"w": np.array([[1.0, 3.0], [2.0, 4.0]], "float32")}) == "fine"  # the same, in another layout


@pytest.mark.parametrize("ops", [
    eval_view((32, 32), 0.875, "bilinear"), eval_view((32, 32), 1.0, "bicubic"), eval_view((32, 32), 0.875)[:1]])
def test_a_view_with_another_crop_or_interpolation_is_told(ops):
    assert pixels.view_is_meant(eval_view((32, 32), 0.875, "bicubic"), (32, 32), 0.875, "bicubic").level == "fine"
    assert pixels.view_is_meant(ops, (32, 32), 0.875, "bicubic").level == "error"


def test_pixels_are_held_against_the_batch_mixed_and_erased():
    mean, std, image = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3], RNG.integers(0, 256, (2, 3, 4, 4)).astype("uint8")
    batch = {"image": image, "erase_at": np.array([5]), "erase_value": np.array([[1.0, 2.0, 3.0]], "float32"),
             "mix_partner": np.array([1, 0]), "mix_blend": np.array([0.75, 1.0], "float32"),
             "mix_pixel_box": np.array([[0, 0, 0, 0], [0, 0, 2, 4]])}
    plain = (image / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    plain[0, :, 1, 1] = [1.0, 2.0, 3.0]
    seen = np.stack([0.75 * plain[0] + 0.25 * plain[1], plain[1]])
    seen[1, :, :2] = plain[0, :, :2]
    assert pixels.network_sees_the_batch(seen, batch, mean, std, [0, 1]).level == "fine"
    assert pixels.network_sees_the_batch(plain, batch, mean, std, [1]).level == "error"
    unmixed = {name: batch[name] for name in ("image", "erase_value")} | {"erase_at": np.array([31])}
    normalised = (image / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    swapped = (image[:, ::-1] / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    assert pixels.network_sees_the_batch(normalised, unmixed, mean, std, [0]).level == "fine"
    assert "blue and red" in pixels.network_sees_the_batch(swapped, unmixed, mean, std, [0]).text
    assert pixels.inputs_are_of_usual_size(normalised).level == "fine"
    assert pixels.inputs_are_of_usual_size(255 * normalised).level == "warning"


def test_views_that_never_change_are_told(tiny_data):
    from ppim.data.augment import Policy
    from ppim.data.datasets import find_images
    from ppim.data.loader import TrainSamples

    drawn = TrainSamples(find_images(str(tiny_data)), Policy((16, 16)), seed=0, num_classes=3)
    assert samples.views_change(drawn, 0).level == "fine"

    class Stuck(TrainSamples):
        def __getitem__(self, key):
            return super().__getitem__((0, *key[1:]))

    assert samples.views_change(Stuck(drawn.images, drawn.policy, seed=0, num_classes=3), 0).level == "warning"
    batch = collate([drawn[0, 0, 0], drawn[0, 1, 0]])
    keys = [(0, 0, 0), (0, 1, 0)]
    assert samples.rows_are_their_own(batch, keys, drawn, [0, 1]).level == "fine"
    assert samples.rows_are_their_own({**batch, "label": batch["label"][::-1] + 1}, keys, drawn, [0]).level == "error"
    assert samples.rows_are_their_own(batch, keys[::-1], drawn, [0]).level == "error"
