"""What changes while training, and how is it captured and put back?"""
from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import paddle
from paddle import nn
from yacs.config import CfgNode

import ppim
from ppim.config import teaches_tokens
from ppim.engine import build
from ppim.engine.checkpoint import Checkpoint, State
from ppim.engine.depth import freeze
from ppim.engine.distributed import World
from ppim.engine.ema import Ema
from ppim.engine.ending import Clock
from ppim.engine.optimizer import load_state_by_structured_names, state_by_structured_names
from ppim.models import build_model
from ppim.objective.objective import Objective
from ppim.objective.teacher import Teacher
from ppim.paddle_compat import GradScaler


@dataclass
class TrainState:
    """A model and everything that moves with it.

    Attributes:
        forward: model and loss (`Objective`), inside DataParallel where there are several processes.
        step: optimizer steps made.
        best: the best evaluation so far, as in best.json; empty before the first.
        stale: evaluations since then.
        clock: the time that training takes.
    """

    model: nn.Layer
    forward: nn.Layer
    optimizer: paddle.optimizer.Optimizer
    scaler: paddle.amp.GradScaler
    ema: Ema | None
    clock: Clock
    step: int = 0
    best: dict[str, object] = field(default_factory=dict)
    stale: int = 0

    @property
    def loss_scale(self) -> float:
        """What losses are multiplied with under float16; 1 otherwise."""
        return float(self.scaler.state_dict()["scale"].item()) if self.scaler.is_enable() else 1.0


def build_model_for(config: CfgNode) -> nn.Layer:
    """The configured model with its settings for mixed pictures, for memory and for evaluation."""
    model = build_model(config)
    model.share_rule = config.MIX.CLASS_SHARE
    model.recompute = config.TRAIN.RECOMPUTE
    model.eval_token_weight = eval_token_weight(model, config.MODEL.EVAL_TOKENS, trained=teaches_tokens(config))
    return model


def eval_token_weight(model: nn.Layer, setting: str, trained: bool) -> float:
    """MODEL.EVAL_TOKENS as the weight of the token head in evaluation logits (0.5 in the released code)."""
    has_a_say = model.has_token_head and not model.is_token_head_silent
    return 0.5 if has_a_say and (setting == "always" or (setting == "auto" and trained)) else 0.0


def objective_of_classes(config: CfgNode, model: nn.Layer, teacher: Teacher | None = None) -> Objective:
    """Model and loss of a run whose photos have one class each."""
    return Objective(
        model, config.LOSS.CLASS_WEIGHT, config.LOSS.DENSE_WEIGHT if config.TOKEN_LABEL.ENABLE else 0.0,
        config.DATA.IMAGENET_MEAN, config.DATA.IMAGENET_STD, build.amp_arguments(config), teacher,
    )


def build_train_state(config: CfgNode, model: nn.Layer, world: World, objective: nn.Layer | None = None) -> TrainState:
    """Objective, optimizer, scaler and running average around `model`.

    Args:
        objective: model and loss; None: those of classes, without a teacher.
    """
    if model.has_token_head and not teaches_tokens(config):
        # whoever computes with these weights adds its logits, so it has none to add
        model.silence_token_head()
        # without a loss it would only decay, and DataParallel would wait for its gradient
        for parameter in model.aux_head.parameters():
            parameter.stop_gradient = True
    freeze(model, config.TRAIN.FREEZE)
    amp = build.amp_arguments(config)
    objective = objective or objective_of_classes(config, model)
    return TrainState(
        model=model,
        forward=paddle.DataParallel(objective) if world.size > 1 else objective,
        optimizer=build.optimizer(config, model),
        scaler=GradScaler(enable=bool(amp) and amp["dtype"] == "float16", init_loss_scaling=2.0**16),
        ema=Ema(model, config.TRAIN.MODEL_EMA_DECAY) if config.TRAIN.MODEL_EMA else None,
        clock=Clock(counts=config.TRAIN.MAX_HOURS > 0),
    )


def capture(train_state: TrainState, **position) -> Checkpoint:
    """Everything that a resumed run needs; `position`: the fields of `State` that say where in the data it stands."""
    tensors = {
        "model": as_arrays(train_state.model.state_dict()),
        "optimizer": as_arrays(state_by_structured_names(train_state.optimizer, train_state.model)),
    }
    if train_state.ema:
        tensors["ema"] = as_arrays(train_state.ema.state_dict())
    scaler = train_state.scaler.state_dict() if train_state.scaler.is_enable() else {}
    state = State(
        step=train_state.step,
        best=train_state.best,
        stale=train_state.stale,
        seconds=round(train_state.clock.seconds, 1),
        ema_updates=train_state.ema.updates if train_state.ema else 0,
        scaler={name: np.asarray(value).tolist() for name, value in scaler.items()},
        versions={"ppim": ppim.__version__, "paddle": paddle.__version__, "python": platform.python_version()},
        **position,
    )
    return Checkpoint(tensors, state)


def restore(train_state: TrainState, checkpoint: Checkpoint) -> None:
    """Put `capture`'s result back.

    Raises:
        ValueError: it is of another model, or lacks the running average this run keeps.
    """
    tensors, state = checkpoint
    if train_state.model.has_token_head and train_state.model.is_token_head_silent:
        tensors = _without_token_head(tensors)
    train_state.model.set_state_dict(tensors["model"])
    optimizer_state = {name: paddle.to_tensor(value) for name, value in tensors["optimizer"].items()}
    load_state_by_structured_names(train_state.optimizer, train_state.model, optimizer_state)
    if train_state.ema:
        if "ema" not in tensors:
            raise ValueError("the checkpoint has no running average; go on without one: -o TRAIN.MODEL_EMA False")
        train_state.ema.load(tensors["ema"], state.ema_updates)
    if train_state.scaler.is_enable() and state.scaler:
        saved = {name: np.asarray(value, np.float32) if name == "scale" else value
                 for name, value in state.scaler.items()}
        train_state.scaler.load_state_dict(saved)
    train_state.step = state.step
    train_state.best, train_state.stale = state.best, state.stale
    train_state.clock.before = state.seconds


def _without_token_head(tensors: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, dict[str, np.ndarray]]:
    """What older checkpoints have of a head that nothing taught is zero, as in newer ones."""
    return {
        part: {name: np.zeros_like(value) if name in ("aux_head.weight", "aux_head.bias") else value
               for name, value in arrays.items()}
        for part, arrays in tensors.items()
    }


def as_arrays(state: dict[str, paddle.Tensor]) -> dict[str, np.ndarray]:
    """Tensors to numpy, contiguous, as safetensors wants them; on their way to a file.

    Raises:
        FloatingPointError: one holds a number that is not finite.
    """
    arrays = {name: np.ascontiguousarray(value.numpy()) for name, value in state.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise FloatingPointError(f"{name} holds numbers that are not finite and is not written; go on from an "
                                     "earlier checkpoint, with a lower TRAIN.BASE_LR")
    return arrays
