"""What will a recipe need on these GPUs? Everything that a plan says, put together from a configuration."""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import paddle
from yacs.config import CfgNode

from ppim.config import get_config, has_teacher, teaches_tokens
from ppim.engine.build import mixed_precision
from ppim.engine.depth import freeze
from ppim.engine.steps import Steps
from ppim.models import build_model
from ppim.plan import loader, memory, roofline
from ppim.plan.gpus import Gpu
from ppim.plan.operators import Operator, with_recompute
from ppim.plan.task import IMAGENET, fields_of, looks_of, network_and_loss, settled
from ppim.plan.trace import Traced, declared, trace

_GUARD, _GUARD_EACH = 13, 2  # operators that look whether numbers are finite, and for each statistic of BatchNorm


class Job(NamedTuple):
    """What is asked: so many of these GPUs for a recipe, and `images` to train on, `val_images` to evaluate."""

    config: CfgNode
    gpu: Gpu
    gpus: int
    assumed: roofline.Assumed = roofline.Assumed()
    rate: loader.Rate = loader.Rate()
    images: int = IMAGENET[0]
    val_images: int = IMAGENET[1]

    @property
    def precision(self) -> dict[str, object] | None:
        """Mixed precision as the recipe has it on this GPU; None: float32."""
        return mixed_precision(self.config, self.gpu.generation >= 7, lambda: self.gpu.generation >= 8)

    @property
    def half(self) -> str:
        """The recipe's half precision, "" where it has none."""
        return self.precision["dtype"] if self.precision else ""


@dataclass(frozen=True)
class Plan:
    """All of it arithmetic: images per GPU and step in `batch`, seconds, bytes, FLOP; `of_*` of one GPU."""

    precision: str
    batch: int
    global_batch: int
    steps: int
    giga_macs: float  # of the model's products, of one image forward
    teacher_giga_macs: float
    training_gflop: float  # six times the model's, twice the teacher's
    step_tflop_of_gpu: float  # of all products that are started, recompute included
    moved_gb_of_gpu: float
    operators: dict[str, int]
    launch_seconds: float
    gpu_seconds: float
    all_reduce_seconds: float
    visible_all_reduce_seconds: float
    step_seconds: float
    bound: str  # launches | products and memory
    images_per_second: float
    share_of_peak: float
    state_gb: dict[str, float]
    activations_gb: float
    memory_gb: float
    fits: bool
    largest_batch: int
    recompute: bool
    other_memory_gb: float  # with recompute where this is without, and the other way round
    other_largest_batch: int
    loader: dict[str, float]
    hours: float
    evaluation_hours: float
    gpu_hours: float

    def as_dict(self) -> dict[str, object]:
        """By name."""
        return asdict(self)


def estimate(job: Job) -> Plan:
    """The plan of a job.

    Raises:
        ValueError: a recipe that does not say the number of classes is read as ImageNet's; anything else that
            building its model raises; Paddle 2.6, see `trace`.
    """
    config, traced, (teacher, theirs) = job.config, _student(job), _teacher(job)
    batch, accumulate = config.DATA.BATCH_SIZE, config.TRAIN.ACCUM_ITER
    ways = {False: traced.operators, True: with_recompute(traced.operators, traced.first_backward, traced.blocks)}
    micro = [*ways[config.TRAIN.RECOMPUTE], *teacher]
    optimizer, moved_by_optimizer = _optimizer(job, traced)
    step = _step(job, traced, micro, sum(optimizer.values()), moved_by_optimizer)
    speed = batch * job.gpus * accumulate / step["step_seconds"]
    products = {"model": _macs(traced.forward) / batch, "teacher": _macs(teacher) / batch}
    flop = 6 * products["model"] + 2 * products["teacher"]
    fields = fields_of(config, traced.grid, traced.classes)
    held = {way: _memory(job, traced, operators, theirs, fields) for way, operators in ways.items()}
    mine, other = held[config.TRAIN.RECOMPUTE], held[not config.TRAIN.RECOMPUTE]
    here = min(job.gpus, job.assumed.per_node)
    return Plan(
        precision=job.half or ("tf32" if "tf32" in job.gpu.tflops else "float32"), batch=batch,
        global_batch=batch * job.gpus * accumulate, giga_macs=products["model"] / 1e9,
        teacher_giga_macs=products["teacher"] / 1e9, training_gflop=flop / 1e9,
        step_tflop_of_gpu=2 * accumulate * _macs(micro) / 1e12,
        moved_gb_of_gpu=(accumulate * sum(operator.moved for operator in micro) + moved_by_optimizer) / 1e9,
        operators={"forward": accumulate * traced.first_backward,
                   "backward": accumulate * (len(micro) - traced.first_backward - len(teacher)),
                   "teacher": accumulate * len(teacher), **optimizer},
        **step, images_per_second=speed, share_of_peak=speed / job.gpus * flop / job.gpu.peak(job.half or "float32"),
        state_gb=mine.state, activations_gb=mine.activations, memory_gb=mine.total,
        fits=mine.total <= job.gpu.memory_gb, largest_batch=mine.largest_batch, recompute=config.TRAIN.RECOMPUTE,
        other_memory_gb=other.total, other_largest_batch=other.largest_batch,
        loader=dict(loader.needs(speed * here / job.gpus, job.rate, fields, config.DATA.NUM_WORKERS, here)),
        **_hours(job, traced, step["step_seconds"]))


