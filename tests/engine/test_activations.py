"""The memory a step is said to take, against what autograd says it saves and what the allocator says is held."""
from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from ppim import paddle_compat
from ppim.config import get_config
from ppim.engine.activations import activations_per_image, forecast, forecast_for, kept_per_image
from ppim.models import create_model

pytestmark = pytest.mark.smoke

SMALL = {"image_size": 64, "num_classes": 100, "embed_dim": 48, "depth": 4, "num_heads": 3, "drop_path": 0.1}
MODELS = {
    "lvvit_t": {"patch_size": 8, "stem_channels": 16},
    "deit_tiny": {"patch_size": 8},
    "t2t_vit_7": {},
    "volo_d1": {"layers": [1, 1, 1, 1], "outlook_heads": 3, "stem_channels": 16},
}


def allocated() -> int:
    return paddle.base.core.host_memory_stat_current_value("Allocated", 0)


def saved(forward, shape) -> int:
    """Bytes of all that autograd saves in `forward` of a random input, parameters included; what is saved twice counts
    once."""
    kept = {}

    def pack(x):
        kept[x.value().get_tensor()._ptr()] = x
        return x

    with paddle.autograd.saved_tensors_hooks(pack, lambda x: x):
        output = forward(paddle.rand(shape))
    assert output[0].shape[0] == shape[0]
    return sum(x.size * x.element_size() for x in kept.values())


@pytest.fixture(params=MODELS)
def model(request):
    paddle.seed(0)
    return create_model(request.param, **{**SMALL, **MODELS[request.param]})


def test_what_a_batch_keeps_follows_from_two_small_ones(model):
    predicted = activations_per_image(model, True, None, allocated)
    # the softmax of the loss, which autograd is not asked to save
    logits = sum(part[0].size for part in model.tokens(paddle.rand([1, 3, 64, 64]))[:2] if part is not None)
    counted = (saved(model.tokens, [11, 3, 64, 64]) - saved(model.tokens, [1, 3, 64, 64])) / 10 + 4 * logits
    assert predicted == pytest.approx(counted, rel=0.1)


def test_with_recompute_it_is_the_inputs_of_blocks_and_the_inside_of_one(model):
    plain = activations_per_image(model, True, None, allocated)
    model.recompute = True
    again = activations_per_image(model, True, None, allocated)
    model.recompute = False
    tokens = model.grid[0] * model.grid[1] + 1
    block = (saved(model.blocks[1], [9, tokens, 48]) - saved(model.blocks[1], [1, tokens, 48])) / 8
    # of three of the four blocks all that they save goes, but for what enters them
    assert plain - again == pytest.approx(3 * (block - 4 * tokens * 48), rel=0.1)


def test_asking_leaves_the_model_as_it_was(model):
    model.recompute = True
    before = {name: value.numpy() for name, value in model.state_dict().items()}
    activations_per_image(model, True, None, allocated)
    assert model.recompute and model.training
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name], err_msg=name)


def test_what_does_not_grow_with_the_images_is_left_out():
    fixed = paddle.zeros([1000])
    assert kept_per_image(lambda images: (paddle.zeros([images, 50]), fixed * 2), allocated) == 50 * 4


def test_a_forecast_says_what_to_do_where_it_does_not_fit():
    # 64 x 0.5 GB of activations, 150 million parameters of 20 bytes
    fits, = forecast(0.5e9, 64, 150_000_000, 40 * 10**9)
    assert "about 35.0 GB: 32.0 of activations for 64 images, 3.0 of weights" in fits and "has 40.0" in fits
    _, note = forecast(0.6e9, 64, 150_000_000, 40 * 10**9)
    assert "TRAIN.RECOMPUTE True" in note and "DATA.BATCH_SIZE" in note


def test_on_a_cpu_nothing_is_said():
    assert forecast_for(None, None, 0) == []


def test_on_a_gpu_the_batch_is_that_of_a_process(model, monkeypatch):
    monkeypatch.setattr(paddle, "get_device", lambda: "gpu:0")
    monkeypatch.setitem(paddle_compat._generations, "gpu:0", 7)
    monkeypatch.setattr(paddle.device.cuda, "memory_allocated", allocated)
    properties = SimpleNamespace(total_memory=24 * 10**9)
    monkeypatch.setattr(paddle.device.cuda, "get_device_properties", lambda: properties)
    config = get_config(None, ["DATA.BATCH_SIZE", "1000", "AMP", "never", "TOKEN_LABEL.ENABLE", "True"])
    line, = forecast_for(config, model, 10**9)
    kept = activations_per_image(model, True, None, allocated) / 1e6
    assert f"{kept:.1f} of activations for 1000 images, 20.0 of weights" in line and "24.0" in line
