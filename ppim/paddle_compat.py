"""What has to be done otherwise for another Paddle version or device, so that nothing else need know.

Served: Paddle 2.6.2 (the newest GPU package with a stable name) and 3.x, on CPU and on GPU.
"""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import paddle
from paddle.distributed.fleet.utils import recompute

FLASH_MAX_HEAD_DIM = 256
FLASH_HEAD_DIM_STEP = 8


_generations: dict[str, int] = {}  # known ones; a graph that is being traced can look up, but not ask
_planned: list[int] = []  # of the GPU that is planned for, see `planned_for`


@contextlib.contextmanager
def planned_for(generation: int) -> Iterator[None]:
    """Inside, graphs are made as a GPU of this generation would compute: to be counted, not to be run."""
    _planned.append(generation)
    try:
        yield
    finally:
        _planned.pop()


def is_planned() -> bool:
    """Is a graph being made inside `planned_for`? It has no place for a PyLayer."""
    return bool(_planned)


def gpu_generation() -> int:
    """NVIDIA's major compute capability of the device in use: 7 is Volta and Turing, 8 Ampere, 9 Hopper; 0: no GPU."""
    if _planned:
        return _planned[-1]
    device = paddle.get_device()
    if not device.startswith("gpu"):
        return 0
    if device not in _generations:
        _generations[device] = paddle.device.cuda.get_device_capability(device)[0]
    return _generations[device]


def half_precision_pays() -> bool:
    """Is the device in use faster in half precision? GPUs with tensor cores are, which came with Volta."""
    return gpu_generation() >= 7


def be_deterministic() -> None:
    """Ask for kernels whose sums come out the same every time, where there are others: on GPUs."""
    if paddle.is_compiled_with_cuda():
        paddle.set_flags({"FLAGS_cudnn_deterministic": True})


def flash_attention_runs(x: paddle.Tensor, head_dim: int) -> bool:
    """Would `F.scaled_dot_product_attention` use its fused kernel for data like `x`, given a width it takes?

    That kernel wants half precision, a head width that is a multiple of `FLASH_HEAD_DIM_STEP` and an Ampere or newer
    GPU. On the CPU the call is the slowest of all layouts, and Paddle 2.6.2 hands even fp32 to the fused kernel, which
    refuses it. While a graph is traced for export the answer is no, so that exported models run anywhere.
    """
    return (
        (paddle.in_dynamic_mode() or is_planned())
        and gpu_generation() >= 8
        and x.dtype in (paddle.float16, paddle.bfloat16)
        and head_dim <= FLASH_MAX_HEAD_DIM
    )


def heads_go_together(x: paddle.Tensor) -> bool:
    """Is attention over data like `x` faster as one product of all heads than head by head?

    On GPUs, where every launch counts. On CPUs transposing costs more than the products; traced graphs go there.
    """
    if is_planned():
        return gpu_generation() > 0
    return paddle.in_dynamic_mode() and paddle.get_device().startswith("gpu")


def adds_bias_in_half_precision() -> bool:
    """Does `F.linear` keep mixed precision's type, its bias fused into the product? Paddle's from about 3.2.2 on do, if
    built for GPUs; before, and on CPUs, a product in half precision plus a float32 bias is float32."""
    return paddle.is_compiled_with_cuda() and hasattr(paddle._C_ops, "linear_v2")


def all_finite(tensors: list[paddle.Tensor]) -> paddle.Tensor:
    """Is every number of these float32 tensors finite? A bool on the device, by a single operator, that of loss scaling
    at a scale of 1: on a GPU, an operator for each of them would cost the host more than it costs the device."""
    return paddle.logical_not(paddle._C_ops.check_finite_and_unscale_(tensors, paddle.ones([1]))[1]).reshape([])


class GradScaler(paddle.amp.GradScaler):
    """Paddle's loss scaling, which announces a smaller scale by `float()` of a tensor of one element: from 2.4 on numpy
    refuses that, and the first overflow of a float16 run, which is to be expected, would end it."""

    def update(self) -> None:
        """Grow or shrink the scale by what the last step has met."""
        if not self.is_enable():
            return
        self._scale = self._scale.reshape([])
        super().update()
        self._scale = self._scale.reshape([1])

    def back_off(self) -> None:
        """Shrink the scale as `update` does after a step that has overflowed, for a step that is not taken."""
        self._cache_found_inf = self._cache_founf_inf = True  # as 3.x spells it, and 2.6
        self.update()


def state_of(optimizer: paddle.optimizer.Optimizer) -> dict[str, object]:
    """Its state dict. What was put back lies apart until the first step takes it up, and Paddle 2.6 does not tell of it
    before."""
    waiting = {} if optimizer._accumulators else optimizer._accumulators_holder
    return {**waiting, **optimizer.state_dict()}


def recomputed(function: Callable, *args):
    """`function(*args)`, of which the backward pass finds only `args` and computes the rest again, with equal draws.

    By hooks on what is saved, not by a backward pass inside the backward pass: that one wants every result to be a
    tensor. Kept as usual while a graph is traced, and by Paddle 2.6 on a CPU, which cannot repeat the draws there.
    """
    if not paddle.in_dynamic_mode() or (paddle.version.major == "2" and paddle.get_device() == "cpu"):
        return function(*args)
    return recompute(function, *args, use_reentrant=False)


def given(x: paddle.Tensor | None) -> bool:
    """Is there an `x`? To be asked where graphs are traced, which break at `if x is None` for a tensor."""
    return x is not None


def called_while_tracing(function: Callable) -> Callable:
    """Decorator of a function of tensors that `paddle.jit.to_static` calls instead of reading its bytecode, so that
    `paddle.in_dynamic_mode()` says in it, in every mode of tracing, that a graph is being made."""
    unified = getattr(getattr(paddle.jit, "marker", None), "unified", None)
    return unified(function, for_ast=False) if unified else function
