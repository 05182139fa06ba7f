"""The runs of the collage experiment, one after the other; protocol and reasons: docs/en/results.md.

    python tools/proof/collage_runs.py --photos data/cifar10 --work output/proof

makes, trains and judges what the list below asks for and what is not yet in the results file, in the order of the list,
on one thread. It may be stopped at any time and goes on where it was: a run that was broken off is resumed. Two may
work side by side on pairs of their own (--pairs 0 1 2 3, --pairs 4 5 6 7). Everything is done by public commands,
which stand in the results beside what they gave.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results" / "collage_runs.jsonl"
RECIPE = "lvvit_collage"
PAIRS = tuple(range(8))
FIRST_SEED = 100  # of pair 0: initialisation, order, draws and collages; smaller ones are for tuning
EPOCHS = 15

# What each arm changes; all else is the same.
ARMS = {
    "right": [],
    "shuffled": ["TOKEN_LABEL.PLACE", "shuffled"],
    "pooled": ["TOKEN_LABEL.PLACE", "pooled"],
    "released": ["TOKEN_LABEL.GEOMETRY", "released", "TOKEN_LABEL.FRAME", "whole"],
    "plain": ["TOKEN_LABEL.ENABLE", "False"],
    "displaced 0.25": ["TOKEN_LABEL.DISPLACEMENT", "0.25"],
    "displaced 0.5": ["TOKEN_LABEL.DISPLACEMENT", "0.5"],
    "displaced 1": ["TOKEN_LABEL.DISPLACEMENT", "1"],
    "displaced 2": ["TOKEN_LABEL.DISPLACEMENT", "2"],
    "displaced 4": ["TOKEN_LABEL.DISPLACEMENT", "4"],
    "frame": ["TOKEN_LABEL.FRAME", "whole"],  # maps of the centred square, without their card, read as whole ones
    "published": ["TOKEN_LABEL.CLASS_TARGET", "map"],
}
# The order of the runs: what the first test needs comes first for all pairs, and so on.
STAGES = (("right", "shuffled"), ("pooled",), ("released",), ("plain",),
          tuple(arm for arm in ARMS if arm.startswith("displaced")), ("frame",), ("published",))


def planned() -> list[tuple[int, str]]:
    """(pair, arm) of every run, in order."""
    return [(pair, arm) for stage in STAGES for pair in PAIRS for arm in stage]


def finished(results: Path) -> set[tuple[int, str]]:
    """(pair, arm) of the runs that the results file holds."""
    if not results.exists():
        return set()
    return {(line["pair"], line["arm"]) for line in map(json.loads, results.read_text().splitlines())}


def commands(pair: int, arm: str, photos: Path, work: Path, epochs: int, more: list[str]) -> dict[str, list[str]]:
    """What is typed for a run, by what it is for; `ppim` stands for this interpreter's."""
    seed = FIRST_SEED + pair
    data, run = work / f"collage_{seed}", work / f"{arm.replace(' ', '_')}_{seed}"
    labels = data / ("labels_centre_uncarded" if arm == "frame" else "labels") / "train"
    overrides = ["SEED", str(seed), "DATA.DATA_PATH", str(data / "data"), "TOKEN_LABEL.PATH", str(labels),
                 "TOKEN_LABEL.VAL_PATH", str(data / "labels" / "val"), "TRAIN.NUM_EPOCHS", str(epochs),
                 "VALIDATE_FREQ", str(epochs), "SAVE", str(run), *ARMS[arm], *more]
    return {
        "collage": ["data", "collage", str(photos), str(data), "--seed", str(seed)],
        "train": ["train", "-c", RECIPE, "-o", *overrides],
        "probe": ["probe", "-c", RECIPE, "--load", str(run / "last.pdparams"), "--masks", str(data / "masks"),
                  "--json", str(run / "probe.json"), "-o", *overrides],
    }


def perform(pair: int, arm: str, photos: Path, work: Path, epochs: int = EPOCHS, more: list[str] | None = None) -> dict:
    """One run, from data to its line of the results."""
    typed = commands(pair, arm, photos, work, epochs, more or [])
    before = time.perf_counter()
    make_collage(typed["collage"])
    line = {"pair": pair, "arm": arm, "seed": FIRST_SEED + pair}
    return {**line, **carried_out(typed), "seconds": round(time.perf_counter() - before, 1)}


def make_collage(words: list[str]) -> Path:
    """The folder of pictures that these words of `ppim` make, made if it is not there."""
    data = Path(words[3])
    if not (data / ".whole").exists():
        shutil.rmtree(data, ignore_errors=True)
        ppim(words)
        _without_card(data)
        (data / ".whole").touch()
    return data


def carried_out(typed: dict[str, list[str]]) -> dict[str, object]:
    """What came of training and probing as typed: figures, or what failed; a run that was broken off is resumed."""
    run = Path(typed["train"][typed["train"].index("SAVE") + 1])
    line = {"commit": _commit(), "failed": None}
    try:
        if not (run / "last.pdparams").exists() or not _is_done(run):
            ppim([*typed["train"], *(["--resume"] if (run / "checkpoints").exists() else [])])
        ppim(typed["probe"])
        line["probe"] = json.loads((run / "probe.json").read_text())
        line["evaluation"] = _evaluation(run)
    except subprocess.CalledProcessError as error:
        line["failed"] = f"exit code {error.returncode}"
    line["commands"] = {name: "ppim " + " ".join(words) for name, words in typed.items()}
    shutil.rmtree(run / "checkpoints", ignore_errors=True)
    return line


def ppim(words: list[str]) -> None:
    """Type a command; its errors end this program with theirs."""
    subprocess.run([sys.executable, "-m", "ppim", *words], check=True, cwd=ROOT, stdout=subprocess.DEVNULL,
                   env={**os.environ, "PPIM_THREADS": "1"})


def _without_card(data: Path) -> None:
    """The centred maps as somebody hands them on who does not say what they cover."""
    shutil.copytree(data / "labels_centre", data / "labels_centre_uncarded")
    for card in (data / "labels_centre_uncarded").rglob("annotation.json"):
        card.unlink()


def _is_done(run: Path) -> bool:
    return any(json.loads(line)["event"] == "eval_raw" for line in (run / "log.jsonl").read_text().splitlines())


def _evaluation(run: Path) -> dict:
    found = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    last = [record for record in found if record["event"] == "eval_raw"][-1]
    return {name: last[name] for name in ("top1", "top5", "loss", "count", "token_top1") if name in last}


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="CIFAR-10 as class folders, train/ and test/")
    parser.add_argument("--work", type=Path, required=True, help="where data and runs go")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--pairs", type=int, nargs="+", choices=PAIRS, default=PAIRS, help="only these (all)")
    parser.add_argument("--count", type=int, default=None, help="stop after so many runs")
    args = parser.parse_args()
    photos, work = args.photos.resolve(), args.work.resolve()
    args.results.parent.mkdir(parents=True, exist_ok=True)
    left = [run for run in planned() if run[0] in args.pairs and run not in finished(args.results)]
    for number, (pair, arm) in enumerate(left[:args.count], 1):
        print(f"{number} of {len(left)}: pair {pair}, {arm}", flush=True)
        line = perform(pair, arm, photos, work)
        with args.results.open("a") as file:
            file.write(json.dumps(line, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
