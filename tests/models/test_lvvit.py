from __future__ import annotations

import json

import numpy as np
import paddle
import pytest

from ppim.mixing import Mix, Mixed, mixed_rows
from ppim.models.lvvit import LVViT
from ppim.weights.load import load_state
from tests.helpers import as_tensors, images, small_lvvit
from tests.models.original_weights import original_state


def small(**overrides) -> LVViT:
    paddle.seed(7)
    return small_lvvit(**overrides)


def token_boxes(model, partner, boxes) -> Mixed:
    """MixToken with these boxes (top, left, bottom, right in tokens), and nothing else."""
    batch = len(partner)
    mix = Mix(np.array(partner), np.ones(batch, "float32"), np.zeros((batch, 4), "int64"), np.array(boxes))
    return as_tensors(mixed_rows(mix, model.image_size, model.grid))


@pytest.fixture(scope="module")
def mixed(reference):
    """A small model with the reference's weights, its stored MixToken step, and how that step mixes."""
    c = json.loads((reference / "vectors" / "lvvit_mix_token.json").read_text())
    same = ("patch_size", "num_classes", "embed_dim", "depth", "num_heads", "mlp_ratio", "skip_lam")
    sizes = {"image_size": c["img_size"], "qkv_bias": False, "stem_channels": 64, **{name: c[name] for name in same}}
    model = LVViT(**sizes, stem_bn="frozen")
    load_state(model, original_state(c["state"]), "torch")
    stored = np.load(reference / "vectors" / "lvvit_mix_token.npz")
    batch = len(stored["images"])
    # the original mixes with the flipped batch, and its box has rows first
    return model, stored, token_boxes(model, np.arange(batch)[::-1], np.tile(stored["box"], (batch, 1)))


def test_mixed_tokens_give_the_original_training_logits(mixed):
    model, stored, mix = mixed
    model.train()
    out = model.tokens(paddle.to_tensor(stored["images"]), mix)
    # the original hands each token's logits back to the image it came from, here they stay where they were computed
    top, left, bottom, right = stored["box"]
    expected = stored["token_logits"].reshape(4, 4, 4, -1).copy()
    expected[:, top:bottom, left:right] = expected[::-1, top:bottom, left:right].copy()
    np.testing.assert_allclose(out.class_logits.numpy(), stored["cls_logits"], atol=2e-5)
    np.testing.assert_allclose(out.token_logits.numpy(), expected.reshape(4, 16, -1), atol=2e-5)


def test_evaluation_logits_of_the_small_model_equal_the_original(mixed):
    model, stored, _ = mixed
    model.eval()
    np.testing.assert_allclose(model(paddle.to_tensor(stored["images"])).numpy(), stored["eval_logits"], atol=2e-5)


def test_a_batch_of_which_nothing_is_mixed_is_as_without_a_mix():
    model, x = small(), images(3)
    model.eval()
    np.testing.assert_array_equal(model.encode(x, Mixed())[0].numpy(), model.encode(x)[0].numpy())


def test_every_sample_may_have_a_box_and_a_partner_of_its_own():
    model, x = small(image_size=(48, 32)), images(5, 48)
    model.eval()
    boxes = np.array([[0, 0, 6, 4], [2, 1, 5, 2], [0, 0, 0, 0], [5, 3, 6, 4], [1, 0, 3, 4]])
    partner = np.array([1, 0, 3, 2, 4])
    tokens = model.embed(x).numpy().reshape(5, 6, 4, -1)
    expected = tokens.copy()
    for b, (top, left, bottom, right) in enumerate(boxes):
        expected[b, top:bottom, left:right] = tokens[partner[b], top:bottom, left:right]
    entered = model.enter(x, token_boxes(model, partner, boxes)) - model.pos_embed
    np.testing.assert_allclose(entered[:, 1:].numpy().reshape(expected.shape), expected, atol=1e-6)


@pytest.mark.parametrize("weight", [0.5, 0.0])
def test_evaluation_with_tokens_gives_the_same_logits(weight):
    model, x = small(), images(3)
    model.eval()
    model.eval_token_weight = weight
    out, features = model.evaluate_tokens(x), model.encode(x)[0]
    np.testing.assert_allclose(out.class_logits.numpy(), model(x).numpy(), atol=1e-6)
    head = model.aux_head if weight else model.head  # a head without a say is one that nothing taught
    np.testing.assert_allclose(out.token_logits.numpy(), head(features[:, 1:]).numpy(), atol=1e-6)


def test_class_logits_alone_are_those_beside_the_tokens():
    model, x = small(stem_bn="frozen"), images(2)
    model.train()
    mix = token_boxes(model, [1, 0], [[0, 0, 2, 3], [0, 0, 2, 3]])
    alone, beside = model.classes(x, mix), model.tokens(x, mix)
    np.testing.assert_allclose(alone.class_logits.numpy(), beside.class_logits.numpy(), atol=1e-6)


def test_frozen_stem_keeps_its_statistics_and_uses_them_in_training():
    model, x = small(stem_bn="frozen"), images(4)
    before = model.patch_embed.bn1._mean.numpy().copy()
    model.train()
    trained = model.encode(x)[0]
    trained.sum().backward()
    np.testing.assert_array_equal(model.patch_embed.bn1._mean.numpy(), before)
    assert model.patch_embed.bn1._mean.grad is None
    assert np.abs(model.patch_embed.bn1.weight.grad.numpy()).max() > 0
    model.eval()
    np.testing.assert_allclose(model.encode(x)[0].numpy(), trained.numpy(), atol=1e-6)


