"""The network against a slow twin; MMSegmentation's checkpoints of it, by names and shapes; a classifier's weights."""
import numpy as np
import paddle
import pytest

from ppim.config import get_config
from ppim.engine.optimizer import build_optimizer
from ppim.engine.task import task_of
from ppim.models import create_model
from ppim.models.transformer import as_maps
from ppim.segment.network import Segmenter, usual_layers
from ppim.weights import load_weights, save_state
from ppim.weights.convert import to_torch
from ppim.weights.load import load_state
from tests.helpers import images, small_lvvit, small_volo
from tests.segment.slow_twin import Twin

pytestmark = pytest.mark.smoke

WIDTH, DEPTH, ROWS, CHANNELS, TOP = 12, 11, 5, 6, 10
SIZE = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": 3, "mlp_ratio": 3.0, "stem_channels": 8, "patch_size": 8}


def published_shapes(width, depth, stem, cells, patch, rows, channels, top) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a checkpoint of the authors', as their configuration files, their seg/mmseg/models/backbones/
    vit.py and MMSegmentation 0.1x give them; typed from there, not taken from our network."""
    shapes = {"backbone.cls_token": (1, 1, width), "backbone.pos_embed": (1, cells + 1, width)}

    def norm(name, size):
        shapes.update({f"{name}.{part}": (size,) for part in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{name}.num_batches_tracked"] = ()

    for number, kernel in ((1, 7), (2, 3), (3, 3)):
        shapes[f"backbone.patch_embed.conv{number}.weight"] = (stem, 3 if number == 1 else stem, kernel, kernel)
        norm(f"backbone.patch_embed.bn{number}", stem)
    shapes["backbone.patch_embed.proj.weight"] = (width, stem, patch // 2, patch // 2)
    shapes["backbone.patch_embed.proj.bias"] = (width,)
    for block in range(depth):
        for name, shape in {"norm1.weight": (width,), "norm1.bias": (width,), "attn.qkv.weight": (3 * width, width),
                            "attn.proj.weight": (width, width), "attn.proj.bias": (width,), "norm2.weight": (width,),
                            "norm2.bias": (width,), "mlp.fc1.weight": (3 * width, width), "mlp.fc1.bias": (3 * width,),
                            "mlp.fc2.weight": (width, 3 * width), "mlp.fc2.bias": (width,)}.items():
            shapes[f"backbone.blocks.{block}.{name}"] = shape
    for number, out in ((1, width), (2, width), (3, width), (4, top)):
        name, times = f"backbone.side_layer{number}", {1: 4, 2: 2}.get(number, 1)
        shapes[f"{name}.0.weight"] = (out if times == 1 else width, width, times, times)
        norm(f"{name}.1", out)
        if times > 1:
            shapes[f"{name}.3.weight"] = (width, width, 1, 1)
            norm(f"{name}.4", width)

    def module(name, into, out, kernel):
        shapes[f"{name}.conv.weight"] = (out, into, kernel, kernel)
        norm(f"{name}.bn", out)

    for head in ("decode_head", "auxiliary_head"):
        shapes[f"{head}.conv_seg.weight"], shapes[f"{head}.conv_seg.bias"] = (rows, channels, 1, 1), (rows,)
    for number in range(4):
        module(f"decode_head.psp_modules.{number}.1", top, channels, 1)
    module("decode_head.bottleneck", top + 4 * channels, channels, 3)
    for level in range(3):
        module(f"decode_head.lateral_convs.{level}", width, channels, 1)
        module(f"decode_head.fpn_convs.{level}", channels, channels, 3)
    module("decode_head.fpn_bottleneck", 4 * channels, channels, 3)
    module("auxiliary_head.convs.0", width, channels, 3)
    return shapes


def drawn(shapes) -> dict[str, np.ndarray]:
    """Values as wild as those of a trained network, in PyTorch's layout."""
    rng, state = np.random.default_rng(0), {}
    for name, shape in shapes.items():
        scale = (1 / np.prod(shape[1:])) ** 0.5 if len(shape) > 1 else 0.5
        value = rng.standard_normal(shape) * scale
        if name.endswith(("running_var", "norm1.weight", "norm2.weight", ".1.weight", "bn.weight")) and len(shape) == 1:
            value = 0.5 + np.abs(value)
        state[name] = np.asarray(value, "float32") if shape else np.array(7, np.int64)
    return state


