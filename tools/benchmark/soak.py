"""Does a long run grow? Memory, descriptors, threads and /dev/shm of all its processes, minute after minute.

    python tools/benchmark/soak.py [--minutes 30] [--workers 4] [--processes 2] [--output output/soak]

A toy LV-ViT learns drawn pictures without end, with running average, all mixes, an evaluation and a save every hundred
steps. Every few seconds a line with what each process holds goes to OUTPUT/samples.jsonl. After that time the run is
asked to stop, a straight line is fitted to the last two thirds of each process's memory over steps, and a table printed
and drawn.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

OPTIONS = {
    "DATA.BATCH_SIZE": 8, "DATA.BATCH_SIZE_EVAL": 16, "MODEL.TRANS.DEPTH": 1, "MODEL.DROPPATH": 0.1,
    "TRAIN.NUM_EPOCHS": 10**6, "TRAIN.MODEL_EMA": True, "TRAIN.GRAD_CLIP": 1.0, "TRAIN.RANDOM_ERASE_PROB": 0.25,
    "TRAIN.MIXUP_ALPHA": 0.8, "TRAIN.CUTMIX_ALPHA": 1.0, "MIX.TOKEN_ALPHA": 1.0, "REPORT_FREQ": 10,
}
DUE = 100  # steps between two evaluations, and between two saves


def start(args: argparse.Namespace) -> subprocess.Popen:
    """Draw the pictures and start the run."""
    from ppim.data.shapes import write_dataset

    steps_per_epoch = 5
    images = steps_per_epoch * OPTIONS["DATA.BATCH_SIZE"] * args.processes
    write_dataset(args.output, seed=0, train=images, val=64)
    options = {
        **OPTIONS, "SAVE": args.output / "run", "DATA.NUM_WORKERS": args.workers,
        "DATA.DATA_PATH": args.output / "data", "TOKEN_LABEL.PATH": args.output / "labels" / "train",
        "TOKEN_LABEL.VAL_PATH": args.output / "labels" / "val",
        "VALIDATE_FREQ": DUE // steps_per_epoch, "SAVE_FREQ": DUE // steps_per_epoch,
    }
    launcher = ["-m", "paddle.distributed.launch", "--nproc_per_node", args.processes, "--log_dir", args.output / "log"]
    command = [sys.executable, *(launcher if args.processes > 1 else []), ROOT / "tools" / "train.py",
               "-c", "lvvit_demo", "-o", *(word for pair in options.items() for word in pair)]
    with open(args.output / "told", "w") as told:
        return subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=told, stderr=told,
                                env={"PPIM_THREADS": "1", **os.environ})


# ---- what the system says of a process -----------------------------------------------------------------------------


def parents() -> dict[int, int]:
    """{process: its parent} of all that run."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            found[int(name)] = int(Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[1])
    return found


def family(root: int) -> dict[int, str]:
    """{process: its part} of a run: "launcher", "trainer 0", "worker of 0"."""
    above, parts = parents(), {}
    for pid in sorted(above):
        line = [pid]
        while line[-1] in above and line[-1] != root:
            line.append(above[line[-1]])
        if line[-1] == root:
            with contextlib.suppress(OSError):
                parts[pid] = part_of(pid, parts.get(above[pid], ""))
    return parts


def part_of(pid: int, parent: str) -> str:
    """What a process of the run is for, by its command and its parent's part."""
    if b"paddle.distributed.launch" in Path(f"/proc/{pid}/cmdline").read_bytes():
        return "launcher"
    if parent.startswith("trainer"):
        return f"worker of {parent.split()[1]}"
    environment = Path(f"/proc/{pid}/environ").read_text(errors="replace").split("\0")
    ranks = [entry.partition("=")[2] for entry in environment if entry.startswith("PADDLE_TRAINER_ID=")]
    return f"trainer {ranks[0] if ranks else 0}"


def holdings(pid: int) -> dict[str, int]:
    """What a process holds: resident and proportional kB, descriptors, threads."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return {"rss": int(lines["Rss"].split()[0]), "pss": int(lines["Pss"].split()[0]),
            "fds": len(os.listdir(f"/proc/{pid}/fd")), "threads": len(os.listdir(f"/proc/{pid}/task"))}


def newest_step(log: Path) -> int:
    """The step of the last whole record."""
    if not log.is_file():
        return 0
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = file.read().split(b"\n")[1:-1]
    return json.loads(lines[-1])["step"] if lines else 0


def sample(root: int, log: Path, since: float) -> dict[str, object]:
    """One line of samples.jsonl; memory in kB."""
    processes = []
    for pid, part in family(root).items():
        with contextlib.suppress(OSError, KeyError):  # ended meanwhile
            processes.append({"pid": pid, "part": part, **holdings(pid)})
    shared = [size for entry in Path("/dev/shm").glob("*") if (size := _size(entry)) is not None]
    return {"seconds": round(time.monotonic() - since, 1), "step": newest_step(log), "processes": processes,
            "shm_files": len(shared), "shm": sum(shared) // 1024}


# ---- the run, and what came of it ----------------------------------------------------------------------------------


def _size(path: Path) -> int | None:
    """Bytes of a file; None if it has gone meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def watch(args: argparse.Namespace) -> list[dict]:
    """Run for that long; the samples, which are written as they come."""
    samples, since, process = [], time.monotonic(), start(args)
    try:
        with open(args.output / "samples.jsonl", "w") as file:
            while time.monotonic() - since < 60 * args.minutes and process.poll() is None:
                time.sleep(args.every)
                found = sample(process.pid, args.output / "run" / "log.jsonl", since)
                if found["processes"]:
                    samples.append(found)
                    file.write(json.dumps(found, allow_nan=False) + "\n")
                    file.flush()
    finally:
        end(process)
    print(f"the run ended with exit code {process.returncode}; what it said: {args.output / 'told'}")
    return samples


