"""The sparse cross entropy against loops over classes, dense autograd, finite differences and the original code."""
from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppim import geometry
from ppim.objective import losses
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.targets import SparseTargets, concat, dense, label_targets, token_targets, with_ground_truth
from tests.helpers import run_python

pytestmark = pytest.mark.smoke


def tensors(targets):
    return SparseTargets(*(paddle.to_tensor(array) for array in targets))


def numpys(targets):
    return SparseTargets(*(tensor.numpy() for tensor in targets))


def random_targets(rng, rows, classes):
    """Any numbers in any order, an id sometimes twice in a row, some rows ignored."""
    count = int(rng.integers(1, 4 * rows + 1))
    const = rng.uniform(0, 1, (rows, 3)).astype(np.float32)
    const[:, 2] *= rng.random(rows) < 0.7
    row, ids = (rng.integers(0, high, count).astype(np.int32) for high in (rows, classes))
    sparse = SparseTargets(row, ids, rng.normal(0, 1, count).astype(np.float32), const)
    const[:, 1] = dense(sparse, classes).sum(axis=1)
    return sparse


def slow_loss(logits, targets):
    """Double precision, one class at a time."""
    total = 0.0
    for line, target, weight in zip(logits.astype(np.float64), dense(targets, logits.shape[1]), targets.const[:, 2]):
        log_sum_exp = line.max() + np.log(np.exp(line - line.max()).sum())
        for logit, share in zip(line, target):
            total -= weight * share * (logit - log_sum_exp)
    return total / len(logits)


seeds = st.integers(0, 2 ** 32 - 1)


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 6), st.integers(1, 9))
def test_loss_and_gradient_are_those_of_the_dense_cross_entropy(seed, rows, classes):
    rng = np.random.default_rng(seed)
    targets, values = random_targets(rng, rows, classes), rng.normal(0, 3, (rows, classes)).astype(np.float32)
    sparse_in, dense_in = (paddle.to_tensor(values, stop_gradient=False) for _ in range(2))
    loss = losses.sparse_cross_entropy(sparse_in, tensors(targets))
    counted = paddle.to_tensor(dense(targets, classes) * targets.const[:, 2:])
    twin = -(counted * F.log_softmax(dense_in)).sum() / rows
    assert loss.dtype == paddle.float32 and list(loss.shape) == []
    np.testing.assert_allclose(loss.item(), slow_loss(values, targets), rtol=1e-5, atol=1e-5)
    (3 * loss).backward()
    (3 * twin).backward()
    np.testing.assert_allclose(sparse_in.grad.numpy(), dense_in.grad.numpy(), atol=1e-5)


