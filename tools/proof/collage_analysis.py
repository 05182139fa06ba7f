"""The analysis of the collage experiment, written before its first run; protocol: docs/en/results.md.

    python tools/proof/collage_analysis.py [--results docs/results/collage_runs.jsonl]

prints the tables of docs/en/results.md in markdown. A pair is complete for a comparison when both its arms have run.
A run that failed, or whose figure is not a number, counts as 0.
"""
from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results" / "collage_runs.jsonl"
LEVEL = 0.05
MATTERS = {"mIoU": 3.0, "top-1": 1.0}  # the smallest difference that would matter, points
SEQUENCE = ("shuffled", "pooled", "released", "plain")  # against "right"; each is tested only if the one before holds
DISPLACED = {"right": 0.0, "displaced 0.25": 0.25, "displaced 0.5": 0.5, "displaced 1": 1.0, "displaced 2": 2.0,
             "displaced 4": 4.0}

Figures = dict[tuple[int, str], dict[str, float]]


def read(path: Path) -> Figures:
    """{(pair, arm): {"mIoU", "top-1"}}; what failed or is no number is 0."""
    found: Figures = {}
    for line in map(json.loads, path.read_text().splitlines()):
        key = line["pair"], line["arm"]
        if key in found:
            raise ValueError(f"{path} holds pair {key[0]}, {key[1]} twice; every run counts once")
        failed = line["failed"] is not None
        values = {} if failed else {"mIoU": line["probe"]["miou"], "top-1": line["evaluation"]["top1"]}
        found[key] = {name: number(values.get(name)) for name in MATTERS}
    return found


def number(value: float | None) -> float:
    """A figure, or 0 where there is none."""
    return value if isinstance(value, (int, float)) and math.isfinite(value) else 0.0


def differences(figures: Figures, one: str, other: str, name: str) -> np.ndarray:
    """`one` minus `other`, for every pair that has both, by pair."""
    pairs = sorted({pair for pair, arm in figures if arm == one} & {pair for pair, arm in figures if arm == other})
    return np.array([figures[pair, one][name] - figures[pair, other][name] for pair in pairs])


def sign_flip_p(values: Sequence[float]) -> float:
    """The exact two-sided p of a mean of zero: the share of all 2^n signs whose mean is at least as far from zero."""
    values = np.asarray(values, np.float64)
    if not len(values):
        return 1.0
    signs = np.array(list(itertools.product((1, -1), repeat=len(values))))
    means = np.abs((signs * np.abs(values)).sum(axis=1))
    return float((means >= abs(values.sum()) - 1e-9).mean())


def interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """The means that the exact sign-flip test does not refuse at `level`: a confidence interval of 1 - level."""
    values = np.asarray(values, np.float64)
    if len(values) < 2 or 2.0 ** (1 - len(values)) > level:
        return -math.inf, math.inf
    return tuple(sorted(_edge(values, level, side) for side in (-1, 1)))


def _edge(values: np.ndarray, level: float, side: int) -> float:
    kept = values.mean()
    refused = kept + side * (10 * np.ptp(values) + 1)
    for _ in range(60):
        middle = (kept + refused) / 2
        kept, refused = (middle, refused) if sign_flip_p(values - middle) > level else (kept, middle)
    return float(kept)


def tested(figures: Figures, name: str = "mIoU") -> list[dict]:
    """The fixed sequence: right against each control, tested as long as all before were significant."""
    rows, open_ = [], True
    for control in SEQUENCE:
        values = differences(figures, "right", control, name)
        p = sign_flip_p(values)
        wide, narrow = interval(values), interval(values, 2 * LEVEL)  # 90 % is what two one-sided tests at 5 % ask
        rows.append({
            "comparison": f"right - {control}", "pairs": len(values),
            "mean": float(values.mean()) if len(values) else math.nan, "low": wide[0], "high": wide[1], "p": p,
            "verdict": _verdict(p, narrow, MATTERS[name]) if open_ else "not tested, one before did not hold",
        })
        open_ = open_ and p <= LEVEL and len(values) > 0 and values.mean() > 0
    return rows


def _verdict(p: float, narrow: tuple[float, float], matters: float) -> str:
    if -matters < narrow[0] and narrow[1] < matters:
        return "no difference that matters" + (", though significant" if p <= LEVEL else "")
    return "holds" if p <= LEVEL else "undecided"


def dose(figures: Figures, name: str = "mIoU") -> list[dict]:
    """Arms by displacement, each minus the shuffled arm of its pair."""
    rows = []
    for arm, tokens in {**DISPLACED, "released": None, "frame": None, "pooled": None, "plain": None,
                        "published": None}.items():
        values = differences(figures, arm, "shuffled", name)
        low, high = interval(values)
        mean = float(values.mean()) if len(values) else math.nan
        rows.append({"arm": arm, "tokens": tokens, "pairs": len(values), "values": values.tolist(), "mean": mean,
                     "low": low, "high": high})
    return rows


def tables(figures: Figures) -> str:
    """Both tables in markdown."""
    lines = []
    for name in MATTERS:
        lines += [f"| {name}, points | pairs | mean difference | 95 % interval | p | verdict |",
                  "|---|---|---|---|---|---|"]
        lines += [f"| {row['comparison']} | {_cells(row)} | {row['p']:.4f} | {row['verdict']} |"
                  for row in tested(figures, name)]
        lines += ["", f"| arm, {name} minus shuffled | pairs | mean | 95 % interval |", "|---|---|---|---|"]
        lines += [f"| {row['arm']} | {_cells(row)} |" for row in dose(figures, name) if row["pairs"]]
        lines.append("")
    return "\n".join(lines)


def _cells(row: dict) -> str:
    return f"{row['pairs']} | {row['mean']:+.2f} | {row['low']:+.2f} .. {row['high']:+.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    args = parser.parse_args()
    print(tables(read(args.results)))


if __name__ == "__main__":
    main()
