"""`ppim demo`: three small models trained on drawn pictures, on a CPU, and what they were taught by compared.

The pictures, whose label maps are known exactly, are drawn first. Each arm is an ordinary run of `ppim train` from the
same seed: token labels; the label map for the class token alone; plain labels.
"""
from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from ppim.commands import Parser
from ppim.commands.numbers import FROM_ZERO
from ppim.own_command import run_command

ARMS = {
    "token labels": [],
    "map for the class token only": ["LOSS.DENSE_WEIGHT", "0"],
    "plain labels": ["TOKEN_LABEL.ENABLE", "False"],
}


def demo(argv: list[str]) -> None:
    """Train three small models on drawn pictures, on a CPU, and compare what they were taught by."""
    parser = Parser(prog="ppim demo", description=demo.__doc__)
    parser.add_argument("--seed", type=FROM_ZERO, default=0)
    parser.add_argument("--data", type=Path, default=Path("data", "demo"), metavar="DIR",
                        help="where pictures and maps go (data/demo)")
    parser.add_argument("--output", type=Path, default=Path("output", "demo"), metavar="DIR",
                        help="where the runs go (output/demo)")
    args = parser.parse_args(argv)
    compare(args.data, args.output, args.seed)


def compare(data: Path, output: Path, seed: int, pictures: tuple[int, int] = (2500, 500),
            changes: Sequence[str] = ()) -> None:
    """Draw `pictures` (training, validation) into `data`, train each arm into `output`, print a table.

    Args:
        changes: keys and values for every arm.

    Raises:
        ValueError: `output` holds runs of this seed, or an arm failed.
    """
    data, output = data.resolve(), output.resolve()
    runs = {name: output / f"{name.replace(' ', '_')}_seed{seed}" for name in ARMS}
    if any(run.exists() for run in runs.values()):
        raise ValueError(f"{output} holds a demo of seed {seed} already; remove it, or give another --seed")
    from ppim.data.shapes import write_dataset

    train, val = pictures
    print(f"drawing {train:,} training and {val:,} validation pictures with their label maps into {data}", flush=True)
    write_dataset(data, seed=0, train=train, val=val)
    paths = ["DATA.DATA_PATH", str(data / "data"), "TOKEN_LABEL.PATH", str(data / "labels" / "train"),
             "TOKEN_LABEL.VAL_PATH", str(data / "labels" / "val")]
    results = {}
    for name, options in ARMS.items():
        print(f"\n--- {name}")
        results[name] = train_arm(runs[name], ["SEED", str(seed), *paths, *options, *changes])

    print(f"\n{f'{val} validation pictures, 10 classes':<32}{'top-1':>8}{'tokens':>9}{'time':>9}")
    for name, result in results.items():
        print(f"{name:<32}{result['top1']:>7.1f}%{result['token_top1']:>8.1f}%{result['seconds']:>7.0f} s")
    print("\ntokens: share of the tokens on an object whose best class is that object's; read from the token head, or"
          "\nfrom the class head at each token where the token head was not trained.")
    print(f"\nlogs     {output}/*/log.jsonl; curves: visualdl --logdir {output} --language en")
    print("next     another seed: ppim demo --seed 1")
    print("         your own pictures: ppim finetune PHOTOS")


def train_arm(run: Path, options: list[str]) -> dict[str, float]:
    """One run; its result, as evaluated once more from the weights it left, and the seconds the training took."""
    words = ["-c", "lvvit_demo", "-o", "SAVE", str(run), *options]
    print(f"$ ppim train {' '.join(words)}", flush=True)
    before = time.perf_counter()
    _run("train", *words)
    seconds = time.perf_counter() - before
    told = _run("evaluate", "--load", str(run / "last.pdparams"), *words, stdout=subprocess.PIPE)
    return {**json.loads(told.splitlines()[-1]), "seconds": seconds}


def _run(*words: str, stdout: int | None = None) -> str | None:
    """Run a command of ours as a process of its own; what it printed, where that is caught."""
    done = run_command(*words, stdout=stdout, text=True)
    if done.returncode:
        raise ValueError(f"`ppim {words[0]}` ended with exit code {done.returncode}; it says why above")
    return done.stdout
