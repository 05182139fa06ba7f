"""What does a report say, and in which files? Text for people, tables for programs, a picture, a page of mistakes."""
from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ppim import pages
from ppim.data.images import ImageList
from ppim.files import printable, write_whole
from ppim.report import measures, picture
from ppim.report.answers import Answers
from ppim.report.tables import write_csv, write_text
from ppim.strict_json import dumps

MISTAKES = 60  # photos on the page of mistakes
_PAIRS = 20
_THUMBNAIL = 288  # pixels
_STYLE = "figure img { width: 100%; height: 11rem; object-fit: contain }"


class Subject(NamedTuple):
    """What answers were about."""

    images: ImageList
    ids: Sequence[str]  # of the head's rows, as the data set calls them
    names: Sequence[str]  # the same in words
    exif: str  # see `read_photo`


def write_report(folder: str | os.PathLike[str], subject: Subject, answers: Answers, figures: dict[str, object],
                 heading: str) -> None:
    """Write a report's files into a folder: report.txt, summary.json, classes.csv, confusion.csv, confusion.png,
    reliability.csv and mistakes.html.

    Args:
        figures: what was measured, by name, as evaluation has it.
        heading: whose answers these are, in a line.
    """
    folder, rows = Path(folder), len(subject.ids)
    counts = measures.confusion(answers.truth, answers.said, rows)
    table = measures.reliability(answers.shares[:, 0], answers.right)
    figures = {**figures, "ece": 100 * measures.calibration_error(table)}
    classes, shown = measures.of_classes(counts), np.flatnonzero(counts.sum(1))
    write_text(folder / "report.txt", _summary(heading, figures, subject, counts, table, classes))
    write_text(folder / "summary.json", dumps(figures, indent=1) + "\n")
    write_csv(folder / "classes.csv", ["row", "id", "name", *measures.OfClass._fields],
              [[row, subject.ids[row], subject.names[row], *map(_cell, one)] for row, one in enumerate(classes)])
    write_csv(folder / "confusion.csv", ["truth \\ said", *subject.ids],
              [[subject.ids[row], *counts[row].tolist()] for row in shown])
    write_csv(folder / "reliability.csv", measures.Bin._fields, [list(map(_cell, part)) for part in table])
    drawn = _picture(counts, shown, subject.names)
    write_whole(folder / "confusion.png", lambda beside: drawn.save(beside, "PNG", optimize=True))
    pages.save_page(folder / "mistakes.html", mistakes_page(subject, answers, heading))


def write_dump(path: str | os.PathLike[str], subject: Subject, answers: Answers) -> None:
    """Write every answer, one row an image: path, target, then row, id, name and probability of each class."""
    fields = ("row", "id", "name", "probability")
    head = [f"{field}{place}" for place in range(1, answers.rows.shape[1] + 1) for field in fields]
    write_csv(path, ["path", "target", "target_id", "target_name", "target_probability", *head], (
        [subject.images.full_path(image), truth, subject.ids[truth], subject.names[truth], share, *(
            cell for row, part in zip(rows, parts) for cell in (row, subject.ids[row], subject.names[row], part))]
        for image, truth, share, rows, parts in zip(
            range(len(answers.truth)), answers.truth.tolist(), answers.share_of_truth.tolist(), answers.rows.tolist(),
            answers.shares.tolist())))


def _cell(value: float) -> object:
    return "" if isinstance(value, float) and math.isnan(value) else value


def _picture(counts: np.ndarray, shown: np.ndarray, names: Sequence[str]):
    """Of the classes that have images; what else was said is one more column."""
    own = counts[np.ix_(shown, shown)]
    others = counts[shown].sum(1) - own.sum(1)
    columns = [names[row] for row in shown]
    if others.any():
        own, columns = np.column_stack([own, others]), [*columns, "(others)"]
    title = f"{counts.sum():,} images of {len(shown):,} classes; rows: truth, columns: what was said; blue: right"
    return picture.draw(own, columns, title)


def mistakes_page(subject: Subject, answers: Answers, heading: str) -> str:
    """The photos that are wrong with the highest probability, with what they are and what was said."""
    figures = []
    for image in answers.worst(MISTAKES):
        truth, said = answers.truth[image], answers.said[image]
        photo = subject.images.photo(int(image), subject.exif)
        photo.thumbnail((_THUMBNAIL, _THUMBNAIL))
        caption = (f"said <b>{pages.text(subject.names[said])}</b> {100 * answers.shares[image, 0]:.1f} %<br>"
                   f"is <b>{pages.text(subject.names[truth])}</b> {100 * answers.share_of_truth[image]:.1f} %"
                   f'<div class="quiet">{pages.text(subject.images.paths[image])}</div>')
        figures.append(pages.figure(photo, caption))
    wrong = int((~answers.right).sum())
    which = "all of them" if wrong == len(figures) else f"the {len(figures)} with the highest probability"
    body = (f'<p class="quiet">{pages.text(heading)}</p>\n<p>{wrong:,} of {len(answers.truth):,} images '
            f"are wrong; here are {which}. Is it the model that errs, or the label?</p>\n{pages.grid(figures)}")
    return pages.page("Worst mistakes", body, style=_STYLE)


def _summary(heading, figures, subject: Subject, counts, table, classes) -> str:
    """The report as text."""
    said = "\n".join(f"{name:<16} {value:.4f}" if isinstance(value, float) else f"{name:<16} {value}"
                     for name, value in figures.items() if not isinstance(value, dict))
    by_part = [f"{name}, percent\n{_columns(['of', 'percent'], _items(value), left=(0,))}"
               for name, value in figures.items() if isinstance(value, dict)]
    bins = [(f"{part.low:.3f} .. {part.high:.3f}", f"{part.count:,}", _percent(part.confidence),
             _percent(part.accuracy)) for part in table]
    pairs = [(f"{number:,}", subject.names[truth], subject.names[answer])
             for truth, answer, number in measures.confused(counts, _PAIRS)]
    # the worst first, which are those to look at
    order = sorted((row for row, one in enumerate(classes) if one.count or one.said),
                   key=lambda row: (classes[row].f1, row))
    per_class = [(subject.names[row], f"{one.count:,}", f"{one.said:,}", _percent(one.precision),
                  _percent(one.recall), _percent(one.f1)) for row, one in ((row, classes[row]) for row in order)]
    parts = [
        heading, said, *by_part,
        "Is the model right as often as it is sure? (reliability; ece is the mean distance, in percent)\n"
        + _columns(["confidence", "images", "mean %", "right %"], bins),
        "Most frequent mistakes\n" + _columns(["images", "is", "was called"], pairs, left=(1, 2)),
        "Classes, the worst first\n"
        + _columns(["class", "images", "said", "precision %", "recall %", "F1 %"], per_class, left=(0,)),
    ]
    return "\n\n".join(printable(part).rstrip() for part in parts) + "\n"


def _items(figures: dict[str, float]) -> list[tuple[str, str]]:
    return [(name, f"{value:.2f}") for name, value in figures.items()]


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.2f}"


def _columns(head: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = ()) -> str:
    """Columns that stand below each other, also where characters are two wide."""
    table = Table(box=None, pad_edge=False, show_edge=False)
    for place, title in enumerate(head):
        table.add_column(title, justify="left" if place in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    text = io.StringIO()
    Console(file=text, width=10_000, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
