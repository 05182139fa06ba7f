"""What is there to be seen of one photo inside a model? Every map of it, as numbers on the model's grid of tokens."""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from PIL import Image

from ppim.data.transforms import Operation, apply_all, history, to_array
from ppim.geometry import Window, trace
from ppim.look.attention import RESIDUAL, attention, of_grid, rollout
from ppim.look.relevance import relevance
from ppim.models.base import TokenModel, evaluating
from ppim.models.transformer import TokenTransformer
from ppim.objective.pixels import normalise


class View(NamedTuple):
    """How a photo is shown to the model: what is done to it, mean and deviation of its channels in [0, 1]."""

    ops: Sequence[Operation]
    mean: Sequence[float] = (0.485, 0.456, 0.406)
    std: Sequence[float] = (0.229, 0.224, 0.225)


class Seen(NamedTuple):
    """Maps of one photo over (rows, columns) of tokens; L blocks, H heads, C classes."""

    image: Image.Image  # the photo, RGB
    window: Window  # what of it the model was shown, x0, y0, x1, y1 in units of its sides
    probability: np.ndarray  # (C,) float32, softmax of the evaluation logits
    attention: np.ndarray  # (L, H, rows, columns) float32: share of what one token looks at
    rollout: np.ndarray  # (L, rows, columns) float64: share of what attention has brought it behind each block
    relevance: dict[int, np.ndarray]  # class -> (rows, columns) float64, without that of the token to itself
    token_best: np.ndarray  # (rows, columns) int64: the class each token says it sees
    token_probability: np.ndarray  # (rows, columns) float32, of that class


def see(model: TokenModel, image: Image.Image, view: View, *, asked: Sequence[int] = (), top: int = 1,
        token: tuple[int, int] | None = None) -> Seen:
    """Look into a model while it looks at a photo.

    Args:
        image: RGB of any size.
        asked: classes whose relevance is wanted; the `top` that the model deems likeliest come with them.
        token: row and column of the token that looks and whose relevance is asked for; None: the class token.
    Raises:
        ValueError: a network without attention; no such token or class.
    """
    _check(model, asked, token)
    shown = to_array(apply_all(view.ops, image))[None]
    images = normalise(paddle.to_tensor(shown), view.mean, view.std)
    place = None if token is None else token[0] * model.grid[1] + token[1]
    first = model.extra_tokens
    source = 0 if place is None else first + place
    said, best, sure = token_classes(model, images)
    told = said[0] if place is None else _of_token(model, images, place)
    classes = list(dict.fromkeys([*asked, *np.argsort(-told, kind="stable")[:top].tolist()]))
    weights = attention(model, images)[:, 0]
    # what a token of the grid has been all along would outshine what came to it
    itself = np.eye(weights.shape[-1])
    told_by = relevance(model, images.tile([len(classes), 1, 1, 1]), classes, place) - itself
    kept = RESIDUAL ** np.arange(1, 1 + len(weights))
    brought = rollout(weights) - kept[:, None, None] * itself
    return Seen(image, window_of(view.ops, image.size), said[0], of_grid(weights, source, first, model.grid),
                of_grid(brought, source, first, model.grid),
                dict(zip(classes, of_grid(told_by, source, first, model.grid))), best[0], sure[0])


@paddle.no_grad()
def token_classes(model: TokenModel, images: paddle.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a model says of images and what each of their tokens says it sees: by the token head, or by the class head
    on every token where the token head has no say.

    Args:
        images: (B, 3, h, w) float32, normalised. The model is in evaluation mode afterwards as before.
    Returns:
        probabilities of the images (B, C) float32; of each token the best class (B, rows, columns) int64 and its
        probability (B, rows, columns) float32.
    """
    with evaluating(model):
        output = model.evaluate_tokens(images)
    tokens = F.softmax(output.token_logits.astype("float32"), axis=-1).numpy()
    tokens = tokens.reshape(len(tokens), *model.grid, -1)
    return F.softmax(output.class_logits.astype("float32"), axis=-1).numpy(), tokens.argmax(-1), tokens.max(-1)


def window_of(ops: Sequence[Operation], wh: tuple[int, int]) -> Window:
    """What of a photo of `wh` a view without turns shows: x0, y0, x1, y1 in units of the photo's sides."""
    corners, _ = trace(np.array([[0.0, 0.0], [1.0, 1.0]]), history(ops, wh))
    return tuple(corners.ravel().tolist())


@paddle.no_grad()
def _of_token(model: TokenTransformer, images: paddle.Tensor, place: int) -> np.ndarray:
    return F.softmax(model.evaluate_tokens(images).token_logits[:, place].astype("float32"), axis=-1).numpy()[0]


def _check(model: TokenModel, asked: Sequence[int], token: tuple[int, int] | None) -> None:
    if not isinstance(model, TokenTransformer) or not model.has_one_grid:
        raise ValueError(f"{type(model).__name__} has no attention to look at; wanted LV-ViT, T2T-ViT, DeiT or ViT; "
                         "what its tokens say is seen by ppim labels make --load WEIGHTS --images DIR --output MAPS, "
                         "then ppim labels show MAPS --images DIR --output PAGE")
    wrong = [number for number in asked if not 0 <= number < model.num_classes]
    if wrong:
        raise ValueError(f"the model has classes 0 .. {model.num_classes - 1}, got {wrong[0]}")
    rows, columns = model.grid
    if token is not None and not (0 <= token[0] < rows and 0 <= token[1] < columns):
        raise ValueError(f"the model has tokens 0 0 .. {rows - 1} {columns - 1} (row, column), got {token[0]} "
                         f"{token[1]}")
