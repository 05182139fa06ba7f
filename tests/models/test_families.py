"""What holds for every vision transformer here, whatever its family."""
from __future__ import annotations

import numpy as np
import paddle
import pytest

from ppim.mixing import Mixed
from ppim.models.deit import DeiT
from ppim.models.lvvit import LVViT
from ppim.models.t2t_vit import T2TViT
from ppim.models.vit import ViT
from ppim.weights.load import load_weights
from ppim.weights.write import save_state
from tests.helpers import SMALL, images, small_lvvit, small_t2t_vit, spread_weights

pytestmark = pytest.mark.smoke

FAMILIES = {
    "LV-ViT": lambda **more: small_lvvit(patch_size=16, **more),
    "LV-ViT, frozen stem": lambda **more: small_lvvit(patch_size=16, stem_bn="frozen", **more),
    "T2T-ViT, performer": lambda **more: small_t2t_vit(**more),
    "T2T-ViT, transformer": lambda **more: small_t2t_vit(token_type="transformer", **more),
    "DeiT": lambda **more: DeiT(**{**SMALL, "patch_size": 16, **more}),
    "DeiT, distilled": lambda **more: DeiT(**{**SMALL, "patch_size": 16, "distilled": True, **more}),
    "ViT, DeiT-III": lambda **more: ViT(**{
        **SMALL, "patch_size": 16, "layer_scale": True, "layer_scale_start": 0.5, "class_position": False, **more}),
    "ViT, registers": lambda **more: ViT(**{**SMALL, "patch_size": 16, "registers": 3, **more}),
}


@pytest.fixture(params=FAMILIES)
def build(request):
    def seeded(**more):
        paddle.seed(5)
        model = FAMILIES[request.param](**more)
        model.eval()
        spread_weights(model)
        return model

    return seeded


def test_every_norm_has_the_epsilon_of_the_original_code(build):
    model = build()
    epsilons = {layer._epsilon for layer in model.sublayers() if isinstance(layer, paddle.nn.LayerNorm)}
    assert epsilons == ({1e-6} if isinstance(model, (DeiT, ViT)) else {1e-5})


@pytest.mark.parametrize("batch", [1, 2])
def test_logits_of_an_image_do_not_depend_on_its_batch_mates(build, batch):
    model, x = build(), images(7)
    together = model(x).numpy()
    parts = np.concatenate([model(x[i : i + batch]).numpy() for i in range(0, 7, batch)])
    assert np.abs(parts - together).max() <= 1e-6 * max(1, np.abs(together).max())
    assert np.abs(together[0] - together[1]).max() > 1e-2


def test_training_and_evaluation_give_class_logits_of_one_shape(build):
    model = build()
    model.train()
    assert model(images(2)).shape == [2, 5]
    assert model.classes(images(2)).class_logits.shape == [2, 5]


def test_wide_images_give_their_grid(build):
    model = build(image_size=(32, 64))
    assert model.grid == (2, 4)
    extra = model.extra_tokens
    assert model.encode(images(2, 32, 64))[0].shape == [2, extra + 8, 24]


@pytest.mark.parametrize("size", [40, (32, 30), 8])
def test_a_side_that_does_not_divide_is_an_error_that_says_what_would(build, size):
    with pytest.raises(ValueError, match="multiples of 16 pixels, got"):
        build(image_size=size)


@pytest.mark.parametrize(("height", "width", "nearest"), [(40, 32, "32x32"), (32, 47, "32x48"), (8, 64, "16x64")])
def test_an_image_that_patches_do_not_fill_is_refused_with_the_nearest_that_they_fill(build, height, width, nearest):
    model = build()
    for ask in (model, model.features):
        with pytest.raises(ValueError, match=f"patches of 16 pixels, got {height}x{width} .*nearest are {nearest}"):
            ask(images(1, height, width))


