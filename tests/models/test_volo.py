"""VOLO against slow twins written from the paper, and against numbers of timm's (see tools/timm_side.py)."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
import safetensors.numpy

from ppim.checks.network import _first_layers
from ppim.mixing import Mix, Mixed, mixed_rows
from ppim.models import class_attention, layers, outlook
from ppim.models.class_attention import ClassAttention, ClassBlock
from ppim.models.outlook import OutlookAttention, cell_means, gathered, spread, tables
from ppim.models.volo import VOLO
from ppim.weights.convert import to_torch
from ppim.weights.load import load_state, load_weights
from ppim.weights.recognise import recognise
from tests.helpers import as_tensors, images, small_volo, spread_weights
from tests.models.original_weights import original_state
from tests.models.traced import types_of_layers

GOLDEN = Path(__file__).with_name("volo_golden.npz")
TWINS = {
    "d1": {"layers": [2, 1, 2, 1], "embed_dim": 48, "num_heads": 6, "outlook_heads": 3, "stem_channels": 8,
           "image_size": (64, 64), "mlp_ratio": 3.0},
    "d5": {"layers": [1, 2, 1, 1], "embed_dim": 32, "num_heads": 4, "outlook_heads": 2, "stem_channels": 12,
           "image_size": (64, 96), "mlp_ratio": 4.0},
}


def small(**overrides) -> VOLO:
    paddle.seed(7)
    return small_volo(**overrides)


def softmax(x: np.ndarray) -> np.ndarray:
    exponential = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponential / exponential.sum(axis=-1, keepdims=True)


# ---- outlook attention ---------------------------------------------------------------------------------------------


def outlook_by_hand(layer: OutlookAttention, x: np.ndarray) -> np.ndarray:
    """Cell by cell, head by head, place by place, in float64."""
    w = {name: value.numpy().astype("float64") for name, value in layer.state_dict().items()}
    batch, rows, columns, dim = x.shape
    width = dim // layer.num_heads
    values, out = x @ w["v.weight"], np.zeros(x.shape)
    for b, i, j in np.ndindex(batch, rows // 2, columns // 2):
        said = x[b, 2 * i:2 * i + 2, 2 * j:2 * j + 2].mean(axis=(0, 1)) @ w["attn.weight"] + w["attn.bias"]
        places = [(2 * i + r, 2 * j + c) for r in (-1, 0, 1) for c in (-1, 0, 1)]
        for head, scores in enumerate(said.reshape(layer.num_heads, 9, 9)):
            part = slice(head * width, (head + 1) * width)
            for place, weights in zip(places, softmax(scores * width**-0.5)):
                if min(place) >= 0:
                    out[(b, *place, part)] += sum(weight * values[(b, *other, part)]
                                                  for other, weight in zip(places, weights) if min(other) >= 0)
    return out @ w["proj.weight"] + w["proj.bias"]


@pytest.mark.smoke
@pytest.mark.parametrize("hw", [(4, 4), (6, 10), (2, 8)])
def test_outlook_attention_is_what_the_paper_says_place_by_place(hw):
    layer = OutlookAttention(12, 3)
    spread_weights(layer, gain=2.0)
    layer.attn.bias.set_value(paddle.randn(layer.attn.bias.shape))
    x = np.random.RandomState(2).standard_normal((2, *hw, 12)).astype("float32")
    np.testing.assert_allclose(layer(paddle.to_tensor(x)).numpy(), outlook_by_hand(layer, x), atol=2e-5)


@pytest.mark.smoke
@pytest.mark.parametrize("hw", [(4, 4), (6, 10), (2, 8)])
def test_windows_and_their_sums_are_unfold_and_fold(hw):
    """Whose channels are head, width, place; ours are head, place, width."""
    (h, w), heads, width = hw, 2, 3
    x = paddle.to_tensor(np.random.RandomState(0).standard_normal((2, heads * width, h, w)).astype("float32"))
    found = tables((h // 2, w // 2), heads)
    windows = spread(x.transpose([0, 2, 3, 1]).reshape([2, -1, width]), found)
    theirs = F.unfold(x, 3, strides=2, paddings=1).reshape([2, heads, width, 9, -1]).transpose([0, 4, 1, 3, 2])
    np.testing.assert_array_equal(windows.numpy(), theirs.reshape([2, -1, width]).numpy())
    added = gathered(windows, found).reshape([2, h, w, -1]).transpose([0, 3, 1, 2])
    folded = F.fold(F.unfold(x, 3, strides=2, paddings=1), [h, w], 3, strides=2, paddings=1)
    np.testing.assert_allclose(added.numpy(), folded.numpy(), atol=1e-6)


@pytest.mark.smoke
def test_the_gradient_of_outlook_attention_is_that_of_finite_differences():
    layer = OutlookAttention(6, 2)
    spread_weights(layer, gain=2.0)
    rng = np.random.RandomState(4)
    x, upstream = (rng.standard_normal((1, 4, 6, 6)) for _ in range(2))
    given = paddle.to_tensor(x.astype("float32"), stop_gradient=False)
    (layer(given) * paddle.to_tensor(upstream.astype("float32"))).sum().backward()
    step, expected = 1e-5, np.zeros(x.shape)
    for at in np.ndindex(*x.shape):
        for sign in (1, -1):
            moved = x.copy()
            moved[at] += sign * step
            expected[at] += sign * (outlook_by_hand(layer, moved) * upstream).sum() / (2 * step)
    np.testing.assert_allclose(given.grad.numpy(), expected, atol=2e-4 * np.abs(expected).max())
    assert all(np.abs(p.grad.numpy()).max() > 0 for p in layer.parameters())


@pytest.mark.smoke
def test_cells_are_told_by_the_mean_of_their_tokens():
    x = np.random.RandomState(1).standard_normal((2, 4, 6, 5)).astype("float32")
    expected = x.reshape(2, 2, 2, 3, 2, 5).mean(axis=(2, 4)).reshape(2, 6, 5)
    np.testing.assert_allclose(cell_means(paddle.to_tensor(x)).numpy(), expected, atol=1e-6)


# ---- class attention -----------------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_in_class_attention_the_first_token_alone_asks_and_all_answer():
    layer = ClassAttention(12, 3)
    spread_weights(layer, gain=2.0)
    w = {name: value.numpy().astype("float64") for name, value in layer.state_dict().items()}
    x = np.random.RandomState(2).standard_normal((2, 5, 12)).astype("float32")
    keys, values = np.split(x @ w["kv.weight"], 2, axis=-1)
    expected, seen = np.zeros((2, 1, 12)), np.zeros((2, 5))
    for b, head in np.ndindex(2, 3):
        part = slice(4 * head, 4 * head + 4)
        weights = softmax((x[b, 0] @ w["q.weight"])[part] @ keys[b, :, part].T / 2)
        expected[b, 0, part] = weights @ values[b, :, part]
        seen[b] += weights / 3
    expected = expected @ w["proj.weight"] + w["proj.bias"]
    np.testing.assert_allclose(layer(paddle.to_tensor(x)).numpy(), expected, atol=1e-5)
    carried = paddle.eye(5).unsqueeze(0).tile([2, 1, 1])
    np.testing.assert_allclose(layer.seen(paddle.to_tensor(x), 1, carried).numpy()[:, 0], seen, atol=1e-6)


@pytest.mark.smoke
def test_a_class_block_asks_of_its_own_norm_and_keeps_what_it_was():
    block = ClassBlock(12, 3, 2.0)
    spread_weights(block, gain=2.0)
    x = paddle.randn([2, 5, 12])
    first = x[:, :1] + block.attn(F.layer_norm(x, [12], epsilon=1e-5))
    expected = first + block.mlp(F.layer_norm(first, [12], epsilon=1e-5))
    np.testing.assert_allclose(block(x[:, :1], x[:, 1:]).numpy(), expected.numpy(), atol=1e-5)


# ---- the whole network ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=TWINS)
def twin(request):
    """A small network with the weights of timm's, those weights, and what timm computed."""
    numbers = np.load(GOLDEN)
    known = {name.partition("/")[2]: numbers[name] for name in numbers if name.startswith(request.param)}
    shapes = json.loads(str(known.pop("shapes")))
    model = small(**TWINS[request.param], num_classes=7, stem_bn="frozen")
    report = load_state(model, original_state(shapes), "torch")
    assert not report.missing and not report.unexpected
    model.eval()
    pictures = np.random.RandomState(11).standard_normal((4, 3, *model.image_size)).astype("float32")
    return model, shapes, paddle.to_tensor(pictures), {**known, "box": numbers["box"]}


