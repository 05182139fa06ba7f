"""Attention that is shown is the attention that is computed with; rolled out it is what alignment makes of labels."""
import numpy as np
import paddle
import pytest

from ppim.look.attention import attention, of_grid, opened, rollout
from ppim.models.deit import DeiT
from tests.helpers import SMALL, images, small_lvvit, small_t2t_vit, spread_weights

pytestmark = pytest.mark.smoke


def distilled_deit():
    return DeiT(**{**SMALL, "image_size": (32, 48), "patch_size": 8, "distilled": True})


@pytest.fixture(params=[small_lvvit, small_t2t_vit, distilled_deit], ids=["lvvit", "t2t_vit", "deit"])
def model(request):
    made = request.param()
    spread_weights(made)
    made.eval()
    return made


def pictures(model) -> paddle.Tensor:
    return images(2, *model.image_size)


def test_a_block_computes_with_the_attention_that_is_shown(model):
    shown = attention(model, pictures(model))
    tokens = model.extra_tokens + model.grid[0] * model.grid[1]
    assert shown.shape == (2, 2, 3, tokens, tokens) and shown.dtype == np.float32
    np.testing.assert_allclose(shown.sum(axis=-1), 1, atol=1e-5)
    x = model.enter(pictures(model))
    for block, weights in zip(model.blocks, shown):
        # in numpy, from the values alone: attention x values, heads side by side, projected
        inside = block.norm1(x)
        values = block.attn.qkv(inside).numpy().astype(np.float64).reshape(2, tokens, 3, 3, -1)[:, :, 2]
        attended = np.einsum("bhij,bjhd->bihd", weights, values).reshape(2, tokens, -1)
        wanted = attended @ block.attn.proj.weight.numpy() + block.attn.proj.bias.numpy()
        np.testing.assert_allclose(block.attn(inside)[0].numpy(), wanted, atol=2e-5)
        np.testing.assert_allclose(block.attn.opened(inside)[0].numpy(), wanted, atol=2e-5)
        x, _ = block(x)


def test_whoever_looks_changes_nothing(model):
    x = pictures(model)
    before = model(x).numpy()
    model.train()
    wanted = [parameter.stop_gradient for parameter in model.parameters()]
    with opened(model) as found:
        np.testing.assert_allclose(model(x).numpy(), before, atol=2e-5)
        assert len(found) == 2 and not model.training
    assert model.training and [parameter.stop_gradient for parameter in model.parameters()] == wanted
    assert all(not block.attn._forward_post_hooks for block in model.blocks)
    model.eval()
    np.testing.assert_array_equal(model(x).numpy(), before)
    assert len(found) == 2


def test_rolled_out_attention_is_what_alignment_makes_of_a_label_for_each_token(model):
    weights = attention(model, pictures(model))
    labels = np.tile(np.eye(weights.shape[-1], dtype="float32"), (2, 1, 1))
    aligned = model.roll_out(pictures(model), None, paddle.to_tensor(labels))[1:]
    np.testing.assert_allclose(rollout(weights), np.stack([step.numpy() for step in aligned]), atol=1e-5)


def test_rolled_out_by_hand():
    weights = np.array([[[[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]]] * 2)  # 2 blocks of 2 heads, 2 tokens
    mean = np.array([[0.5, 0.5], [1.0, 0.0]])
    first = 0.25 * mean + 0.75 * np.eye(2)
    np.testing.assert_allclose(rollout(weights, 0.75), [first, first @ first])


def test_the_row_of_a_token_lies_on_the_grid_as_its_tokens_do():
    weights = np.arange(2 * 8 * 8).reshape(2, 8, 8)
    shown = of_grid(weights, 3, 2, (2, 3))
    assert shown.shape == (2, 2, 3) and shown[1].tolist() == [[90, 91, 92], [93, 94, 95]]
