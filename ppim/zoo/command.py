"""`ppim models`: the published models, as a table or as JSON."""
from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from ppim import zoo
from ppim.names import plain_name

_FOOT = (
    f"Accuracy: {zoo.NOTE}. MACs: counted from the model, one image, attention included; in brackets as published,\n"
    "* without attention, ? fits this network neither way. `ppim models --json` has every link."
)


def describe(row: zoo.Row, counts: dict[str, int]) -> dict:
    """A row with what was counted, as plain values for JSON; None where nothing was."""
    return {
        "name": row.name,
        "alias": row.alias or None,
        "family": row.family,
        "image_size": row.image_size,
        **{name: counts.get(name) for name in ("parameters", "macs", "attention_macs")},
        "published": {
            "note": zoo.NOTE,
            "accuracy": [accuracy._asdict() for accuracy in row.accuracy],
            "giga_macs": [macs._asdict() for macs in row.macs],
        },
        "evaluation": {
            "crop_pct": row.crop_pct, "interpolation": row.interpolation, "ppim_resize": zoo.ppim_resize(row.image_size)
        },
        "weights": [{**file._asdict(), "downloaded_by_pretrained": file == row.download} for file in row.files],
    }


def accuracy_text(row: zoo.Row, source: str) -> str:
    """Top-1 / top-5 of one source, '-' where it has none."""
    found = next((accuracy for accuracy in row.accuracy if accuracy.source == source), None)
    if found is None:
        return "-"
    digits = 1 if source == "original" else 2
    return " / ".join(f"{value:.{digits}f}" for value in found[1:] if value is not None)


def macs_text(macs: zoo.Macs) -> str:
    """A published number of MACs, with a mark where it leaves attention out or fits not at all."""
    return f"{macs.giga:.1f}" + {True: "", False: "*", None: "?"}[macs.attention]


def _table(rows: Sequence[zoo.Row], counts: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("model", "size", "parameters", "G MACs", "top-1 original", "top-1 / top-5 Paddle", "weights"):
        table.add_column(title, no_wrap=True, justify="left" if title in ("model", "weights") else "right")
    for row in rows:
        counted = counts.get(row.name, {})
        published = ", ".join(macs_text(macs) for macs in row.macs)
        paddle = next((text for text in (accuracy_text(row, s) for s in ("PPIM", "PaddleViT")) if text != "-"), "-")
        table.add_row(
            row.name,
            str(row.image_size),
            f"{counted['parameters']:,}" if counted else "-",
            (f"{counted['macs'] / 1e9:.2f}" if counted else "-") + (f" ({published})" if published else ""),
            accuracy_text(row, "original").partition(" /")[0],
            paddle,
            ", ".join(dict.fromkeys(file.source.split()[0] for file in row.files)) or "-",
        )
    # rich would cut columns off to fit the terminal, or 80 characters in a pipe; long lines lose nothing
    console = Console(width=140)
    console.print(table)
    console.print(_FOOT, highlight=False)


def models(argv: Sequence[str] | None = None) -> None:
    """`ppim models [--json] [PATTERN]`

    Raises:
        ValueError: no model's name contains the pattern.
    """
    parser = argparse.ArgumentParser(
        prog="ppim models", description="The published models: size, cost, accuracy, where their weights are."
    )
    parser.add_argument("pattern", nargs="?", default="", metavar="PATTERN", help="only names that contain it")
    parser.add_argument("--json", action="store_true", help="one JSON array with everything that is known")
    args = parser.parse_args(argv)
    word = plain_name(args.pattern)
    rows = [row for row in zoo.ROWS if word in row.name or word in row.alias]
    if not rows:
        raise ValueError(f"no published model's name contains {args.pattern!r}; `ppim models` lists all")
    counts = zoo.counts()
    if args.json:
        print(json.dumps([describe(row, counts.get(row.name, {})) for row in rows], indent=2))
    else:
        _table(rows, counts)