def end(process: subprocess.Popen) -> None:
    """Ask the training processes to stop; kill what is left of the run after two minutes."""
    parts = family(process.pid)
    for pid, part in parts.items():
        if part.startswith("trainer"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(120)
    for pid in {**parts, process.pid: ""}:
        if pid in family(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def settled(samples: list[dict]) -> list[dict]:
    """The last two thirds of the time."""
    return [entry for entry in samples if entry["seconds"] >= samples[-1]["seconds"] / 3]


def series(samples: Iterable[dict], pid: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """(steps, values) of a process where it lives; pid 0: of all together."""
    found = [(entry["step"], sum(one[what] for one in entry["processes"] if pid in (0, one["pid"])))
             for entry in samples if pid == 0 or any(one["pid"] == pid for one in entry["processes"])]
    steps, values = zip(*found)
    return np.array(steps), np.array(values)


def stayers(samples: list[dict]) -> dict[int, str]:
    """{process: part} of those there all the time, which the workers of an evaluation are not."""
    seen = [{one["pid"]: one["part"] for one in entry["processes"]} for entry in samples]
    return {pid: part for pid, part in seen[-1].items() if all(pid in entry for entry in seen)}


def slope(samples: list[dict], pid: int, what: str) -> float:
    """kB a step."""
    steps, values = series(samples, pid, what)
    return float(np.polyfit(steps, values, 1)[0])


def table(samples: list[dict]) -> str:
    """What each process held, and by how much that grew."""
    first, last = samples[0], samples[-1]
    lines = [f"{last['seconds'] / 60:.1f} minutes, {last['step']:,} steps; fitted from minute "
             f"{first['seconds'] / 60:.1f}, step {first['step']:,}, on",
             f"{'':<16}{'MB':>16}{'kB a step':>12}{'descriptors':>14}{'threads':>10}"]
    for pid, part in sorted(stayers(samples).items(), key=lambda entry: entry[1]):
        _, memory = series(samples, pid, "rss")
        ranges = [f"{values.min()}-{values.max()}" for _, values in (series(samples, pid, "fds"),
                                                                     series(samples, pid, "threads"))]
        lines.append(f"{part:<16}{f'{memory[0] / 1024:.0f} -> {memory[-1] / 1024:.0f}':>16}"
                     f"{slope(samples, pid, 'rss'):>12.3f}{ranges[0]:>14}{ranges[1]:>10}")
    _, together = series(samples, 0, "pss")
    lines.append(f"{'all, shares':<16}{f'{together[0] / 1024:.0f} -> {together[-1] / 1024:.0f}':>16}"
                 f"{slope(samples, 0, 'pss'):>12.3f}")
    files = [entry["shm_files"] for entry in samples]
    lines.append(f"/dev/shm: {min(files)}-{max(files)} files, at most {max(e['shm'] for e in samples) / 1024:.1f} MB "
                 "(of all programs)")
    return "\n".join(lines)


def draw(samples: list[dict], path: Path) -> None:
    """Resident memory of the training processes over steps, with the fitted lines."""
    import matplotlib.pyplot as plt

    late = settled(samples)
    figure, axes = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for pid, part in sorted(stayers(late).items(), key=lambda entry: entry[1]):
        if part.startswith("trainer"):
            steps, memory = series(samples, pid, "rss")
            (line,) = axes.plot(steps, memory / 1024, lw=0.8, label=f"{part}: {slope(late, pid, 'rss'):.3f} kB a step")
            steps, memory = series(late, pid, "rss")
            axes.plot(steps, np.polyval(np.polyfit(steps, memory / 1024, 1), steps), "--", color=line.get_color())
    axes.set(xlabel="steps", ylabel="resident memory, MB", ylim=(0, None))
    axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--workers", type=int, default=4, help="of each training process")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--every", type=float, default=5, metavar="SECONDS", help="between two samples")
    parser.add_argument("--output", type=Path, default=ROOT / "output" / "soak", metavar="DIR", help="must not exist")
    parser.add_argument("--figure", type=Path, default=ROOT / "docs" / "images" / "soak.png", metavar="FILE")
    args = parser.parse_args()
    args.output = args.output.resolve()
    args.output.mkdir(parents=True)
    samples = watch(args)
    if len(settled(samples)) < 3 or samples[-1]["step"] == 0:
        sys.exit(f"too few samples with steps; see {args.output / 'told'}")
    print(table(settled(samples)))
    draw(samples, args.figure)


if __name__ == "__main__":
    main()
