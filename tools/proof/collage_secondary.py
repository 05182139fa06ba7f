"""The secondary runs of the collage experiment, after those of `collage_runs.py`; protocol: docs/en/results.md.

    python tools/proof/collage_secondary.py --photos data/cifar10 --work output/proof --annotators output

They describe, nothing is tested with them. Their pictures are those of the primary runs, which they find in
`--work`; the annotators' folders, annotator_even and annotator_odd, are made by `annotator.py`.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent))

import collage_runs as primary  # noqa: E402
from annotator_cells import without_ground  # noqa: E402

from ppim.token_labels.card import load_card, read_card, save_card  # noqa: E402

RESULTS = primary.ROOT / "docs" / "results" / "collage_secondary.jsonl"
PAIRS = (0, 1, 2, 3)
TUNING_SEED = 20  # of the rates, which no counted run has
SEVEN = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog")
RATES = ("5e-4", "1e-3", "2e-3")
DEIT = ("DATA.IMAGE_SIZE", "64", "DATA.CROP_PCT", "1.0", "DATA.BATCH_SIZE", "32", "DATA.NUM_WORKERS", "1",
        "MODEL.TRANS.PATCH_SIZE", "8", "MODEL.TRANS.EMBED_DIM", "72", "MODEL.TRANS.DEPTH", "4", "TRAIN.BASE_LR", "1e-3",
        "TRAIN.LINEAR_SCALED_LR", "32", "TRAIN.WARMUP_EPOCHS", "2")


class Arm(NamedTuple):
    """What a secondary run changes.

    Attributes:
        overrides: keys and values.
        maps: which label maps it learns from: exact ones, the annotator's, or those of its own plain run.
        epochs: as often as this it sees its pictures.
        classes: names of the classes whose photos it trains on; () for all. It is probed on pictures of all.
        recipe: of the student.
        seed: None: those of PAIRS.
    """

    overrides: tuple[str, ...] = ()
    maps: str = "exact"
    epochs: int = primary.EPOCHS
    classes: tuple[str, ...] = ()
    recipe: str = primary.RECIPE
    seed: int | None = None


def _arms() -> dict[str, Arm]:
    shuffled, plain = ("TOKEN_LABEL.PLACE", "shuffled"), ("TOKEN_LABEL.ENABLE", "False")
    probabilities = ("TOKEN_LABEL.TARGET", "probs")
    published = tuple(primary.ARMS["published"])
    found = {
        # added when three runs of the primary list's `published` were known, and said to be
        "published shuffled": Arm((*published, *shuffled)),
        "published released": Arm((*published, *primary.ARMS["released"])),
        "published class alone": Arm((*published, "LOSS.DENSE_WEIGHT", "0")),
        "annotator": Arm(probabilities, "annotator"),
        "annotator shuffled": Arm((*probabilities, *shuffled), "annotator"),
        # the annotator's classes of the same views, without a place: what it would tell of each, offline
        "annotator's class": Arm((*probabilities, *published, "LOSS.DENSE_WEIGHT", "0"), "annotator"),
        "self-made": Arm(probabilities, "self-made"),
        "seven right": Arm(classes=SEVEN),
        "seven shuffled": Arm(shuffled, classes=SEVEN),
        "seven plain": Arm(plain, classes=SEVEN),
        "long right": Arm(epochs=4 * primary.EPOCHS),
        "long shuffled": Arm(shuffled, epochs=4 * primary.EPOCHS),
        "long plain": Arm(plain, epochs=4 * primary.EPOCHS),
    }
    for share in ("area", "attention", "alignment"):
        found[f"DeiT {share}"] = Arm((*DEIT, "MIX.CLASS_SHARE", share), recipe="deit_cifar10")
    for arm, overrides in primary.ARMS.items():
        for rate in RATES:
            found[f"{arm}, rate {rate}"] = Arm((*overrides, "TRAIN.BASE_LR", rate), seed=TUNING_SEED,
                                               maps="uncarded centre" if arm == "frame" else "exact")
    return found


ARMS = _arms()


def planned() -> list[tuple[int, str]]:
    """(seed, arm) of every run, in order."""
    return [(seed, name) for name, arm in ARMS.items()
            for seed in ([primary.FIRST_SEED + pair for pair in PAIRS] if arm.seed is None else [arm.seed])]


def perform(seed: int, name: str, photos: Path, work: Path, annotators: Path) -> dict:
    """One run, from data to its line of the results."""
    arm, before = ARMS[name], time.perf_counter()
    whole = primary.make_collage(["data", "collage", str(photos), str(work / f"collage_{seed}"), "--seed", str(seed)])
    taught = whole if not arm.classes else primary.make_collage(
        ["data", "collage", str(_only(photos, arm.classes, work)), str(work / f"collage_{seed}_{len(arm.classes)}"),
         "--seed", str(seed)])
    run = work / f"{name.replace(' ', '_').replace(',', '')}_{seed}"
    maps = _maps(arm.maps, seed, taught, work, annotators)
    shared = ["SEED", str(seed), "TRAIN.NUM_EPOCHS", str(arm.epochs), "VALIDATE_FREQ", str(arm.epochs),
              "SAVE", str(run), "TOKEN_LABEL.PATH", str(maps), *arm.overrides]
    own = ["MODEL.NUM_CLASSES", str(len(arm.classes))] if arm.classes else []
    where = ["DATA.DATA_PATH", str(taught / "data"), "TOKEN_LABEL.VAL_PATH", str(taught / "labels" / "val")]
    typed = {
        "train": ["train", "-c", arm.recipe, "-o", *shared, *where, *own],
        "probe": ["probe", "-c", arm.recipe, "--load", str(run / "last.pdparams"), "--masks", str(whole / "masks"),
                  "--json", str(run / "probe.json"), "-o", *shared, "DATA.DATA_PATH", str(whole / "data"), *own],
    }
    line = {"seed": seed, "arm": name, **primary.carried_out(typed)}
    return {**line, "seconds": round(time.perf_counter() - before, 1)}


def _maps(kind: str, seed: int, data: Path, work: Path, annotators: Path) -> Path:
    """The folder of the training pictures' maps, made if it is not there; none of them teaches the ground."""
    if kind == "exact":
        return data / "labels" / "train"
    if kind == "uncarded centre":
        return data / "labels_centre_uncarded" / "train"
    output = data / f"labels_{kind}" / "train"
    if output.exists():
        return output
    beside = data / f"labels_{kind}.part"
    made = beside / "made"
    shutil.rmtree(beside, ignore_errors=True)
    if kind == "annotator":
        _across(data, made, annotators)
    else:
        train = str(data / "data" / "train")
        primary.ppim(["labels", "make", "--load", str(work / f"plain_{seed}" / "last.pdparams"), "-c", primary.RECIPE,
                      "--labelled", train, "--images", train, "--output", str(made / "train")])
    exact = data / "labels" / "train"
    without_ground(exact, made / "train", beside / "train", load_card(exact)["num_classes"])
    shutil.rmtree(made)
    beside.rename(output.parent)
    return output


