"""What does a training step compute? Read from a program that is made, not run: every operator with shapes and types.

Model and loss are written down in a static program of Paddle 3 (PIR) as a GPU of the given generation would compute
them, and Paddle finds the backward pass. Nothing is allocated: a model of any size takes seconds on a laptop. Kernels
that Paddle writes down on GPUs alone (fused attention; BatchNorm and windows in half precision) stand there as single
operators with the operands and results of theirs.
"""
from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.models.base import TokenModel
from ppim.paddle_compat import planned_for
from ppim.plan.operators import ATTENTION, NORM, UNFOLD, VIEWS, Operator, Value, product_macs

# what a program has besides operators that a training step starts
_NO_OPERATORS = {"parameter", "constant", "combine", "split", "slice_list", "data", "full_int_array", "shadow_output"}
_ITEMSIZES = {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "float16": 2, "bfloat16": 2, "int16": 2, "uint8": 1,
              "int8": 1, "bool": 1}


class Traced(NamedTuple):
    """A step as it was written down.

    Attributes:
        operators: forward, then backward; first_backward: where that begins.
        blocks: start and stop of each transformer block's operators.
        gradients: keys of the parameters' gradients.
        trained, state: values in the parameters that are trained, and in all that a state has.
        trained_tensors, state_tensors: how many tensors these are.
        grid, classes: of the model.
    """

    operators: list[Operator]
    first_backward: int
    blocks: list[tuple[int, int]]
    gradients: frozenset[int]
    trained: int
    state: int
    trained_tensors: int
    state_tensors: int
    grid: tuple[int, int]
    classes: int

    @property
    def forward(self) -> list[Operator]:
        """The forward pass alone."""
        return self.operators[:self.first_backward]


def trace(build: Callable[[], tuple[TokenModel, Callable[[], paddle.Tensor]]], generation: int) -> Traced:
    """Write down a forward pass and, where its result wants a gradient, the backward pass.

    Args:
        build: makes a model and the function of no arguments that computes a loss with it, or any other result; runs
            inside the program, where `declared` makes inputs.
        generation: of the GPU, as `paddle_compat.gpu_generation` has them; 0: as on a CPU.

    Raises:
        ValueError: this Paddle makes programs of another kind (2.6).
    """
    with _program() as program, planned_for(generation), _kernels_of_gpus(generation) as kinds:
        model, compute = build()
        block, marks = program.global_block(), []
        hooks = _note_blocks(model, block, marks)
        result = compute()
        for hook in hooks:
            hook.remove()
        first = len(block.ops)
        trained = [p for p in model.parameters() if not p.stop_gradient]
        found = paddle.static.gradients([result], trained) if not result.stop_gradient else []
        reader = _Reader(kinds)
        operators, places = reader.read(block.ops)
        state = model.state_dict().values()
        return Traced(
            operators, places[first], [(places[start], places[stop]) for start, stop in marks],
            frozenset(reader.key(value) for value in found if value is not None), _size(trained), _size(state),
            len(trained), len(state), tuple(model.grid), model.num_classes)


def _size(tensors) -> int:
    return sum(math.prod(tensor.shape) for tensor in tensors)


def declared(name: str, shape: Sequence[int], dtype: str) -> paddle.Tensor:
    """An input of the program; nothing is differentiated by it."""
    return paddle.static.data(name, list(shape), dtype)


