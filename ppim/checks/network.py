"""Does everything in the network that should learn take part: in the forward pass, in the gradient, in the step?"""
from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping

import numpy as np
import paddle
from paddle import nn

from ppim.checks.finding import Finding, error, few, fine, unknown, warning

_FIRST_LAYERS = 6  # of a network without blocks, which count as its stem
_DEAD = 1e-6  # spread of a channel, in that of the liveliest
_ROUNDING = 2.0**-23  # of float32
_TINY = 1e-30  # some processors take less for zero
_CLEAR = 100  # times AdamW's epsilon, which shortens the steps of small gradients, and of clipped ones more


def all_are_trained(model: nn.Layer, untaught: Iterable[str], asked: Collection[str] = ()) -> Finding:
    """Is every parameter trained, but tables that are computed, statistics, the heads `untaught` and the parameters
    that are `asked` to stay? Those must not be trained."""
    check = "frozen parameters"
    moving = [name for name, p in model.named_parameters() if name in asked and not p.stop_gradient]
    if moving:
        return error(check, where=type(model).__name__, wanted=f"{len(asked)} parameters kept, as TRAIN.FREEZE says",
                     got=f"{few(moving)} trained", hint="something sets stop_gradient back to False behind it")
    heads = tuple(f"{head}." for head in untaught)
    expected = {name for name, _ in model.named_parameters()
                if name not in (*model.fixed_tables, *model.drawn_once, *asked)
                and not name.endswith(("._mean", "._variance")) and not name.startswith(heads or ("\0",))}
    frozen = [name for name, p in model.named_parameters() if p.stop_gradient and name in expected]
    if frozen:
        return error(check, where=type(model).__name__, wanted=f"all of {len(expected)} parameters trained",
                     got=f"stop_gradient on {few(frozen)}", hint="nothing in the recipe freezes them; set it to False")
    return fine(check, f"{len(expected)} parameters are trained{f', {len(asked)} kept' if asked else ''}")


def what_stays_has_learnt(asked: Collection[str], is_fresh: bool) -> Finding:
    """Are the parameters that are `asked` to stay those of weights that were loaded?"""
    check = "frozen parameters have learnt"
    if asked and is_fresh:
        return warning(check, where="TRAIN.FREEZE", wanted="weights to keep", got=f"{len(asked)} parameters drawn by "
                       "chance", hint="give weights to start from with --load, or set TRAIN.FREEZE to none")
    return fine(check, "none are fresh")


def decay_is_where_it_belongs(model: nn.Layer, groups: Iterable[Mapping]) -> Finding:
    """Is every trained parameter in one of the optimizer's groups, and decay on matrices alone?

    Args:
        groups: each with `params` and `weight_decay`.
    """
    check = "weight decay"
    names = {p.name: name for name, p in model.named_parameters() if not p.stop_gradient}
    decay: dict[str, list[float]] = {name: [] for name in names.values()}
    for group in groups:
        for parameter in group["params"]:
            decay.setdefault(names.get(parameter.name, parameter.name), []).append(float(group["weight_decay"] or 0))
    odd = [name for name, values in decay.items() if len(values) != 1]
    if odd:
        return error(check, where="the optimizer", wanted="every trained parameter once", got=f"{few(odd)} "
                     f"{len(decay[odd[0]])} times", hint="look at how its groups are made")
    spared = model.no_weight_decay()
    decayed = [name for name in decay if name in spared and decay[name][0]]
    if decayed:
        return error(check, where="the optimizer", wanted="no decay on biases, norms and tables of tokens",
                     got=f"{decay[decayed[0]][0]:g} on {few(decayed)}", hint="look at how its groups are made")
    matrices = [name for name in decay if name not in spared]
    if len({decay[name][0] for name in matrices}) > 1:
        return error(check, where="the optimizer", wanted="one decay on all matrices",
                     got=few(sorted({decay[name][0] for name in matrices})), hint="look at how its groups are made")
    return fine(check, f"on {len(matrices)} of {len(decay)} parameters")


