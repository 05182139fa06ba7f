"""Evaluation counts each image once, whatever the batches, and knows its tokens."""
import numpy as np
import paddle
import pytest
from paddle import nn

from ppim.engine.distributed import World
from ppim.engine.evaluate import evaluate
from ppim.models.base import TokenOutput
from tests.helpers import spread_weights

pytestmark = pytest.mark.smoke

STATS = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}


class FirstPixel(nn.Layer):
    """Logits are one-hot at the class painted into the first pixel; token logits at those of the first row."""

    eval_token_weight = 0.0

    def forward(self, x):
        return self._logits(x[:, 0, 0, 0])

    def evaluate_tokens(self, x):
        return TokenOutput(self(x), self._logits(x[:, 0, 0, :3]))

    def _logits(self, painted):
        return nn.functional.one_hot((painted * 255).round().astype("int64"), 7) * 10.0


def batches(painted, labels, size, tokens=None):
    for start in range(0, len(labels), size):
        part = slice(start, start + size)
        image = np.zeros((len(labels[part]), 3, 4, 4), "uint8")
        image[:, 0, 0, 0] = painted[part]
        batch = {"image": paddle.to_tensor(image), "label": paddle.to_tensor(np.array(labels[part]))}
        if tokens is not None:
            image[:, 0, 0, 1:3] = 5
            batch["image"] = paddle.to_tensor(image)
            batch["token_best"] = paddle.to_tensor(tokens[part])
        yield batch


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_accuracies_are_the_counted_ones_for_any_batch_size(size):
    labels = np.array([0, 1, 2, 3, 4, 5, 6])
    painted = np.array([0, 1, 2, 0, 4, 5, 0])
    result = evaluate(FirstPixel(), batches(painted, labels, size), 7, World(), **STATS)
    assert result.count == 7
    assert result.top1 == pytest.approx(100 * 5 / 7)
    log_z = np.log(np.exp(10) + 6)
    assert result.loss == pytest.approx((5 * (log_z - 10) + 2 * log_z) / 7, rel=1e-5)


def test_five_guesses_are_all_there_are_with_few_classes():
    class Three(FirstPixel):
        def _logits(self, painted):
            return super()._logits(painted)[..., :3]

    result = evaluate(Three(), batches(np.array([0, 1]), np.array([2, 1]), 2), 2, World(), **STATS)
    assert (result.top1, result.top5) == (50.0, 100.0)


def test_token_accuracy_leaves_out_tokens_without_a_label():
    tokens = np.array([[1, 5, -1], [0, -1, 5]])
    result = evaluate(FirstPixel(), batches(np.array([1, 1]), np.array([1, 1]), 1, tokens), 2, World(), **STATS)
    # tokens are predicted 1, 5, 5: right are two of two, and one of two
    assert result.token_top1 == pytest.approx(75.0)


def test_a_wrong_count_is_a_bug_that_is_not_hidden():
    with pytest.raises(RuntimeError, match="counted 2 images of 3"):
        evaluate(FirstPixel(), batches(np.array([0, 1]), np.array([0, 1]), 2), 3, World(), **STATS)


def test_the_model_goes_back_to_training():
    model = FirstPixel()
    model.train()
    evaluate(model, batches(np.array([0]), np.array([0]), 1), 1, World(), **STATS)
    assert model.training


class Fixed(nn.Layer):
    """Logits by the number painted into an image's first pixel."""

    def __init__(self, logits):
        super().__init__()
        self.logits = paddle.to_tensor(logits)

    def forward(self, x):
        return self.logits.index_select((x[:, 0, 0, 0] * 255).round().astype("int64"))


@pytest.mark.parametrize("classes", [2, 4, 5, 6, 40])
def test_the_figures_are_those_counted_by_hand_over_random_logits(classes):
    rng = np.random.default_rng(classes)
    logits = rng.normal(size=(97, classes)).astype("float32") * 3
    labels = rng.integers(0, classes, 97)
    result = evaluate(Fixed(logits), batches(np.arange(97), labels, 10), 97, World(), **STATS)
    # how many classes are scored above the right one
    place = (logits > logits[np.arange(97), labels][:, None]).sum(1)
    assert result.top1 == pytest.approx(100 * np.mean(place < 1))
    assert result.top5 == pytest.approx(100 * np.mean(place < 5))
    wide = logits.astype("float64")
    nll = np.log(np.exp(wide).sum(1)) - wide[np.arange(97), labels]
    assert result.loss == pytest.approx(nll.mean(), rel=1e-5)


class Unsettled(nn.Layer):
    """A network whose training mode shows: half of it is dropped, and it normalises by the batch."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.head = nn.BatchNorm2D(3), nn.Dropout(0.5), nn.Linear(3, 7)
        self.norm._mean.set_value(np.array([0.1, 0.2, 0.3], "float32"))

    def forward(self, x):
        return self.head(self.drop(self.norm(x).mean([2, 3])))


@pytest.mark.parametrize("trains", [True, False])
def test_nothing_is_dropped_or_normalised_by_the_batch_and_the_mode_comes_back(trains):
    rng = np.random.default_rng(4)
    images, labels = rng.integers(0, 256, (24, 3, 4, 4), "uint8"), rng.integers(0, 7, 24)
    paddle.seed(1)
    model = Unsettled()
    spread_weights(model)
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    weight, bias = before["head.weight"].astype("float64"), before["head.bias"]
    means = images.mean((2, 3)) / 255 - before["norm._mean"]
    logits = means / np.sqrt(1 + 1e-5) @ weight + bias
    nll = np.log(np.exp(logits).sum(1)) - logits[np.arange(24), labels]
    (model.train if trains else model.eval)()
    parts = [{"image": paddle.to_tensor(images[at:at + 5]), "label": paddle.to_tensor(labels[at:at + 5])}
             for at in range(0, 24, 5)]
    result = evaluate(model, parts, 24, World(), **STATS)
    assert result.loss == pytest.approx(nll.mean(), rel=1e-5)
    assert {layer.training for layer in model.sublayers(include_self=True)} == {trains}
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name], err_msg=name)
