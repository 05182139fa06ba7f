"""What does reading label maps cost a loader: from a folder, from a pack, and from a pack much larger than memory?

    python tools/benchmark/packed_maps.py --photos data/ILSVRC2012/val       a folder of class folders, or a tar of one
    python tools/benchmark/packed_maps.py --photos ... --maps 1281167 --where /a/disk --memory 2

The first line of figures: microseconds of the processor to read a map of the published size with log-sum-exp, and what
share that is of a token-label sample; readers take turns, medians.

With `--maps` a pack of so many is made in `--where` (7 kB each; removed afterwards without `--keep`). Samples are then
drawn from all of it in random order, in turns with samples whose maps are always the same few hundred, by a process
whose memory and page cache together are limited to `--memory` GB (a control group of Linux, which takes root; without,
pages are dropped by posix_fadvise before every turn). What was read from the disk meanwhile is counted by the kernel
and told beside the rates. The photos are the same few in both, so that only maps are cold. One process, wall-clock
time.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # one core is what is measured
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from ppim.bench.material import CLASSES, GRID, POLICY, SEED, batch_of, drawn_map, evenly, pack_maps, photos_in  # noqa: E402
from ppim.bench.rounds import median_of  # noqa: E402
from ppim.data.images import ImageList  # noqa: E402
from ppim.data.loader import TrainSamples  # noqa: E402
from ppim.memory import keep_freed_memory  # noqa: E402
from ppim.token_labels.maps import stem_of, write_map  # noqa: E402
from ppim.token_labels.store import open_maps  # noqa: E402

GROUP = Path("/sys/fs/cgroup/memory")


@dataclass(frozen=True)
class Repeated(ImageList):
    """Many names, behind which the same few photos lie again and again."""

    few: ImageList | None = None

    def full_path(self, index: int) -> str:
        """One of the few."""
        return self.few.full_path(index % len(self.few))


def samples_of(images: ImageList, maps) -> TrainSamples:
    """Token-label samples."""
    return TrainSamples(images, POLICY, seed=SEED, num_classes=CLASSES, maps=maps, grid=GRID)


def reading(images: ImageList, folder: Path, rounds: int) -> None:
    """The first line of figures."""
    stems, rng = [stem_of(path) for path in images.paths], np.random.default_rng(SEED)
    maps = [drawn_map(rng) for _ in stems]
    for stem, (scores, ids, log_z) in zip(stems, maps):
        write_map(str(folder / "maps" / f"{stem}.npy"), scores, ids, log_z[0])
    stores = {"folder": open_maps(folder / "maps", CLASSES), "pack": pack_maps(folder / "pack", stems, maps)}
    samples = {f"sample from a {name}": samples_of(images, maps) for name, maps in stores.items()}
    samples["plain sample"] = TrainSamples(images, POLICY, seed=SEED, num_classes=CLASSES)
    tasks = {**{name: lambda keys, maps=maps: [maps.read(images.paths[key[1]], (400, 300)) for key in keys]
                for name, maps in stores.items()},
             **{name: partial(batch_of, made) for name, made in samples.items()}}
    times = {name: [] for name in tasks}
    for epoch in range(rounds):
        for name, task in tasks.items():
            start = time.process_time()
            task([(epoch, index, 0) for index in range(len(images))])
            times[name].append((time.process_time() - start) / len(images) * 1e6)
    median = {name: float(np.median(found)) for name, found in times.items()}
    for name in stores:
        whole = median[f"sample from a {name}"]
        print(f"{name}: a map is read in {median[name]:.0f} us, {100 * median[name] / whole:.2f} % of a token-label "
              f"sample ({whole:,.0f} us; a plain one {median['plain sample']:,.0f} us)")


@contextlib.contextmanager
def limited(gigabytes: float) -> Iterator[str]:
    """This process in a control group with so much memory, page cache included; what was done, in words."""
    group = GROUP / f"ppim_{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(int(gigabytes * 2**30)))
        home = next(line.split(":")[2].strip() for line in Path("/proc/self/cgroup").read_text().splitlines()
                    if ":memory:" in line)
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        yield ""
        return
    try:
        yield f"a control group of {gigabytes:g} GB"
    finally:
        (GROUP / home.lstrip("/") / "cgroup.procs").write_text(str(os.getpid()))
        group.rmdir()


def forget(pack: Path) -> None:
    """Have the system drop its pages of a pack."""
    for path in pack.iterdir():
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def from_disk() -> int:
    """Bytes that this process has had read from a disk."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def cold(few: ImageList, pack: Path, count: int, memory: float, rounds: int) -> None:
    """Random samples of all of a pack in turns with samples of always the same maps of it."""
    stems = [f"n{number // 1300:04d}/{number:08d}" for number in range(count)]
    if not pack.exists():
        rng = np.random.default_rng(SEED)
        pack_maps(pack, stems, [drawn_map(rng) for _ in range(64)])
    size = sum(path.stat().st_size for path in pack.iterdir())
    print(f"{count:,} maps, {size / 1e9:.2f} GB", flush=True)
    images = Repeated("", [f"{stem}.jpg" for stem in stems], np.zeros(count, np.int64), few.classes, few=few)
    forget(pack)
    found: dict[str, list[Turn]] = {"warm": [], "cold": []}
    with limited(memory) as how:
        samples = samples_of(images, open_maps(pack, CLASSES))
        rng, turn = np.random.default_rng(SEED), len(few)
        warm = rng.integers(0, count // turn, 1)[0] * turn + np.arange(turn)
        for index in warm:
            samples[0, int(index), 0]
        for epoch in range(rounds):
            # the same photos in both, in the same order
            random = rng.integers(0, count // turn, turn) * turn + np.arange(turn)
            if not how:
                forget(pack)
            turns = [("warm", warm), ("cold", random)]
            for name, chosen in turns[::-1] if epoch % 2 else turns:
                found[name].append(taken(samples, epoch, chosen.tolist()))
    print(f"limited by {how or 'posix_fadvise alone'}, median of {rounds} turns of {turn} samples")
    tell_cold({name: Turn(*map(np.array, zip(*turns))) for name, turns in found.items()})


class Turn(NamedTuple):
    """Samples a second by the clock (`rate`) and by the processor's time (`work`); of a sample, kB read from the disk
    and waits. Numbers, or arrays over turns."""

    rate: float
    work: float
    read: float
    waits: float


def taken(samples: TrainSamples, epoch: int, chosen: Sequence[int]) -> Turn:
    """Make these samples, one after the other."""
    before, start, worked = from_disk(), time.monotonic(), time.process_time()
    waited = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
    for index in chosen:
        samples[epoch, index, 0]
    rate, work = len(chosen) / (time.monotonic() - start), len(chosen) / (time.process_time() - worked)
    waited = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - waited
    return Turn(rate, work, (from_disk() - before) / len(chosen) / 1024, waited / len(chosen))


def tell_cold(found: dict[str, Turn]) -> None:
    """The lines about a pack larger than memory."""
    for name, turns in found.items():
        print(f"{name}: {np.median(turns.rate):.0f} samples/s, {np.median(turns.work):.0f} a second of the processor, "
              f"{np.mean(turns.read):.1f} kB a sample from the disk, {np.mean(turns.waits):.2f} waits a sample")
    for kind, field in (("by the clock", "rate"), ("by the processor's time", "work")):
        ratios = getattr(found["cold"], field) / getattr(found["warm"], field)
        ratio = median_of(ratios)
        print(f"cold over warm {kind}: {ratio.median:.3f} (95 %: {ratio.low:.3f} to {ratio.high:.3f}), quartiles "
              f"{np.quantile(ratios, 0.25):.3f} to {np.quantile(ratios, 0.75):.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", required=True, help="folder of class folders, or a tar file of one")
    parser.add_argument("--count", type=int, default=250, help="photos")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--maps", type=int, default=0, help="maps of the large pack; 0: leave it out")
    parser.add_argument("--where", default=".", help="folder in which the large pack is made and removed")
    parser.add_argument("--keep", action="store_true", help="leave the large pack there for another time")
    parser.add_argument("--memory", type=float, default=2.0, metavar="GB")
    arguments = parser.parse_args()
    keep_freed_memory()  # as in training
    with tempfile.TemporaryDirectory() as folder:
        images = evenly(photos_in(arguments.photos, Path(folder) / "photos"), arguments.count)
        reading(images, Path(folder), arguments.rounds)
        if arguments.maps:
            pack = Path(arguments.where) / f"benchmark_{arguments.maps}.pack"
            cold(images, pack, arguments.maps, arguments.memory, arguments.rounds)
            if not arguments.keep:
                shutil.rmtree(pack)


if __name__ == "__main__":
    main()
