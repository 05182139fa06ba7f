"""Does disagreement find wrong labels? 500 of CIFAR-10's 50,000 training photos are put into the folder of another
class, a small network is trained on all of them as they then lie, makes label maps of them, and `ppim labels check`
ranks them: how many of its first 500 are those that were put elsewhere?

    python tools/benchmark/wrong_labels.py --photos data/cifar10 --work output/wrong_labels

The photos are class folders, train/ and test/; what is made are links, the photos stay where they are. Every stage is
left out where its result is there already, and training is resumed, so the script may be stopped at any time. On one
thread it takes about 35 minutes.
"""
from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PLANTED, SEED, EPOCHS = 500, 2024, 3
NETWORK = {
    "MODEL.NAME": "resnet18", "DATA.IMAGE_SIZE": 32, "DATA.NUM_WORKERS": 0, "SEED": SEED, "TRAIN.NUM_EPOCHS": EPOCHS,
    "TRAIN.WARMUP_EPOCHS": 0, "TRAIN.BASE_LR": 1e-3, "VALIDATE_FREQ": EPOCHS, "SAVE_FREQ": 1, "REPORT_FREQ": 100,
}


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


def ppim(*words: object) -> str:
    """What a command of ppim has printed."""
    done = subprocess.run([sys.executable, "-m", "ppim", *map(str, words)], check=True, cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, env={"PPIM_THREADS": "1", **os.environ})
    return done.stdout


def train(data: Path, run: Path) -> None:
    """The annotator, on the photos as they lie."""
    keys = [str(word) for pair in NETWORK.items() for word in pair]
    how = ["--resume"] if (run / "checkpoints").exists() else []
    ppim("train", "-c", "configs/annotator/shufflenet_cifar10.yaml", *how, "-o", *keys, "DATA.DATA_PATH", data,
         "SAVE", run)


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
    args = parser.parse_args()
    photos, work = args.photos.resolve(), args.work.resolve()
    data, run, maps, ranks = (work / name for name in ("data", "run", "maps", "ranks.csv"))
    truth = work / "planted.json"
    if not truth.exists():
        if data.exists():
            raise SystemExit(f"{data}: left by a run that was stopped while it made links; remove it")
        planted = plant(photos, data)
        truth.write_text(json.dumps(planted, indent=1))
    planted = json.loads(truth.read_text())
    if not (run / "best.json").exists():
        train(data, run)
    if not (work / "maps.done").exists():
        ppim("labels", "make", "-c", run / "config.yaml", "--load", run / "last.pdparams", "--images", data / "train",
             "--output", maps, "--batch-size", 250)
        (work / "maps.done").touch()
    if not ranks.exists():
        ppim("labels", "check", maps, "--images", data, "--all", "--page", work / "page.html", "--ranks", ranks)
    accuracy = json.loads((run / "best.json").read_text())["last"]["raw"]["top1"]
    print(json.dumps({"annotator_top1": accuracy, **found(ranks, planted)}, indent=1))


if __name__ == "__main__":
    main()