def _step(job: Job, traced: Traced, micro: list[Operator], behind: int, moved_behind: int) -> dict[str, object]:
    """What a `Plan` says of how long a step takes.

    Args:
        micro: operators of a micro-batch.
        behind: how many there are behind the backward pass; moved_behind: bytes that these move.
    """
    accumulate = job.config.TRAIN.ACCUM_ITER
    launching = (accumulate * len(micro) + behind) * job.assumed.launch_us / 1e6
    on_gpu = accumulate * roofline.gpu_seconds(micro, job.gpu, job.assumed, job.half)
    on_gpu += moved_behind / (1e9 * job.gpu.bandwidth_gbs * job.assumed.bandwidth_share)
    reducing = roofline.all_reduce_seconds(4 * traced.trained, job.gpus, job.gpu, job.assumed)
    visible = reducing * (1 - job.assumed.overlap)
    return {"launch_seconds": launching, "gpu_seconds": on_gpu, "all_reduce_seconds": reducing,
            "visible_all_reduce_seconds": visible, "step_seconds": max(launching, on_gpu) + visible,
            "bound": "launches" if launching > on_gpu else "products and memory"}


def _hours(job: Job, traced: Traced, seconds: float) -> dict[str, object]:
    """What a `Plan` says of a whole run whose steps take so long."""
    steps, evaluating = _steps(job), _evaluation_seconds(job, traced)
    hours = (steps * seconds + evaluating) / 3600
    return {"steps": steps, "hours": hours, "evaluation_hours": evaluating / 3600, "gpu_hours": hours * job.gpus}


def _macs(operators: list[Operator]) -> int:
    return sum(operator.macs for operator in operators)


def _student(job: Job) -> Traced:
    """Model and loss, forward and backward."""
    config = settled(job.config)

    def build():
        amp = {**job.precision, "dtype": "bfloat16"} if job.precision else None  # what a CPU writes down
        model, loss = network_and_loss(config, amp)
        freeze(model, config.TRAIN.FREEZE)
        model.train()
        fields = fields_of(_taught(config), model.grid, model.num_classes)
        return model, lambda: loss({name: declared(name, *field) for name, field in fields.items()})

    return trace(build, job.gpu.generation)


def _taught(config: CfgNode) -> CfgNode:
    """The configuration in which tokens that a teacher teaches have targets in the batch, as they have in the loss."""
    if not teaches_tokens(config):
        return config
    changed = config.clone()
    changed.defrost()
    changed.TOKEN_LABEL.ENABLE = True
    return changed


def _teacher(job: Job) -> tuple[list[Operator], int]:
    """The operators of what teaches while training, once for its classes, once for its tokens, and its parameters'
    values; none where nothing does."""
    config = job.config
    if not has_teacher(config):
        return [], 0
    sizes = ["MODEL.NUM_CLASSES", str(config.MODEL.NUM_CLASSES or 1000), "DATA.IMAGE_SIZE", str(config.DATA.IMAGE_SIZE)]
    theirs = get_config(config.DISTILL.TEACHER, sizes)

    def asked(for_tokens: bool) -> Callable:
        def build():
            model = build_model(theirs)
            model.eval()
            images = declared("images", [config.DATA.BATCH_SIZE, 3, *model.image_size], "float32")

            @paddle.no_grad()
            def compute():
                with paddle.amp.auto_cast(enable=bool(job.precision), dtype="bfloat16", level="O1"):
                    return model.tokens(images).token_logits if for_tokens else model(images)

            return model, compute

        return build

    wanted = [False] * (config.DISTILL.TYPE != "none") + [True] * (config.DISTILL.DENSE_WEIGHT > 0)
    found = [trace(asked(for_tokens), job.gpu.generation) for for_tokens in wanted]
    return [operator for traced in found for operator in traced.forward], found[0].state


