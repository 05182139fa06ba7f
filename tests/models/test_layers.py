from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from ppim.models import layers
from ppim.models.layers import attend, drop_path, softmax
from tests.models.traced import operators_of

pytestmark = pytest.mark.smoke


def softmax_attention(qkv: np.ndarray, heads: int, scale: float) -> np.ndarray:
    """Multi-head attention in float64 loops, from packed (B, N, 3 * H * D)."""
    batch, tokens, width = qkv.shape
    q, k, v = np.moveaxis(qkv.astype(np.float64).reshape(batch, tokens, 3, heads, -1), 2, 0)
    out = np.zeros(q.shape)
    for b in range(batch):
        for h in range(heads):
            e = np.exp(scale * q[b, :, h] @ k[b, :, h].T)
            out[b, :, h] = e / e.sum(1, keepdims=True) @ v[b, :, h]
    return out.reshape(batch, tokens, width // 3)


@pytest.fixture(params=["by head", "together"])
def way(request, monkeypatch):
    """Every way attention is computed where there is no fused kernel."""
    monkeypatch.setattr(layers, "heads_go_together", lambda x: request.param == "together")


@pytest.mark.parametrize(("heads", "scale"), [(1, 0.3), (3, 0.5), (4, 1.0)])
def test_attention_equals_the_textbook(heads, scale, way):
    qkv = np.random.RandomState(0).standard_normal((2, 7, 3 * heads * 4)).astype("float32")
    got = attend(paddle.to_tensor(qkv), heads, scale)[0].numpy()
    np.testing.assert_allclose(got, softmax_attention(qkv, heads, scale), atol=1e-6)


def fused_kernel(q, k, v):
    """What the fused kernel does with (B, N, H, D): D a multiple of 8, scores divided by its root."""
    width = q.shape[3]
    assert width % 8 == 0, f"the fused kernel does not take heads of width {width}"
    q, k, v = (x.transpose([0, 2, 1, 3]) for x in (q, k, v))
    weights = F.softmax(paddle.matmul(q, k, transpose_y=True) / width**0.5)
    return paddle.matmul(weights, v).transpose([0, 2, 1, 3])


@pytest.mark.parametrize(("width", "scale"), [(8, 8**-0.5), (16, 0.7), (12, 12**-0.5), (60, 60**-0.5)])
def test_the_fused_kernel_is_given_heads_it_takes_and_the_scale_that_is_meant(width, scale, monkeypatch):
    monkeypatch.setattr(layers, "flash_attention_runs", lambda x, head_dim: head_dim == width)
    monkeypatch.setattr(F, "scaled_dot_product_attention", fused_kernel)
    qkv = np.random.RandomState(0).standard_normal((2, 7, 3 * 2 * width)).astype("float32")
    got = attend(paddle.to_tensor(qkv), 2, scale)[0].numpy()
    np.testing.assert_allclose(got, softmax_attention(qkv, 2, scale), atol=1e-6)


def test_queries_are_not_passed_over_to_be_multiplied_by_one(monkeypatch):
    monkeypatch.setattr(layers, "flash_attention_runs", lambda x, head_dim: True)
    monkeypatch.setattr(F, "scaled_dot_product_attention", lambda q, k, v: q + k + v)
    for scale, factors in ((32**-0.5, 0), (0.2, 1)):
        found = operators_of(lambda x, scale=scale: attend(x, 2, scale)[0], (2, 7, 3 * 2 * 32))
        assert [name for name, _ in found].count("scale") == factors


def test_softmax_of_half_precision_scores_is_computed_in_single():
    scores = np.array([[11.0, 0.0, -30.0], [60000.0, 59968.0, 0.0]], "float16")
    got = softmax(paddle.to_tensor(scores))  # Paddle has no half-precision softmax on the CPU: it must be cast
    e = np.exp(scores.astype("float64") - scores.max(1, keepdims=True))
    np.testing.assert_allclose(got.numpy(), e / e.sum(1, keepdims=True), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_carried_numbers_are_averaged_with_undropped_attention_and_pass_no_gradient(dropout, way):
    rng = np.random.RandomState(1)
    qkv = paddle.to_tensor(rng.standard_normal((2, 5, 3 * 2 * 4)).astype("float32"), stop_gradient=False)
    carried = rng.rand(2, 5, 2).astype("float32")
    _, got = attend(qkv, 2, 0.5, dropout, paddle.to_tensor(carried))
    # attention applied to the numbers instead of the values, head by head
    q, k, _ = np.moveaxis(qkv.numpy().astype("float64").reshape(2, 5, 3, 2, 4), 2, 0)
    e = np.exp(0.5 * np.einsum("bihd,bjhd->bhij", q, k))
    expected = np.einsum("bhij,bjs->bis", e / e.sum(-1, keepdims=True), carried) / 2
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-6)
    assert got.stop_gradient


def test_attention_dropout_keeps_the_mean(way):
    paddle.seed(0)
    qkv = paddle.ones([200, 20, 3 * 4])
    dropped = attend(qkv, 2, 0.5, dropout=0.5)[0].numpy()
    assert abs(dropped.mean() - 1) < 0.02
    assert dropped.std() > 0.05


def test_drop_path_drops_whole_samples_and_keeps_the_mean():
    paddle.seed(0)
    dropped = drop_path(paddle.ones([4000, 2, 3]), 0.25, training=True).numpy()
    assert set(np.unique(dropped.reshape(4000, -1).std(1))) == {0.0}
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / 0.75], rtol=1e-6)
    assert abs(dropped.mean() - 1) < 0.03


def test_drop_path_rests_in_evaluation():
    x = paddle.ones([4, 2, 3])
    assert drop_path(x, 0.9, training=False) is x


def test_a_branch_is_divided_whether_it_may_be_dropped_or_not():
    paddle.seed(0)
    x = paddle.ones([400, 2, 3])
    assert set(np.unique(drop_path(x, 0.0, training=True, divisor=2.0))) == {0.5}
    assert set(np.unique(drop_path(x, 0.3, training=False, divisor=2.0))) == {0.5}
    dropped = drop_path(x, 0.2, training=True, divisor=2.0).numpy()
    np.testing.assert_allclose(np.unique(dropped), [0, 1 / (0.8 * 2)], rtol=1e-6)


def test_dropping_and_dividing_pass_over_the_branch_once():
    shape = [4, 7, 6]
    found = operators_of(lambda x: drop_path(x, 0.2, training=True, divisor=2.0), shape)
    assert [name for name, result in found if result == shape] == ["multiply"]
