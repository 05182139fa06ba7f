"""Our Linear, convolution and LayerNorm against float64, and the types they compute in."""
from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from ppim.models import create_model, operators
from ppim.models.operators import Conv2D, LayerNorm, Linear
from tests.models.traced import operators_of, types_of_layers


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def back(layer, x: np.ndarray, upstream: np.ndarray, frozen=()) -> tuple:
    """Result and gradients by the names of the inputs; None where there is none."""
    x = paddle.to_tensor(x.astype("float32"), stop_gradient="x" in frozen)
    for name, parameter in layer.named_parameters():
        parameter.stop_gradient = name in frozen
    y = layer(x)
    if not y.stop_gradient:
        y.backward(paddle.to_tensor(upstream.astype("float32")))
    tensors = {"x": x, **dict(layer.named_parameters())}
    return y.numpy(), {name: None if t.grad is None else t.grad.numpy() for name, t in tensors.items()}


def linear_in_double(x, weight, bias, upstream):
    rows, up = x.reshape(-1, x.shape[-1]), upstream.reshape(-1, upstream.shape[-1])
    return x @ weight + bias, {"x": upstream @ weight.T, "weight": rows.T @ up, "bias": up.sum(0)}


def layer_norm_in_double(x, weight, bias, epsilon, upstream):
    """Gradients by definition: through the matrix of derivatives of each row."""
    width = x.shape[-1]
    rows, up = x.reshape(-1, width), upstream.reshape(-1, width)
    centred = rows - rows.mean(1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(1, keepdims=True) + epsilon)
    normal, of_x = centred / deviation, np.empty_like(rows)
    for row, (n, s, u) in enumerate(zip(normal, deviation[:, 0], up)):
        # d normal_i / d x_j
        jacobian = (np.eye(width) - 1 / width - np.outer(n, n) / width) / s
        of_x[row] = (u * weight) @ jacobian
    found = {"x": of_x.reshape(x.shape), "weight": (up * normal).sum(0), "bias": up.sum(0)}
    return (normal * weight + bias).reshape(x.shape), found


def assert_close(got, expected, tolerance=2e-6):
    """Within `tolerance` of the largest value."""
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max()))


FROZEN = [(), ("x",), ("weight", "bias"), ("x", "weight"), ("bias",), ("x", "weight", "bias")]


@pytest.mark.smoke
@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize("shape", [(5,), (2, 7), (1, 1)])
def test_linear_and_its_gradients_are_those_of_double_precision(rng, shape, frozen):
    layer = Linear(11, 6)
    layer.bias.set_value(rng.normal(size=6).astype("float32"))
    x, upstream = rng.normal(size=(*shape, 11)), rng.normal(size=(*shape, 6))
    y, gradients = back(layer, x, upstream, frozen)
    expected, wanted = linear_in_double(x, layer.weight.numpy().astype("f8"), layer.bias.numpy(), upstream)
    assert_close(y, expected)
    for name, gradient in gradients.items():
        if name in frozen:
            assert gradient is None, name
        else:
            assert_close(gradient, wanted[name])


@pytest.mark.smoke
@pytest.mark.parametrize("frozen", FROZEN)
@pytest.mark.parametrize(("shape", "mean", "epsilon"), [((2, 7), 0.0, 1e-5), ((9,), 30.0, 1e-6), ((1, 1), 0.0, 1e-6)])
def test_layer_norm_and_its_gradients_are_those_of_double_precision(rng, shape, mean, epsilon, frozen):
    layer = LayerNorm(24, epsilon=epsilon)
    for parameter in layer.parameters():
        parameter.set_value(rng.normal(size=24).astype("float32"))
    x, upstream = rng.normal(mean, 2.0, (*shape, 24)).astype("float32"), rng.normal(size=(*shape, 24))
    y, gradients = back(layer, x, upstream, frozen)
    expected, wanted = layer_norm_in_double(
        x.astype("f8"), layer.weight.numpy().astype("f8"), layer.bias.numpy(), epsilon, upstream
    )
    assert_close(y, expected, 1e-5)
    for name, gradient in gradients.items():
        if name in frozen:
            assert gradient is None, name
        else:
            assert_close(gradient, wanted[name], 1e-5)


