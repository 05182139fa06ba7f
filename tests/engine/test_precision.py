"""What a configuration asks of the device, with the device's answers made up."""
import paddle
import pytest

from ppim.config import get_config
from ppim.engine.build import amp_arguments
from ppim.paddle_compat import _generations, be_deterministic


@pytest.fixture
def device(monkeypatch):
    """`device("gpu:1", 8)` pretends a GPU of that compute capability; bfloat16 comes with 8."""

    def pretend(name, major=0):
        monkeypatch.setattr(paddle, "get_device", lambda: name)
        monkeypatch.setattr(paddle.device.cuda, "get_device_capability", lambda number: (major, 0))
        monkeypatch.setattr(paddle.amp, "is_bfloat16_supported", lambda: major >= 8)
        _generations.clear()

    yield pretend
    _generations.clear()


@pytest.mark.parametrize(("name", "major", "options", "dtype"), [
    ("cpu", 0, [], None),
    ("cpu", 0, ["AMP", "True"], None),
    ("gpu:0", 6, [], None),
    ("gpu:0", 6, ["AMP", "True"], "float16"),
    ("gpu:0", 7, [], "float16"),
    ("gpu:3", 8, [], "bfloat16"),
    ("gpu:0", 9, ["AMP_DTYPE", "float16"], "float16"),
    ("gpu:0", 9, ["AMP", "False"], None),
])
def test_mixed_precision_is_on_where_the_device_gains_by_it(device, name, major, options, dtype):
    device(name, major)
    found = amp_arguments(get_config(None, options))
    assert (found and found["dtype"]) == dtype
    assert found is None or (found["enable"] is True and found["level"] == "O1")


@pytest.mark.parametrize("has_gpus", [True, False])
def test_deterministic_kernels_are_asked_for_where_the_flag_exists(monkeypatch, has_gpus):
    asked = {}
    monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: has_gpus)
    monkeypatch.setattr(paddle, "set_flags", asked.update)
    be_deterministic()
    assert asked == ({"FLAGS_cudnn_deterministic": True} if has_gpus else {})
