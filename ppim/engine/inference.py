"""By which engine are photos answered? Paddle operator by operator, as in training ("dygraph"), or by paddle.inference,
which fuses a traced program and computes it with oneDNN, in bfloat16 too where the processor can.

Which is faster depends on the shapes, so "auto" tries both where there are photos enough to repay the tracing.
"""
from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from ppim.mkl import describe_processor
from ppim.models.base import TokenModel, TokenOutput, evaluating
from ppim.models.merging import Merging
from ppim.models.program import write_program

_FEWEST = 1000  # photos that repay a few seconds of tracing and trying
_TRIED = 16  # photos of a trial, at most
_ROUNDS = 3
_CLEAR = 0.95  # of dygraph's time: what is hardly faster is not worth other roundings
_SAME = 1e-4  # of the logits' deviation
# Paddle 2.6 finds no bfloat16 kernels for what joins and splits tensors
_IN_BFLOAT16 = {"matmul", "matmul_v2", "fused_matmul", "mul", "fc", "conv2d", "fused_conv2d"}
_PRODUCTS = {"float32": set(), "bfloat16": {"avx512_bf16", "amx_bf16"}}  # one of these flags, where there are some


class Inferred(nn.Layer):
    """A model's answers by paddle.inference on the processor, asked as the model is; later changes of the model's
    weights do not reach it.

    Args:
        tokens: can it be asked for the logits of tokens? They cost time.
        precision: 'float32' or 'bfloat16', of products; what goes in and comes out is float32.
    """

    def __init__(self, model: TokenModel, tokens: bool = False, precision: str = "float32"):
        super().__init__()
        self.num_classes, self.grid, self.precision = model.num_classes, model.grid, precision
        with tempfile.TemporaryDirectory() as folder:
            self._predictor = _predictor(*write_program(model, Path(folder), tokens), precision)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        """Evaluation logits (B, K) float32 of normalised images (B, 3, h, w)."""
        return paddle.to_tensor(self._run(images)[0])

    def evaluate_tokens(self, images: paddle.Tensor) -> TokenOutput:
        """Logits of the classes (B, K) and of the tokens (B, N, K)."""
        class_logits, token_logits = self._run(images)
        return TokenOutput(paddle.to_tensor(class_logits), paddle.to_tensor(token_logits))

    tokens = evaluate_tokens

    def _run(self, images: paddle.Tensor) -> list[np.ndarray]:
        predictor = self._predictor
        predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(images.numpy())
        predictor.run()
        # it leaves one thread to whatever is computed after it
        paddle.base.core.set_num_threads(_threads())
        return [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]


def _predictor(program: Path, weights: Path, precision: str):
    config = paddle.inference.Config(str(program), str(weights))
    config.disable_gpu()
    config.disable_glog_info()
    config.set_cpu_math_library_num_threads(_threads())
    config.enable_mkldnn()
    if precision == "bfloat16":
        config.enable_mkldnn_bfloat16()
        config.set_bfloat16_op(_IN_BFLOAT16)
    return paddle.inference.create_predictor(config)


def _threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS") or 1)


def has_products(precision: str) -> bool:
    """Has this processor products of that precision?"""
    wanted = _PRODUCTS[precision]
    flags = next((line for line in describe_processor().splitlines() if line.startswith("flags")), "")
    return not wanted or bool(wanted & set(flags.split()))


def prefers(times: Sequence[float], logits: np.ndarray, others: np.ndarray) -> bool:
    """Is the second engine to be taken: clearly faster, and of the same answers but for rounding?

    Args:
        times: seconds of the first and of the second; logits, others: what they say, (B, K).
    """
    is_same = np.abs(logits - others).max() <= _SAME * max(float(logits.std()), 1e-6)
    return bool(times[1] < _CLEAR * times[0] and is_same)


def answerer(model: TokenModel, count: int, engine: str, *, batch_size: int, precision: str = "float32",
              keep: float = 1.0, tokens: bool = False) -> tuple[nn.Layer, str]:
    """What is to be asked about `count` photos in place of the model, and a line that says why; "" for the model.

    Args:
        engine: 'dygraph', 'inference' or 'auto'.
        precision: see `Inferred`; with 'bfloat16', 'auto' is 'inference', since nothing else has it.
        keep: share of the patches that are left behind the last block, see `ppim.models.merging`.
        tokens: will it be asked for the logits of tokens?

    Raises:
        ValueError: the engine is for processors and the model is on a GPU, or the processor has no such products.
    """
    on_gpu = not paddle.get_device().startswith("cpu")
    if not has_products(precision):
        raise ValueError(f"EVAL.PRECISION {precision} wants a processor with "
                         f"{' or '.join(sorted(_PRODUCTS[precision]))}, which /proc/cpuinfo does not name; leave it "
                         "float32")
    if keep < 1:
        model = Merging(model, keep)
    if engine == "inference" or precision != "float32":
        if on_gpu:
            raise ValueError(f"EVAL.ENGINE inference is for processors, this is {paddle.get_device()}; leave it "
                             "dygraph")
        return Inferred(model, tokens, precision), f"engine: paddle.inference with oneDNN, {precision}"
    if engine == "dygraph" or on_gpu or count < _FEWEST:
        return model, ""
    return _faster(model, min(batch_size, _TRIED), tokens)


def _faster(model: TokenModel, batch: int, tokens: bool) -> tuple[nn.Layer, str]:
    program = Inferred(model, tokens)
    shape = (batch, 3, *model.image_size)
    images = paddle.to_tensor(np.linspace(-2, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape))
    with paddle.no_grad(), evaluating(model):
        ask: list[Callable[[], np.ndarray]] = [
            lambda one=one: (one.evaluate_tokens(images).class_logits if tokens else one(images)).numpy()
            for one in (model, program)]
        said = [one() for one in ask]  # the first time is for settling in
        rounds = [[_seconds(one) for one in ask] for _ in range(_ROUNDS)]
    times = np.median(rounds, axis=0)
    taken = prefers(times, *said)
    name, how = "paddle.inference with oneDNN", f"{times[0] / times[1]:.2f} times as fast on {batch} photos here"
    return (program, f"engine: {name}, {how}") if taken else (model, f"engine: dygraph, since {name} is {how}")


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
