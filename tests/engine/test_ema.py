"""The running average against numpy."""
import gc
import sys

import numpy as np
import paddle
import pytest
from paddle import nn

from ppim.engine.ema import Ema, swapped_in


class Net(nn.Layer):
    def __init__(self):
        super().__init__()
        self.weight = self.create_parameter([2], default_initializer=nn.initializer.Constant(0.0))
        self.fixed = self.create_parameter([2], default_initializer=nn.initializer.Constant(0.0))
        self.fixed.stop_gradient = True
        self.bn = nn.BatchNorm1D(2)


def set_all(net, value):
    for tensor in net.state_dict().values():
        paddle.assign(paddle.full_like(tensor, value), tensor)


def test_the_average_warms_up_as_its_formula_says():
    net = Net()
    set_all(net, 0.0)
    ema, expected = Ema(net, decay=0.5), 0.0
    for t in range(12):
        set_all(net, float(t))
        ema.update()
        decay = min(0.5, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * t
    state = {name: value.numpy() for name, value in ema.state_dict().items()}
    for name in ("weight", "bn.weight", "bn._mean", "bn._variance"):
        np.testing.assert_allclose(state[name], expected, rtol=1e-6, err_msg=name)
    np.testing.assert_array_equal(state["fixed"], 11.0)


def test_an_update_makes_no_tensor_of_a_number(monkeypatch):
    # each would be a copy to the device, and on Paddle 3.3 a leak of a hundred bytes
    net = Net()
    set_all(net, 0.0)
    ema = Ema(net, decay=0.9)
    set_all(net, 1.0)

    def refuse(*_, **__):
        raise AssertionError("a tensor was made during the update")

    with monkeypatch.context() as patch:
        for name in ("to_tensor", "full"):
            patch.setattr(paddle, name, refuse)
        ema.update()
        ema.update()
    # decays of 1/10 and 2/11
    np.testing.assert_allclose(ema.state_dict()["weight"].numpy(), 1 - 0.1 * 2 / 11, rtol=1e-6)


@pytest.mark.smoke
def test_an_update_leaves_nothing_behind():
    # `lerp_` with a number and `to_tensor` leave two objects of Python's each, on Paddle 3.3, for ever
    net = Net()
    ema = Ema(net, decay=0.9)
    for _ in range(20):
        ema.update()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(2000):
        ema.update()
    gc.collect()
    assert sys.getallocatedblocks() - before < 1000


def test_averages_are_no_views_of_the_model():
    net = Net()
    set_all(net, 1.0)
    ema = Ema(net, decay=0.9)
    set_all(net, 5.0)
    assert (ema.state_dict()["weight"].numpy() == 1.0).all()


def test_a_loaded_average_goes_on_where_it_was_saved():
    net = Net()
    set_all(net, 1.0)
    first, second = Ema(net, 0.999), Ema(net, 0.999)
    set_all(net, 2.0)
    for _ in range(3):
        first.update()
    second.load({name: value.numpy() for name, value in first.state_dict().items()}, first.updates)
    for ema in (first, second):
        ema.update()
    np.testing.assert_array_equal(first.state_dict()["weight"].numpy(), second.state_dict()["weight"].numpy())


def test_an_average_of_another_model_is_refused():
    with pytest.raises(ValueError, match="another model"):
        Ema(Net(), 0.9).load({"weight": np.zeros(2)}, 1)


def test_the_model_is_itself_again_after_the_swap():
    net = Net()
    set_all(net, 1.0)
    ema = Ema(net, 0.9)
    set_all(net, 3.0)
    with swapped_in(net, ema.state_dict()) as inside:
        assert (inside.weight.numpy() == 1.0).all() and (inside.bn._mean.numpy() == 1.0).all()
    assert (net.weight.numpy() == 3.0).all() and (net.bn._mean.numpy() == 3.0).all()
