"""What differs between Paddle versions and devices; the only file that asks.

Served: Paddle 2.6.2 (the newest GPU package with a stable name) and 3.x, on CPU and on GPU.
"""
from __future__ import annotations

import functools

import paddle

FLASH_MAX_HEAD_DIM = 256


@functools.cache
def _gpu_has_flash_attention(device_id: int) -> bool:
    major, _ = paddle.device.cuda.get_device_capability(device_id)
    return major >= 8


def flash_attention_runs(x: paddle.Tensor, head_dim: int) -> bool:
    """Would `F.scaled_dot_product_attention` use its fused kernel for data like `x`?

    That kernel wants half precision, a head width that is a multiple of 8 and an Ampere or newer GPU. On the CPU the
    call is the slowest of all layouts, and Paddle 2.6.2 hands even fp32 to the fused kernel, which refuses it.
    While a graph is traced for export the answer is no, so that exported models run anywhere.
    """
    return (
        paddle.in_dynamic_mode()
        and x.place.is_gpu_place()
        and x.dtype in (paddle.float16, paddle.bfloat16)
        and head_dim % 8 == 0
        and head_dim <= FLASH_MAX_HEAD_DIM
        and _gpu_has_flash_attention(x.place.gpu_device_id())
    )


class GradScaler(paddle.amp.GradScaler):
    """Paddle's loss scaling, which announces a smaller scale by `float()` of a tensor of one element: from 2.4 on numpy
    refuses that, and the first overflow of a float16 run, which is to be expected, would end it."""

    def update(self) -> None:
        if not self.is_enable():
            return
        self._scale = self._scale.reshape([])
        super().update()
        self._scale = self._scale.reshape([1])
