"""Evaluation counts each image once, whatever the batches, and knows its tokens."""
import numpy as np
import paddle
import pytest
from paddle import nn

from ppim.engine.distributed import World
from ppim.engine.evaluate import evaluate
from ppim.models.base import TokenOutput

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
