"""Train three small models on drawn pictures, on a CPU, and compare what they were taught by.

    python tools/demo.py [--seed N] [--output DIR]

The pictures, whose label maps are known exactly, are drawn first. Each arm is an ordinary run of tools/train.py from
the same seed: token labels; the label map for the class token alone; plain labels.
"""
import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ppim.cli import guarded  # noqa: E402

RECIPE = "configs/lvvit/lvvit_demo.yaml"
ARMS = {
    "token labels": [],
    "map for the class token only": ["LOSS.DENSE_WEIGHT", "0"],
    "plain labels": ["TOKEN_LABEL.ENABLE", "False"],
}


def train_arm(name: str, options: list, folder: Path, seed: int) -> dict:
    """One run; its result, as evaluated once more from the weights it left, and the seconds the training took."""
    run = folder / f"{name.replace(' ', '_')}_seed{seed}"
    options = ["-o", "SEED", str(seed), "SAVE", str(run), "DATA.DATA_PATH", str(folder / "data"),
               "TOKEN_LABEL.PATH", str(folder / "labels" / "train"),
               "TOKEN_LABEL.VAL_PATH", str(folder / "labels" / "val"), *options]
    command = [sys.executable, "tools/train.py", "-c", RECIPE]
    print(f"\n--- {name}\n$ {' '.join(['python', *command[1:], *options])}", flush=True)
    before = time.perf_counter()
    subprocess.run([*command, *options], cwd=ROOT, check=True)
    seconds = time.perf_counter() - before
    checked = subprocess.run([*command, "--load", str(run / "last.pdparams"), "--evaluate-only", *options], cwd=ROOT,
                             check=True, capture_output=True, text=True)
    return {**json.loads(checked.stdout.splitlines()[-1]), "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "output" / "demo", help="where everything goes")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    args = parser.parse_args()

    from ppim.data.shapes import write_dataset

    folder = args.output.resolve()
    print(f"drawing 2,500 training and 500 validation pictures with their label maps into {folder}", flush=True)
    write_dataset(folder, seed=0, train=2500, val=500)
    results = {}
    for name, options in ARMS.items():
        if (folder / f"{name.replace(' ', '_')}_seed{args.seed}").exists():
            raise ValueError(f"{folder} holds a demo of seed {args.seed} already; remove it, or give another --seed")
        results[name] = train_arm(name, options, folder, args.seed)

    print(f"\n{'500 validation pictures, 10 classes':<32}{'top-1':>8}{'tokens':>9}{'time':>9}")
    for name, result in results.items():
        print(f"{name:<32}{result['top1']:>7.1f}%{result['token_top1']:>8.1f}%{result['seconds']:>7.0f} s")
    print("\ntokens: share of the tokens on an object whose best class is that object's; read from the token head, or"
          "\nfrom the class head at each token where the token head was not trained.")
    print(f"\nlogs     {folder}/*/log.jsonl; curves: visualdl --logdir {folder} --language en")
    print("next     another seed: python tools/demo.py --seed 1; how a token gets its label: docs/token_labels.md;")
    print("         your own pictures: README.md, \"Training on your own data\"")


if __name__ == "__main__":
    sys.exit(guarded(main))
