"""Decay groups, and optimizer state that survives another order of construction."""
import numpy as np
import paddle
import pytest

from ppim.engine.optimizer import (
    build_optimizer,
    load_state_by_structured_names,
    state_by_structured_names,
    take_step,
)
from ppim.models import create_model
from ppim.paddle_compat import GradScaler

SMALL = {"image_size": 16, "patch_size": 8, "num_classes": 3, "embed_dim": 8, "depth": 1, "num_heads": 2,
         "stem_channels": 4}


def small_model(seed=0):
    paddle.seed(seed)
    return create_model("lvvit_t", **SMALL)


def step(model, optimizer, lr=0.1, seed=1):
    paddle.seed(seed)
    optimizer.set_lr(lr)
    (model.tokens(paddle.randn([2, 3, 16, 16])).token_logits ** 2).mean().backward()
    optimizer.step()
    optimizer.clear_grad()


def test_decay_shrinks_matrices_and_leaves_biases_norms_and_embeddings_alone():
    model = small_model()
    optimizer = build_optimizer(model, "AdamW", weight_decay=0.5)
    before = {name: p.numpy().copy() for name, p in model.named_parameters()}
    for p in model.parameters():
        if not p.stop_gradient:
            p.grad = paddle.zeros_like(p)
    optimizer.set_lr(0.1)
    optimizer.step()
    shrunk = {name for name, p in model.named_parameters() if not np.array_equal(p.numpy(), before[name])}
    expected = {
        name for name, p in model.named_parameters()
        if not p.stop_gradient and p.ndim > 1 and name not in ("cls_token", "pos_embed")
    }
    assert shrunk == expected
    np.testing.assert_allclose(model.head.weight.numpy(), before["head.weight"] * 0.95, rtol=1e-6)


@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_a_step_is_the_one_of_the_formula(name):
    model = small_model()
    optimizer = build_optimizer(model, name, weight_decay=0.0)
    weight, grad = model.head.weight.numpy().copy(), np.random.default_rng(0).normal(size=[8, 3]).astype("float32")
    model.head.weight.grad = paddle.to_tensor(grad)
    optimizer.set_lr(0.01)
    optimizer.step()
    moved = np.sign(grad) if name == "AdamW" else grad
    np.testing.assert_allclose(model.head.weight.numpy(), weight - 0.01 * moved, atol=1e-5)


def one_step_of_sgd(gradients: dict, grad_clip, scaler=None) -> dict:
    """How far each parameter of a small model moves at a learning rate of 1."""
    model = small_model()
    optimizer = build_optimizer(model, "SGD", weight_decay=0.0)
    before = {name: p.numpy().copy() for name, p in model.named_parameters()}
    for name, p in model.named_parameters():
        if name in gradients:
            p.grad = paddle.to_tensor(gradients[name])
    optimizer.set_lr(1.0)
    take_step(optimizer, scaler or GradScaler(enable=False), grad_clip)
    assert all(p.grad is None for p in model.parameters())
    return {name: before[name] - dict(model.named_parameters())[name].numpy() for name in gradients}


@pytest.mark.smoke
@pytest.mark.parametrize("limit", [1.0, 100.0, 1e6])
def test_clipping_bounds_the_norm_of_all_gradients_together(limit):
    # a matrix and a bias, which are in different groups of the optimizer
    rng = np.random.default_rng(0)
    gradients = {"head.weight": rng.normal(0, 600, [8, 3]).astype("float32"),
                 "head.bias": rng.normal(0, 9, [3]).astype("float32")}
    norm = np.sqrt(sum((g.astype("float64") ** 2).sum() for g in gradients.values()))
    moved = one_step_of_sgd(gradients, limit)
    for name, gradient in gradients.items():
        expected = gradient * min(1.0, limit / norm)
        np.testing.assert_allclose(moved[name], expected, rtol=1e-3, atol=1e-5 * norm, err_msg=name)
    without = one_step_of_sgd(gradients, None)
    np.testing.assert_allclose(without["head.bias"], gradients["head.bias"], rtol=1e-4)


def test_clipping_measures_gradients_without_their_loss_scale(scaler):
    gradients = {"head.weight": np.full([8, 3], 512.0, "float32"), "head.bias": np.full([3], 512.0, "float32")}
    moved = one_step_of_sgd(gradients, 100.0, scaler)
    for name in gradients:
        np.testing.assert_allclose(moved[name], 0.5, rtol=1e-4)


