"""What several tests of the engine start from."""
from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import paddle
import pytest

from ppim.engine.checkpoint import Checkpoint, State
from ppim.paddle_compat import GradScaler


@pytest.fixture
def scaler(monkeypatch) -> GradScaler:
    """Loss scaling that is switched on, which Paddle refuses on a CPU, though its kernels run there."""
    gpu = SimpleNamespace(_expected_place=SimpleNamespace(is_gpu_place=lambda: True))
    monkeypatch.setattr(paddle.amp.grad_scaler, "_dygraph_tracer", lambda: gpu)
    return GradScaler(init_loss_scaling=1024.0)


@pytest.fixture
def checkpoint() -> Checkpoint:
    """A small one, of which every field says something."""
    state = State(
        step=3, epoch=1, offset=8, samples_per_micro=4, seed=7, processes=2, threads="2", best={"top1": 50.0},
        ema_updates=3, scaler={"scale": [1024.0]}, versions={"ppim": "0.0"},
    )
    w = np.arange(6, dtype="float32").reshape(2, 3)
    return Checkpoint({"model": {"w": w}, "optimizer": {"w/moment1_0": w / 2}, "ema": {"w": w + 1}}, state)
