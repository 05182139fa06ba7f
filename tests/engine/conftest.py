"""What several tests of the engine start from."""
from __future__ import annotations

from types import SimpleNamespace

import paddle
import pytest

from ppim.paddle_compat import GradScaler


@pytest.fixture
def scaler(monkeypatch) -> GradScaler:
    """Loss scaling that is switched on, which Paddle refuses on a CPU, though its kernels run there."""
    gpu = SimpleNamespace(_expected_place=SimpleNamespace(is_gpu_place=lambda: True))
    monkeypatch.setattr(paddle.amp.grad_scaler, "_dygraph_tracer", lambda: gpu)
    return GradScaler(init_loss_scaling=1024.0)
