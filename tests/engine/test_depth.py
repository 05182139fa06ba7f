"""Rates that fall with the distance from the heads, and parameters that stay: what moves, how far, and what is kept."""
import math

import numpy as np
import paddle
import pytest

from ppim.checks.network import all_are_trained
from ppim.config import get_config
from ppim.engine.command import run
from ppim.engine.depth import freeze, frozen_names, layer_of, rate_scales
from ppim.engine.distributed import World
from ppim.engine.optimizer import build_optimizer, state_by_structured_names, take_step
from ppim.engine.run import start
from ppim.engine.train import fit
from ppim.models import create_model
from ppim.paddle_compat import GradScaler
from tests.helpers import assert_same_weights, everything, small_lvvit, small_t2t_vit, weights

DEPTH = 2


def distilled_deit():
    return create_model("deit_tiny", image_size=32, patch_size=8, num_classes=5, embed_dim=24, depth=DEPTH, num_heads=3,
                        distilled=True)


def beits_layer(name: str, depth: int) -> int:
    """get_num_layer_for_vit of BEiT's released optim_factory.py, whose network makes its tokens in `patch_embed`."""
    if name in ("cls_token", "mask_token", "pos_embed"):
        return 0
    if name.startswith("patch_embed"):
        return 0
    if name.startswith("blocks"):
        return int(name.split(".")[1]) + 1
    return depth + 1


@pytest.mark.smoke
@pytest.mark.parametrize("make", [small_lvvit, small_t2t_vit, distilled_deit])
def test_layers_are_beits(make):
    model = make()
    scales = rate_scales(model, 0.5)
    for name, _ in model.named_parameters():
        # what other families call the making of tokens
        theirs = name.replace("tokens_to_token", "patch_embed").replace("dist_token", "cls_token")
        layer = beits_layer(theirs, DEPTH)
        assert layer_of(name, model) == layer, name
        assert scales[name] == 0.5 ** (DEPTH + 1 - layer), name
    assert {scales[name] for name in scales if name.startswith("head")} == {1.0} and min(scales.values()) == 0.125
    assert set(rate_scales(model, 1.0).values()) == {1.0}


def one_step(model, name, gradients, grad_clip=None, decay=0.5, weight_decay=0.0):
    """How far each parameter moves at a rate of 0.1."""
    optimizer = build_optimizer(model, name, weight_decay=weight_decay, scales=rate_scales(model, decay))
    before = {key: p.numpy().astype("float64") for key, p in model.named_parameters()}
    for key, p in model.named_parameters():
        if key in gradients:
            p.grad = paddle.to_tensor(gradients[key])
    optimizer.set_lr(0.1)
    take_step(optimizer, GradScaler(enable=False), grad_clip)
    return {key: before[key] - p.numpy() for key, p in model.named_parameters()}, before


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_a_step_is_as_long_as_rate_and_layer_say_and_the_clip_stays_one_for_all(name):
    paddle.seed(0)
    model, rng = small_lvvit(), np.random.default_rng(0)
    gradients = {key: rng.normal(size=p.shape).astype("float32") for key, p in model.named_parameters()
                 if not p.stop_gradient}
    norm = math.sqrt(sum((g.astype("float64") ** 2).sum() for g in gradients.values()))
    moved, _ = one_step(model, name, gradients, grad_clip=1.0)
    for key, gradient in gradients.items():
        layer = beits_layer(key, DEPTH)
        length = np.sign(gradient) if name == "AdamW" else gradient / norm
        expected = 0.1 * 0.5 ** (DEPTH + 1 - layer) * length
        near_zero = np.abs(gradient) / norm < 1e-5  # where AdamW's epsilon shows
        np.testing.assert_allclose(np.where(near_zero, expected, moved[key]), expected, rtol=2e-3, atol=2e-7,
                                   err_msg=key)


