"""Shares worked out by the model, one number per token, against whole label tensors carried through every block."""
from __future__ import annotations

import json

import numpy as np
import paddle
import pytest

from ppim.mixing import Mixed
from ppim.models import create_model
from ppim.models.deit import DeiT
from ppim.models.lvvit import LVViT
from ppim.models.t2t_vit import T2TViT
from ppim.objective.losses import blend, sparse_cross_entropy
from ppim.token_labels.targets import SparseTargets, label_targets
from ppim.weights.load import load_state
from tests.helpers import spread_weights
from tests.models.original_weights import original_state

pytestmark = pytest.mark.smoke

SMALL = {"image_size": 32, "num_classes": 10, "embed_dim": 24, "depth": 3, "num_heads": 3, "qkv_bias": True,
         "mlp_ratio": 3.0}
FAMILIES = {
    "DeiT": lambda: DeiT(**{**SMALL, "patch_size": 8}),
    "DeiT, distilled": lambda: DeiT(**{**SMALL, "patch_size": 8, "distilled": True}),
    "T2T-ViT": lambda: T2TViT(**{**SMALL, "token_type": "performer", "token_dim": 16, "image_size": 64}),
    "LV-ViT": lambda: LVViT(**{**SMALL, "patch_size": 8, "stem_channels": 8, "stem_bn": "frozen", "skip_lam": 2.0}),
}


def told(share: np.ndarray) -> Mixed:
    """A mix of which a model is told the partner's share of every token, and nothing else."""
    return Mixed(partner_share=paddle.to_tensor(share))


@pytest.fixture(params=FAMILIES)
def model(request):
    paddle.seed(4)
    net = FAMILIES[request.param]()
    spread_weights(net, gain=2)
    net.eval()
    net.share_rule = "alignment"
    return net


def attention_of(block, x: np.ndarray) -> np.ndarray:
    """(B, N, C) tokens entering a block -> the mean over heads of its attention (B, N, N), in float64."""
    x = block.norm1(paddle.to_tensor(x)).numpy().astype("float64")
    qkv = x @ block.attn.qkv.weight.numpy() + block.attn.qkv.bias.numpy()
    heads = block.attn.num_heads
    q, k, _ = np.moveaxis(qkv.reshape(*x.shape[:2], 3, heads, -1), 2, 0)
    e = np.exp(np.einsum("bihd,bjhd->bhij", q, k) / np.sqrt(q.shape[-1]))
    return (e / e.sum(-1, keepdims=True)).mean(1)


def tokens_entering(model, images) -> list[np.ndarray]:
    """What enters each block, (B, E + N, C), without any mixing of tokens."""
    x = model.embed(images)
    first = [model.cls_token] if model.dist_token is None else [model.cls_token, model.dist_token]
    x = paddle.concat([token.expand([len(images), -1, -1]) for token in first] + [x], axis=1) + model.pos_embed
    entering = []
    for block in model.blocks:
        entering.append(x.numpy())
        x, _ = block(x)
    return entering


def rolled_out(model, images, labels: np.ndarray) -> np.ndarray:
    """Alignment as first written: a label of every class for every token, (B, E + N, classes), through all blocks."""
    labels = labels.astype("float64")
    for block, x in zip(model.blocks, tokens_entering(model, images)):
        labels = (labels + attention_of(block, x) @ labels) / 2
    return labels