def test_rows_without_variance_have_finite_gradients(rng):
    y, gradients = back(LayerNorm(8, epsilon=1e-6), np.full((3, 8), 2.0), rng.normal(size=(3, 8)))
    np.testing.assert_array_equal(y, 0.0)
    assert all(np.isfinite(gradient).all() for gradient in gradients.values())


@pytest.mark.parametrize("layer", [Linear(8, 3), LayerNorm(8), Conv2D(3, 2, 3, padding=1)])
def test_a_layer_gives_the_same_where_paddles_operators_are_used(rng, layer, monkeypatch):
    x = rng.normal(size=(2, 3, 8, 8))
    upstream = rng.normal(size=layer(paddle.to_tensor(x.astype("float32"))).shape)
    y, gradients = back(layer, x, upstream)
    layer.clear_gradients()
    monkeypatch.setattr(operators, "eager_on_cpu", lambda: False)
    theirs, their_gradients = back(layer, x, upstream)
    assert_close(y, theirs)
    for name, gradient in gradients.items():
        assert_close(gradient, their_gradients[name])
    with paddle.no_grad():
        assert_close(layer(paddle.to_tensor(x.astype("float32"))).numpy(), y)


def test_a_convolution_adds_its_bias_to_every_place_of_its_channel(rng):
    layer = Conv2D(3, 4, 2, stride=2)
    x = paddle.to_tensor(rng.normal(size=(2, 3, 6, 8)).astype("float32"))
    layer.bias.set_value(rng.normal(size=4).astype("float32"))
    expected = F.conv2d(x, layer.weight, layer.bias, stride=2)
    np.testing.assert_allclose(layer(x).numpy(), expected.numpy(), rtol=1e-6)


def test_a_traced_graph_holds_only_paddles_own_operators():
    for layer, names in ((Linear(8, 3), {"matmul", "add"}), (LayerNorm(8), {"layer_norm"})):
        own = type(layer)
        found = operators_of(lambda x, own=own: own(8, *([3] if own is Linear else []))(x), (2, 5, 8))
        assert names <= {name for name, _ in found}
        assert not [name for name, _ in found if "py_layer" in name]


@pytest.mark.parametrize(("name", "own"), [
    pytest.param("lvvit_s", {"patch_size": 8, "stem_channels": 4}, marks=pytest.mark.smoke),
    pytest.param("deit_tiny", {"patch_size": 8, "dense_head": True}, marks=pytest.mark.smoke),
    # Paddle 2.6 loses the width of `unfold` where the batch is open
    ("t2t_vit_7", {}),
])
def test_an_exported_model_computes_the_same(name, own, tmp_path):
    paddle.seed(0)
    model = create_model(name, image_size=32, num_classes=5, embed_dim=12, depth=2, num_heads=3, **own)
    model.eval()
    x = paddle.randn([2, 3, *model.image_size])
    expected = model(x).numpy()
    spec = paddle.static.InputSpec([None, 3, *model.image_size], "float32")
    paddle.jit.save(model, str(tmp_path / "model"), input_spec=[spec])
    assert_close(paddle.jit.load(str(tmp_path / "model"))(x).numpy(), expected)

SMALL = {"image_size": 64, "num_classes": 10, "embed_dim": 48, "depth": 2, "num_heads": 3, "drop_path": 0.1}
MODELS = {
    "lvvit": lambda: create_model("lvvit_s", **SMALL, stem_channels=8),
    "deit": lambda: create_model("deit_tiny", **SMALL, dense_head=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_with_mixed_precision_products_and_what_is_added_to_them_are_in_half(name, monkeypatch):
    # unlike a GPU's, a CPU's batch norm takes no half precision
    monkeypatch.setattr(paddle.nn, "BatchNorm2D", lambda channels, **_: paddle.nn.Identity())
    found = types_of_layers(MODELS[name], lambda model, x: model.tokens(x), (4, 3, 64, 64), "bfloat16")
    halves = [layer for layer in found if layer.endswith(("qkv", "proj", "fc1", "fc2", "head"))]
    assert len(halves) == 2 * 4 + 3
    assert {found[layer] for layer in halves} == {"bfloat16"}
    assert {found[layer] for layer in found if "norm" in layer} == {"float32"}