def assert_equal(ours: paddle.Tensor, theirs: np.ndarray) -> None:
    assert np.abs(ours.numpy() - theirs).max() <= 5e-5 * theirs.std()


def test_logits_are_timms(twin):
    model, _, x, theirs = twin
    assert_equal(model(x), theirs["logits"])
    out = model.tokens(x)
    assert_equal(out.class_logits, theirs["class_logits"])
    assert_equal(out.token_logits, theirs["token_logits"])
    assert_equal(model.evaluate_tokens(x).token_logits, theirs["token_logits"])


def test_maps_behind_every_stage_are_timms(twin):
    model, _, x, theirs = twin
    ends = np.cumsum([len(model.network[stage]) for stage in (0, 2, 3, 4)]) - 1
    for at, found in enumerate(model.features(x, ends.tolist())):
        assert_equal(found, theirs[f"map{at}"])
    np.testing.assert_array_equal(model.features(x)[0].numpy(), found.numpy())


def test_a_step_with_mixed_tokens_is_timms(twin):
    model, _, x, theirs = twin
    top, left, bottom, right = theirs["box"]
    mix = Mix(np.arange(4)[::-1], np.ones(4, "float32"), np.zeros((4, 4), "int64"), np.tile(theirs["box"], (4, 1)))
    model.train()
    out = model.tokens(x, as_tensors(mixed_rows(mix, model.image_size, model.grid)))
    model.eval()
    # timm hands each token's logits back to the picture it came from, here they stay where they were computed
    expected = theirs["mixed_token_logits"].reshape(4, *model.grid, -1).copy()
    expected[:, top:bottom, left:right] = expected[::-1, top:bottom, left:right].copy()
    assert_equal(out.class_logits, theirs["mixed_class_logits"])
    assert_equal(out.token_logits, expected.reshape(out.token_logits.shape))


