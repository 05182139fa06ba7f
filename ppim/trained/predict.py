"""What does a model say a photo shows? Its most probable classes, of photos seen exactly as in evaluation."""
from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import paddle

from ppim.data.batches import EvalBatches
from ppim.data.loader import make_loader
from ppim.data.making import Samples
from ppim.data.paths import Meant, meant
from ppim.data.photos import read_photo
from ppim.data.transforms import Operation, apply_all, eval_view, to_array
from ppim.engine.build import engine_arguments, evaluation_arguments
from ppim.engine.inference import answerer
from ppim.models.base import TokenModel, evaluating
from ppim.objective.pixels import normalise
from ppim.report.measures import softmax
from ppim.trained.ready import Ready, of_model, of_weights


class Prediction(NamedTuple):
    """What a model says of one photo; or, with `error`, why it cannot say anything.

    Attributes:
        path: as it was given or found.
        names: of the most probable classes, in words, the most probable first.
        probabilities: of these classes, 0 .. 1.
        error: in one line; "" where there is none.
        rows: the same classes as positions in the head.
        ids: the same classes as data sets call them, such as n01440764.
    """

    path: str
    names: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    error: str = ""
    rows: tuple[int, ...] = ()
    ids: tuple[str, ...] = ()


def predict(
    model: TokenModel | Ready | str | os.PathLike[str],
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    topk: int = 5,
    classes: str | None = None,
) -> list[Prediction]:
    """The most probable classes of photos, in the order given; photos that cannot be read have an `error` instead.

    Args:
        model: weights (a file of any project, a run folder, a checkpoint); what `ppim.trained.ready.of_weights` makes
            of them, to be asked several times; or a model of `create_model`.
        paths: files, folders, patterns such as `photos/*.jpg`.
        topk: how many classes, at most all.
        classes: a file with the names of the classes, one a line; None: as the weights, or `of_weights`, have them.

    Raises:
        FileNotFoundError: no such weights or names. ValueError: weights or names that do not fit; no photo is named.
    """
    if isinstance(model, Ready):
        if classes is not None:
            raise ValueError(f"classes {classes}: what of_weights has made has its names already; give them there, "
                             "of_weights(WEIGHTS, classes=...)")
        ready = model
    else:
        ready = of_model(model, classes) if isinstance(model, TokenModel) else of_weights(model, classes=classes)
    named = meant([paths] if isinstance(paths, (str, os.PathLike)) else paths)
    return list(predictions(ready, named, topk))


def predictions(ready: Ready, photos: Sequence[Meant], topk: int = 5) -> Iterator[Prediction]:
    """One prediction a photo, in order, as they are made.

    Raises:
        ValueError: `topk` is below 1.
    """
    if topk < 1:
        raise ValueError(f"topk wants at least 1, got {topk}")
    for photo, logits, error in answers(ready, photos):
        if error:
            yield Prediction(photo.path, error=error)
            continue
        shares = softmax(logits)
        rows = tuple(np.argsort(-shares, kind="stable")[:topk].tolist())
        yield Prediction(photo.path, tuple(ready.names[row] for row in rows), tuple(shares[list(rows)].tolist()), "",
                         rows, tuple(ready.ids[row] for row in rows))


def answers(ready: Ready, photos: Sequence[Meant]) -> Iterator[tuple[Meant, np.ndarray, str]]:
    """Each photo with its logits, (classes,) float32, and what kept it from being read, "" for nothing.

    The logits are those of evaluation, to the last bit where batches are the same (and EVAL.ENGINE is dygraph).
    """
    data, how = ready.config.DATA, evaluation_arguments(ready.config)
    ops = eval_view(ready.size, data.CROP_PCT, data.INTERPOLATION)
    batches = EvalBatches(len(photos), how["batch_size"])
    workers = how["workers"] if len(batches) > 1 else 0  # few photos are read sooner than processes are started
    loader = make_loader(_Shown(photos, ops, data.EXIF, ready.size), batches, workers, timeout=how["timeout"])
    asked, _ = answerer(ready.model, len(photos), **engine_arguments(ready.config))
    with evaluating(ready.model):
        for batch in loader:
            with paddle.no_grad(), paddle.amp.auto_cast(**(how["amp"] or {"enable": False})):
                logits = asked(normalise(batch["image"], how["mean"], how["std"]))
            errors = iter(batch.get("bad", ()))
            readable = batch["label"].tolist()
            for index, row, is_readable in zip(batch["index"].tolist(), logits.astype("float32").numpy(), readable):
                error = "" if is_readable else next(errors)
                if not error and not np.isfinite(row).all():
                    error = f"{photos[index].path}: the model's logits are not finite; are its weights whole?"
                yield photos[index], row, error


@dataclass(frozen=True)
class _Shown(Samples):
    """Photos as the model is shown them; `label` is 1 where the photo can be read, else grey stands for it."""

    photos: Sequence[Meant]
    ops: Sequence[Operation]
    exif: str
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.photos)

    def path(self, index: int) -> str:
        """The file of a sample."""
        return self.photos[index].path

    def __getitem__(self, index: int) -> dict[str, Any]:
        photo = self.photos[index]
        image, error = np.full((3, *self.size), 128, np.uint8), photo.error
        if not error:
            try:
                image = to_array(apply_all(self.ops, read_photo(photo.path, self.exif)))
            except (ValueError, OSError, MemoryError) as wrong:
                text = " ".join(str(wrong).split())
                error = text if photo.path in text else f"{photo.path}: cannot be shown to the model ({text})"
        return {"image": image, "label": np.int64(not error), "index": np.int64(index), "bad": [error] * bool(error)}