def _optimizer(job: Job, traced: Traced) -> tuple[dict[str, int], int]:
    """Operators behind the backward pass, and the bytes that they move."""
    moments, averages = _moments(job.config), job.config.TRAIN.MODEL_EMA
    # weight, gradient and moments read, all but the gradient written; the average and the weight read, one written;
    # gradients looked at once
    moved = 4 * traced.trained * (2 * (1 + moments) + 1 + 1) + (12 * traced.state if averages else 0)
    guard = _GUARD + _GUARD_EACH * (traced.state_tensors - traced.trained_tensors)
    return {"optimizer": traced.trained_tensors, "average": (traced.state_tensors + 1) if averages else 0,
            "guard": guard}, moved


def _moments(config: CfgNode) -> int:
    return 2 if config.TRAIN.OPTIMIZER.NAME == "AdamW" else 1


class _Held(NamedTuple):
    """Of a GPU, in GB: what training keeps by name, activations with all that comes and goes, the sum."""

    state: dict[str, float]
    activations: float
    total: float
    largest_batch: int


def _memory(job: Job, traced: Traced, operators: list[Operator], theirs: int, fields: loader.Fields) -> _Held:
    config, batch = job.config, job.config.DATA.BATCH_SIZE
    state = memory.state_bytes(traced.trained, traced.state, _moments(config), config.TRAIN.MODEL_EMA)
    state["teacher"] = 4 * theirs
    state["context"] = int(1e9 * job.assumed.context_gb)
    # gradients stand among what is kept, so only what lives beside them counts
    peak = memory.peak_bytes(operators, traced.gradients)
    images = max(peak - state["gradients"], 0) + 2 * loader.batch_bytes(fields)
    total = sum(state.values()) + images
    room = memory.largest_batch(images / batch, sum(state.values()), 1e9 * job.gpu.memory_gb)
    return _Held({name: size / 1e9 for name, size in state.items()}, images / 1e9, total / 1e9, room)


def _counted(job: Job) -> Steps:
    """Steps and epochs converted into one another.

    Raises:
        ValueError: the photos do not fill a step.
    """
    config = job.config
    per_epoch = job.images // (config.DATA.BATCH_SIZE * job.gpus)
    if not per_epoch:
        raise ValueError(f"{job.images:,} photos do not fill one batch of {config.DATA.BATCH_SIZE} on each of "
                         f"{job.gpus} GPUs; plan with fewer GPUs or a smaller DATA.BATCH_SIZE, or give --images")
    steps = Steps(per_epoch, config.TRAIN.ACCUM_ITER, config.TRAIN.NUM_EPOCHS + config.TRAIN.COOLDOWN_EPOCHS)
    steps.check()
    return steps


def _steps(job: Job) -> int:
    total = _counted(job).total
    return min(total, job.config.TRAIN.MAX_STEPS or total)


def _evaluations(job: Job) -> int:
    """How often a run evaluates: every so many epochs, and behind its last step, wherever that is."""
    epochs = math.ceil(_counted(job).epoch(_steps(job)))
    return -(-epochs // job.config.VALIDATE_FREQ)


def _evaluation_seconds(job: Job, traced: Traced) -> float:
    """Of all evaluations: forward passes of the weights and of their average, on each GPU's share."""
    config = job.config
    launching = len(traced.forward) * job.assumed.launch_us / 1e6
    batch = max(launching, roofline.gpu_seconds(traced.forward, job.gpu, job.assumed, job.half))
    pictures = looks_of(config) * job.val_images / job.gpus
    return _evaluations(job) * (1 + config.TRAIN.MODEL_EMA) * pictures / config.DATA.BATCH_SIZE * batch
