"""Are maps the same to the byte, however often their making was killed and by how many processes it was done?

    python tools/benchmark/label_making.py FOLDER --images DIR OPTIONS OF ppim labels make

Makes the maps of DIR at one go; again, killed twice (SIGKILL, at random moments) and gone on with; and by two processes
of Paddle's launcher, killed once as well. Prints seconds of each, and whether all wrote the same files, card included.
`--output` is a folder of FOLDER. What is there of an earlier measurement is removed.
"""
from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = str(ROOT / "tools" / "generate_labels.py")
LAUNCH = ["-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args, options = parser.parse_known_args()
    launcher = [*LAUNCH, str(args.folder / "launcher"), TOOL]
    rng = random.Random(args.seed)
    # (name, words for Python, kills)
    ways = [("at one go", [TOOL], 0), ("killed twice", [TOOL], 2), ("two processes, killed once", launcher, 1)]
    found, whole = {}, 0.0
    for name, words, kills in ways:
        output = args.folder / name.replace(" ", "_").replace(",", "")
        shutil.rmtree(output, ignore_errors=True)
        seconds, counts = 0.0, []
        for _ in range(kills):
            seconds += run([*words, *options, "--output", str(output)], rng.uniform(0.1, 0.8 / kills) * whole)
            counts.append(len(list(output.rglob("*.npy"))))
        seconds += run([*words, *options, "--output", str(output)])
        whole = whole or seconds
        found[name] = digest(output)
        count = len(list(output.rglob("*.npy")))
        at = f", killed at {' and '.join(f'{one:,}' for one in counts)} maps" if counts else ""
        print(f"{name}: {count:,} maps in {seconds:.0f} s{at}, digest {found[name][:16]}", flush=True)
    same = len(set(found.values())) == 1
    print("all the same to the byte, cards included" if same else "NOT the same")
    sys.exit(not same)


def run(words: list[str], kill_after: float | None = None) -> float:
    """Seconds that it ran; the whole group of processes is killed where that is asked."""
    began = time.monotonic()
    job = subprocess.Popen([sys.executable, *words], cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
    try:
        _, said = job.communicate(timeout=kill_after)
        if job.returncode:
            sys.exit(f"{' '.join(words)} ended with {job.returncode}: {said[-2000:]}")
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        job.communicate()
    return time.monotonic() - began


def digest(folder: Path) -> str:
    """Of all files, hidden ones too, by their paths."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(str(path.relative_to(folder)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


if __name__ == "__main__":
    main()
