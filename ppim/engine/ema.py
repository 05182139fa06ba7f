"""The running average of the weights: fp32, apart from the model, evaluated beside it."""
from __future__ import annotations

import paddle
from paddle import nn


class Ema:
    """Exponential moving average of a model's state, `average = d * average + (1 - d) * value` after each step.

    `d = min(decay, (1 + t) / (10 + t))` after `t` updates, so that the first epochs do not average over the random
    start. Parameters that train and BatchNorm statistics are averaged; fixed tensors are copied. Averages are kept in
    float32 whatever the model computes in.

    Attributes:
        updates: number of updates so far; part of a checkpoint, or the warm-up would begin again on resume.
    """

    def __init__(self, model: nn.Layer, decay: float):
        self.decay = decay
        self.updates = 0
        fixed = {
            name
            for name, parameter in model.named_parameters()
            if parameter.stop_gradient and not name.endswith(("._mean", "._variance"))
        }
        state = model.state_dict()
        self._average = {name: value.astype("float32").clone() for name, value in state.items()}
        self._fixed = [(self._average[name], value) for name, value in state.items() if name in fixed]
        self._moving = [(self._average[name], value) for name, value in state.items() if name not in fixed]
        # given a number, `lerp_` makes a tensor of it every time: a copy to the device, which waits for it
        self._share = paddle.zeros([1])

    @paddle.no_grad()
    def update(self) -> None:
        """One step of the average towards the model as it is now."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self._share.fill_(1.0 - decay)
        for average, value in self._moving:
            average.lerp_(_single(value), self._share)
        for average, value in self._fixed:
            paddle.assign(_single(value), average)
        self.updates += 1

    def state_dict(self) -> dict[str, paddle.Tensor]:
        """The averaged tensors by the model's structured names."""
        return self._average

    def load(self, state: dict[str, object], updates: int) -> None:
        """Go on from a saved average.

        Raises:
            ValueError: the names are not those of the model.
        """
        if set(state) != set(self._average):
            odd = sorted(set(state) ^ set(self._average))
            raise ValueError(f"the saved average is of another model: {', '.join(odd[:3])} ({len(odd)} names differ)")
        for name, value in state.items():
            paddle.assign(paddle.to_tensor(value, dtype="float32"), self._average[name])
        self.updates = updates


def _single(value: paddle.Tensor) -> paddle.Tensor:
    """`value` as float32, without the copy that `astype` makes of what is float32 already."""
    return value if value.dtype == paddle.float32 else value.astype("float32")


class swapped_in:
    """`with swapped_in(model, state):` the model computes with `state`, and says so (`is_lent`); its own tensors are
    back afterwards."""

    def __init__(self, model: nn.Layer, state: dict[str, paddle.Tensor]):
        self._model, self._state = model, state

    def __enter__(self) -> nn.Layer:
        self._model.is_lent = True
        own = self._model.state_dict()
        self._own = {name: value.clone() for name, value in own.items()}
        _copy(self._state, own)
        return self._model

    def __exit__(self, *_) -> None:
        _copy(self._own, self._model.state_dict())
        self._model.is_lent = False


@paddle.no_grad()
def _copy(source: dict[str, object], target: dict[str, paddle.Tensor]) -> None:
    for name, value in target.items():
        paddle.assign(source[name].astype(value.dtype), value)
