"""The loss against a slow count, the same over any division of a batch; and the rate of the schedule."""
import numpy as np
import paddle
import pytest

from ppim.engine.schedule import Schedule
from ppim.segment.figures import IGNORED
from ppim.segment.network import Segmenter
from ppim.segment.objective import SegmentObjective, pixel_loss
from tests.helpers import small_lvvit
from tests.segment.slow_twin import bilinear

pytestmark = pytest.mark.smoke


def slow_loss(logits, labels):
    """Known pixels one by one; the sum divided by all of them, the ignored too."""
    total = 0.0
    for one, label in zip(logits, labels):
        one = bilinear(one.astype(np.float64), *label.shape)
        for row, column in np.ndindex(label.shape):
            if label[row, column] != IGNORED:
                scores = one[:, row, column]
                total += np.log(np.exp(scores).sum()) - scores[label[row, column]]
    return total / labels.size


def drawn(batch=4):
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, IGNORED], (batch, 8, 6))
    labels[0] = IGNORED
    return rng.standard_normal((batch, 3, 4, 3)).astype("float32"), labels.astype(np.int64)


def test_the_loss_is_a_slow_counts():
    logits, labels = drawn()
    found = pixel_loss(paddle.to_tensor(logits), paddle.to_tensor(labels)).item()
    assert found == pytest.approx(slow_loss(logits, labels), rel=1e-5)


def test_the_mean_over_shares_of_a_batch_is_that_of_the_batch():
    logits, labels = (paddle.to_tensor(part) for part in drawn())
    shares = [pixel_loss(logits[rows], labels[rows]).item() for rows in (slice(0, 1), slice(1, 2), slice(2, 4))]
    assert np.average(shares, weights=[1, 1, 2]) == pytest.approx(pixel_loss(logits, labels).item(), rel=1e-6)
    assert shares[0] == 0


def test_both_heads_are_taught_the_small_one_by_its_weight():
    paddle.seed(0)
    model = Segmenter(small_lvvit(depth=4), 3, layers=(0, 1, 2, 3), channels=4, top_channels=6, dropout=0.0)
    objective = SegmentObjective(model, 0.25, (0.5,) * 3, (0.25,) * 3)
    rng = np.random.default_rng(1)
    batch = {"image": paddle.to_tensor(rng.integers(0, 256, (2, 3, 32, 32)).astype("uint8")),
             "mask": paddle.to_tensor(rng.choice([0, 1, 2, IGNORED], (2, 32, 32)).astype("uint8"))}
    total, main, small = objective(batch)
    assert total.item() == pytest.approx(main.item() + 0.25 * small.item(), rel=1e-6) and small.item() > 0.1
    total.backward()
    assert all(p.grad is not None for p in model.parameters() if not p.stop_gradient)


def test_a_rate_falls_by_its_power_and_warms_up_as_a_factor_to_it():
    schedule = Schedule("poly", base=6e-5, start=6e-11, end=0.0, epochs=100.0, warmup=2.0, power=0.9)
    for step in (0, 1, 500, 1999, 2000, 50_000, 99_999, 100_000, 120_000):
        # mmcv's hooks, of iterations: a regular rate, and what warm-up makes of it
        regular = (6e-5 - 0.0) * max(0, 1 - step / 100_000) ** 0.9 + 0.0
        warm = (1 - step / 2000) * (1 - 1e-6)
        wanted = regular * (1 - warm) if step < 2000 else regular
        assert schedule.at(step / 1000) == pytest.approx(wanted, rel=1e-9, abs=1e-20)