@pytest.mark.parametrize("limit", [None, 1.0])
def test_a_step_whose_scaled_gradients_overflow_is_left_out(scaler, limit):
    gradients = {"head.weight": np.full([8, 3], np.inf, "float32"), "head.bias": np.ones([3], "float32")}
    moved = one_step_of_sgd(gradients, limit, scaler)
    for name in gradients:
        np.testing.assert_array_equal(moved[name], 0.0)
    assert scaler.state_dict()["scale"].item() == 512.0


def arrays_of(optimizer, model):
    return {key: value.numpy() for key, value in state_by_structured_names(optimizer, model).items()}


def optimizer_with(state, model, name):
    made = build_optimizer(model, name, weight_decay=0.05)
    load_state_by_structured_names(made, model, {key: paddle.to_tensor(value) for key, value in state.items()})
    return made


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_state_moves_to_a_model_built_after_others(name):
    first = small_model()
    optimizer = build_optimizer(first, name, weight_decay=0.05)
    step(first, optimizer)
    state = arrays_of(optimizer, first)
    assert any(key.startswith("blocks.0.attn.qkv.weight/") for key in state)

    small_model(5), small_model(6)  # made-up names have moved on
    second = small_model(7)
    second.set_state_dict(first.state_dict())
    other = optimizer_with(state, second, name)
    step(first, optimizer, seed=2)
    step(second, other, seed=2)
    for (key, a), b in zip(first.state_dict().items(), second.state_dict().values()):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=key)


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_state_that_was_put_back_is_there_before_the_first_step(name):
    # a run that goes on in a new folder, or in other batches, saves where it stands before it takes a step
    model = small_model()
    optimizer = build_optimizer(model, name, weight_decay=0.05)
    step(model, optimizer)
    state = arrays_of(optimizer, model)
    told = arrays_of(optimizer_with(state, model, name), model)
    assert any(key.endswith(("/moment1_0", "/velocity_0")) for key in state)
    for key, value in state.items():
        np.testing.assert_array_equal(told[key], value, err_msg=key)


def test_state_of_another_model_is_refused():
    model = small_model()
    with pytest.raises(ValueError, match="another model"):
        load_state_by_structured_names(build_optimizer(model, "AdamW", weight_decay=0), model,
                                       {"neck.weight/moment1_0": paddle.zeros([1])})


@pytest.mark.smoke
@pytest.mark.parametrize(("was", "now"), [("AdamW", "SGD"), ("SGD", "AdamW")])
def test_the_state_of_another_optimizer_is_refused_by_name(was, now):
    model = small_model()
    optimizer = build_optimizer(model, was, weight_decay=0.0)
    step(model, optimizer)
    with pytest.raises(ValueError, match=f"holds the state of {was}, this run trains by {now}: .*NAME {was}"):
        load_state_by_structured_names(build_optimizer(model, now, weight_decay=0.0), model,
                                       state_by_structured_names(optimizer, model))


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_a_parameter_that_the_state_does_not_know_starts_afresh_beside_those_it_knows(name):
    model = small_model()
    optimizer = build_optimizer(model, name, weight_decay=0.0)
    for seed in (1, 2):
        step(model, optimizer, seed=seed)
    state = arrays_of(optimizer, model)
    state = {key: paddle.to_tensor(value) for key, value in state.items() if not key.startswith("aux_head.weight/")}
    taught, model = model, small_model(7)
    model.set_state_dict(taught.state_dict())
    again = build_optimizer(model, name, weight_decay=0.0)
    load_state_by_structured_names(again, model, state)
    before, kept = model.aux_head.weight.numpy().copy(), model.aux_head.bias.numpy().copy()
    gradient = np.random.default_rng(0).normal(size=before.shape).astype("float32")
    model.aux_head.weight.grad = paddle.to_tensor(gradient)
    model.aux_head.bias.grad = paddle.zeros_like(model.aux_head.bias)
    again.set_lr(0.01)
    again.step()
    moved = np.sign(gradient) if name == "AdamW" else gradient
    np.testing.assert_allclose(model.aux_head.weight.numpy(), before - 0.01 * moved, atol=1e-5)
    # the moments of the other carry it on without a gradient
    assert np.abs(model.aux_head.bias.numpy() - kept).min() > 0
