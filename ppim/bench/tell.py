"""How are benchmarks told? As a table, for programs, as markdown, as a picture."""
from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ppim.bench.row import Row
from ppim.files import write_whole
from ppim.strict_json import dumps

HEAD = ("part", "what", "here", "of the limit", "times as fast")


def cells(row: Row) -> tuple[str, str, str, str, str]:
    """A row as text, in the order of HEAD."""
    value, unit = (1000 * row.value, "ms") if row.unit == "s" and row.value < 1 else (row.value, row.unit)
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    share = "" if row.share is None else f"{100 * row.share:.0f} %"
    ratio = "" if row.ratio is None else f"{row.ratio} x {row.beside}"
    return row.group, row.what, f"{value:,.{digits}f} {unit}", share, ratio


def markdown(rows: Sequence[Row]) -> str:
    """A table."""
    lines = [f"| {' | '.join(HEAD)} |", f"|{'---|' * len(HEAD)}"]
    return "\n".join([*lines, *(f"| {' | '.join(cells(row))} |" for row in rows)]) + "\n"


def as_json(rows: Sequence[Row], about: dict[str, object]) -> str:
    """All figures, with what machine and versions they are of."""
    told = [{**row._asdict(), "ratio": row.ratio and row.ratio._asdict()} for row in rows]
    return dumps({**about, "rows": told}, indent=1) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """A picture of all ratios with their intervals, 1 being what each is compared with.

    Raises:
        ValueError: matplotlib is not there.
    """
    try:
        import matplotlib
    except ImportError:
        raise ValueError("--plot wants matplotlib: pip install matplotlib") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    compared = [row for row in rows if row.ratio is not None][::-1]
    figure, panel = plt.subplots(figsize=(9, 1 + 0.42 * len(compared)))
    for place, row in enumerate(compared):
        panel.plot([row.ratio.low, row.ratio.high], [place, place], color="#1f4e9c", lw=2)
        panel.plot(row.ratio.median, place, "o", color="#1f4e9c")
    panel.axvline(1, color="#888888", lw=0.8, ls="--")
    panel.set_yticks(range(len(compared)), [f"{row.what}\nbeside {row.beside}" for row in compared], fontsize=8)
    panel.set_xscale("log", base=2)
    ends = panel.get_xlim()
    powers = range(math.floor(math.log2(ends[0])), math.ceil(math.log2(ends[1])) + 1)
    panel.set_xticks([2.0**power for power in powers], [f"{2**power}" if power >= 0 else f"1/{2**-power}"
                                                       for power in powers])
    panel.set_xlim(ends)
    panel.set_xlabel("times as fast")
    panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    write_whole(path, lambda beside: figure.savefig(beside, dpi=160, format="png"))
    plt.close(figure)
