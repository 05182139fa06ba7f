"""Draw docs/images/place.png: what token labels give, by how far they lie from where they belong.

    python tools/proof/collage_figure.py

of the runs in docs/results/collage_runs.jsonl, and for arms that no key displaces of the displacement measured in
docs/results/collage_displacement.json. Needs matplotlib.
"""
from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.patheffects import withStroke

sys.path.insert(0, str(Path(__file__).resolve().parent))

from collage_analysis import DISPLACED, RESULTS, Figures, dose, read  # noqa: E402

PLACED = RESULTS.with_name("collage_displacement.json")
OUTPUT = RESULTS.parents[1] / "images" / "place.png"
# Okabe and Ito's colours stay apart with every common form of colour blindness.
DOSE, INK, PAIR, GREY = "#0072B2", "#222222", "#A9BBD0", "#666666"
CAUSES = {  # arms whose labels are misplaced by a mistake: what it is, and the point's colour
    "released": ("x and y of the crop exchanged (published code)", "#D55E00"),
    "frame": ("centre-square maps read as whole", "#009E73"),
}
PANELS = {"mIoU": "Which class lies where: mIoU of a linear probe", "top-1": "Which class the picture is: top-1"}


def draw(figures: Figures, placed: dict[str, float]):
    """The figure: differences from the shuffled arm of the same pair, a line a pair, the mean and its interval."""
    figure, panels = plt.subplots(1, 2, figsize=(11, 5), layout="constrained", sharey=True)
    for panel, (name, title) in zip(panels, PANELS.items()):
        rows = {row["arm"]: row for row in dose(figures, name) if row["pairs"]}
        _levels(panel, rows)
        _moved(panel, [rows[arm] for arm in DISPLACED if arm in rows])
        for arm, (text, colour) in CAUSES.items():
            if arm in rows and arm in placed:
                _mean(panel, [rows[arm]], [placed[arm]], "s", colour, text)
        panel.set_title(title, color=INK, fontsize=11, loc="left")
        panel.set_xlabel("distance of token labels from their place, in tokens", color=INK)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("points above the shuffled labels of the same pair", color=INK)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False,
                  labelcolor=INK)
    return figure


def _levels(panel, rows: dict[str, dict]) -> None:
    levels = {"the same labels, shuffled": 0.0}
    if "plain" in rows:
        levels["no token labels"] = rows["plain"]["mean"]
    for text, level in levels.items():
        panel.axhline(level, color=GREY, linewidth=0.9, linestyle="--", zorder=0)
        panel.annotate(text, (0.0, level), (0, 7), textcoords="offset points", color=GREY, va="center",
                       path_effects=[withStroke(linewidth=3, foreground="white")])


def _moved(panel, line: list[dict]) -> None:
    complete = [row for row in line if row["pairs"] == line[0]["pairs"]]
    for values in zip(*(row["values"] for row in complete)):
        panel.plot([row["tokens"] for row in complete], values, color=PAIR, linewidth=0.8, zorder=1)
    _mean(panel, line, [row["tokens"] for row in line], "o-", DOSE, "labels moved, in any direction")
    # linear up to a quarter of a token, logarithmic beyond
    panel.set_xscale("symlog", base=2, linthresh=0.25)
    panel.set_xlim(-0.03, 4.6)
    panel.set_xticks(list(DISPLACED.values()), ["0", "¼", "½", "1", "2", "4"])


def _mean(panel, rows: list[dict], at: list[float], style: str, colour: str, text: str) -> None:
    means = [row["mean"] for row in rows]
    known = [math.isfinite(row["low"]) for row in rows]  # an interval needs six pairs
    reach = [[abs(row[end] - row["mean"]) if sure else 0.0 for row, sure in zip(rows, known)]
             for end in ("low", "high")]
    panel.errorbar(at, means, yerr=reach, fmt=style, color=colour, capsize=3, zorder=3, label=text)


def main(argv=None) -> int:
    plt.switch_backend("agg")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--placed", type=Path, default=PLACED)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    args = parser.parse_args(argv)
    placed = json.loads(args.placed.read_text())
    draw(read(args.results), placed).savefig(args.output, dpi=150, pil_kwargs={"optimize": True})
    return 0


if __name__ == "__main__":
    sys.exit(main())
