"""The base of every model: what trainer and loader ask it for, strict loading, other projects' names.

Parameter names are those of the original PyTorch code, weights have Paddle's layout (a Linear weight is (in, out)).
"""
from __future__ import annotations

import contextlib
import inspect
import numbers
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import paddle
from paddle import nn

from ppim.families import Facts

REQUIRED = inspect.Parameter.empty


class TokenOutput(NamedTuple):
    """What `model.tokens(x)` returns; None where a model has no such part."""

    class_logits: paddle.Tensor  # (B, C)
    token_logits: paddle.Tensor | None = None  # (B, N, C), tokens row-major over the grid
    share: paddle.Tensor | None = None  # (B,) own share of the class target, where the model works it out
    dist_logits: paddle.Tensor | None = None  # (B, C) of a distillation head
    dist_share: paddle.Tensor | None = None  # (B,) own share of the distillation head's target, as `share`


class StateDiff(NamedTuple):
    """Where a state and a model disagree."""

    missing: list[str]  # only in the model
    unexpected: list[str]  # only in the state
    misshaped: list[str]  # in both, with other shapes


@contextlib.contextmanager
def evaluating(model: nn.Layer) -> Iterator[nn.Layer]:
    """`with evaluating(model):` it computes as in evaluation; afterwards each layer is in the mode it was in."""
    modes = [(layer, layer.training) for layer in model.sublayers(include_self=True)]
    was_training = model.training
    model.eval()
    try:
        yield model
    finally:
        if was_training:
            model.train()  # Paddle's tracer has a mode as well
        for layer, mode in modes:  # some may have computed as in evaluation before, such as a frozen stem
            layer.training = mode


def as_pair(size: int | Sequence[int]) -> tuple[int, int]:
    """An int or (h, w) as (h, w)."""
    if isinstance(size, numbers.Integral):  # numpy's too
        return int(size), int(size)
    height, width = size
    return int(height), int(width)


def compare_states(wanted: Mapping, got: Mapping) -> StateDiff:
    """Names and shapes of two states side by side."""
    return StateDiff(
        [name for name in wanted if name not in got],
        [name for name in got if name not in wanted],
        [name for name in wanted if name in got and list(wanted[name].shape) != list(got[name].shape)],
    )


def describe_diff(diff: StateDiff, wanted: Mapping, got: Mapping, most: int = 8) -> str:
    """Both sides of a disagreement; of each kind the first `most` names."""

    def listing(title, names, show):
        more = ", ..." if len(names) > most else ""
        return [f"{title} ({len(names)}): {', '.join(map(show, names[:most]))}{more}"] if names else []

    def shapes(name):
        return f"{name} {list(got[name].shape)} for {list(wanted[name].shape)}"

    return "; ".join(
        listing("only in the model", diff.missing, str)
        + listing("only in the weights", diff.unexpected, str)
        + listing("other shapes, weights for model", diff.misshaped, shapes)
    )


def defaults_of(callable_: Callable) -> dict[str, object]:
    """The parameters of a function or class with their defaults; REQUIRED where there is none."""
    return {name: parameter.default for name, parameter in inspect.signature(callable_).parameters.items()}


class Origin(NamedTuple):
    """Where the weights of a model come from.

    Attributes:
        path: absolute, of a file, or of the folder of a run or of a checkpoint.
        card: what they say of themselves (`ppim.weights.card`), {} if nothing.
        gave_heads: are the heads theirs too?
    """

    path: str
    card: Mapping[str, Any]
    gave_heads: bool


