from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.vision import models as zoo

from ppim.models.paddle_vision import PaddleVision
from tests.helpers import images, spread_weights

SMALLEST = ["resnet18", "densenet121", "mobilenet_v1", "mobilenet_v2", "shufflenet_v2_x0_25"]


@pytest.fixture(scope="module", params=SMALLEST)
def pair(request):
    """(our network, paddle.vision's own with the same weights), for pictures of 100 x 140."""
    ours = PaddleVision(request.param, num_classes=7, image_size=(100, 140))
    spread_weights(ours, gain=2**0.5)  # features neither vanish nor explode
    theirs = getattr(zoo, request.param)(num_classes=7)
    assert theirs.set_state_dict(ours.state_dict()) == ([], [])
    ours.eval(), theirs.eval()
    return ours, theirs


@pytest.fixture(scope="module")
def x():
    return images(2, 100, 140)


def test_logits_are_those_of_paddle_vision(pair, x):
    ours, theirs = pair
    with paddle.no_grad():
        expected = theirs(x).numpy()
        np.testing.assert_allclose(ours(x).numpy(), expected, atol=1e-5 * max(1, np.abs(expected).max()))
    assert expected.std() > 1e-2


def test_class_logits_are_the_mean_of_the_cells(pair, x):
    ours, theirs = pair
    with paddle.no_grad():
        out, expected = ours.tokens(x), theirs(x).numpy()
    tolerance = 1e-5 * max(1, np.abs(expected).max())
    assert out.token_logits.shape == [2, ours.grid[0] * ours.grid[1], 7]
    np.testing.assert_allclose(out.token_logits.numpy().mean(1), expected, atol=tolerance)
    np.testing.assert_allclose(out.class_logits.numpy(), expected, atol=tolerance)
    assert out.token_logits.numpy().std(1).min() > 1e-3


def test_cells_are_row_major(x):
    net = PaddleVision("resnet18", num_classes=7, image_size=(100, 140))
    net.eval()
    with paddle.no_grad():
        cells = net.body(x)
        expected = cells[:, :, 2, 3].numpy() @ net.fc.weight.numpy() + net.fc.bias.numpy()
        got = net.tokens(x).token_logits[:, 2 * net.grid[1] + 3].numpy()
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_it_trains_and_follows_the_mode():
    net = PaddleVision("shufflenet_v2_x0_25", num_classes=3, image_size=64)
    net.train()
    net(paddle.rand([2, 3, 64, 64])).sum().backward()
    assert all(p.grad is not None for p in net.parameters() if not p.stop_gradient)
    net.eval()
    assert not any(layer.training for layer in net.sublayers())


@pytest.mark.parametrize("name", ["vgg16", "inception_v3", "mobilenet_v3_small", "no_such_net"])
def test_a_network_with_another_ending_is_refused_naming_the_families(name):
    with pytest.raises(ValueError, match=rf"{name}.*resnet, resnext, wide_resnet, densenet, mobilenet_v1"):
        PaddleVision(name)