def test_weights_go_back_to_the_names_and_the_layout_of_the_original(twin):
    model, shapes, _, _ = twin
    back = to_torch(model, {name: value.numpy() for name, value in model.state_dict().items()})
    back = {name: array for name, array in back.items() if not name.endswith("num_batches_tracked")}
    assert {name: list(array.shape) for name, array in back.items()} == shapes
    for name, array in original_state(shapes).items():
        assert (back[name] == array).all(), name


def test_paddlevits_files_give_the_same_model(twin):
    model, _, x, theirs = twin
    (name,) = (name for name, size in TWINS.items() if size["image_size"] == model.image_size)
    names = {"network.": "model.", "post_network.": "post_model.", "patch_embed.conv.": "patch_embed.stem."}
    state = {}
    for ours, value in model.state_dict().items():
        start = next((start for start in names if ours.startswith(start)), "")
        state[names.get(start, "") + ours[len(start):]] = value.numpy()
    fresh = small(**TWINS[name], num_classes=7)
    report = load_state(fresh, state)
    fresh.eval()
    assert not report.missing and not report.unexpected
    assert_equal(fresh(x), theirs["logits"])


def shapes_of(layers, dim, heads, outlook_heads, ratio, stem, size, classes=1000) -> dict[str, list[int]]:
    """Names and shapes of PyTorch's weights, from the table of the paper and the names of the released code."""
    def block(name, width, attention):
        hidden = int(width * ratio)
        return {**{f"{name}.norm{at}.{part}": [width] for at in (1, 2) for part in ("weight", "bias")},
                **{f"{name}.attn.{part}.weight": [rows, width] for part, rows in attention.items()},
                f"{name}.attn.proj.weight": [width, width], f"{name}.attn.proj.bias": [width],
                f"{name}.mlp.fc1.weight": [hidden, width], f"{name}.mlp.fc1.bias": [hidden],
                f"{name}.mlp.fc2.weight": [width, hidden], f"{name}.mlp.fc2.bias": [width]}

    found = {"cls_token": [1, 1, dim], "pos_embed": [1, *(side // 16 for side in size), dim]}
    for at, inputs, side in ((0, 3, 7), (3, stem, 3), (6, stem, 3)):
        found[f"patch_embed.conv.{at}.weight"] = [stem, inputs, side, side]
        norm = {part: [stem] for part in ("weight", "bias", "running_mean", "running_var")}
        found.update({f"patch_embed.conv.{at + 1}.{part}": shape for part, shape in norm.items()})
    found.update({"patch_embed.proj.weight": [dim // 2, stem, 4, 4], "patch_embed.proj.bias": [dim // 2]})
    for at in range(layers[0]):
        found.update(block(f"network.0.{at}", dim // 2, {"v": dim // 2, "attn": 81 * outlook_heads}))
        found[f"network.0.{at}.attn.attn.bias"] = [81 * outlook_heads]
    found.update({"network.1.proj.weight": [dim, dim // 2, 2, 2], "network.1.proj.bias": [dim]})
    for stage, count in zip((2, 3, 4), layers[1:]):
        for at in range(count):
            found.update(block(f"network.{stage}.{at}", dim, {"qkv": 3 * dim}))
    for at in range(2):
        found.update(block(f"post_network.{at}", dim, {"kv": 2 * dim, "q": dim}))
    found.update({f"norm.{part}": [dim] for part in ("weight", "bias")})
    for head in ("head", "aux_head"):
        found.update({f"{head}.weight": [classes, dim], f"{head}.bias": [classes]})
    return found


SIZES = {  # blocks, width, heads, those of outlook attention, MLP ratio, stem
    "volo_d1": ([4, 4, 8, 2], 384, 12, 6, 3, 64), "volo_d2": ([6, 4, 10, 4], 512, 16, 8, 3, 64),
    "volo_d3": ([8, 8, 16, 4], 512, 16, 8, 3, 64), "volo_d4": ([8, 8, 16, 4], 768, 16, 12, 3, 64),
    "volo_d5": ([12, 12, 20, 4], 768, 16, 12, 4, 128),
}
MILLIONS = {"volo_d1": 26.6, "volo_d2": 58.7, "volo_d3": 86.3, "volo_d4": 193, "volo_d5": 296}  # of the paper
ROWS = ["volo_d1", "volo_d2", "volo_d3", "volo_d4", "volo_d5", "volo_d1_384", "volo_d2_384", "volo_d3_448",
        "volo_d4_448", "volo_d5_448", "volo_d5_512"]


def test_the_names_by_formula_are_timms(twin):
    model, shapes, _, _ = twin
    size = next(size for size in TWINS.values() if size["image_size"] == model.image_size)
    sizes = (size[part] for part in ("layers", "embed_dim", "num_heads", "outlook_heads", "mlp_ratio", "stem_channels"))
    assert shapes_of(*sizes, model.image_size, 7) == shapes


@pytest.mark.parametrize("name", ROWS)
def test_every_published_row_is_recognised_by_its_names_and_shapes(name):
    side = int(name.split("_")[2]) if name.count("_") == 2 else 224
    shapes = shapes_of(*SIZES[name[:7]], (side, side))
    count = sum(int(np.prod(shape)) for key, shape in shapes.items() if "running" not in key)
    if side == 224:
        assert abs(count / 1e6 - MILLIONS[name]) <= (0.55 if MILLIONS[name] > 100 else 0.06)
    wrapped = {f"module.{key}": tuple(shape) for key, shape in shapes.items()}
    theirs = {key.replace("post_network.", "post_model.").replace("patch_embed.conv.", "patch_embed.stem."): shape
              for key, shape in shapes.items()}
    theirs = {f"model.{key[8:]}" if key.startswith("network.") else key: shape for key, shape in theirs.items()}
    for told in (shapes, wrapped, theirs):
        assert recognise(told)[:2] == (name, 1000) and recognise(told).twins == ()


@pytest.mark.smoke
def test_every_picture_may_have_a_box_and_a_partner_of_its_own():
    """Exchanged are whole cells of the first stage's tokens, before it."""
    model, x = small(image_size=(48, 32)), images(5, 48)
    boxes = np.array([[0, 0, 3, 2], [0, 0, 3, 2], [1, 0, 3, 1], [1, 0, 3, 1], [0, 1, 2, 2]])
    mix = Mix(np.array([1, 0, 3, 2, 4]), np.ones(5, "float32"), np.zeros((5, 4), "int64"), boxes)
    mixed = as_tensors(mixed_rows(mix, model.image_size, model.grid))
    entered = []
    hook = model.network[0][0].register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0].numpy()))
    model.enter(x, mixed)
    hook.remove()
    tokens = model.embed(x).numpy()
    expected = tokens.copy()
    for b, (top, left, bottom, right) in enumerate(2 * boxes):
        expected[b, top:bottom, left:right] = tokens[mix.partner[b], top:bottom, left:right]
    np.testing.assert_allclose(entered[0], expected, atol=1e-6)


@pytest.mark.smoke
def test_paths_are_dropped_in_the_second_stage_alone_at_rates_that_count_both():
    model = small(layers=[2, 2, 1, 1], drop_path=0.5)
    assert [round(block.drop_path, 6) for block in model.blocks[2:]] == [0.2, 0.3, 0.4, 0.5]
    assert not any(hasattr(block, "drop_path") for block in (*model.network[0], *model.post_network))


@pytest.mark.smoke
def test_layers_are_counted_through_both_stages_and_the_class_token_is_at_the_end():
    model = small(layers=[2, 1, 1, 1])
    expected = {"patch_embed.proj.weight": 0, "pos_embed": 0, "network.0.1.norm1.bias": 2, "network.1.proj.weight": 2,
                "network.2.0.attn.qkv.weight": 3, "network.4.0.mlp.fc1.weight": 5, "cls_token": 6, "norm.weight": 6,
                "post_network.1.attn.q.weight": 6, "aux_head.bias": 6}
    assert {name: model.layer_of(name) for name in expected} == expected


@pytest.mark.smoke
def test_what_is_watched_as_its_stem_ends_where_its_blocks_begin():
    model, watched = small(), []
    hooks = [layer.register_forward_post_hook(lambda *_, name=name: watched.append(name)) for name, layer in
             _first_layers(model)]
    model(images(1))
    assert len(hooks) == 7 and watched == [f"patch_embed.conv.{at}" for at in (0, 1, 3, 4, 6, 7)] + ["patch_embed.proj"]


@pytest.mark.smoke
def test_logits_of_another_size_are_those_of_a_model_of_that_size(tmp_path):
    model, other, x = small(), small(image_size=(48, 80)), images(2, 48, 80)
    for one in (model, other):
        one.eval()
    spread_weights(model)
    state = to_torch(model, {name: value.numpy() for name, value in model.state_dict().items()})
    safetensors.numpy.save_file(state, tmp_path / "a.safetensors")
    assert load_weights(other, tmp_path / "a.safetensors").resized == ["pos_embed"]
    np.testing.assert_allclose(model(x).numpy(), other(x).numpy(), atol=2e-5)
    for ours, theirs in zip(model.features(x, [0, -1]), other.features(x, [0, 3])):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=2e-5)
    with pytest.raises(ValueError, match="whole patches of 16 pixels, got 40x32"):
        model(images(1, 40))


@pytest.mark.smoke
def test_the_class_target_may_follow_what_the_class_token_looks_at():
    model = small()
    model.eval()
    spread_weights(model, gain=3.0)
    x, mix = images(2), Mixed(partner_share=paddle.to_tensor([[1.0, 0, 0, 0], [0, 0, 1, 0.5]]))
    model.share_rule = "attention"
    seen = []
    hook = model.post_network[1].attn.register_forward_pre_hook(lambda layer, inputs: seen.append(
        layer.seen(inputs[0], 1, paddle.eye(5).unsqueeze(0).tile([2, 1, 1])).numpy()[:, 0, 1:]))
    share = model.classes(x, mix).share.numpy()
    hook.remove()
    own = mix.partner_share.numpy()
    expected = 1 - (own.mean(1) + (seen[0] * own).sum(1) / seen[0].sum(1)) / 2
    np.testing.assert_allclose(share, expected, atol=1e-6)
    model.share_rule = "alignment"
    with pytest.raises(ValueError, match="by area or attention"):
        model.classes(x, mix)


def test_with_mixed_precision_products_are_in_half_and_every_softmax_is_not(monkeypatch):
    # unlike a GPU's, a CPU's batch norm takes no half precision
    monkeypatch.setattr(paddle.nn, "BatchNorm2D", lambda channels, **_: paddle.nn.Identity())
    scores = []

    def noted(x, own=layers.softmax):
        weights = own(x)
        scores.append(str(weights.dtype).rsplit(".", 1)[-1].lower())
        return weights

    for module in (outlook, class_attention, layers):
        monkeypatch.setattr(module, "softmax", noted)
    found = types_of_layers(small, lambda model, x: model.tokens(x), (4, 3, 32, 32), "bfloat16")
    products = ("v", "attn.attn", "qkv", "q", "kv", "proj", "fc1", "fc2", "head")
    halves = [name for name in found if name.endswith(tuple(f".{part}" for part in products)) or name.endswith("head")]
    # an outlooker, three blocks, two of class attention, stem, downsampling, two heads
    assert len(halves) == 5 + 3 * 4 + 2 * 5 + 1 + 1 + 2 and {found[name] for name in halves} == {"bfloat16"}
    assert {found[name] for name in found if "norm" in name} == {"float32"}
    # of the outlooker, of three heads in each block, of class attention
    assert scores == ["float32"] * (1 + 3 * 3 + 2)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"image_size": (32, 40)}, "multiples of 16 pixels, got 32x40; the nearest below is 32x32"),
        ({"layers": [1, 2, 3]}, "four numbers of blocks"),
        ({"layers": [0, 1, 1, 1]}, "at least 1"),
        ({"depth": 3}, r"depth 3 is not the sum of layers \[1, 1, 1, 1\]"),
        ({"outlook_heads": 5}, "multiple of outlook_heads, got 12 and 5"),
        ({"num_heads": 5}, "multiple of num_heads"),
        ({"stem_bn": "sync"}, "'batch' or 'frozen'"),
    ],
)
def test_a_wrong_argument_is_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        small(**wrong)
