"""Draw docs/images/comparison.png: published top-1 accuracy on ImageNet against parameters, models below 100 million.

    python tools/draw_comparison_figure.py

Accuracies are those of the original projects in ppim/models/*.yaml, published and not re-measured; parameters are
counted from our models. Two studies in T2T-ViT's paper (wide, resnext) are left out. Needs matplotlib.
"""
from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, NullLocator

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppim import zoo  # noqa: E402

# Okabe and Ito's colours stay apart with every common form of colour blindness.
SERIES = {  # name in the legend: colour, names of the models with what is written beside the point
    "LV-ViT": ("#D55E00", r"lvvit_([a-z])(?:iny)?(?:_\d+)?"),
    "VOLO": ("#000000", r"volo_(d\d)(?:_\d+)?"),
    "T2T-ViT": ("#0072B2", r"t2t_vit_(\d+)(?:_384)?"),
    "T2T-ViT$_t$": ("#56B4E9", r"t2t_vit_t_(\d+)"),
    "T2T-ViT with token labels": ("#E69F00", r"t2t_vit_(\d+)_token_labeling"),
    "DeiT": ("#009E73", r"deit_([a-z])[a-z]+(?:_\d+)?"),
    "DeiT distilled": ("#CC79A7", r"deit_([a-z])[a-z]+_distilled(?:_\d+)?"),
}
MARKERS = {224: "o", 384: "s", 448: "D"}
INK = "#222222"
LARGEST = 100  # million parameters
ABOVE, BELOW, LEFT, RIGHT = (0, 13), (0, -13), (-14, 2), (13, -6)  # of the point, in typographic points
PLACES = {  # where labels stand that would meet another above
    **dict.fromkeys([("T2T-ViT", "19", 224), ("T2T-ViT", "24", 224), ("DeiT", "B", 224), ("DeiT", "B", 384)], BELOW),
    **dict.fromkeys([("DeiT", "T", 224), ("DeiT", "S", 224), ("DeiT distilled", "T", 224)], RIGHT),
    **dict.fromkeys([("T2T-ViT", "7", 224)], RIGHT),
    **{("T2T-ViT", *point): LEFT for point in (("10", 224), ("12", 224), ("14", 224), ("14", 384))},
    ("DeiT distilled", "S", 224): (11, -10),
    ("VOLO", "D1", 224): (17, -9), ("VOLO", "D2", 224): (16, 9), ("VOLO", "D3", 224): (-16, -11),
    ("LV-ViT", "S", 384): LEFT, ("LV-ViT", "M", 384): (-12, -9), ("LV-ViT", "M", 448): (-13, 8),
}


class Point(NamedTuple):
    """A model: `parameters` in millions, `top1` in percent."""

    series: str
    label: str
    size: int
    parameters: float
    top1: float


def points() -> list[Point]:
    """Every published model of SERIES below LARGEST, each series by image size and parameters."""
    counts, found = zoo.counts(), []
    for row in zoo.ROWS:
        top1 = next((accuracy.top1 for accuracy in row.accuracy if accuracy.source == "original"), None)
        parameters = counts[row.name]["parameters"] / 1e6
        for series, (_, pattern) in SERIES.items():
            match = re.fullmatch(pattern, row.name)
            if match and top1 and parameters < LARGEST:
                found.append(Point(series, match[1].upper(), row.image_size, parameters, top1))
    return sorted(found, key=lambda p: (list(SERIES).index(p.series), p.size, p.parameters))


def draw(found: list[Point]):
    """The figure."""
    figure, axes = plt.subplots(figsize=(10, 6.2), layout="constrained")
    for series, (colour, _) in SERIES.items():
        for size, marker in MARKERS.items():
            same = [p for p in found if (p.series, p.size) == (series, size)]
            axes.plot([p.parameters for p in same], [p.top1 for p in same], marker=marker, markersize=7, color=colour,
                      linewidth=2 if series == "LV-ViT" else 1.3, linestyle="-" if size == 224 else ":")
            for p in same:
                axes.annotate(p.label, (p.parameters, p.top1), PLACES.get((series, p.label, size), ABOVE),
                              textcoords="offset points", ha="center", va="center", color=colour, fontsize=11,
                              path_effects=[withStroke(linewidth=2, foreground="white")])
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([5, 10, 20, 30, 50, 70, 100]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(["5", "10", "20", "30", "50", "70", "100"])
    axes.set(xlim=(3.8, 105), ylim=(70, 87.5))
    axes.set_xlabel("Parameters, millions (logarithmic)", color=INK, fontsize=11)
    axes.set_ylabel("Top-1 on ImageNet, %, as published", color=INK, fontsize=11)
    axes.grid(color="#DDDDDD", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    families = [Line2D([], [], color=colour, marker="o", linewidth=2, label=name)
                for name, (colour, _) in SERIES.items()]
    sizes = [Line2D([], [], color="#777777", marker=marker, linestyle="-" if size == 224 else ":",
                    label=f"{size} pixels") for size, marker in MARKERS.items()]
    axes.legend(handles=[*families, *sizes], loc="lower right", frameon=False, fontsize=10, labelcolor=INK)
    return figure


def main(argv=None) -> int:
    plt.switch_backend("agg")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("docs/images/comparison.png"))
    args = parser.parse_args(argv)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    draw(points()).savefig(args.output, dpi=100, pil_kwargs={"optimize": True})
    return 0


if __name__ == "__main__":
    sys.exit(main())