class TokenModel(nn.Layer):
    """Base of every model: strict loading, foreign names, and what trainer and loader ask a model for.

    Attributes:
        num_classes, image_size (h, w), grid (rows, columns).
        classifies_tokens: whether `tokens(x)` has logits of tokens.
        has_token_head: whether evaluation logits can take in a head of the tokens, by `eval_token_weight`;
            `is_token_head_silent` then says whether that head is zero, because nothing ever taught it.
        share_rule: what shares the class target of a mixed picture: area | attention | alignment. But for area the
            model works the share out itself, which `TokenTransformer` can.
        recompute: whether training keeps of each block its input alone and computes the rest again in the backward
            pass, which `TokenTransformer` can.
        still: layers that compute as in evaluation while others train, because they are frozen.
        made_as: the name it was made by, if it was; models of the same shapes may be shown other pixels.
        origin: where its weights come from, if `load_weights` has brought them.
    """

    # (pattern, replacement) turning other projects' names into ours; these are what they wrap a network in
    foreign_names: tuple[tuple[str, str], ...] = ((r"^((module|_layers|backbone|model)\.)+", ""),)
    original_names: tuple[tuple[str, str], ...] = ()  # the same for the way back, where the original's differ from ours
    foreign_extras: tuple[str, ...] = ()  # what files of other projects hold besides, under our names
    position_tables: dict[str, int] = {}  # position embeddings that may be resized: name -> tokens before the grid's
    fixed_tables: tuple[str, ...] = ()  # computed, never trained: those of another image size are the model's own
    drawn_once: tuple[str, ...] = ()  # parameters that are drawn with the first weights and never trained
    heads: tuple[str, ...] = ()  # layers whose shape follows the number of classes
    undecayed: tuple[str, ...] = ()
    drops_paths: tuple[str, ...] = ("blocks.",)  # what names begin with that have no gradient where paths are dropped
    makes_class: tuple[str, ...] = ("head.", "cls_token")  # and those that only the class logits depend on
    classifies_tokens = False
    has_token_head = False
    eval_token_weight = 0.0
    share_rule = "area"
    recompute = False
    still: tuple[nn.Layer, ...] = ()
    made_as = ""
    origin: Origin | None = None

    def train(self) -> None:
        """Compute as in training, but for the layers that are `still`."""
        super().train()
        for layer in self.still:
            layer.eval()

    @classmethod
    def arguments(cls) -> dict[str, object]:
        """What the constructor takes, with its defaults; REQUIRED where there is none."""
        return defaults_of(cls)

    def tokens(self, x, mix=None) -> TokenOutput:
        """Logits of classes and of tokens, for training."""
        raise NotImplementedError

    def classes(self, x, mix=None) -> TokenOutput:
        """`tokens` without the logits of tokens, for training without a token loss."""
        raise NotImplementedError

    def evaluate_tokens(self, x) -> TokenOutput:
        """What `model(x)` gives, with the logits of every token beside it."""
        raise NotImplementedError

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters weight decay leaves alone: all of one dimension (biases, norms) and `undecayed`."""
        return {name for name, p in self.named_parameters() if len(p.shape) < 2 or name in self.undecayed}

    def adopted(self, state: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`state`, under our names and in our layout, with what its project keeps otherwise as we keep it."""
        return state

    def note_source(self, names) -> tuple[str, ...]:
        """Told the names of a file that is being loaded: adopt what its project computes differently, and say so."""
        return ()

    @classmethod
    def rename(cls, state: Mapping[str, object]) -> dict[str, object]:
        """`state` under this model's names.

        Raises:
            ValueError: two entries end up under one name.
        """
        renamed, origin = {}, {}
        for name, value in state.items():
            ours = name
            for pattern, replacement in cls.foreign_names:
                ours = re.sub(pattern, replacement, ours)
            if ours in cls.foreign_extras:
                continue
            if ours in renamed:
                raise ValueError(f"weights hold both {origin[ours]!r} and {name!r}, which are one parameter, {ours!r}")
            renamed[ours], origin[ours] = value, name
        return renamed

    def set_state_dict(
        self, state_dict: Mapping[str, object], use_structured_name: bool = True, strict: bool = True
    ) -> tuple[list[str], list[str]]:
        """Fill the model from {name: tensor or array}, in Paddle's layout and under any name of `foreign_names`.

        Paddle's own method only warns; this one refuses. Floating types are converted to the model's.

        Args:
            strict: False loads what fits and leaves the rest.
        Returns:
            (missing, unexpected) names as Paddle returns them; what does not fit in shape is in both.
        Raises:
            ValueError: with `strict`, when anything is missing, unexpected or of another shape.
        """
        if not use_structured_name:
            raise ValueError("set_state_dict wants structured names; Paddle's generated ones differ from run to run")
        wanted = self.state_dict()
        state = self.rename({k: v for k, v in state_dict.items() if k != "StructuredToParameterName@@"})
        diff = compare_states(wanted, state)
        if strict and any(diff):
            raise ValueError(f"weights do not fit the model: {describe_diff(diff, wanted, state)}")
        for name, target in wanted.items():
            if name in state and name not in diff.misshaped:
                _assign(target, state[name])
        if any(name not in wanted for name in state_dict):
            self.note_source(state_dict)
        return diff.missing + diff.misshaped, diff.unexpected + diff.misshaped

    set_dict = set_state_dict
    load_dict = set_state_dict


class Family(NamedTuple):
    """What the file of a model family exports as FAMILY.

    Attributes:
        facts: its yaml file.
        model: its network.
        marks: names of weights that all its models have; of families whose marks a file of weights bears, it is of the
            one with the most.
        strangers: a pattern of names that no weights of the family have.
    """

    facts: Facts
    model: type[TokenModel]
    marks: tuple[str, ...]
    strangers: str = ""


def _assign(target: paddle.Tensor, value) -> None:
    if isinstance(value, paddle.Tensor):
        target.set_value(value if value.dtype == target.dtype else value.astype(target.dtype))
    else:
        target.set_value(np.asarray(value, dtype=str(target.dtype).rsplit(".", 1)[-1]))