def test_frozen_stem_has_the_gradient_of_an_affine_map():
    model = small(stem_bn="frozen")
    model.train()
    norm = model.patch_embed.bn1
    norm._variance.set_value(np.linspace(0.5, 2, 8, dtype="float32"))
    x = paddle.to_tensor(np.random.RandomState(1).standard_normal((2, 8, 3, 3)).astype("float32"), stop_gradient=False)
    norm(x).sum().backward()
    expected = norm.weight.numpy() / np.sqrt(norm._variance.numpy() + 1e-5)
    np.testing.assert_allclose(x.grad.numpy(), np.broadcast_to(expected[:, None, None], (2, 8, 3, 3)), rtol=1e-5)


def test_batch_stem_learns_statistics_from_the_batch():
    model = small()
    model.train()
    model.encode(images(4))
    assert np.abs(model.patch_embed.bn1._mean.numpy()).max() > 0


@pytest.mark.parametrize("patch_size", [4, 8, 16])
def test_wide_images_and_small_patches_give_their_grid(patch_size):
    model = small(image_size=(32, 48), patch_size=patch_size)
    model.eval()
    rows, columns = 32 // patch_size, 48 // patch_size
    assert model.grid == (rows, columns)
    assert model.tokens(images(2, 32, 48)).token_logits.shape == [2, rows * columns, 5]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"patch_size": 7, "image_size": 35}, "even number"),
        ({"image_size": (32, 44)}, "multiples of 8 pixels, got 32x44; the nearest below is 32x40"),
        ({"image_size": (32, 0)}, "multiples of 8 pixels, got 32x0; the nearest below is 32x8"),
        ({"image_size": (32, -16)}, "multiples of 8 pixels, got 32x-16"),
        ({"stem_bn": "sync"}, "'batch' or 'frozen'"),
        ({"num_heads": 5}, "multiple of num_heads"),
    ],
)
def test_a_wrong_argument_is_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        small(**wrong)


@pytest.mark.parametrize("size", [np.int64(32), np.array([32, 32]), [32, 32]])
def test_an_image_size_may_be_one_of_numpys(size):
    assert small(image_size=size).image_size == (32, 32)


@pytest.mark.parametrize(("x", "words"), [
    (np.zeros((2, 32, 32, 3), np.float32), r"\(B, 3, h, w\), channels before rows and columns; got \[2, 32, 32, 3\]"),
    (np.zeros((3, 32, 32), np.float32), r"a batch of images \(B, 3, h, w\), .*; got \[3, 32, 32\]"),
    (np.zeros((2, 1, 32, 32), np.float32), r"got \[2, 1, 32, 32\]"),
    (np.zeros((2, 3, 32, 32)), r"images of float32, got float64; x.astype\('float32'\) makes them so"),
    (np.zeros((2, 3, 32, 32), np.uint8), "normalised images of float32, got uint8"),
])
def test_what_is_no_batch_of_images_is_told_so(x, words):
    model = small(image_size=32)
    for asked in (model, model.tokens, model.features):
        with pytest.raises(ValueError, match=words):
            asked(paddle.to_tensor(x))


def test_images_of_numpy_are_told_what_makes_a_tensor_of_them():
    model = small(image_size=32)
    for asked in (model, model.tokens, model.features):
        with pytest.raises(ValueError, match=r"got an array of numpy; paddle.to_tensor\(x\) makes a tensor of it"):
            asked(np.zeros((2, 3, 32, 32), np.float32))


def test_a_model_of_double_precision_takes_images_of_it():
    model, x = small(), images(2)
    model.eval()
    single = model(x).numpy()
    model.to(dtype="float64")
    double = model(x.astype("float64")).numpy()
    assert double.dtype == np.float64
    np.testing.assert_allclose(double, single, atol=1e-5)
    with pytest.raises(ValueError, match="images of float64, got float32"):
        model(x)


def test_fresh_weights_follow_the_original_initialisation():
    model = small(embed_dim=120)
    assert 0.015 < model.blocks[0].mlp.fc1.weight.numpy().std() < 0.021
    assert np.abs(model.blocks[0].attn.proj.bias.numpy()).max() == 0
    assert 0.015 < model.pos_embed.numpy().std() < 0.021
    bound = (3 * 7 * 7) ** -0.5
    conv1 = model.patch_embed.conv1.weight.numpy()
    assert 0.95 * bound < np.abs(conv1).max() <= bound
    assert abs(conv1.std() - bound / 3**0.5) < 0.1 * bound


def test_dropout_and_drop_path_act_in_training_only():
    model, x = small(dropout=0.3, attention_dropout=0.3, drop_path=0.5, stem_bn="frozen"), images(2)
    plain = small(stem_bn="frozen")
    plain.set_state_dict(model.state_dict())
    model.eval(), plain.eval()
    np.testing.assert_array_equal(model(x).numpy(), plain(x).numpy())
    model.train()
    assert np.abs(model(x).numpy() - model(x).numpy()).max() > 1e-3


def test_drop_path_rises_linearly_to_its_rate():
    assert [round(b.drop_path, 6) for b in small(depth=5, drop_path=0.2).blocks] == [0.0, 0.05, 0.1, 0.15, 0.2]


def test_weight_decay_leaves_tokens_positions_biases_and_norms_alone():
    model = small()
    kept = model.no_weight_decay()
    decayed = {name for name, p in model.named_parameters() if name not in kept}
    expected = {f"patch_embed.{n}.weight" for n in ("conv1", "conv2", "conv3", "proj")}
    expected |= {"head.weight", "aux_head.weight"}
    for i in range(2):
        expected |= {f"blocks.{i}.{n}.weight" for n in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")}
    assert decayed == expected
