"""What would a GPU compute, and in which types? Asked of static programs, where mixed precision casts on CPUs too."""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import paddle
import pytest


@contextlib.contextmanager
def program() -> Iterator[paddle.static.Program]:
    """A new program that takes up what is computed inside; skips the test where Paddle has no PIR programs (2.6)."""
    paddle.enable_static()
    try:
        if not paddle.framework.in_pir_mode():
            pytest.skip("this Paddle traces another kind of program, which does not tell types")
        made, start = paddle.static.Program(), paddle.static.Program()
        with paddle.static.program_guard(made, start):
            yield made
    finally:
        paddle.disable_static()


def types_of_layers(build: Callable, run: Callable, shape: Sequence[int], dtype: str) -> dict[str, str]:
    """Type of each layer's result by structured name ("bfloat16"), in `run(build(), x)` with mixed precision."""
    found = {}

    def note(name):
        def hook(layer, inputs, output):
            value = output[0] if isinstance(output, tuple) else output
            found[name] = str(value.dtype).rsplit(".", 1)[-1].lower()

        return hook

    with program():
        x = paddle.static.data("x", list(shape), "float32")
        model = build()
        for name, layer in model.named_sublayers():
            layer.register_forward_post_hook(note(name))
        with paddle.amp.auto_cast(enable=True, level="O1", dtype=dtype):
            run(model, x)
    return found


def operators_of(run: Callable, *shapes: Sequence[int]) -> list[tuple[str, list[int]]]:
    """The operators that `run(x, ...)` takes for inputs of these shapes: name, and shape of its first result if
    that is a tensor."""
    with program() as made:
        inputs = [paddle.static.data(f"x{at}", list(shape), "float32") for at, shape in enumerate(shapes)]
        before = len(made.global_block().ops)
        run(*inputs)
        taken = made.global_block().ops[before:]
        results = [op.result(0) for op in taken]
        shapes = [list(result.shape) if result.is_dense_tensor_type() else [] for result in results]
        return [(op.name().rsplit(".", 1)[-1], shape) for op, shape in zip(taken, shapes)]
