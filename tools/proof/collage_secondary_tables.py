"""What the secondary runs of the collage experiment gave, as the tables of docs/en/results.md.

    python tools/proof/collage_secondary_tables.py

prints them in markdown from docs/results/collage_secondary.jsonl and collage_runs.jsonl. They describe: four pairs
cannot refuse anything at 5 %, so a difference stands with the smallest and the largest of its pairs, not with a p. A
run that failed, or whose figure is not a number, counts as 0, as in `collage_analysis.py`.
"""
from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from collage_analysis import RESULTS as PRIMARY  # noqa: E402
from collage_analysis import number  # noqa: E402
from collage_runs import ARMS as PRIMARY_ARMS  # noqa: E402
from collage_runs import FIRST_SEED  # noqa: E402
from collage_secondary import PAIRS, RATES, RESULTS, SEVEN, TUNING_SEED  # noqa: E402

SEEDS = tuple(FIRST_SEED + pair for pair in PAIRS)  # the primary runs have more; compared are those that both have

Lines = dict[tuple[int, str], dict]


class Figure(NamedTuple):
    """A column: its name, and how it is read from a run's line, in percent."""

    name: str
    of: Callable[[dict], float | None]


class Group(NamedTuple):
    """Arms that are compared, each with the last of them, in figures that all of them have."""

    arms: tuple[str, ...]
    figures: tuple[Figure, ...]


def mean_iou(line: dict, classes: Sequence[str]) -> float:
    """The mean over these classes of a probe's IoU."""
    return float(np.mean([line["probe"]["iou"][name] for name in classes]))


def _new(line: dict) -> float:
    return mean_iou(line, [name for name in line["probe"]["iou"] if name not in (*SEVEN, "ground")])


MIOU = Figure("mIoU", lambda line: line["probe"]["miou"])
TOP1 = Figure("top-1", lambda line: line["evaluation"]["top1"])
TOKENS = Figure("tokens right", lambda line: line["evaluation"].get("token_top1"))
KNOWN, NEW = Figure("mIoU of the seven", lambda line: mean_iou(line, SEVEN)), Figure("mIoU of the three", _new)

GROUPS = {
    "class from the map": Group(("published", "published released", "published class alone", "plain",
                                 "published shuffled"), (MIOU, TOP1)),
    "labels": Group(("right", "shuffled", "annotator", "annotator shuffled", "annotator's class", "self-made", "plain"),
                    (MIOU, TOP1)),
    "tokens": Group(("right", "annotator", "self-made", "shuffled"), (TOKENS,)),
    "classes": Group(("seven right", "seven plain", "seven shuffled"), (KNOWN, NEW, TOP1)),
    "epochs": Group(("long right", "long plain", "long shuffled"), (MIOU, TOP1)),
    "mixing": Group(("DeiT alignment", "DeiT attention", "DeiT area"), (MIOU, TOP1)),
}


def read(secondary: Path, primary: Path) -> Lines:
    """{(seed, arm): line} of both files; the primary runs' arms keep their names.

    Raises:
        ValueError: a run stands twice.
    """
    found: Lines = {}
    for path in (primary, secondary):
        for line in map(json.loads, path.read_text().splitlines() if path.exists() else ()):
            if (line["seed"], line["arm"]) in found:
                raise ValueError(f"{path} holds seed {line['seed']}, {line['arm']} twice; every run counts once")
            found[line["seed"], line["arm"]] = line
    return found


def value(line: dict, figure: Figure) -> float:
    """A run's figure; 0 of a run that failed, or whose figure is not a number."""
    return number(None if line["failed"] is not None else figure.of(line))


def rows(lines: Lines, group: Group, figure: Figure) -> list[dict]:
    """Arms that have run, each with its mean, and its differences from the group's last arm, pair by pair."""
    base, found = group.arms[-1], []
    compared = [seed for seed in SEEDS if (seed, base) in lines]
    for arm in group.arms:
        held = [seed for seed in compared if (seed, arm) in lines]
        if held:
            values, against = (np.array([value(lines[seed, one], figure) for seed in held]) for one in (arm, base))
            found.append({"arm": arm, "pairs": len(held), "mean": float(values.mean()),
                          "differences": None if arm == base else (values - against).tolist()})
    return found


def is_finished(lines: Lines, group: Group) -> bool:
    """Are all its runs in, those of `collage_runs.py` among them?"""
    return all((seed, arm) in lines for seed in SEEDS for arm in group.arms)


def table(lines: Lines, group: Group) -> list[str]:
    """A group's lines of markdown; none, if nothing of it has run but what `collage_analysis.py` tells."""
    if not any(arm in group.arms and arm not in PRIMARY_ARMS for _, arm in lines):
        return []
    by_figure = [rows(lines, group, figure) for figure in group.figures]
    if not by_figure[0]:  # the arm that the others are compared with has not run
        return []
    heads = " | ".join(f"{figure.name} | minus {group.arms[-1]}" for figure in group.figures)
    told = [f"| arm | pairs | {heads} |", "|---" * (2 + 2 * len(group.figures)) + "|"]
    for row in zip(*by_figure):
        cells = " | ".join(f"{one['mean']:.2f} | {_spread(one['differences'])}" for one in row)
        told.append(f"| {row[0]['arm']} | {row[0]['pairs']} | {cells} |")
    return told


def _spread(differences: list[float] | None) -> str:
    if differences is None:
        return ""
    return f"{np.mean(differences):+.2f} ({min(differences):+.2f} .. {max(differences):+.2f})"


def rates(lines: Lines) -> list[str]:
    """Every primary arm at each rate, on the seed that no counted run has; none, if nothing of it has run."""
    told = []
    for arm in PRIMARY_ARMS:
        held = [lines.get((TUNING_SEED, f"{arm}, rate {rate}")) for rate in RATES]
        if any(held):
            told.append("| " + " | ".join([arm, *(f"{value(line, figure):.2f}" if line else "-"
                                                  for figure in (MIOU, TOP1) for line in held)]) + " |")
    heads = " | ".join(f"{figure.name} at {rate}" for figure in (MIOU, TOP1) for rate in RATES)
    return [f"| arm | {heads} |", "|---" * 7 + "|", *told] if told else []


def tables(lines: Lines) -> str:
    """All of them."""
    return "\n\n".join("\n".join(one) for one in (*(table(lines, group) for group in GROUPS.values()), rates(lines))
                       if one)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--secondary", type=Path, default=RESULTS)
    parser.add_argument("--primary", type=Path, default=PRIMARY)
    args = parser.parse_args()
    print(tables(read(args.secondary, args.primary)))


if __name__ == "__main__":
    main()