class Stem:
    """Watches one forward pass: what pictures entered the network, and what its first layers made of them.

    Attributes:
        pictures: (B, 3, H, W), the first tensor of that shape that a layer was given; None before.
    """

    def __init__(self, model: nn.Layer):
        self.pictures: paddle.Tensor | None = None
        self._spread: dict[str, paddle.Tensor] = {}
        self._hooks = [layer.register_forward_pre_hook(self._entered) for layer in model.sublayers()]
        self._hooks += [layer.register_forward_post_hook(self._left(name)) for name, layer in _first_layers(model)]

    def close(self) -> None:
        """Watch no longer."""
        for hook in self._hooks:
            hook.remove()

    def is_alive(self) -> Finding:
        """Is what the first layers gave finite, and does no channel have one value wherever one looks?"""
        check = "channels of the stem"
        for name, spread in self._spread.items():
            values = spread.astype("float32").numpy()
            if not np.isfinite(values).all():
                return error(check, where=name, wanted="finite values", got="NaN or infinity in channels "
                             f"{few(np.flatnonzero(~np.isfinite(values)))}",
                             hint="look at the weights of this layer and of those before it, and at the pictures")
            dead = np.flatnonzero(values <= _DEAD * values.max())
            if len(dead):
                return warning(check, where=name, wanted="channels that differ from place to place",
                               got=f"one value in {len(dead)} of {len(values)} channels: {few(dead)}",
                               hint="they tell the layers behind nothing; look at the weights of this layer")
        return fine(check, f"{len(self._spread)} layers, every channel differs from place to place")

    def _entered(self, _, inputs) -> None:
        first = inputs[0] if inputs else None
        if self.pictures is None and isinstance(first, paddle.Tensor) and first.ndim == 4 and first.shape[1] == 3:
            self.pictures = first.detach()

    def _left(self, name: str):
        def see(_, __, output) -> None:
            output = output.detach()
            # channels lie second in (B, C, H, W), last in (B, N, C)
            axes = [0, 2, 3] if output.ndim == 4 else list(range(output.ndim - 1))
            self._spread[name] = output.max(axis=axes) - output.min(axis=axes)
        return see


def _first_layers(model: nn.Layer) -> list[tuple[str, nn.Layer]]:
    """Layers with weights and none below them, up to the first block."""
    leaves = [(name, layer) for name, layer in model.named_sublayers()
              if not layer.sublayers() and layer.parameters(include_sublayers=False)]
    if not hasattr(model, "layer_of"):
        return leaves[:_FIRST_LAYERS]
    return [(name, layer) for name, layer in leaves if model.layer_of(f"{name}.weight") == 0]


def gradients_are_there(
    gradients: Mapping[str, tuple[float, float] | None], excused: Iterable[str], may_overflow: bool
) -> Finding:
    """Has every trained parameter a finite gradient that is not zero?

    Args:
        gradients: name -> (largest magnitude, 1 if finite), None where there is no gradient.
        excused: names, or beginnings of names, that may have none; may_overflow: loss scaling leaves such steps out.
    """
    check = "gradients"
    excused = tuple(excused) or ("\0",)
    absent = [name for name, seen in gradients.items() if seen is None and not name.startswith(excused)]
    if absent:
        return error(check, where="the first step", wanted=f"a gradient for each of {len(gradients)} parameters",
                     got=f"none for {few(absent)}", hint="the loss does not depend on them: a detach or a no_grad on "
                     "the way, or a layer that is not called")
    endless = [name for name, seen in gradients.items() if seen and not seen[1]]
    if endless and not may_overflow:
        return error(check, where="the first step", wanted="finite gradients", got=f"NaN or infinity in {few(endless)}",
                     hint="look at the first batch and at the weights the run starts from")
    zero = [name for name, seen in gradients.items() if seen and seen[1] and seen[0] == 0
            and not name.startswith(excused)]
    if zero:
        return warning(check, where="the first step", wanted="gradients that are not zero", got=f"zero all over in "
                       f"{few(zero)}", hint="what these parameters do does not reach the loss")
    return fine(check, f"of {len(gradients)} parameters, {len(gradients) - sum(map(bool, gradients.values()))} excused")