@pytest.mark.smoke
def test_decay_goes_with_the_rate_of_its_layer_and_leaves_out_what_it_always_does():
    model = small_lvvit()
    zeros = {key: np.zeros(p.shape, "float32") for key, p in model.named_parameters() if not p.stop_gradient}
    moved, before = one_step(model, "AdamW", zeros, weight_decay=0.2)
    np.testing.assert_allclose(moved["head.weight"], 0.1 * 0.2 * before["head.weight"], rtol=1e-4, atol=1e-9)
    # float32 keeps of so small a difference its first digits
    np.testing.assert_allclose(moved["blocks.0.attn.qkv.weight"], 0.25 * 0.1 * 0.2 * before["blocks.0.attn.qkv.weight"],
                               rtol=1e-3, atol=1e-8)
    for key in ("pos_embed", "head.bias", "blocks.0.norm1.weight"):
        np.testing.assert_array_equal(moved[key], 0)


# ---- what stays ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "stays", "moves"), [
    ("embedding", ["cls_token", "pos_embed", "patch_embed.conv1.weight", "patch_embed.bn1.bias"],
     ["blocks.0.norm1.weight", "norm.weight", "head.bias"]),
    ("1", ["cls_token", "patch_embed.proj.bias", "blocks.0.mlp.fc1.weight"], ["blocks.1.norm1.weight", "norm.bias"]),
    ("2", ["blocks.1.mlp.fc2.bias"], ["norm.bias", "head.weight"]),
    ("backbone", ["blocks.1.mlp.fc2.bias", "norm.weight"], ["head.weight", "head.bias", "aux_head.weight"]),
    ("none", [], ["cls_token", "patch_embed.bn3.weight", "head.bias"]),
])
def test_what_is_frozen_is_what_was_asked_for(what, stays, moves):
    model = small_lvvit()
    frozen = frozen_names(model, what)
    assert set(stays) <= frozen and not frozen & set(moves)
    freeze(model, what)
    parameters = dict(model.named_parameters())
    assert {name for name, p in parameters.items() if p.stop_gradient and not name.endswith(("_mean", "_variance"))
            } == frozen
    model.train()
    kept = {name: p.numpy().copy() for name, p in parameters.items() if name.endswith(("_mean", "_variance"))}
    model(paddle.randn([2, 3, 32, 32]))
    same = [np.array_equal(value, parameters[name].numpy()) for name, value in kept.items()]
    assert len(same) == 6 and same == [what != "none"] * 6


@pytest.mark.smoke
@pytest.mark.parametrize("make", [small_t2t_vit, distilled_deit])
def test_other_families_freeze_too(make):
    model = make()
    freeze(model, "1")
    model.train()
    model.classes(paddle.randn([2, 3, 32, 32])).class_logits.sum().backward()
    assert all((p.grad is None) == p.stop_gradient or name.startswith("head") for name, p in model.named_parameters())
    assert dict(model.named_parameters())["blocks.1.attn.qkv.weight"].grad is not None
    assert dict(model.named_parameters())["blocks.0.attn.qkv.weight"].grad is None


OPTIONS = ["TRAIN.LAYER_DECAY", "0.6", "TRAIN.FREEZE", "1", "TRAIN.WEIGHT_DECAY", "0.3", "TRAIN.GRAD_CLIP", "1.0"]


def test_a_run_keeps_what_is_frozen_to_the_bit_and_trains_the_rest(tiny_config):
    config = get_config(tiny_config, [*OPTIONS, "TRAIN.MAX_STEPS", "3"])
    started, batches, micro = start(config, config, World())  # the checks stop a run in which anything is odd
    before = {name: value.copy() for name, value in everything(started.state).items()}
    fit(started, batches, micro)
    started.close()
    odd = [finding.check for finding in started.findings if finding.level in ("warning", "error")]
    assert odd == ["frozen parameters have learnt"]  # which nobody has loaded here
    after = everything(started.state)
    frozen = ("patch_embed.", "cls_token", "pos_embed", "blocks.0.")
    for part in ("model: ", "average: "):
        for name in before:
            if name.startswith(part):
                stays = name.removeprefix(part).startswith(frozen)
                assert np.array_equal(before[name], after[name]) == stays, name
    state = state_by_structured_names(started.state.optimizer, started.state.model)
    assert state and not [name for name in state if name.startswith(frozen)]


