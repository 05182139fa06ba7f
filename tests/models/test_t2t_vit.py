from __future__ import annotations

import math

import numpy as np
import paddle
import pytest
from paddle import nn

from ppim.models.t2t_vit import T2TViT, TokenAttention, TokenPerformer, sinusoid
from tests.helpers import images, small_t2t_vit

pytestmark = pytest.mark.smoke


def small(**overrides) -> T2TViT:
    paddle.seed(7)
    model = small_t2t_vit(**overrides)
    model.eval()
    return model


def softly_split(image: np.ndarray, kernel: int, stride: int, padding: int) -> np.ndarray:
    """Windows of a (C, h, w) picture as rows of channels, then kernel rows, then kernel columns."""
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))
    rows, columns = image.shape[1] // stride, image.shape[2] // stride
    return np.stack([
        padded[:, r * stride : r * stride + kernel, c * stride : c * stride + kernel].reshape(-1)
        for r in range(rows) for c in range(columns)
    ])


def test_tokens_to_token_is_split_attend_split_attend_split_project():
    model = small(image_size=(32, 64))
    module, picture = model.tokens_to_token, images(1, 32, 64).numpy()[0]
    for split, attention, grid in (((7, 4, 2), module.attention1, (8, 16)), ((3, 2, 1), module.attention2, (4, 8))):
        tokens = attention(paddle.to_tensor(softly_split(picture, *split)[None])).numpy()[0]
        picture = tokens.T.reshape(-1, *grid)
    expected = module.project(paddle.to_tensor(softly_split(picture, 3, 2, 1)[None])).numpy()
    np.testing.assert_allclose(model.embed(images(1, 32, 64)).numpy(), expected, atol=1e-5)


def performer_by_hand(layer: TokenPerformer, x: np.ndarray) -> np.ndarray:
    """(N, dim) -> (N, width) in float64: every pair of tokens meets, which the layer avoids."""

    def linear(part, y):
        return y @ part.weight.numpy().astype("float64") + part.bias.numpy()

    def norm(part, y):
        y = (y - y.mean(1, keepdims=True)) / np.sqrt(y.var(1, keepdims=True) + 1e-5)
        return y * part.weight.numpy() + part.bias.numpy()

    k, q, v = np.split(linear(layer.kqv, norm(layer.norm1, x.astype("float64"))), 3, axis=1)
    w = layer.w.numpy().astype("float64")

    def features(y):
        return np.array([[math.exp(w_j @ y_i - y_i @ y_i / 2) / math.sqrt(len(w)) for w_j in w] for y_i in y])

    weights = features(q) @ features(k).T
    mixed = weights @ v / (weights.sum(1, keepdims=True) + 1e-8)
    out = v + linear(layer.proj, mixed)
    hidden = linear(layer.mlp[0], norm(layer.norm2, out))
    gelu = 0.5 * hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
    return out + linear(layer.mlp[2], gelu)


def test_the_performer_is_attention_with_the_kernel_written_out():
    paddle.seed(2)
    layer = TokenPerformer(12, 8)
    layer.eval()
    for p in layer.parameters():
        if not p.stop_gradient:
            p.set_value(np.random.RandomState(len(p.shape)).standard_normal(p.shape).astype("float32") * 0.4)
    x = np.random.RandomState(1).standard_normal((5, 12)).astype("float32")
    np.testing.assert_allclose(layer(paddle.to_tensor(x[None])).numpy()[0], performer_by_hand(layer, x), atol=2e-5)


def test_the_projection_of_the_performer_is_orthogonal_times_sqrt_m_and_fixed():
    layer = TokenPerformer(27, 64)
    w = layer.w.numpy()
    np.testing.assert_allclose(w @ w.T, 32 * np.eye(32), atol=1e-3)
    assert layer.w.stop_gradient


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_the_performer_stays_finite_for_large_keys_and_queries(scale):
    paddle.seed(2)
    layer = TokenPerformer(12, 8)
    layer.kqv.weight.set_value(layer.kqv.weight * scale * 50)
    x = paddle.to_tensor(np.random.RandomState(0).standard_normal((2, 9, 12)).astype("float32") * scale)
    out = layer(x)
    out.square().mean().backward()
    assert np.isfinite(out.numpy()).all()
    assert all(np.isfinite(p.grad.numpy()).all() for p in layer.parameters() if p.grad is not None)


