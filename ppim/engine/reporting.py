"""What is told of an evaluation besides its figures? Answers of all processes gathered, measured, written by the first.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import paddle
from paddle import nn
from yacs.config import CfgNode

from ppim.data.classes import imagenet_classes, of_rows
from ppim.data.corruptions import corrupted_folders, groups
from ppim.data.images import ImageList
from ppim.data.loader import EvalSamples
from ppim.data.real_labels import read_real
from ppim.engine import build
from ppim.engine.distributed import World
from ppim.engine.evaluate import Evaluation, best_rows, evaluate_samples
from ppim.engine.inference import answerer
from ppim.engine.log import Log
from ppim.report import measures
from ppim.report.answers import MOST, Answers, as_table, from_table
from ppim.report.write import Subject, write_dump, write_report

_SUBSET = 200  # classes of ImageNet-A, and of ImageNet-R
_AT_ONCE = 1 << 20  # numbers summed over the processes at once


class Record:
    """Keeps what is answered of each image while it is evaluated, of this process's share.

    Args:
        count: images of all processes.
    """

    def __init__(self, count: int):
        self._count = count
        self._rows: list[tuple[np.ndarray, np.ndarray]] = []  # places of images, their rows of the table

    def __call__(self, batch: Mapping[str, paddle.Tensor], logits: paddle.Tensor) -> None:
        """Take note of a batch; `logits` (B, C) float32."""
        rows = best_rows(logits, MOST).numpy()
        shares, truth = measures.softmax(logits.numpy()), batch["label"].numpy()
        of_truth = np.take_along_axis(shares, truth[:, None], 1)[:, 0]
        answers = Answers(truth, rows, np.take_along_axis(shares, rows, 1), of_truth)
        self._rows.append((batch["index"].numpy(), as_table(answers)))

    def gathered(self, world: World, columns: int) -> Answers:
        """The answers of all processes, in the order of the images, the same in each. A collective.

        Args:
            columns: answers kept of an image.
        """
        table = np.zeros((self._count, 2 + 2 * columns))
        for places, rows in self._rows:
            table[places] = rows
        flat = table.reshape(-1)
        for start in range(0, flat.size if world.size > 1 else 0, _AT_ONCE):
            # all but one process have zeros there, so that sums are exact
            flat[start:start + _AT_ONCE] = world.all_sum(flat[start:start + _AT_ONCE], "float64")
        return from_table(table)


def evaluate_and_report(
    model: nn.Layer, samples: EvalSamples, world: World, config: CfgNode, log: Log, heading: str,
    known: Sequence[str] = (),
) -> Evaluation:
    """`evaluate_samples` as the configuration has it, and whatever EVAL.REPORT, DUMP, REAL and AMONG ask for.

    Args:
        heading: whose answers these are, in a line.
        known: names of the classes as the weights have them, for images of a list of numbers.

    Raises:
        FileNotFoundError, ValueError: labels that cannot be read, before anything is evaluated.
    """
    images, wanted, how = samples.images, config.EVAL, build.evaluation_arguments(config)
    how["among"] = _among(images, wanted.AMONG, log)
    accepted = read_real(wanted.REAL, images.paths, model.num_classes) if wanted.REAL else None
    is_corrupted = bool(corrupted_folders(images.root))
    record = Record(len(samples)) if wanted.REPORT or wanted.DUMP or accepted or is_corrupted else None
    engine = build.engine_arguments(config)
    asked, note = answerer(model, len(samples), tokens=samples.maps is not None, **engine)
    if note:
        log.say(note)
    result = evaluate_samples(asked, samples, world, **how, **({"look": record} if record else {}))
    if record is None:
        return result
    answers = record.gathered(world, min(MOST, model.num_classes))
    if accepted:
        hits, judged = measures.among_several(answers.said, accepted)
        result = result._replace(real_top1=100.0 * hits / judged if judged else None, real_count=judged)
    if is_corrupted:
        result = result._replace(**_of_corruptions(images.paths, answers, log))
    if world.is_main:
        subject = _subject(samples, model.num_classes, known)
        if wanted.DUMP:
            write_dump(wanted.DUMP, subject, answers)
            log.say(f"answers in {wanted.DUMP}")
        if wanted.REPORT:
            write_report(wanted.REPORT, subject, answers, result.as_dict(), f"{heading}: {result}")
            log.say(f"report in {wanted.REPORT}: report.txt, mistakes.html, confusion.png and tables")
    return result


def _among(images: ImageList, setting: str, log: Log) -> list[int]:
    """The rows that may be answered, [] for all; told, or proposed where they are as many as in other ImageNets."""
    shown = sorted(set(images.labels.tolist()))
    if setting == "shown":
        log.say(f"answers are counted among the {len(shown)} classes shown (EVAL.AMONG shown)")
        return shown
    if images.names == imagenet_classes() and len(shown) == _SUBSET:
        log.say(f"note: {_SUBSET} of ImageNet's classes; ImageNet-A and ImageNet-R are counted among theirs: --among "
                "shown")
    return []


def _subject(samples: EvalSamples, rows: int, known: Sequence[str]) -> Subject:
    images = samples.images
    return Subject(images, *of_rows((images.names or tuple(known))[:rows], rows), samples.exif)


def _of_corruptions(paths: list[str], answers: Answers, log: Log) -> dict[str, object]:
    """What there is to say of ImageNet-C, told and as fields of an evaluation."""
    group, wrong = groups(paths), ~answers.right
    errors = {tuple(name.split("/")): float(wrong[group == name].mean()) for name in np.unique(group).tolist()}
    errors = {(corruption, int(severity)): error for (corruption, severity), error in errors.items()}
    means = measures.corruption_errors(errors)
    mce = measures.mean_corruption_error(errors)
    for corruption, mean in means.items():
        each = "  ".join(f"{100 * errors[key]:6.2f}" for key in sorted(errors) if key[0] == corruption)
        log.say(f"{corruption:<20} error {100 * mean:6.2f}  by severity {each}")
    log.say("no mCE: it needs fifteen corruptions at five severities, so these errors are not divided by AlexNet's"
            if mce is None else f"mCE {100 * mce:.2f}, the mean of the errors divided by AlexNet's")
    return {"corruption_errors": {name: 100 * mean for name, mean in means.items()},
            "mce": None if mce is None else 100 * mce}
