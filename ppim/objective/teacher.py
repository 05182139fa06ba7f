"""A trained network that teaches another while it trains.

On the class token it gives its distribution or its best class for the mixed picture, as DeiT distils (arXiv 2012.12877,
section 4). On tokens it is an annotator at work: its token logits for the picture before mixing are one more source of
the targets token labels are made of, mixed and scored in the same way.
"""
from __future__ import annotations

from dataclasses import dataclass

import paddle
import paddle.nn.functional as F
from yacs.config import CfgNode

from ppim.config import get_config, has_teacher
from ppim.geometry import HW
from ppim.models import build_model
from ppim.models.base import TokenModel
from ppim.objective.losses import top_targets
from ppim.token_labels.targets import SparseTargets
from ppim.weights.load import LoadReport, load_weights


@dataclass
class Teacher:
    """A network in evaluation mode that no optimizer sees.

    Raises:
        ValueError: tokens are to be taught by a network without a trained head on them, or with a single class.
    """

    model: TokenModel
    kind: str = "none"  # or soft, hard: what the class token learns
    alpha: float = 0.5  # its weight against the labels
    tau: float = 1.0  # temperature
    dense_weight: float = 0.0  # of the loss of tokens against this network's
    top_k: int = 5  # classes kept per token, at most all but one

    def __post_init__(self):
        if self.dense_weight and not self.model.classifies_tokens:
            raise ValueError(
                f"DISTILL.DENSE_WEIGHT wants a teacher with logits of tokens: LV-ViT, VOLO, a model with "
                f"MODEL.DENSE_HEAD, or a network of paddle_vision; got {type(self.model).__name__} without a token head"
            )
        if self.dense_weight and self.model.has_token_head and self.model.is_token_head_silent:
            raise ValueError("DISTILL.DENSE_WEIGHT wants a teacher of tokens; the token head of these weights is zero, "
                             "because nothing ever taught it: take weights trained with token labels")
        if self.dense_weight and self.model.num_classes < 2:
            raise ValueError("DISTILL.DENSE_WEIGHT wants a teacher of two classes or more; got one, of which every "
                             "token says the same")
        self.top_k = min(self.top_k, self.model.num_classes - 1)
        self.model.eval()
        for parameter in self.model.parameters():
            parameter.stop_gradient = True

    @paddle.no_grad()
    def class_logits(self, images: paddle.Tensor) -> paddle.Tensor:
        """Evaluation logits (B, K) of normalised images (B, 3, h, w)."""
        return self.model(images)

    @paddle.no_grad()
    def token_targets(self, images: paddle.Tensor, grid: HW) -> SparseTargets:
        """Targets of the tokens of a student's `grid`, rows (B * N), from normalised images (B, 3, h, w)."""
        logits = self.model.tokens(images).token_logits.astype("float32")
        # (B, n, K) -> (B, K, rows, columns)
        logits = logits.transpose([0, 2, 1]).reshape([len(images), -1, *self.model.grid])
        if tuple(grid) != tuple(self.model.grid):
            logits = F.interpolate(logits, size=list(grid), mode="bilinear", align_corners=False)
        # (B, K, rows, columns) -> (B * N, K)
        return top_targets(logits.flatten(2).transpose([0, 2, 1]).flatten(0, 1), self.top_k)


def build_teacher(config: CfgNode) -> tuple[Teacher | None, LoadReport | None]:
    """The teacher section DISTILL describes, and how its weights fitted; (None, None) where it asks for none.

    Raises:
        ValueError, FileNotFoundError: a recipe or weights that are not there or do not fit.
    """
    distill, data = config.DISTILL, config.DATA
    if not has_teacher(config):
        return None, None
    sizes = ["MODEL.NUM_CLASSES", str(config.MODEL.NUM_CLASSES), "DATA.IMAGE_SIZE", str(data.IMAGE_SIZE)]
    theirs = get_config(distill.TEACHER, sizes)
    for key in ("IMAGENET_MEAN", "IMAGENET_STD"):
        if theirs.DATA[key] != data[key]:
            raise ValueError(f"DATA.{key} is {data[key]}, the teacher's recipe has {theirs.DATA[key]}; make them equal")
    model = build_model(theirs)
    report = load_weights(model, distill.WEIGHTS)
    teacher = Teacher(
        model, kind=distill.TYPE, alpha=distill.ALPHA, tau=distill.TAU, dense_weight=distill.DENSE_WEIGHT,
        top_k=distill.TOP_K,
    )
    return teacher, report
