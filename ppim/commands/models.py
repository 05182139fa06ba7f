"""`ppim models`: the published models, as a table or as JSON; where our recipes depart from the originals', and why."""
from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence

from ppim import zoo
from ppim.commands import Parser
from ppim.families import names as known_names
from ppim.names import normalise_name, plain_name
from ppim.zoo.departures import Departure, departures_of, groups

_WIDTH = 140
_FOOT = (
    f"Accuracy: {zoo.NOTE}; in brackets the crop_pct it was measured at. MACs: counted from the model, one image,\n"
    "attention included; in brackets as published, * without attention, ? fits this network neither way.\n"
    "`ppim models --json` has every link, `ppim models PATTERN` tells where our recipes depart from the originals'."
)


def recipes_by_model() -> dict[str, list[str]]:
    """{model: names of the recipes that train it as its authors do}."""
    from ppim.config import get_config, published_recipes

    found: dict[str, list[str]] = {}
    for name, path in published_recipes().items():
        if name not in groups()["without_original"]:
            found.setdefault(normalise_name(get_config(path).MODEL.NAME), []).append(name)
    return found


def describe(row: zoo.Row, counts: dict[str, int], recipes: Sequence[str]) -> dict[str, object]:
    """A row with what was counted, if anything, and the departures of `recipes`, as plain values for JSON."""
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
        "departures": {name: [departure._asdict() for departure in departures_of(name)] for name in recipes},
    }


def accuracy_text(row: zoo.Row, source: str, figures: int = 2) -> str:
    """Top-1 / top-5 of one source, or its top-1 alone, with the crop_pct they were measured at; '-' for none."""
    found = next((accuracy for accuracy in row.accuracy if accuracy.source == source), None)
    if found is None:
        return "-"
    digits = 1 if found.top5 is None else 2
    values = [value for value in (found.top1, found.top5)[:figures] if value is not None]
    view = "" if found.crop_pct is None else f" ({found.crop_pct:g})"
    return " / ".join(f"{value:.{digits}f}" for value in values) + view


def macs_text(macs: zoo.Macs) -> str:
    """A published number of MACs, with a mark where it leaves attention out or fits not at all."""
    return f"{macs.giga:.1f}" + {True: "", False: "*", None: "?"}[macs.attention]


def _table(rows: Sequence[zoo.Row], counts: dict[str, dict[str, int]]) -> None:
    from rich.table import Table

    from ppim.commands.console import Console

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
            accuracy_text(row, "original", figures=1),
            paddle,
            ", ".join(dict.fromkeys(file.source.split()[0] for file in row.files)) or "-",
        )
    # rich would cut columns off to fit the terminal, or 80 characters in a pipe
    console = Console(width=_WIDTH)
    console.print(table)
    console.print(_FOOT, highlight=False)


def _departures(recipes: Sequence[str]) -> str:
    """What the recipes do otherwise than the originals: each point once, with those it is about unless it is all."""
    concerned: dict[Departure, list[str]] = {}
    for recipe in recipes:
        for departure in departures_of(recipe):
            concerned.setdefault(departure, []).append(recipe)
    lines = [f"Where our recipes ({', '.join(recipes)}) depart from the originals', and why:"]
    for (what, theirs, ours, why), names in concerned.items():
        only = "" if names == recipes else f" [{', '.join(names)}]"
        lines.append(f"- {what}{only}: theirs {theirs}; ours {ours}. {why[0].upper()}{why[1:]}.")
    return "\n".join(textwrap.fill(line, _WIDTH, subsequent_indent="  ", break_on_hyphens=False) for line in lines)


def models(argv: list[str]) -> None:
    """List the published models: size, cost, accuracy, where their weights are.

    Raises:
        ValueError: no model's name contains the pattern.
    """
    parser = Parser(
        prog="ppim models",
        description="The published models: size, cost, accuracy, where their weights are.",
    )
    parser.add_argument("pattern", nargs="?", default="", metavar="PATTERN",
                        help="only names that contain it, and where their recipes depart from the originals")
    parser.add_argument("--json", action="store_true", help="one JSON array with everything that is known")
    args = parser.parse_args(argv)
    word = plain_name(args.pattern)
    found = {model for spelt, model in known_names().items() if word in spelt}
    rows = [row for row in zoo.ROWS if row.name in found]
    if not rows:
        raise ValueError(f"no published model's name contains {args.pattern!r}; `ppim models` lists all")
    counts, recipes = zoo.counts(), recipes_by_model() if args.json or word else {}
    if args.json:
        found = [describe(row, counts.get(row.name, {}), recipes.get(row.name, ())) for row in rows]
        print(json.dumps(found, indent=2, allow_nan=False))
        return
    _table(rows, counts)
    if word:
        print(f"\n{_departures([name for row in rows for name in recipes.get(row.name, ())])}")
