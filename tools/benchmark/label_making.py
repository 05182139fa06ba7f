"""Are maps the same to the byte, however often their making was killed and by how many processes it was done?

    python tools/benchmark/label_making.py FOLDER --images DIR OPTIONS OF ppim labels make

Makes the maps of DIR at one go; again, killed twice (SIGKILL, at random moments) and gone on with; and by two processes
of Paddle's launcher, killed once as well. Prints seconds of each, and whether all wrote the same files, card included.
`--output` is a folder of FOLDER. What is there of an earlier measurement is removed.
"""
from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
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
    found, total = {}, 0
    for name, words, kills in ways:
        output = args.folder / name.replace(" ", "_").replace(",", "")
        shutil.rmtree(output, ignore_errors=True)
        seconds, counts = 0.0, []
        for moment in sorted(rng.uniform(0.05, 0.95) for _ in range(kills)):
            seconds += run([*words, *options, "--output", str(output)], output, int(moment * total))
            counts.append(maps_in(output))
        seconds += run([*words, *options, "--output", str(output)], output)
        total = maps_in(output)
        found[name] = digest(output)
        at = f", killed at {' and '.join(f'{one:,}' for one in counts)} maps" if counts else ""
        print(f"{name}: {total:,} maps in {seconds:.0f} s{at}, digest {found[name][:16]}", flush=True)
    same = len(set(found.values())) == 1
    print("all the same to the byte, cards included" if same else "NOT the same")
    sys.exit(not same)


def run(words: list[str], output: Path, most: int | None = None) -> float:
    """Seconds that it ran; all its processes are killed as soon as `most` maps are there."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        job = subprocess.Popen([sys.executable, *words], cwd=ROOT, start_new_session=True, stdout=said, stderr=said)
        while job.poll() is None:
            time.sleep(0.5)
            if most is not None and maps_in(output) >= most:
                for pid in (job.pid, *children_of(job.pid)):  # a launcher's processes are in groups of their own
                    os.kill(pid, signal.SIGKILL)
                job.wait()
                break
        else:
            if job.returncode:
                said.seek(0)
                sys.exit(f"{' '.join(words)} ended with {job.returncode}: {said.read()[-2000:]}")
    return time.monotonic() - began


def children_of(parent: int) -> list[int]:
    """Processes that it has started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def maps_in(folder: Path) -> int:
    """How many maps there are."""
    return sum(name.endswith(".npy") for _, _, files in os.walk(folder) for name in files)


def digest(folder: Path) -> str:
    """Of all files, hidden ones too, by their paths."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(str(path.relative_to(folder)).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


if __name__ == "__main__":
    main()