def segmenter(**changes) -> Segmenter:
    paddle.seed(0)
    return Segmenter(small_lvvit(**{**SIZE, **changes}), ROWS, channels=CHANNELS, top_channels=TOP)


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, np.ndarray]:
    return drawn(published_shapes(WIDTH, DEPTH, 8, 16, 8, ROWS, CHANNELS, TOP))


def test_a_published_checkpoint_is_loaded_by_its_names_statistics_included(checkpoint):
    model = segmenter()
    report = load_state(model, dict(checkpoint), "torch")
    assert not any(report[:4])
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    assert len(state) == sum(not name.endswith("num_batches_tracked") for name in checkpoint)
    for name, value in to_torch(model, state).items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(value, checkpoint[name], err_msg=name)
    # inside DataParallel, as they are often saved
    load_state(segmenter(), {f"module.{name}": value for name, value in checkpoint.items()}, "torch")


@pytest.mark.parametrize(("left_out", "added", "said"), [
    ("decode_head.fpn_convs.1.bn.running_var", None, "decode_head.fpn_convs.1.bn._variance"),
    (None, "decode_head.fpn_convs.3.conv.weight", "decode_head.fpn_convs.3.conv.weight"),
    ("backbone.side_layer2.3.weight", None, "neck.layer2.3.weight"),
])
def test_a_checkpoint_that_is_not_quite_so_is_refused_by_name(checkpoint, left_out, added, said):
    state = {name: value for name, value in checkpoint.items() if name != left_out}
    if added:
        state[added] = np.zeros((6, 6, 3, 3), "float32")
    with pytest.raises(ValueError, match=said):
        load_state(segmenter(), state, "torch")


@pytest.mark.parametrize("size", [(32, 32), (48, 40)])
def test_the_heads_are_a_slow_twins(checkpoint, size):
    model = segmenter()
    load_state(model, dict(checkpoint), "torch")
    model.eval()
    x = images(1, *size)
    maps = [as_maps(tokens[:, 1:], (size[0] // 8, size[1] // 8)).numpy()[0].astype(np.float64)
            for tokens in model.backbone.taps(x, (1, 4, 7, 10))]
    for found, wanted in zip(model.taught(x), Twin(checkpoint).logits(maps)):
        assert np.abs(wanted).max() > 0.3
        np.testing.assert_allclose(found.numpy()[0], wanted, atol=2e-4)


def test_taps_are_what_blocks_give_unnormalised_by_an_epsilon_of_1e_6():
    backbone = small_lvvit(**SIZE)
    backbone.eval()
    model, x = Segmenter(backbone, ROWS, channels=CHANNELS, top_channels=TOP), images(2)
    norms = [layer for layer in model.sublayers() if isinstance(layer, paddle.nn.LayerNorm)]
    assert len(norms) == 2 * DEPTH and {layer._epsilon for layer in norms} == {1e-6}
    assert backbone.norm is None and backbone.head is None and backbone.aux_head is None
    tokens = backbone.enter(x)
    for block in list(backbone.blocks)[:5]:
        tokens, _ = block(tokens)
    np.testing.assert_array_equal(model.backbone.taps(x, [0, 4])[1].numpy(), tokens.numpy())
    assert model.layers == (1, 4, 7, 10) and usual_layers(16) == (6, 9, 12, 15) and usual_layers(24) == (14, 17, 20, 23)


@pytest.mark.parametrize(("sizes", "millions"), [
    ((384, 16, 64, 32 * 32, 16, 150, 256, 2048), 44), ((512, 20, 64, 32 * 32, 16, 150, 256, 2048), 77),
    ((768, 24, 128, 28 * 28, 16, 150, 512, 2048), 209),
])
def test_the_shapes_typed_here_have_as_many_parameters_as_the_authors_tell(sizes, millions):
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    trained = [shape for name, shape in published_shapes(*sizes).items() if not name.endswith(statistics)]
    assert round(sum(int(np.prod(shape)) for shape in trained) / 1e6) == millions


def test_decay_is_on_all_parameters_as_in_the_authors_configuration():
    model = segmenter()
    groups = build_optimizer(model, "AdamW", weight_decay=0.01)._param_groups
    assert [group["weight_decay"] for group in groups] == [0.01]
    assert len(groups[0]["params"]) == sum(not p.stop_gradient for p in model.parameters())


@pytest.mark.parametrize("hw", [(32, 32), (27, 41), (8, 8), (64, 16)])
def test_a_picture_of_any_size_gets_logits_of_its_size(hw):
    model = segmenter()
    model.eval()
    found = model(images(1, *hw))
    assert tuple(found.shape[2:]) == hw
    below, right = -hw[0] % 8, -hw[1] % 8
    filled = paddle.nn.functional.pad(images(1, *hw), [0, right, 0, below])
    np.testing.assert_allclose(found.numpy(), model(filled).numpy()[:, :, :hw[0], :hw[1]], atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 30, 45, 3), (3, 30, 45)])