def owe_a_move(
    values: Mapping[str, paddle.Tensor], gradients: Mapping[str, paddle.Tensor | None], rates: Mapping[str, float],
    adaptive: bool, epsilon: float = 1e-8,
) -> set[str]:
    """The parameters with an element that the first step must change, however float32 rounds.

    Args:
        values, gradients, rates: of each parameter before the step, by name; adaptive, epsilon: as below.
    """
    there = [name for name in values if gradients[name] is not None]
    owed = []
    for name in there:
        size = gradients[name].astype("float32").abs()
        step = rates[name] * (size / (size + _CLEAR * epsilon) if adaptive else size)
        owed.append((step > 4 * _ROUNDING * values[name].astype("float32").abs() + _TINY).any().reshape([1]))
    return {name for name, owes in zip(there, paddle.concat(owed).tolist()) if owes} if there else set()


def parameters_moved(
    before: Mapping[str, paddle.Tensor], after: Mapping[str, paddle.Tensor], owed: Container[str]
) -> Finding:
    """Did the step change every parameter that it should?

    Args:
        before, after: parameters by name; owed: names of those it should have changed, see `owe_a_move`.
    """
    check = "parameters moved"
    # Paddle 2.6 takes numbers for equal that differ by less than 1e-8, which a first step of a warm-up does
    changed = paddle.concat([((after[name] - old).abs() > 0).any().astype("int32").reshape([1])
                             for name, old in before.items()])
    moved = dict(zip(before, changed.tolist()))
    still = [name for name in moved if not moved[name] and name in owed]
    if still:
        return error(check, where="the first step", wanted="parameters with a gradient changed by the step",
                     got=f"no change of {few(still)}", hint="the optimizer does not have them, or has copies of them")
    return fine(check, f"{sum(moved.values())} of {len(before)}")


def step_is_as_long_as_the_rate(change: np.ndarray, value: np.ndarray, gradient: np.ndarray,
                                rate: float | np.ndarray, adaptive: bool, epsilon: float = 1e-8) -> Finding:
    """Is the first step of parameters without decay as long as the rate says?

    Args:
        change, value, gradient: (n,) of some elements: what the step changed, what was there, its gradient.
        rate: the learning rate; where it differs, (n,) that of each.
        adaptive: AdamW, whose first step is the rate whatever the gradient; else the rate times the gradient.
        epsilon: AdamW's.
    """
    check = "length of the step"
    expected = np.broadcast_to(rate, gradient.shape).astype(gradient.dtype) * (1 if adaptive else np.abs(gradient))
    rate = float(np.max(rate))
    # rounding of the value, and AdamW's epsilon, must not show; behind factors of layer scale gradients are a millionth
    # of others, which epsilon then outweighs where all of them are clipped
    least = max(_CLEAR * epsilon, 1e-3 * np.abs(gradient).max(initial=0)) if adaptive else 0
    clear = (np.abs(value) * _ROUNDING < 0.01 * expected) & (np.abs(gradient) > least)
    if clear.sum() < 4 or rate == 0:
        return unknown(check, "no element moves far enough for float32 to show how far")
    ratio = float(np.median(np.abs(change[clear]) / expected[clear]))
    if 0.9 < ratio < 1.1:
        return fine(check, f"{ratio:.3f} of what the rate {rate:.3g} says")
    return error(check, where="the first step", wanted=f"a step at the rate {rate:.3g}", got=f"{ratio:.3g} times that",
                 hint="the rate the optimizer uses is not the schedule's")
