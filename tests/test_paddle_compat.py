"""Which way is taken on which device, asked about tensors and devices that are made up."""
from types import SimpleNamespace

import paddle
import pytest

from ppim import paddle_compat
from ppim.paddle_compat import flash_attention_runs, heads_go_together


@pytest.fixture
def tensor(monkeypatch):
    """`tensor(dtype, major)`: one on a GPU of that compute capability; on a CPU without."""

    def make(dtype, major=None):
        monkeypatch.setattr(paddle.device.cuda, "get_device_capability", lambda device: (major, 0))
        monkeypatch.setattr(paddle, "get_device", lambda: "cpu" if major is None else "gpu:0")
        monkeypatch.setattr(paddle_compat, "_generations", {})
        return SimpleNamespace(dtype=dtype)

    return make


@pytest.mark.parametrize(("dtype", "major", "width", "runs"), [
    (paddle.bfloat16, 8, 64, True),
    (paddle.float16, 9, 60, True),  # widened by zeros
    (paddle.float16, 8, 12, True),
    (paddle.float16, 8, 257, False),
    (paddle.float16, 7, 64, False),
    (paddle.float32, 8, 64, False),
    (paddle.bfloat16, None, 64, False),
])
def test_fused_attention_wants_half_precision_on_ampere_or_later(tensor, dtype, major, width, runs):
    assert flash_attention_runs(tensor(dtype, major), width) == runs


@pytest.mark.parametrize(("major", "together"), [(7, True), (9, True), (None, False)])
def test_heads_go_together_on_gpus(tensor, major, together):
    assert heads_go_together(tensor(paddle.float32, major)) == together