def mixed_batch(model, smoothing: float, seed: int = 3):
    """Images, classes, partner, shares of the partner per token, and the dense start labels of every token."""
    rng = np.random.RandomState(seed)
    batch, tokens, extra = 4, model.grid[0] * model.grid[1], model.extra_tokens
    images = paddle.to_tensor(rng.standard_normal((batch, 3, *model.image_size)).astype("float32"))
    classes, partner = rng.randint(10, size=batch), np.array([1, 0, 3, 2])
    share = rng.rand(batch, tokens) * (rng.rand(batch, tokens) < 0.7)
    rows = np.eye(10)[classes] * (1 - smoothing) + smoothing / 10
    start = (1 - share)[..., None] * rows[:, None] + share[..., None] * rows[partner][:, None]
    start = np.concatenate([start.mean(1, keepdims=True)] * extra + [start], axis=1)
    return images, classes, partner, share.astype("float32"), start


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_number_per_token_gives_the_labels_of_the_full_roll_out(model, smoothing):
    images, classes, partner, share, start = mixed_batch(model, smoothing)
    output = model.classes(images, told(share))
    expected = rolled_out(model, images, start)
    rows = np.eye(10)[classes] * (1 - smoothing) + smoothing / 10
    for index, got in enumerate([output.share, output.dist_share][: model.extra_tokens]):
        own = got.numpy()[:, None]
        np.testing.assert_allclose(own * rows + (1 - own) * rows[partner], expected[:, index], atol=1e-6)
    assert (output.dist_share is None) == (model.extra_tokens == 1)


def test_labels_of_every_class_can_be_followed_from_block_to_block(model):
    images, _, _, _, start = mixed_batch(model, 0.0)
    after = model.roll_out(images, None, paddle.to_tensor(start.astype("float32")))
    assert len(after) == 1 + len(model.blocks)
    labels = start
    for block, x, got in zip(model.blocks, tokens_entering(model, images), after[1:]):
        labels = (labels + attention_of(block, x) @ labels) / 2
        np.testing.assert_allclose(got.numpy(), labels, atol=1e-6)


def test_the_share_by_attention_is_the_mean_of_area_and_attended_patches(model):
    images, _, _, share, _ = mixed_batch(model, 0.0)
    model.share_rule = "attention"
    attention = attention_of(model.blocks[-1], tokens_entering(model, images)[-1])[:, :, model.extra_tokens :]
    for index, got in enumerate(model.classes(images, told(share))[2::2][: model.extra_tokens]):
        weights = attention[:, index]
        seen = (weights * share).sum(1) / weights.sum(1)
        np.testing.assert_allclose(1 - got.numpy(), (share.mean(1) + seen) / 2, atol=1e-6)


@pytest.mark.parametrize("rule", ["alignment", "attention"])
def test_shares_change_no_logits_and_pass_no_gradient(model, rule):
    images, _, _, share, _ = mixed_batch(model, 0.0)
    model.share_rule = rule
    output = model.classes(images, told(share))
    np.testing.assert_allclose(output.class_logits.numpy(), model.classes(images).class_logits.numpy(), atol=1e-6)
    assert output.share.stop_gradient and output.share.dtype == paddle.float32


def test_shared_by_area_the_model_has_no_say(model):
    images, _, _, share, _ = mixed_batch(model, 0.0)
    model.share_rule = "area"
    output = model.classes(images, told(share))
    assert output.share is None and output.dist_share is None


