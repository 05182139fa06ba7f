"""Does disagreement find wrong labels? 500 of CIFAR-10's 50,000 training photos are put into the folder of another
class, a convolutional network (tools/proof/annotator.py) is trained on all of them as they then lie, `ppim labels make`
writes the maps it makes of them, and `ppim labels check` ranks the photos: how many of its first 500 are those that
were put elsewhere?

    python tools/benchmark/wrong_labels.py --photos data/cifar10 --work output/wrong_labels

The photos are class folders, train/ and test/; what is made are links, the photos stay where they are. About an hour
on one thread. Every stage goes on where it was stopped, so the script may be stopped at any time.
"""
from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppim  # noqa: E402, F401  (threads, before numpy is)

# isort: split
import numpy as np  # noqa: E402

PLANTED, SEED = 500, 2024
ANNOTATOR = ROOT / "tools" / "proof" / "annotator.py"


def plant(photos: Path, data: Path) -> dict[str, str]:
    """Links to all photos, those drawn in another class's folder; {path of a link in train/: its true class}."""
    train = sorted(path.relative_to(photos / "train") for path in (photos / "train").glob("*/*"))
    classes = sorted({path.parts[0] for path in train})
    rng = np.random.default_rng([SEED, len(train)])
    elsewhere = {int(index): int(step) for index, step in zip(
        rng.choice(len(train), PLANTED, replace=False), rng.integers(1, len(classes), PLANTED))}
    planted = {}
    for index, path in enumerate(train):
        own = classes.index(path.parts[0])
        folder = classes[(own + elsewhere.get(index, 0)) % len(classes)]
        # a number nobody else has, so that no two photos meet under one name
        link = data / "train" / folder / f"{index:05d}{path.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((photos / "train" / path).resolve())
        if index in elsewhere:
            planted[link.relative_to(data / "train").as_posix()] = path.parts[0]
    (data / "test").symlink_to((photos / "test").resolve())
    return planted


def run(*words: object) -> None:
    """A command of Python, on one thread unless the environment says otherwise."""
    subprocess.run([sys.executable, *map(str, words)], check=True, cwd=ROOT, stdout=sys.stderr,
                   env={"PPIM_THREADS": "1", **os.environ})


def found(ranks: Path, planted: dict[str, str]) -> dict[str, float]:
    """How early planted photos stand among all, which `labels check` has ranked."""
    with ranks.open(newline="", encoding="utf-8") as file:
        hits = np.array([row["image"] in planted for row in csv.DictReader(file)])
    at = np.flatnonzero(hits)
    return {
        "photos": len(hits), "planted": len(at),
        "precision_at_100": hits[:100].mean(), "precision_at_500": hits[:PLANTED].mean(),
        "found_in_1000": hits[:1000].sum() / len(at), "found_in_2500": hits[:2500].sum() / len(at),
        "median_rank": float(np.median(at) + 1), "by_chance_at_500": len(at) / len(hits),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="CIFAR-10 as class folders, train/ and test/")
    parser.add_argument("--work", type=Path, required=True, help="where links, run, maps and ranks go")
    parser.add_argument("--epochs", type=int, default=16)
    args = parser.parse_args()
    photos, work = args.photos.resolve(), args.work.resolve()
    data, network, maps, ranks = (work / name for name in ("data", "network", "maps", "ranks.csv"))
    truth = work / "planted.json"
    if not truth.exists():
        if data.exists():
            raise SystemExit(f"{data}: left by a run that was stopped while it made links; remove it")
        planted = plant(photos, data)
        truth.write_text(json.dumps(planted, indent=1, allow_nan=False))
    planted = json.loads(truth.read_text())
    about = network / "annotator.about.json"
    if not about.exists():
        run(ANNOTATOR, "--photos", data, "--output", network, "--epochs", args.epochs)
    file = next(path for path in (network / "annotator.json", network / "annotator.pdmodel") if path.exists())
    run("-m", "ppim", "labels", "make", "--images", data / "train", "--output", maps, "--annotator", file,
        "--classes", network / "classes.txt", "--input-size", "32", "32", "--batch-size", "500")
    if not ranks.exists():
        run("-m", "ppim", "labels", "check", maps, "--images", data, "--all", "--page", work / "page.html", "--ranks",
            ranks)
    print(json.dumps({**json.loads(about.read_text()), **found(ranks, planted)}, indent=1, allow_nan=False))


if __name__ == "__main__":
    main()
