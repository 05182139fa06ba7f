"""Blocks computed again in the backward pass: the same gradients, and less that is kept."""
import numpy as np
import paddle
import pytest

from ppim.mixing import Mixed
from ppim.models import create_model

pytestmark = pytest.mark.smoke

SMALL = {"image_size": 32, "num_classes": 5, "embed_dim": 24, "depth": 3, "num_heads": 3, "drop_path": 0.5,
         "dropout": 0.2, "attention_dropout": 0.2}
MODELS = {
    "lvvit_t": {"patch_size": 8, "stem_channels": 8},
    "deit_tiny_distilled": {"patch_size": 8},
    "t2t_vit_7": {"image_size": 64},
}


def gradients(model, images, mix, recompute: bool) -> dict[str, np.ndarray]:
    """Of a loss in which every logit has another weight, with the draws of one seed."""
    model.train()
    model.recompute = recompute
    paddle.seed(7)
    loss = paddle.zeros([])
    for logits in model.tokens(images, mix)[:2]:
        if logits is not None:
            loss += (logits * paddle.linspace(-1, 1, logits.size).reshape(logits.shape)).sum()
    loss.backward()
    found = {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
    model.clear_gradients()
    return {**found, "the next draw": paddle.rand([3]).numpy()}


@pytest.mark.parametrize("rule", ["area", "attention", "alignment"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_blocks_whose_results_were_kept(name, rule):
    paddle.seed(0)
    model = create_model(name, **{**SMALL, **MODELS[name]})
    model.share_rule = rule
    images = paddle.rand([4, 3, *model.image_size])
    mix = Mixed(partner_share=paddle.rand([4, model.grid[0] * model.grid[1]]))
    kept, again = gradients(model, images, mix, False), gradients(model, images, mix, True)
    assert len(kept) > 30
    for name in kept:
        np.testing.assert_array_equal(again[name], kept[name], err_msg=name)


class Counted:
    """How often a block is computed."""

    def __init__(self, block):
        self.times = 0
        block.register_forward_pre_hook(self.count)

    def count(self, block, inputs):
        self.times += 1


@pytest.mark.skipif(paddle.version.major == "2", reason="Paddle 2.6 does not recompute on a CPU")
def test_every_block_is_computed_twice_in_training_and_once_elsewhere():
    model = create_model("lvvit_t", **{**SMALL, **MODELS["lvvit_t"]})
    model.recompute = True
    counted = [Counted(block) for block in model.blocks]
    images = paddle.rand([2, 3, 32, 32])
    model.train()
    model.tokens(images).class_logits.sum().backward()
    assert [one.times for one in counted] == [2, 2, 2]
    model.eval()
    model.tokens(images).class_logits.sum().backward()
    assert [one.times for one in counted] == [3, 3, 3]
