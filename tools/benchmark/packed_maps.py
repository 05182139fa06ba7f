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
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # one core is what is measured
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from ppim.bench.rounds import median_of  # noqa: E402
from ppim.data.augment import Policy, parse_rand_augment  # noqa: E402
from ppim.data.datasets import find_images  # noqa: E402
from ppim.data.images import ImageList  # noqa: E402
from ppim.data.loader import TrainSamples  # noqa: E402
from ppim.index import names_digest  # noqa: E402
from ppim.token_labels.maps import stem_of, write_map  # noqa: E402
from ppim.token_labels.pack_writer import SHARD_MAPS, Encoded, Plan, write_pack  # noqa: E402
from ppim.token_labels.record import encode, seal_record  # noqa: E402
from ppim.token_labels.store import open_maps  # noqa: E402

SHAPE, CLASSES, SEED = (5, 18, 18), 1000, 0
POLICY = Policy((224, 224), rand_augment=parse_rand_augment("rand-m9-mstd0.5-inc1"), erase_prob=0.25)
GROUP = Path("/sys/fs/cgroup/memory")


@dataclass(frozen=True)
class Repeated(ImageList):
    """Many names, behind which the same few photos lie again and again."""

    few: ImageList | None = None

    def full_path(self, index: int) -> str:
        """One of the few."""
        return self.few.full_path(index % len(self.few))


def arrays(count: int) -> list:
    """Maps [3, 5, 18, 18] as an annotator makes them: some 30 classes a photo."""
    rng, found = np.random.default_rng(SEED), []
    for _ in range(count):
        classes = rng.permutation(CLASSES)[:30]
        ids = classes[np.argsort(rng.random((30, *SHAPE[1:])), axis=0)[:5]]
        scores = -np.sort(-rng.normal(5, 3, SHAPE), axis=0)
        log_z = np.broadcast_to(np.log(np.exp(scores).sum(axis=0) + 900), SHAPE)
        found.append(np.stack([scores, ids, log_z]).astype("f2"))
    return found


def make_pack(path: Path, stems: list, maps: list) -> None:
    """A pack whose records repeat `maps`, each sealed for its own stem."""
    plan = Plan(names_digest(stems), len(stems), SHAPE, "<u2", True, CLASSES, False, SHARD_MAPS, "", "", None)
    bodies = [encode(plan.record, "", "", array, CLASSES, False)[0] for array in maps]

    def encoded(first: int) -> Iterator[Encoded]:
        for at in range(first, len(stems), 256):
            pieces = [seal_record(stem, bodies[(at + number) % len(bodies)][:-4])
                      for number, stem in enumerate(stems[at:at + 256])]
            yield Encoded(b"".join(pieces), CLASSES - 1, 0.0)

    write_pack(path, stems, plan, lambda stem: 0.0, encoded, lambda done: None)


def samples_of(images: ImageList, maps) -> TrainSamples:
    """Token-label samples."""
    return TrainSamples(images, POLICY, seed=SEED, num_classes=CLASSES, maps=maps, grid=(14, 14))


def reading(images: ImageList, folder: Path, rounds: int) -> None:
    """The first line of figures."""
    stems = sorted({stem_of(path) for path in images.paths}, key=str.encode)
    for stem, array in zip(stems, arrays(len(stems))):
        write_map(str(folder / "maps" / f"{stem}.npy"), array[0], array[1], array[2, 0])
    make_pack(folder / "pack", stems, arrays(len(stems)))
    stores = {"folder": open_maps(folder / "maps", CLASSES), "pack": open_maps(folder / "pack", CLASSES)}
    samples = {f"sample from a {name}": samples_of(images, maps).__getitem__ for name, maps in stores.items()}
    plain = TrainSamples(images, POLICY, seed=SEED, num_classes=CLASSES).__getitem__
    tasks = {**{name: lambda key, maps=maps: maps.read(images.paths[key[1]], (400, 300)) for name, maps in
                stores.items()}, **samples, "plain sample": plain}
    times = {name: [] for name in tasks}
    for epoch in range(rounds):
        for name, task in tasks.items():
            start = time.process_time()
            for index in range(len(images)):
                task((epoch, index, 0))
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
        make_pack(pack, stems, arrays(64))
    size = sum(path.stat().st_size for path in pack.iterdir())
    print(f"{count:,} maps, {size / 1e9:.2f} GB", flush=True)
    images = Repeated("", [f"{stem}.jpg" for stem in stems], np.zeros(count, np.int64), few.classes, few=few)
    forget(pack)
    with limited(memory) as how:
        samples = samples_of(images, open_maps(pack, CLASSES))
        rng, turn = np.random.default_rng(SEED), len(few)
        warm = rng.integers(0, count // turn, 1)[0] * turn + np.arange(turn)
        for index in warm:
            samples[0, int(index), 0]
        rates, work, read, waits = ({"warm": [], "cold": []} for _ in range(4))
        for epoch in range(rounds):
            # the same photos in both, in the same order
            random = rng.integers(0, count // turn, turn) * turn + np.arange(turn)
            if not how:
                forget(pack)
            turns = [("warm", warm), ("cold", random)]
            for name, chosen in turns[::-1] if epoch % 2 else turns:
                before, start, worked = from_disk(), time.monotonic(), time.process_time()
                waited = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
                for index in chosen.tolist():
                    samples[epoch, index, 0]
                rates[name].append(turn / (time.monotonic() - start))
                work[name].append(turn / (time.process_time() - worked))
                read[name].append((from_disk() - before) / turn / 1024)
                waits[name].append((resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - waited) / turn)
    print(f"limited by {how or 'posix_fadvise alone'}, median of {rounds} turns of {turn} samples")
    for name in rates:
        print(f"{name}: {np.median(rates[name]):.0f} samples/s, {np.median(work[name]):.0f} a second of the processor, "
              f"{np.mean(read[name]):.1f} kB a sample from the disk, {np.mean(waits[name]):.2f} waits a sample")
    for kind, found in (("by the clock", rates), ("by the processor's time", work)):
        ratios = np.array(found["cold"]) / np.array(found["warm"])
        ratio = median_of(ratios)
        print(f"cold over warm {kind}: {ratio.median:.3f} (95 %: {ratio.low:.3f} to {ratio.high:.3f})")


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
    with tempfile.TemporaryDirectory() as folder:
        photos = arguments.photos
        if os.path.isfile(photos):
            with tarfile.open(photos) as archive:
                archive.extractall(os.path.join(folder, "photos"))
            photos = os.path.join(folder, "photos")
            while len(os.listdir(photos)) == 1:  # the folder that wraps the class folders
                photos = os.path.join(photos, os.listdir(photos)[0])
        images = find_images(photos)
        chosen = np.linspace(0, len(images) - 1, min(len(images), arguments.count)).astype(int)
        images = replace(images, paths=[images.paths[i] for i in chosen], labels=images.labels[chosen])
        reading(images, Path(folder), arguments.rounds)
        if arguments.maps:
            pack = Path(arguments.where) / f"benchmark_{arguments.maps}.pack"
            cold(images, pack, arguments.maps, arguments.memory, arguments.rounds)
            if not arguments.keep:
                shutil.rmtree(pack)


if __name__ == "__main__":
    main()
