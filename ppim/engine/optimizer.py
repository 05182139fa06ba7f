"""What updates the parameters, and how is its state named?

Weight decay leaves out what the model names in `no_weight_decay()`: of classifiers biases, norm scales and tables.
Paddle keys optimizer state by parameter names it makes up while building (`linear_3.w_0_moment1_0`), which change with
the order of construction; state leaves and enters this file by the structured names of the model instead.
"""
from __future__ import annotations

import math
from collections.abc import Mapping

import paddle
from paddle import nn

from ppim.paddle_compat import state_of


def decays(name: str, exempt: set[str]) -> bool:
    """Does weight decay apply to this parameter? Not to those exempt."""
    return name not in exempt


def build_optimizer(
    model: nn.Layer,
    name: str,
    *,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    momentum: float = 0.9,
    scales: Mapping[str, float] | None = None,
) -> paddle.optimizer.Optimizer:
    """AdamW or SGD with momentum over the trainable parameters of `model`; set the learning rate before each step.

    Args:
        scales: what the rate of each parameter is multiplied with, by name (`depth.rate_scales`); None: 1.
    """
    says = hasattr(model, "no_weight_decay")
    exempt = set(model.no_weight_decay()) if says else {key for key, p in model.named_parameters() if len(p.shape) < 2}
    trainable = [(key, value) for key, value in model.named_parameters() if not value.stop_gradient]
    kinds: dict[tuple[bool, float], list[paddle.Tensor]] = {}
    for key, parameter in trainable:
        kind = decays(key, exempt), scales[key] if scales else 1.0
        kinds.setdefault(kind, []).append(parameter)
    # those with decay first, whatever the model's first parameter is; Paddle multiplies a group's rate with the set one
    groups = [
        {"params": kinds[kind], "weight_decay": weight_decay if kind[0] else 0.0, "learning_rate": kind[1]}
        for kind in sorted(kinds, reverse=True)
    ]
    if name == "AdamW":
        return paddle.optimizer.AdamW(
            learning_rate=0.0, parameters=groups, beta1=betas[0], beta2=betas[1], epsilon=eps
        )
    return paddle.optimizer.Momentum(learning_rate=0.0, parameters=groups, momentum=momentum)


def gradient_norm(optimizer: paddle.optimizer.Optimizer, loss_scale: float = 1.0) -> float:
    """The norm of all gradients together, free of the loss scale, before any clipping. The device is waited for."""
    parameters = [parameter for group in optimizer._param_groups for parameter in group["params"]]
    squares = [paddle.square(parameter.grad.astype("float32")).sum() for parameter in parameters
               if parameter.grad is not None]
    return math.sqrt(paddle.stack(squares).sum().item()) / loss_scale


def take_step(
    optimizer: paddle.optimizer.Optimizer, scaler: paddle.amp.GradScaler, grad_clip: float | None = None
) -> None:
    """Update the parameters by the gradients they have, which are gone afterwards.

    Args:
        grad_clip: largest norm of all gradients together, free of the loss scale; None: no bound. Paddle's own clipping
            would bound each group of the optimizer by itself.
    """
    if grad_clip is not None:
        scaler.unscale_(optimizer)
        parameters = [parameter for group in optimizer._param_groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(parameters, grad_clip)
    scaler.step(optimizer)
    scaler.update()
    # zeros would be written into memory that the backward pass replaces
    optimizer.clear_grad(set_to_zero=False)


def state_by_structured_names(optimizer: paddle.optimizer.Optimizer, model: nn.Layer) -> dict[str, paddle.Tensor]:
    """The optimizer's tensors as `<parameter's structured name>/<kind>`, e.g. `blocks.0.attn.qkv.weight/moment1_0`."""
    structured = {parameter.name: name for name, parameter in model.named_parameters()}
    state = {}
    for key, value in state_of(optimizer).items():
        if key == "master_weights":
            state.update({f"{structured[made_up]}/master": master for made_up, master in value.items()})
        elif key != "LR_Scheduler":
            made_up = _owner(key, structured)
            state[f"{structured[made_up]}/{key[len(made_up) + 1:]}"] = value
    return state


def load_state_by_structured_names(optimizer, model: nn.Layer, state: dict[str, paddle.Tensor]) -> None:
    """Put back what `state_by_structured_names` gave, into a new optimizer over any copy of the model.

    Of parameters that the state does not know, because they had no gradient or were frozen, it starts afresh.

    Raises:
        ValueError: the state names a parameter the model does not have, or is of the other optimizer.
    """
    made_up = {name: parameter.name for name, parameter in model.named_parameters()}
    unknown = sorted({key.rpartition("/")[0] for key in state} - set(made_up))
    if unknown:
        raise ValueError(f"optimizer state of another model: it names {', '.join(unknown[:3])} ({len(unknown)} in all)")
    renamed, masters = {}, {}
    for key, value in state.items():
        name, _, kind = key.rpartition("/")
        if kind == "master":
            masters[made_up[name]] = value
        else:
            renamed[f"{made_up[name]}_{kind}"] = value
    if masters:
        renamed["master_weights"] = masters
    known, kinds = {key.rpartition("/")[0] for key in state}, {key.rpartition("/")[2] for key in state} - {"master"}
    was = "AdamW" if any(kind.startswith("moment") for kind in kinds) else "SGD"
    now = "AdamW" if isinstance(optimizer, paddle.optimizer.AdamW) else "SGD"
    if kinds and was != now:
        raise ValueError(f"the checkpoint holds the state of {was}, this run trains by {now}: go on with "
                         f"-o TRAIN.OPTIMIZER.NAME {was}, or start a new run from the weights with --load")
    for name, parameter in model.named_parameters():
        if name not in known and not parameter.stop_gradient:  # Paddle wants all or nothing
            renamed.update({f"{parameter.name}_{kind}": _at_first(optimizer, kind, parameter) for kind in kinds})
    optimizer.set_state_dict(renamed)


def _at_first(optimizer, kind: str, parameter: paddle.Tensor) -> paddle.Tensor:
    """What Paddle starts an accumulator with: powers of Adam's beta1 and beta2 with the number, moments with zeros."""
    if kind.startswith("beta"):
        return paddle.full([1], getattr(optimizer, f"_{kind.partition('_')[0]}"), "float32")
    return paddle.zeros_like(parameter)


def _owner(key: str, names) -> str:
    """The parameter an accumulator belongs to: the one name that is followed by an underscore in its key."""
    owners = [name for name in names if key.startswith(f"{name}_")]
    return max(owners, key=len)