def resized_slowly(table: np.ndarray, first: int, old: tuple[int, int], new: tuple[int, int]) -> np.ndarray:
    """Bicubic with a = -0.75 and half a cell's shift, one value after the other; beyond the edge is the edge."""
    def weight(distance: float) -> float:
        t = abs(distance)
        if t <= 1:
            return 1.25 * t**3 - 2.25 * t**2 + 1
        return -0.75 * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0

    def along(count: int, wanted: int) -> np.ndarray:
        matrix = np.zeros((wanted, count))
        for place in range(wanted):
            at = (place + 0.5) * count / wanted - 0.5
            for tap in range(int(np.floor(at)) - 1, int(np.floor(at)) + 3):
                matrix[place, min(max(tap, 0), count - 1)] += weight(at - tap)
        return matrix

    cells = table[0, first:].astype(np.float64).reshape(*old, -1)
    cells = np.einsum("ar,bc,rcd->abd", along(old[0], new[0]), along(old[1], new[1]), cells)
    return np.concatenate([table[:, :first], cells.reshape(1, new[0] * new[1], -1)], axis=1).astype(np.float32)


def take_over(other, model) -> None:
    """Weights of `model` for `other`, of another image size: its table resized beforehand, or its own sinusoid."""
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    if isinstance(model, T2TViT):
        state["pos_embed"] = other.pos_embed.numpy()
    else:
        state["pos_embed"] = resized_slowly(state["pos_embed"], model.placed_tokens, (2, 2), other.grid)
    other.set_state_dict(state)


@pytest.mark.parametrize("hw", [(48, 80), (16, 32)])
def test_a_picture_of_another_size_is_answered_as_by_a_model_of_that_size(build, hw):
    """Its table of positions resized beforehand by a slow twin, or the sinusoid of its length."""
    model, other, x = build(), build(image_size=hw), images(2, *hw)
    take_over(other, model)
    with paddle.no_grad():
        there, here = other.tokens(x), model.tokens(x)
        np.testing.assert_allclose(model(x).numpy(), other(x).numpy(), atol=2e-5)
    np.testing.assert_allclose(here.class_logits.numpy(), there.class_logits.numpy(), atol=2e-5)
    if there.token_logits is not None:
        np.testing.assert_allclose(here.token_logits.numpy(), there.token_logits.numpy(), atol=2e-5)


def test_a_resized_table_is_kept_until_the_table_changes(build):
    model, x = build(), images(1, 48, 32)
    if isinstance(model, T2TViT):
        pytest.skip("its sinusoid never changes")
    with paddle.no_grad():
        first, table = model(x).numpy(), model.positions_for((3, 2))
        assert model.positions_for((3, 2)).numpy().tobytes() == table.numpy().tobytes()
        if model.placed_tokens == model.extra_tokens:
            assert model.positions_for((3, 2)) is table
        before = model.pos_embed.clone()
        paddle.assign(model.pos_embed * 2, model.pos_embed)  # as an optimizer does, or whoever lends other weights
        assert np.abs(model(x).numpy() - first).max() > 1e-3
        paddle.assign(before, model.pos_embed)
        np.testing.assert_array_equal(model(x).numpy(), first)


def test_gradients_reach_the_table_through_its_resizing(build):
    model = build()
    if isinstance(model, T2TViT):
        pytest.skip("its sinusoid is never trained")
    model(images(1, 48, 32)).sum().backward()
    assert (model.pos_embed.grad.abs().sum(axis=-1) > 0).all().item()


def test_tokens_are_row_major_over_the_grid(build):
    model = build(image_size=(64, 96))
    if isinstance(model, T2TViT):
        pytest.skip("its tokens see beyond their cell; its order is tested against splits by hand")
    x = images(1, 64, 96)
    changed = x.clone()
    changed[:, :, 38:42, 22:26] += 9.0  # inside the cell of row 2, column 1 of a 4 x 6 grid
    difference = (model.embed(changed) - model.embed(x)).abs().sum(axis=2)
    assert difference.argmax().item() == 2 * 6 + 1


def test_a_dense_head_sees_every_token_and_none_before_the_grid(build):
    model = build() if isinstance(build(), LVViT) else build(dense_head=True)
    x, extra = images(2), model.extra_tokens
    out, features = model.tokens(x), model.encode(x)[0]
    assert out.token_logits.shape == [2, 4, 5]
    np.testing.assert_allclose(out.token_logits.numpy(), model.aux_head(features[:, extra:]).numpy(), atol=1e-6)
    np.testing.assert_allclose(out.class_logits.numpy(), model.head(features[:, 0]).numpy(), atol=1e-6)


