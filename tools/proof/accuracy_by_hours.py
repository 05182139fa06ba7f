"""What do runs reach after how many hours? A markdown table from their logs.

    python tools/proof/accuracy_by_hours.py weights/cifar10/tokens weights/cifar10/plain

Hours are of the log's clock, evaluations included, less the time for which a run waited for photos, which says more of
what else the machine did; of runs that were never stopped.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path


def curve(log: Path) -> list[tuple[float, float, float]]:
    """(epoch, hours, top-1 in percent) of every evaluation.

    Raises:
        ValueError: the log has fewer than two lines of training, so that its start is unknown.
    """
    events = [json.loads(line) for line in log.read_text().splitlines()]
    steps = [event for event in events if event["event"] == "train"][:2]
    if len(steps) < 2:
        raise ValueError(f"{log}: wanted two lines of training to tell when it began, got {len(steps)}")
    first, second = steps
    # the first line comes when its steps are done
    clock = first["time"] - first["step"] * (second["time"] - first["time"]) / (second["step"] - first["step"])
    spent, found = 0.0, []
    for event in events:
        if event["event"] == "train":
            spent += (event["time"] - clock) * (1 - event["data_wait"])
            clock = event["time"]
        elif event["event"] == "eval_raw":
            spent, clock = spent + event["time"] - clock, event["time"]
            found.append((event["epoch"], spent / 3600, event["top1"]))
    return found


def table(runs: list[Path]) -> str:
    """A row for every evaluation's epoch, hours and top-1 of every run beside each other."""
    curves = {run.name: {epoch: rest for epoch, *rest in curve(run / "log.jsonl")} for run in runs}
    heads = " | ".join(f"{name}: hours | top-1" for name in curves)
    lines = [f"| epochs | {heads} |", "|---" * (1 + 2 * len(curves)) + "|"]
    for epoch in sorted(set().union(*curves.values())):
        cells = [f"{of[epoch][0]:.2f} | {of[epoch][1]:.2f}" if epoch in of else "- | -" for of in curves.values()]
        lines.append(f"| {epoch:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder with a log.jsonl")
    print(table(parser.parse_args().runs))


if __name__ == "__main__":
    main()