@contextlib.contextmanager
def _program() -> Iterator[paddle.static.Program]:
    paddle.enable_static()
    try:
        if not paddle.framework.in_pir_mode():
            raise ValueError(f"a plan is read from programs of Paddle 3, this is {paddle.__version__}, whose programs "
                             "do not tell types; make it with Paddle 3 anywhere, a CPU is enough, and train with this")
        made = paddle.static.Program()
        with paddle.static.program_guard(made, paddle.static.Program()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield made
    finally:
        paddle.disable_static()


@contextlib.contextmanager
def _kernels_of_gpus(generation: int) -> Iterator[list[str]]:
    """Inside, kernels that a CPU does not know are written down as layers of Python with their operands; which they
    are, in their order."""
    kinds: list[str] = []
    places = ((F, "scaled_dot_product_attention"), (F, "unfold"), (nn.layer.norm, "batch_norm"))
    before = [getattr(module, name) for module, name in places]
    stand_ins = [partial(_attention, kinds), partial(_unfold, kinds, before[1]), partial(_norm, kinds, before[2])]
    for (module, name), stand_in in zip(places, stand_ins if generation else before):
        setattr(module, name, stand_in)
    try:
        yield kinds
    finally:
        for (module, name), own in zip(places, before):
            setattr(module, name, own)


def _attention(kinds: list[str], q, k, v):
    kinds.append(ATTENTION)
    return paddle.static.nn.static_pylayer(lambda q, k, v: q * 1.0, [q, k, v], lambda up: (up * 1.0,) * 3)


def _norm(kinds: list[str], norm: Callable, x, mean, variance, weight, bias, *rest, **how):
    if x.dtype == paddle.float32:
        return norm(x, mean, variance, weight, bias, *rest, **how)
    kinds.append(NORM)
    return paddle.static.nn.static_pylayer(lambda x, w, b: x * 1.0, [x, weight, bias],
                                           lambda up: (up * 1.0, weight * 1.0, bias * 1.0))


def _unfold(kinds: list[str], unfold: Callable, x, kernel: int, strides: int, paddings: int):
    if x.dtype == paddle.float32:
        return unfold(x, kernel, strides, paddings)
    kinds.append(UNFOLD)
    images, channels, *sides = x.shape
    windows = math.prod((side + 2 * paddings - kernel) // strides + 1 for side in sides)
    return paddle.static.nn.static_pylayer(
        lambda x: paddle.zeros([images, channels * kernel * kernel, windows], x.dtype), [x],
        lambda up: paddle.zeros([images, channels, *sides], up.dtype))


def _note_blocks(model: TokenModel, block, marks: list[tuple[int, int]]) -> list[Any]:
    """Let the transformer's blocks say where their operators begin and end."""
    def begins(*_):
        marks.append((len(block.ops), 0))

    def ends(*_):
        marks[-1] = marks[-1][0], len(block.ops)

    blocks = getattr(model, "blocks", ())
    return [hook for one in blocks
            for hook in (one.register_forward_pre_hook(begins), one.register_forward_post_hook(ends))]


class _Reader:
    """From Paddle's operators to ours: lists resolved, views followed to what they show."""

    def __init__(self, kinds: Sequence[str]):
        self._kinds = list(kinds)
        self._backward_kinds: list[tuple[str, Operator]] = []
        self._lists: dict[int, list[paddle.Tensor]] = {}
        self._keys: dict[int, int] = {}

    def key(self, value) -> int:
        """Which memory a value lies in."""
        return self._keys.setdefault(value.id, len(self._keys))

    def read(self, ops) -> tuple[list[Operator], list[int]]:
        """Our operators, and for each place among Paddle's the place among ours."""
        for op in ops:
            if op.name() == "builtin.split":
                self._lists[op.operand_source(0).id] = op.results()
        operators, places = [], []
        for op in ops:
            places.append(len(operators))
            name = op.name().rsplit(".", 1)[-1]
            if name == "combine":
                self._lists[op.result(0).id] = [op.operand_source(at) for at in range(op.num_operands())]
            elif name not in _NO_OPERATORS and not (name == "full" and op.result(0).shape in ([], [1])):
                operators.append(self._operator(op, name))
        return operators, [*places, len(operators)]

    def _tensors(self, value) -> list[paddle.Tensor]:
        if value is None or not value.initialized():
            return []
        values = [value] if value.is_dense_tensor_type() else self._lists.get(value.id, [])
        return [value for value in values if value.initialized()]  # gradients that nobody asks for have no type

    def _value(self, value) -> Value:
        dtype = str(value.dtype).rsplit(".", 1)[-1].lower()
        return Value(self.key(value), tuple(value.shape), _ITEMSIZES[dtype], dtype)

    def _operator(self, op, name: str) -> Operator:
        if name == "pylayer":
            return self._gpu_kernel(op)
        sources = [self._tensors(op.operand_source(at)) for at in range(op.num_operands())]
        results = [value for result in op.results() for value in self._tensors(result)]
        if name.removesuffix("_grad") in VIEWS:
            shown = sources[-1][0] if name.endswith("_grad") else sources[0][0]
            self._keys[results[0].id] = self.key(shown)
        reads = [self._value(value) for at, values in enumerate(sources)
                 if not op.is_no_need_buffer(op.operand_source(at)) for value in values]
        if name.removesuffix("_grad") in VIEWS:
            reads = reads[-1:] if name.endswith("_grad") else reads[:1]
        macs = product_macs(name, [tuple(value.shape) for values in sources for value in values],
                            [tuple(value.shape) for value in results],
                            name.startswith("matmul") and bool(op.attrs().get("transpose_x")))
        return Operator(name, tuple(reads), tuple(map(self._value, results)), macs)

    def _gpu_kernel(self, op) -> Operator:
        """A stand-in: forward in their order, backward in the reverse; what went in and came out is kept for it."""
        reads = tuple(self._value(op.operand_source(at)) for at in range(op.num_operands()))
        writes = tuple(self._value(value) for value in op.results() if value.initialized())
        if self._kinds:
            kind = self._kinds.pop(0)
            made = Operator(kind, reads, writes, product_macs(kind, [value.shape for value in reads], []))
            self._backward_kinds.append((kind, made))
            return made
        kind, forward = self._backward_kinds.pop()
        kept = {ATTENTION: forward.reads + forward.writes, NORM: forward.reads, UNFOLD: ()}[kind]
        # attention finds its weights again and has four gradients: five products for two
        return Operator(f"{kind}_grad", kept + reads[:1], writes, forward.macs * 5 // 2)