def test_a_run_that_was_stopped_goes_on_bit_for_bit_and_one_that_is_thawed_goes_on_at_all(tiny_config, tmp_path):
    common = [*OPTIONS, "SAVE_STEPS", "2"]
    run(str(tiny_config), [*common, "TRAIN.MAX_STEPS", "4", "SAVE", str(tmp_path / "whole")])
    parts = ["SAVE", str(tmp_path / "parts")]
    run(str(tiny_config), [*common, "TRAIN.MAX_STEPS", "2", *parts])
    run(str(tiny_config), [*common, "TRAIN.MAX_STEPS", "4", *parts, "MODEL.RESUME", "auto"])
    for name in ("last.pdparams", "last_ema.pdparams"):
        assert_same_weights(tmp_path / "whole" / name, tmp_path / "parts" / name)
    kept = weights(tmp_path / "parts" / "last.pdparams")
    # the frozen are trained from here on, with moments of their own
    run(str(tiny_config), [*common, "TRAIN.MAX_STEPS", "6", *parts, "MODEL.RESUME", "auto", "TRAIN.FREEZE", "none"])
    moved = {name for name, value in weights(tmp_path / "parts" / "last.pdparams").items()
             if not np.array_equal(value, kept[name])}
    assert {"cls_token", "blocks.0.attn.qkv.weight", "patch_embed.proj.weight", "head.weight"} <= moved
    # and frozen once more, with moments that nobody asks for
    run(str(tiny_config), [*common, "TRAIN.MAX_STEPS", "7", *parts, "MODEL.RESUME", "auto", "TRAIN.FREEZE", "backbone"])


@pytest.mark.parametrize(("options", "words"), [
    (["TRAIN.FREEZE", "some"], "TRAIN.FREEZE wants none, embedding, backbone or a number of blocks; got 'some'"),
    (["TRAIN.FREEZE", "17"], "TRAIN.FREEZE 17 wants at most the 16 blocks of lvvit_s"),
    (["MODEL.TYPE", "paddle_vision", "MODEL.NAME", "resnet18", "TRAIN.FREEZE", "2"], "takes backbone, all but the"),
    (["MODEL.TYPE", "paddle_vision", "MODEL.NAME", "resnet18", "TRAIN.LAYER_DECAY", "0.7"], "needs a model of blocks"),
])
def test_what_cannot_be_frozen_or_slowed_is_refused_in_words_that_help(options, words):
    with pytest.raises(ValueError, match=words):
        get_config(None, options)


def test_a_number_may_be_written_as_one_and_nothing_as_nothing():
    assert [get_config(None, ["TRAIN.FREEZE", value]).TRAIN.FREEZE for value in ("3", "0", "none", "None")] == [
        "3", "none", "none", "none"]


def test_a_network_of_convolutions_trains_its_head_alone():
    model = create_model("resnet18", num_classes=3, image_size=32)
    freeze(model, "backbone")
    trained = {name for name, p in model.named_parameters() if not p.stop_gradient}
    assert trained == {"fc.weight", "fc.bias"}
    model.train()
    before = model.bn1._mean.numpy().copy()
    model(paddle.randn([2, 3, 32, 32]))
    np.testing.assert_array_equal(model.bn1._mean.numpy(), before)


def test_what_should_stay_and_does_not_is_found():
    model = small_lvvit()
    asked = frozen_names(model, "1")
    assert all_are_trained(model, (), asked).level == "error"  # asked for, and not done
    freeze(model, "1")
    assert all_are_trained(model, (), asked).level == "fine"
    assert all_are_trained(model, ()).level == "error"  # done, and not asked for
    model.cls_token.stop_gradient = False
    assert "cls_token trained" in all_are_trained(model, (), asked).text
