"""Decay groups, and optimizer state that survives another order of construction."""
import numpy as np
import paddle
import pytest

from ppim.engine.optimizer import build_optimizer, load_state_by_structured_names, state_by_structured_names
from ppim.models import create_model

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
    optimizer = build_optimizer(model, name, weight_decay=0.0, grad_clip=None)
    weight, grad = model.head.weight.numpy().copy(), np.random.default_rng(0).normal(size=[8, 3]).astype("float32")
    model.head.weight.grad = paddle.to_tensor(grad)
    optimizer.set_lr(0.01)
    optimizer.step()
    moved = np.sign(grad) if name == "AdamW" else grad
    np.testing.assert_allclose(model.head.weight.numpy(), weight - 0.01 * moved, atol=1e-5)


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_state_moves_to_a_model_built_after_others(name):
    first = small_model()
    optimizer = build_optimizer(first, name, weight_decay=0.05)
    step(first, optimizer)
    state = {key: value.numpy() for key, value in state_by_structured_names(optimizer, first).items()}
    assert any(key.startswith("blocks.0.attn.qkv.weight/") for key in state)

    small_model(5), small_model(6)  # made-up names have moved on
    second = small_model(7)
    second.set_state_dict(first.state_dict())
    other = build_optimizer(second, name, weight_decay=0.05)
    load_state_by_structured_names(other, second, {key: paddle.to_tensor(value) for key, value in state.items()})
    step(first, optimizer, seed=2)
    step(second, other, seed=2)
    for (key, a), b in zip(first.state_dict().items(), second.state_dict().values()):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=key)


def test_state_of_another_model_is_refused():
    model = small_model()
    with pytest.raises(ValueError, match="another model"):
        load_state_by_structured_names(build_optimizer(model, "AdamW", weight_decay=0), model,
                                       {"neck.weight/moment1_0": paddle.zeros([1])})