def test_the_kernel_of_the_performer_takes_half_precision_and_works_in_single():
    paddle.seed(2)
    layer = TokenPerformer(12, 8)
    kqv = np.random.RandomState(0).standard_normal((1, 6, 24)).astype("float16") * 3
    halves = layer.attend(paddle.to_tensor(kqv))
    singles = layer.attend(paddle.to_tensor(kqv.astype("float32")))
    for half, single in zip(halves, singles):
        assert half.dtype == paddle.float32
        np.testing.assert_array_equal(half.numpy(), single.numpy())


def test_a_model_of_double_precision_computes_in_it():
    model = small()
    for x in (images(2), images(2, 32, 64)):  # the model's own grid, and another
        model.to(dtype="float32")
        single = model(x).numpy()
        model.to(dtype="float64")
        double = model(x.astype("float64")).numpy()
        assert double.dtype == np.float64
        np.testing.assert_allclose(double, single, atol=1e-4)


def test_the_transformer_tokens_scale_by_the_width_of_their_input():
    paddle.seed(3)
    layer = TokenAttention(12, 4)
    layer.attn.qkv.weight.set_value(np.random.RandomState(0).standard_normal((12, 12)).astype("float32"))
    x = np.random.RandomState(1).standard_normal((5, 12)).astype("float32")
    q, k, v = np.split(x.astype("float64") @ layer.attn.qkv.weight.numpy(), 3, axis=1)
    e = np.exp(q @ k.T / math.sqrt(12))
    attended = e / e.sum(1, keepdims=True) @ v
    expected = v + attended @ layer.attn.proj.weight.numpy() + layer.attn.proj.bias.numpy()
    np.testing.assert_allclose(layer.attn(paddle.to_tensor(x[None])).numpy()[0], expected, atol=1e-5)


def test_positions_are_a_sinusoid_that_never_trains():
    table = sinusoid(5, 6)[0]
    for position in range(5):
        for pair in range(3):
            angle = position / 10000 ** (2 * pair / 6)
            assert table[position, 2 * pair] == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 2 * pair + 1] == pytest.approx(math.cos(angle), abs=1e-6)
    model = small()
    np.testing.assert_array_equal(model.pos_embed.numpy(), sinusoid(5, 24))
    assert model.pos_embed.stop_gradient


def test_an_optimizer_leaves_the_fixed_tables_alone():
    model = small()
    model.train()
    before = {name: p.numpy().copy() for name, p in model.named_parameters() if p.stop_gradient}
    assert set(before) == {"pos_embed", "tokens_to_token.attention1.w", "tokens_to_token.attention2.w"}
    optimizer = paddle.optimizer.AdamW(0.1, parameters=[p for p in model.parameters() if not p.stop_gradient])
    model(images(2)).square().mean().backward()
    optimizer.step()
    for name, value in before.items():
        np.testing.assert_array_equal(dict(model.named_parameters())[name].numpy(), value)


def test_names_of_paddlevit_bring_its_epsilon_and_ours_the_original_one():
    def renamed(name):
        for ours, theirs in (("tokens_to_token.attention", "patch_embed.attn"), ("tokens_to_token.", "patch_embed.")):
            name = name.replace(ours, theirs)
        return name.replace("patch_embed.project", "patch_embed.proj")

    def epsilons(model):
        return {layer._epsilon for layer in model.sublayers() if isinstance(layer, nn.LayerNorm)}

    source, model = small(), small()
    state = {renamed(name): value for name, value in source.state_dict().items()}
    assert model.set_dict(state) == ([], [])
    assert epsilons(model) == {1e-6}
    model.set_state_dict(source.state_dict())
    assert epsilons(model) == {1e-6}  # our own names say nothing about where weights come from
    assert model.note_source(source.state_dict()) == ()
    assert epsilons(model) == {1e-5}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"token_type": "convolution"}, "performer, transformer, got 'convolution'"), ({"num_heads": 5}, "multiple of")],
)
def test_a_wrong_argument_is_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        small(**wrong)
