"""How good is a model? Each image counted once, integers summed over processes."""
from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

from ppim.data.batches import EvalBatches
from ppim.data.loader import EvalSamples, make_loader
from ppim.engine.distributed import World
from ppim.engine.ema import Ema, swapped_in
from ppim.models.base import TokenOutput, evaluating
from ppim.objective.pixels import normalise

Batches = Iterable[dict[str, paddle.Tensor]]


class Evaluation(NamedTuple):
    """Accuracies in percent, `loss` the mean cross entropy, `count` the images.

    `token_top1` is the share of tokens whose best class is that of the label map, where validation maps are given; of
    the token head, or of the class head read at each token where the token head was not trained. `real_top1` is of the
    `real_count` images that have ReaL labels. `corruption_errors`, of ImageNet-C, are mean top-1 errors by corruption,
    `mce` their mean after division by AlexNet's.
    """

    top1: float
    top5: float
    loss: float
    count: int
    token_top1: float | None = None
    real_top1: float | None = None
    real_count: int | None = None
    corruption_errors: dict[str, float] | None = None
    mce: float | None = None

    @property
    def is_sound(self) -> bool:
        """Is the loss finite?"""
        return math.isfinite(self.loss)

    def as_dict(self) -> dict[str, object]:
        """What was measured, by name; without what was not."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    def parts(self) -> list[tuple[str, int]]:
        """What is said of it in a line, piece by piece, with how soon each is left out where room is short."""
        tokens = [] if self.token_top1 is None else [(f"  tokens {self.token_top1:.2f}", 2)]
        return [(f"  top-1 {self.top1:.2f}", 0), (f"  top-5 {self.top5:.2f}", 5), *tokens,
                (f"  loss {self.loss:.4f}", 4), (f"  on {self.count} images", 6)]

    def __str__(self) -> str:
        tokens = "" if self.token_top1 is None else f"  tokens {self.token_top1:.2f}"
        real = "" if self.real_top1 is None else f"  ReaL {self.real_top1:.2f} on {self.real_count} of them"
        mce = "" if self.mce is None else f"  mCE {self.mce:.2f}"
        return (f"top-1 {self.top1:.2f}  top-5 {self.top5:.2f}{tokens}  loss {self.loss:.4f}  on {self.count} images"
                f"{real}{mce}")


class EvaluationCut(Exception):
    """An evaluation was left before its end, in every process, because one of them was asked to."""


def evaluate_samples(
    model: nn.Layer, samples: EvalSamples, world: World, *, batch_size: int, workers: int, timeout: float, **how
) -> Evaluation:
    """Evaluate `model` on all `samples`, this process on its share; `how` as for `evaluate`."""
    shares = EvalBatches(len(samples), batch_size, rank=world.rank, world=world.size)
    loader = make_loader(samples, shares, workers, timeout=timeout)
    return evaluate(model, loader, len(samples), world, **how)


def evaluate_both(
    model: nn.Layer, ema: Ema | None, samples: EvalSamples, world: World, **how
) -> dict[str, Evaluation]:
    """The weights (`raw`) and, where there is one, their running average (`ema`); `how` as for `evaluate_samples`."""
    results = {"raw": evaluate_samples(model, samples, world, **how)}
    if ema:
        with swapped_in(model, ema.state_dict()):
            results["ema"] = evaluate_samples(model, samples, world, **how)
    return results


@paddle.no_grad()
def evaluate(
    model: nn.Layer, batches: Batches, expected: int, world: World, *, mean, std, amp: dict[str, Any] | None = None,
    cut: Callable[[], bool] = lambda: False, among: Sequence[int] = (),
    look: Callable[[dict[str, paddle.Tensor], paddle.Tensor], object] = lambda batch, logits: None,
) -> Evaluation:
    """Evaluate `model` on this process's share of the images; every process gets the result for all of them.

    Args:
        batches: dicts of tensors: `image` uint8 (B, 3, H, W), `label` int64 (B,), and with validation maps `token_best`
            int64 (B, N), the best class of each token, -1 where there is none.
        expected: images in the whole data set.
        amp: `paddle.amp.auto_cast` arguments, or None.
        cut: asked after each batch; whether to leave it at that.
        among: the rows that may be answered; () for all.
        look: shown each batch with its logits, (B, C) float32, -inf where a row may not be answered.

    Raises:
        EvaluationCut: in all processes, when `cut` said so in one.
        RuntimeError: the images counted over all processes are not `expected`: a bug of the loader, never of a user.
    """
    counts = paddle.zeros([5], dtype="int64")  # top-1, top-5, images, right tokens, tokens
    loss = paddle.zeros([], dtype="float64")
    is_cut = False
    with evaluating(model):
        for batch in batches:
            with paddle.amp.auto_cast(**(amp or {"enable": False})):
                output = _answer(model, batch, normalise(batch["image"], mean, std))
            logits = _among(output.class_logits.astype("float32"), among)
            look(batch, logits)
            counts += paddle.concat([_hits(logits, batch["label"]), _token_hits(output.token_logits, batch)])
            loss += F.cross_entropy(logits, batch["label"], reduction="sum").astype("float64").reshape([])
            is_cut = cut()
            if is_cut:
                break
    top1, top5, count, right_tokens, tokens, cuts = world.all_sum([*counts.tolist(), int(is_cut)], "int64")
    if cuts:
        raise EvaluationCut
    (loss_sum,) = world.all_sum([loss.item()], "float64")
    if count != expected:
        raise RuntimeError(f"evaluation counted {count} images of {expected}; please report this with your command")
    token_top1 = 100.0 * right_tokens / tokens if tokens else None
    return Evaluation(100.0 * top1 / count, 100.0 * top5 / count, loss_sum / count, count, token_top1)


def _answer(model: nn.Layer, batch, images: paddle.Tensor) -> TokenOutput:
    return model.evaluate_tokens(images) if "token_best" in batch else TokenOutput(model(images))


def best_rows(logits: paddle.Tensor, most: int) -> paddle.Tensor:
    """(B, K) int64: the rows of the highest of (B, C) logits, the highest first; K is `most`, or C where that is less.
    """
    return logits.topk(min(most, logits.shape[1]), axis=1)[1]


def _among(logits, rows: Sequence[int]) -> paddle.Tensor:
    """The logits, with -inf for all rows but these."""
    if not rows:
        return logits
    barred = np.full(logits.shape[1], -np.inf, "float32")
    barred[list(rows)] = 0
    return logits + paddle.to_tensor(barred)


def _hits(logits, labels) -> paddle.Tensor:
    """(3,) int64: right at first place, right among five, images."""
    best = best_rows(logits, 5)
    right = best == labels.unsqueeze(1)
    first, any_of_five = right[:, :1].astype("int64").sum(), right.astype("int64").sum()
    return paddle.stack([first, any_of_five, paddle.full([], labels.shape[0], "int64")])


def _token_hits(token_logits, batch) -> paddle.Tensor:
    """(2,) int64: right tokens, tokens that have a label."""
    if token_logits is None:
        return paddle.zeros([2], dtype="int64")
    best = batch["token_best"]
    right = token_logits.argmax(axis=-1) == best
    return paddle.stack([right.astype("int64").sum(), (best >= 0).astype("int64").sum()])