def _across(data: Path, output: Path, annotators: Path) -> None:
    """Maps of the pictures of even photos by the annotator of the odd ones, and the reverse, in one folder."""
    for pictures, half in ((0, "odd"), (1, "even")):
        linked, made = output / f"pictures_of_{half}", output / half
        for path in sorted((data / "data" / "train").rglob("*.jpg")):
            if int(path.stem) % 2 == pictures:
                link = linked / path.parent.name / path.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(os.path.relpath(path, link.parent))
        primary.ppim(["labels", "make", "--annotator", str(annotators / f"annotator_{half}" / "annotator.json"),
                      "--classes", str(annotators / f"annotator_{half}" / "classes.txt"), "--input-size", "96", "128",
                      "--images", str(linked), "--output", str(made)])
        shutil.copytree(made, output / "train", dirs_exist_ok=True)
    card = load_card(output / "even")
    save_card(output / "train", read_card(output / "even"), {"form": 1, "model": "annotators of both halves",
                                                             "num_classes": card["num_classes"],
                                                             "classes": card["classes"]})


def _only(photos: Path, classes: tuple[str, ...], work: Path) -> Path:
    """The photos of some classes, as links."""
    folder = work / f"photos_of_{len(classes)}"
    for split in ("train", "test"):
        for name in classes:
            link = folder / split / name
            if not link.is_symlink():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to((photos / split / name).resolve())
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="CIFAR-10 as class folders, train/ and test/")
    parser.add_argument("--work", type=Path, required=True, help="where data and runs go, those of collage_runs.py")
    parser.add_argument("--annotators", type=Path, required=True, help="folder of annotator_even and annotator_odd")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM")
    parser.add_argument("--seeds", type=int, nargs="+", help="only these (all)")
    parser.add_argument("--count", type=int, default=None, help="stop after so many runs")
    args = parser.parse_args()
    done = set()
    if args.results.exists():
        done = {(line["seed"], line["arm"]) for line in map(json.loads, args.results.read_text().splitlines())}
    left = [(seed, arm) for seed, arm in planned() if arm in args.arms and (seed, arm) not in done
            and (args.seeds is None or seed in args.seeds)]
    for number, (seed, arm) in enumerate(left[:args.count], 1):
        print(f"{number} of {len(left)}: seed {seed}, {arm}", flush=True)
        line = perform(seed, arm, args.photos.resolve(), args.work.resolve(), args.annotators.resolve())
        args.results.parent.mkdir(parents=True, exist_ok=True)
        with args.results.open("a") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