def test_evaluation_adds_half_the_best_token_where_there_is_a_token_head(build):
    model = build() if isinstance(build(), LVViT) else build(dense_head=True)
    out = model.tokens(images(2))
    classes = out.class_logits if out.dist_logits is None else (out.class_logits + out.dist_logits) / 2
    expected = classes.numpy() + 0.5 * out.token_logits.numpy().max(1)
    np.testing.assert_allclose(model(images(2)).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(model.evaluate_tokens(images(2)).class_logits.numpy(), expected, atol=1e-6)
    model.eval_token_weight = 0
    np.testing.assert_allclose(model(images(2)).numpy(), classes.numpy(), atol=1e-6)


def test_without_a_dense_head_there_is_none_to_load(build):
    if isinstance(build(), LVViT):
        pytest.skip("LV-ViT always has its token head")
    assert not any(name.startswith("aux_head") for name in build().state_dict())
    assert build().tokens(images(1)).token_logits is None and not build().has_token_head


def test_a_file_without_the_token_head_fits_a_dense_model_only_with_new_heads(build, tmp_path):
    if isinstance(build(), LVViT):
        pytest.skip("LV-ViT always has its token head")
    save_state(build().state_dict(), tmp_path / "plain.pdparams")
    with pytest.raises(ValueError, match=r"aux_head\.weight.*--new-heads"):
        load_weights(build(dense_head=True), tmp_path / "plain.pdparams")
    report = load_weights(build(dense_head=True), tmp_path / "plain.pdparams", new_heads=True)
    assert {"aux_head.weight", "aux_head.bias"} <= set(report.missing)


def test_mixed_tokens_come_from_the_partner(build):
    model, x = build(), images(2)
    whole = Mixed(owner=paddle.to_tensor([4, 5, 6, 7, 0, 1, 2, 3]))  # 2 x 2 tokens of two pictures
    np.testing.assert_allclose(model.encode(x, whole)[0].numpy(), model.encode(x.flip(0))[0].numpy(), atol=1e-6)


def test_another_size_resizes_positions_and_other_classes_need_new_heads(build, tmp_path):
    save_state(build().state_dict(), tmp_path / "small.pdparams")
    larger = build(image_size=64)
    report = load_weights(larger, tmp_path / "small.pdparams")
    assert report.resized == ["pos_embed"] and not report.missing and not report.dropped
    with pytest.raises(ValueError, match=r"head\.weight.*--new-heads"):
        load_weights(build(num_classes=7), tmp_path / "small.pdparams")
    report = load_weights(build(num_classes=7), tmp_path / "small.pdparams", new_heads=True)
    assert "head.weight" in report.dropped


def test_weight_decay_leaves_tokens_positions_and_vectors_alone(build):
    model = build()
    decayed = {name for name, _ in model.named_parameters()} - model.no_weight_decay()
    assert not decayed & {"cls_token", "dist_token", "register_tokens", "pos_embed"}
    assert {"head.weight", "blocks.0.attn.qkv.weight", "blocks.1.mlp.fc2.weight"} <= decayed
    assert not any(name.endswith(".bias") or ".norm" in name for name in decayed)


def test_features_are_the_grids_tokens_as_maps_in_the_order_asked_for(build):
    model = build(image_size=(32, 64))
    x, extra = images(2, 32, 64), model.extra_tokens
    last, first, again = model.features(x, [-1, 0, len(model.blocks) - 1])
    tokens = model.encode(x)[0][:, extra:]
    np.testing.assert_allclose(last.numpy(), tokens.numpy().reshape(2, 2, 4, 24).transpose(0, 3, 1, 2), atol=1e-6)
    np.testing.assert_array_equal(last.numpy(), again.numpy())
    np.testing.assert_array_equal(last.numpy(), model.features(x)[0].numpy())
    behind_first = model.norm(model.blocks[0](model.enter(x), None)[0])[:, extra:]
    behind_first = behind_first.numpy().reshape(2, 2, 4, 24).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(first.numpy(), behind_first, atol=1e-6)


@pytest.mark.parametrize("hw", [(48, 80), (16, 32)])
def test_features_of_another_size_are_those_of_a_model_of_that_size(build, hw):
    model, other, x = build(), build(image_size=hw), images(2, *hw)
    take_over(other, model)
    np.testing.assert_allclose(model.features(x)[0].numpy(), other.features(x)[0].numpy(), atol=2e-5)


def test_features_refuse_blocks_that_are_not_there(build):
    model = build()
    for layers in ([9], [-4]):
        with pytest.raises(ValueError, match="features wants blocks in"):
            model.features(images(1), layers)