def test_what_is_no_batch_of_pictures_is_told_as_it_was_given(shape):
    with pytest.raises(ValueError, match=rf"\(B, 3, h, w\), .*; got \[{', '.join(map(str, shape))}\]"):
        segmenter()(paddle.zeros(shape))


def test_a_classifiers_weights_fill_the_backbone_and_leave_its_heads_behind(tmp_path):
    paddle.seed(3)
    classifier = small_lvvit(**SIZE, num_classes=7)
    save_state(classifier.state_dict(), tmp_path / "classifier.pdparams")
    model = segmenter(image_size=64)
    report = load_weights(model, tmp_path / "classifier", new_heads=True)
    assert report.resized == ["backbone.pos_embed"] and not report.unexpected and not report.dropped
    assert {name.split(".")[0] for name in report.missing} == {"neck", "decode_head", "auxiliary_head"}
    for name, value in classifier.state_dict().items():
        if not name.startswith(("head.", "aux_head.", "norm.", "pos_embed")):
            np.testing.assert_array_equal(model.state_dict()[f"backbone.{name}"].numpy(), value.numpy(), err_msg=name)
    with pytest.raises(ValueError, match="--new-heads"):
        load_weights(segmenter(), tmp_path / "classifier")


def test_a_model_whose_blocks_are_of_two_grids_is_refused():
    with pytest.raises(ValueError, match="all of one grid, got VOLO"):
        Segmenter(small_volo(), ROWS, layers=(0, 1, 2, 3))


@pytest.mark.parametrize(("layers", "error"), [((0, 1, 10), "wants 4 blocks in 0 .. 10, the last among them"),
                                               ((0, 1, 2, 11), r"got \[0, 1, 2, 11\]"),
                                               ((0, 1, 2, 3), "the last among them"), ((-1, 1, 2, 10), "got")])
def test_taps_that_are_not_there_are_refused(layers, error):
    with pytest.raises(ValueError, match=error):
        Segmenter(small_lvvit(**SIZE), ROWS, layers=layers)


def test_a_recipe_builds_the_authors_network_on_fewer_and_narrower_blocks():
    """Names and shapes of every recipe, of blocks 24 channels wide, against those of the authors' files."""
    for name, stem, channels in (("s", 64, 256), ("m", 64, 256), ("l", 128, 512)):
        config = get_config(f"upernet_lvvit_{name}", ["MODEL.TRANS.EMBED_DIM", "24", "MODEL.TRANS.DEPTH", "10",
                                                      "SEGMENT.CHANNELS", str(channels // 32),
                                                      "SEGMENT.TOP_CHANNELS", "64", "MODEL.TRANS.STEM_CHANNELS",
                                                      str(stem // 16), "MODEL.TRANS.NUM_HEADS", "2"])
        model = task_of(config).model(config)
        wanted = published_shapes(24, 10, stem // 16, 32 * 32, 16, 150, channels // 32, 64)
        found = to_torch(model, {name: value.numpy() for name, value in model.state_dict().items()})
        shapes = {name.replace("neck.layer", "backbone.side_layer"): value.shape for name, value in found.items()}
        assert shapes == wanted
        assert model.backbone.blocks[0].skip_lam == {"s": 2.0, "m": 2.0, "l": 1.0}[name]


def test_weights_whose_registers_go_with_a_class_token_without_a_position_are_taken():
    """timm keeps DINOv2's weights with registers so: the class token's position is part of the token."""
    def small():
        return create_model("dinov2_small_reg", embed_dim=12, depth=4, num_heads=3, image_size=42, num_classes=0)

    theirs = {name: value.numpy() for name, value in small().state_dict().items()}
    whole = theirs["pos_embed"]
    theirs["pos_embed"] = whole[:, 1:]
    model = Segmenter(small(), ROWS, layers=(0, 1, 2, 3), channels=CHANNELS, top_channels=TOP)
    load_state(model, theirs, new_heads=True)
    table = model.backbone.pos_embed.numpy()
    assert not table[:, 0].any()
    np.testing.assert_array_equal(table[:, 1:], whole[:, 1:])