def test_shares_of_one_image_do_not_depend_on_its_batch_mates(model):
    images, _, _, share, _ = mixed_batch(model, 0.0)
    alone = [model.classes(images[i : i + 1], told(share[i : i + 1])) for i in range(4)]
    together = model.classes(images, told(share))
    np.testing.assert_allclose([one.share.item() for one in alone], together.share.numpy(), atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_a_share_that_is_the_same_everywhere_stays_what_it_is(model, value):
    images, _, _, share, _ = mixed_batch(model, 0.0)
    output = model.classes(images, told(np.full_like(share, value)))
    np.testing.assert_allclose(output.share.numpy(), 1 - value, atol=1e-6)


def test_logits_aligned_labels_loss_and_gradient_equal_the_original_code(reference):
    about = json.loads((reference / "vectors" / "tl_align.json").read_text())
    stored = np.load(reference / "vectors" / "tl_align.npz")
    same = ("patch_size", "num_classes", "embed_dim", "depth", "num_heads", "mlp_ratio")
    net = DeiT(image_size=about["img_size"], qkv_bias=True, **{name: about[name] for name in same})
    load_state(net, original_state(about["state"]), "torch")
    net.train()
    net.share_rule = "alignment"
    batch = len(stored["classes"])
    partner = paddle.arange(batch - 1, -1, -1)  # the original mixes with the flipped batch
    top, left, bottom, right = stored["box_patches_top_left_bottom_right"]
    share = np.zeros((batch, *net.grid), "float32")
    share[:, top:bottom, left:right] = 1
    output = net.classes(paddle.to_tensor(stored["mixed"]), told(share.reshape(batch, -1)))
    targets = SparseTargets(*map(paddle.to_tensor, label_targets(stored["classes"], 10, about["smoothing"])))
    loss = sparse_cross_entropy(output.class_logits, blend(targets, partner, output.share))
    loss.backward()
    rows = np.eye(10)[stored["classes"]] * (1 - about["smoothing"]) + about["smoothing"] / 10
    own = output.share.numpy()[:, None]
    assert np.abs(output.class_logits.numpy() - stored["logits"]).max() <= 5e-5 * np.abs(stored["logits"]).max()
    np.testing.assert_allclose(own * rows + (1 - own) * rows[::-1], stored["aligned"], atol=1e-6)
    np.testing.assert_allclose(loss.item(), stored["loss"], atol=1e-6)
    np.testing.assert_allclose(net.head.weight.grad.numpy().T, stored["grad_head_weight"], atol=1e-5)


def test_mixed_tokens_and_shares_go_together(model):
    """MixToken on the whole picture swaps the samples; a share of 1 everywhere then says so."""
    images, _, partner, share, _ = mixed_batch(model, 0.0)
    owner = np.arange(share.size).reshape(share.shape)[partner]
    mix = told(np.ones_like(share))._replace(owner=paddle.to_tensor(owner.reshape(-1)))
    output = model.classes(images, mix)
    swapped = model.classes(paddle.gather(images, paddle.to_tensor(partner)))
    np.testing.assert_allclose(output.class_logits.numpy(), swapped.class_logits.numpy(), atol=1e-5)
    np.testing.assert_allclose(output.share.numpy(), 0, atol=1e-6)


@pytest.mark.parametrize("classes", [10, 1000])
def test_alignment_adds_a_thousandth_of_a_step_whatever_the_number_of_classes(monkeypatch, classes):
    counted = []
    product = paddle.matmul

    def counting(x, y, transpose_x=False, transpose_y=False):
        out = product(x, y, transpose_x, transpose_y)
        made, read = int(np.prod(out.shape)), int(np.prod(x.shape)) + int(np.prod(y.shape))
        counted.append((2 * made * x.shape[-1], 4 * made, 4 * read))
        return out

    monkeypatch.setattr(paddle, "matmul", counting)
    net = create_model("deit_small_patch16_224", num_classes=classes)
    net.eval()
    net.share_rule = "alignment"
    image, totals = paddle.zeros([1, 3, 224, 224]), []
    for mix in (None, told(np.zeros([1, 196], "float32"))):
        counted.clear()
        with paddle.no_grad():
            net.classes(image, mix)
        totals.append(np.sum(counted, axis=0))
    (flops, size, read), heads, tokens, blocks = totals[1] - totals[0], 6, 197, 12
    # one row of attention times one number per token; sums over heads, division and average by element
    assert (flops, size) == (2 * heads * tokens * tokens * blocks, 4 * heads * tokens * blocks)
    assert read == 4 * heads * (tokens * tokens + tokens) * blocks  # attention is read once more, 11 MB an image
    flops += (heads + 3) * tokens * blocks
    size += 4 * (heads + 3) * tokens * blocks
    step = 3 * 2 * 4_600_000_000  # forward and backward, DeiT-S (table in the paper: 4.6 G multiply-accumulates)
    activations = 4 * blocks * (tokens * 384 * 12 + heads * tokens * tokens)  # kept for the backward pass, at the least
    assert flops / step < 0.005 and size / activations < 0.005
