"""How much memory will a training step take? Said before the first one, not by the allocator at the hundredth."""
from __future__ import annotations

import gc
import math
from collections.abc import Callable

import paddle
import paddle.nn.functional as F
from yacs.config import CfgNode

from ppim.config import teaches_tokens
from ppim.engine import build
from ppim.mixing import Mixed
from ppim.models.base import TokenModel

_FEW, _MORE = 2, 4  # images; what does not grow with their number drops out of the difference
_STATE_BYTES = 5 * 4  # per parameter, float32: itself, its gradient, AdamW's two moments, the running average


def kept_per_image(forward: Callable[[int], object], allocated: Callable[[], int]) -> float:
    """Bytes an image adds to what is held between the forward and the backward pass.

    Args:
        forward: of a number of images; what it returns holds on to all that its backward pass needs.
        allocated: bytes that tensors take on the device now.
    """
    held, collects = {}, gc.isenabled()
    gc.disable()  # what is left from before is not to be freed meanwhile
    try:
        for images in (_FEW, _MORE):
            before = allocated()
            output = forward(images)
            held[images] = allocated() - before
            del output
    finally:
        if collects:
            gc.enable()
    return (held[_MORE] - held[_FEW]) / (_MORE - _FEW)


def activations_per_image(
    model: TokenModel, with_tokens: bool, amp: dict[str, object] | None, allocated: Callable[[], int]
) -> float:
    """Bytes an image adds to what a step of training keeps for its backward pass, the softmax of the loss included.

    Measured where it is asked, with the kernels that run there; the statistics of the model stay what they are. With
    `model.recompute` all of one block counts, since the backward pass has one at a time, and the input of the others.

    Args:
        with_tokens: whether tokens are taught; amp: as `Objective` takes it; allocated: see `kept_per_image`.
    """
    forward = model.tokens if with_tokens else model.classes

    def of_all(images: int):
        output = forward(paddle.rand([images, 3, *model.image_size]), _shares(model, images))
        logits = [part for part in (output.class_logits, output.token_logits, output.dist_logits) if part is not None]
        return output, [F.softmax(part.detach().astype("float32")) for part in logits]

    # BatchNorm's are parameters that are never trained
    statistics = {name: value.clone() for name, value in model.state_dict().items() if value.stop_gradient}
    recompute, model.recompute = model.recompute, False
    model.train()
    with paddle.amp.auto_cast(**(amp or {"enable": False})):
        kept = kept_per_image(of_all, allocated)
        if recompute:
            inside = _inside_blocks(model, allocated)
            kept -= sum(inside) - max(inside)
    model.recompute = recompute
    for name, value in model.state_dict().items():
        if name in statistics:
            value.set_value(statistics[name])
    return kept


def _shares(model: TokenModel, images: int) -> Mixed | None:
    """What makes the model work out shares, where that is its business."""
    cells = model.grid[0] * model.grid[1]
    return None if model.share_rule == "area" else Mixed(partner_share=paddle.full([images, cells], 0.5))


def _inside_blocks(model: TokenModel, allocated: Callable[[], int]) -> list[float]:
    """Bytes per image of each block without what enters and leaves it."""
    shapes, found = model.block_shapes(), {}
    # from the last on: the first drops no paths, and keeps less
    for block, shape in zip(reversed(list(model.blocks)), reversed(shapes)):
        if shape not in found:
            of_block = kept_per_image(lambda images, block=block, shape=shape: block(paddle.rand([images, *shape])),
                                      allocated)
            found[shape] = of_block - 2 * 4 * math.prod(shape)
    return [found[shape] for shape in shapes]


def forecast_for(config: CfgNode, model: TokenModel, parameters: int) -> list[str]:
    """`forecast` of a configured run on a GPU; on a CPU, whose memory the system hands out as it likes, nothing.

    Args:
        parameters: of the model that are trained.
    """
    if not paddle.get_device().startswith("gpu"):
        return []
    gpu = paddle.device.cuda
    per_image = activations_per_image(model, teaches_tokens(config), build.amp_arguments(config), gpu.memory_allocated)
    return forecast(per_image, config.DATA.BATCH_SIZE, parameters, gpu.get_device_properties().total_memory)


def forecast(per_image: float, images: int, parameters: int, available: int) -> list[str]:
    """What a step of `images` images takes, and what to do where the device has not as much.

    Args:
        per_image: as `activations_per_image`; available: bytes of the device.
    """
    kept, state = per_image * images / 1e9, parameters * _STATE_BYTES / 1e9
    lines = [f"memory     about {kept + state:.1f} GB: {kept:.1f} of activations for {images} images, {state:.1f} of "
             f"weights and what training keeps of each; the device has {available / 1e9:.1f}"]
    if kept + state > available / 1e9:
        lines.append("note: that is more than the device has; set TRAIN.RECOMPUTE True, or lower DATA.BATCH_SIZE and "
                     "raise TRAIN.ACCUM_ITER")
    return lines