def test_the_gradient_is_the_slope_of_the_loss():
    rng = np.random.default_rng(5)
    targets, values = random_targets(rng, 3, 4), rng.normal(0, 2, (3, 4)).astype(np.float32)
    logits = paddle.to_tensor(values, stop_gradient=False)
    losses.sparse_cross_entropy(logits, tensors(targets)).backward()
    for place in np.ndindex(3, 4):
        step = np.zeros((3, 4))
        step[place] = 1e-4
        slope = (slow_loss(values + step, targets) - slow_loss(values - step, targets)) / 2e-4
        np.testing.assert_allclose(logits.grad.numpy()[place], slope, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_logits_are_scored_in_single_precision(dtype):
    rng = np.random.default_rng(6)
    targets = tensors(random_targets(rng, 5, 7))
    half = paddle.to_tensor(rng.normal(0, 30, (5, 7)).astype(np.float32)).astype(dtype)
    half.stop_gradient = False
    full = half.detach().astype("float32")
    full.stop_gradient = False
    a, b = losses.sparse_cross_entropy(half, targets), losses.sparse_cross_entropy(full, targets)
    assert a.dtype == paddle.float32 and a.item() == b.item()
    a.backward()
    b.backward()
    assert half.grad.dtype == half.dtype
    expected = full.grad.astype(dtype).astype("float32").numpy()
    np.testing.assert_array_equal(half.grad.astype("float32").numpy(), expected)


@pytest.mark.parametrize("scale", [1e4, 3e38])
def test_extreme_logits_give_finite_losses_and_gradients(scale):
    logits = paddle.to_tensor(np.array([[scale, 0, -scale], [0, 0, 0]], np.float32) / 4, stop_gradient=False)
    loss = losses.sparse_cross_entropy(logits, tensors(label_targets(np.array([0, 1]), 3, 0.0)))
    loss.backward()
    np.testing.assert_allclose(loss.item(), np.log(3) / 2, rtol=1e-6)
    np.testing.assert_allclose(logits.grad.numpy(), [[0, 0, 0], [1 / 6, -1 / 3, 1 / 6]], atol=1e-6)


def test_ignored_rows_add_nothing_and_count_in_the_mean():
    targets = label_targets(np.array([0, 1, 2, 0]), 3, 0.1)
    values = np.random.default_rng(7).normal(0, 1, (4, 3)).astype(np.float32)
    kept = losses.sparse_cross_entropy(paddle.to_tensor(values[:2]), tensors(label_targets(np.array([0, 1]), 3, 0.1)))
    targets.const[2:, 2] = 0
    logits = paddle.to_tensor(values, stop_gradient=False)
    loss = losses.sparse_cross_entropy(logits, tensors(targets))
    loss.backward()
    np.testing.assert_allclose(loss.item(), kept.item() / 2, rtol=1e-6)
    assert not logits.grad.numpy()[2:].any() and logits.grad.numpy()[:2].any()


def test_logits_of_another_number_of_rows_are_refused():
    targets = tensors(label_targets(np.array([0, 1]), 3, 0.0))
    with pytest.raises(ValueError, match=r"R = 2 rows of targets, got \[3, 3\]"):
        losses.sparse_cross_entropy(paddle.ones([3, 3]), targets)
    with pytest.raises(ValueError, match=r"\[1, 2, 3\]"):
        losses.sparse_cross_entropy(paddle.ones([1, 2, 3]), targets)


def pairs(batch):
    """Neighbours are partners, the odd one out is its own."""
    return np.array([i ^ 1 if i ^ 1 < batch else i for i in range(batch)])


@settings(deadline=None, max_examples=40)
@given(seeds, st.sampled_from([1, 2, 3, 5]), st.integers(2, 7))
def test_a_blend_scores_as_the_weighted_sum_of_its_parts(seed, batch, classes):
    rng = np.random.default_rng(seed)
    targets, partner = random_targets(rng, batch, classes), pairs(batch)
    own = rng.random(batch).astype(np.float32)
    mixed = numpys(losses.blend(tensors(targets), paddle.to_tensor(partner), paddle.to_tensor(own)))
    counted = dense(targets, classes) * targets.const[:, 2:]
    expected = own[:, None] * counted + (1 - own[:, None]) * counted[partner]
    np.testing.assert_allclose(dense(mixed, classes) * mixed.const[:, 2:], expected, atol=1e-5)
    np.testing.assert_allclose(mixed.const[:, 1], expected.sum(axis=1), atol=1e-5)
    logits = rng.normal(0, 2, (batch, classes)).astype(np.float32)
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = losses.sparse_cross_entropy(paddle.to_tensor(logits), tensors(mixed))
    np.testing.assert_allclose(loss.item(), -(expected * log_probs).sum() / batch, rtol=1e-4, atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(seeds, st.sampled_from([1, 2, 3, 5]), st.integers(1, 4))
def test_a_reassigned_row_is_scored_against_its_owners_target(seed, batch, tokens):
    rng = np.random.default_rng(seed)
    targets, classes = random_targets(rng, batch * tokens, 6), 6
    # A token inside the box, the same for both partners, belongs to the partner: rows (B, N) -> B * N.
    boxed = rng.random(tokens) < 0.5
    owner = np.where(boxed, pairs(batch)[:, None], np.arange(batch)[:, None]) * tokens + np.arange(tokens)
    moved = numpys(losses.reassign(tensors(targets), paddle.to_tensor(owner.reshape(-1))))
    np.testing.assert_array_equal(dense(moved, classes), dense(targets, classes)[owner.reshape(-1)])
    np.testing.assert_array_equal(moved.const, targets.const[owner.reshape(-1)])


def test_no_gradient_reaches_the_shares_of_a_blend():
    own = paddle.to_tensor(np.array([0.3, 0.6], np.float32), stop_gradient=False)
    logits = paddle.to_tensor(np.ones((2, 3), np.float32), stop_gradient=False)
    mixed = losses.blend(tensors(label_targets(np.array([0, 1]), 3, 0.1)), paddle.to_tensor([1, 0]), own)
    losses.sparse_cross_entropy(logits, mixed).backward()
    assert own.grad is None and logits.grad is not None


@pytest.fixture(scope="module")
def original(reference):
    """The original's logits, losses and gradients, and our targets of the maps behind them."""
    maps = np.load(reference / "vectors" / "token_label_target.npz")
    whole, tokens = zip(*(
        token_targets(LabelMap(scores.astype(np.float32), ids.astype(np.int32)),
                      [geometry.crop(box[1], box[0], box[3], box[2], (1, 1))], (14, 14), 40)
        for scores, ids, box in zip(maps["scores"], maps["classes"], maps["crop_box_top_left_height_width"].tolist())))
    return np.load(reference / "vectors" / "token_label_loss.npz"), concat(whole), concat(tokens), maps["ground_truth"]


@pytest.mark.parametrize("box", ["nobox", "box"])
@pytest.mark.parametrize("name, dense_weight", [("default", 1.0), ("half", 0.5), ("ground_truth", 1.0),
                                                ("no_dense", 0.0)])
def test_loss_and_gradients_are_the_originals(original, name, dense_weight, box):
    vectors, whole, tokens, labels = original
    if name == "ground_truth":
        whole = with_ground_truth(whole, labels, 40, 0.1)
    whole = tensors(whole)
    if box == "box":
        # The original mixes with the flipped batch; its token logits are handed over un-mixed, so they keep their rows.
        share = 1 - (9 - 2) * (12 - 3) / 196
        whole = losses.blend(whole, paddle.to_tensor([3, 2, 1, 0]), paddle.full([4], share))
    cls_logits = paddle.to_tensor(vectors["cls_logits"], stop_gradient=False)
    token_logits = paddle.to_tensor(vectors["token_logits"], stop_gradient=False)
    # (B, N, C) -> (B * N, C)
    loss = losses.sparse_cross_entropy(cls_logits, whole) + dense_weight * losses.sparse_cross_entropy(
        token_logits.reshape([-1, 40]), tensors(tokens))
    loss.backward()
    np.testing.assert_allclose(loss.item(), vectors[f"{name}_{box}_loss"], atol=1e-5)
    for key, logits in (("grad_cls", cls_logits), ("grad_token", token_logits)):
        if f"{name}_{box}_{key}" in vectors:
            np.testing.assert_allclose(logits.grad.numpy(), vectors[f"{name}_{box}_{key}"], atol=1e-5 * 1e-2)


def test_mixed_plain_labels_are_the_originals(reference):
    vectors = np.load(reference / "vectors" / "mixup_target.npz")
    labels = tensors(label_targets(vectors["classes"], 40, 0.1))
    mixed = losses.blend(labels, paddle.arange(5, -1, -1), paddle.full([6], float(vectors["lam"])))
    np.testing.assert_allclose(dense(numpys(mixed), 40), vectors["target"], atol=1e-6)


MANY_TIMES = """
import numpy as np
import ppim, paddle
from ppim.objective.losses import sparse_cross_entropy
from ppim.token_labels.targets import SparseTargets

rng = np.random.default_rng(0)
row, ids = rng.integers(0, 2, 200_000), rng.integers(0, 3, 200_000)
const = np.tile(np.array([[0.0, 0.0, 1.0]], "float32"), (2, 1))
fields = row.astype("int32"), ids.astype("int32"), np.ones(len(row), "float32"), const
targets = SparseTargets(*map(paddle.to_tensor, fields))
expected = np.zeros((2, 3))
np.add.at(expected, (row, ids), -1 / 2)
for _ in range(150):
    logits = paddle.zeros([2, 3])
    logits.stop_gradient = False
    sparse_cross_entropy(logits, targets).backward()
    np.testing.assert_allclose(logits.grad.numpy(), expected, rtol=1e-4)
"""


def test_a_class_named_many_times_in_a_row_counts_every_time_with_several_threads():
    done = run_python("-c", MANY_TIMES, env={"PPIM_THREADS": "4"})
    assert done.returncode == 0, done.stderr
