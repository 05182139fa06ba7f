"""How does a run begin on very many photos, and what does it hold in memory? Real index files, few real photos.

    python tools/benchmark/scale.py --photos 14197122 --against 1000 --walk 200000 [--folder DIR]

Makes data sets in DIR (a temporary folder) whose index files, tar shards by name and label maps are as many as asked
for: every shard is a link to one tar of 64 photos with maps, and every entry of the index leads to one of those. So all
that grows with the number of photos is real but the photos' bytes. For each size a process of its own then starts a run
of the demo's network (`ppim.engine.run.start`: the checks before the first step are part of it) and tells

    seconds from the end of imports to the first batch, with label maps
    private memory (Private_Dirty + Private_Clean of what is no file, /proc/PID/smaps) of the process and its workers,
    and with it what forks share of theirs (Anonymous)
    two shuffled walks, by processor time: all keys of two epochs, and photo and map records of the first --walk of
    each, nothing decoded
"""
from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
ROOT = Path(__file__).resolve().parents[2]
CLASSES, RECORDS, A_SHARD, WORKERS = 1_000, 64, 10_000, 2
AT_ONCE = 1 << 18  # names


def make(folder: Path, count: int) -> None:
    """A data set of `count` training photos in tar shards, and of 1,000 validation photos."""
    import numpy as np
    from PIL import Image

    from ppim.data.datasets import find_images
    from ppim.data.indexing import index_split
    from ppim.data.sharding import write_shards
    from ppim.token_labels.card import WHOLE, save_card
    from ppim.token_labels.maps import write_map

    rng = np.random.default_rng(0)
    few = folder / "few"
    for number in range(RECORDS):
        path = few / "photos" / f"n{number % 8:08}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize((320, 240)).save(path, quality=90)
        ids = np.argsort(rng.random((40, 14, 14)), axis=0)[:5]
        scores = -np.sort(-rng.normal(5, 3, ids.shape), axis=0)
        write_map(str(few / "maps" / f"n{number % 8:08}" / f"{number}.npy"), scores, ids, np.full(ids.shape[1:], 12.0))
    save_card(few / "maps", WHOLE._replace(log_z=True), {"by": "a benchmark"})
    write_shards(find_images(few / "photos"), few / "shards", str(few / "maps"), 10**9, False, lambda _: None)
    index_split(few / "shards", "train", lambda _: None)
    for split, number in (("train", count), ("val", 1000)):
        _enlarge(few / "shards", folder / split, number)


def _enlarge(few: Path, place: Path, count: int) -> None:
    """A folder of shards with `count` photos, each of them one of `few`."""
    import shutil

    import numpy as np

    from ppim.data.manifest import FOLDER, stamp_of, write_sources
    from ppim.index import Index, names_digest, write_index

    images, maps = Index(few / FOLDER / "images.index"), Index(few / FOLDER / "maps.index")
    (place / FOLDER).mkdir(parents=True)
    shards = -(-count // A_SHARD)
    for shard in range(shards):
        (place / f"{shard:06}.tar").symlink_to(few / "000000.tar")
    shutil.copy(few / "annotation.json", place)
    number = np.arange(count)
    label, row = number % min(CLASSES, count), number % RECORDS
    shard = np.asarray(number // A_SHARD, np.uint32)
    by_class = np.lexsort([np.char.mod("%d", number).astype("S9"), label])  # as texts are sorted
    digest = names_digest(_stems(label, by_class))
    about = {"kind": "shards", "classes": [f"n{one:08}" for one in range(min(CLASSES, count))], "numbered": False,
             "skipped": {}, "inside": "", "shared": "", "shards": shards, "stems": digest,
             "checksum": _checksum(f"{stem}.JPEG" for stem in _stems(label, number))}
    stamps = {f"{one:06}.tar": stamp_of(str(place / f"{one:06}.tar")) for one in range(shards)}
    about["sources"] = write_sources(str(place / FOLDER), {**stamps, ".": stamp_of(str(place))})
    write_index(place / FOLDER / "maps.index", _stems(label, by_class), {
        "shard": shard[by_class], "at": maps.field("at")[row[by_class]], "bytes": maps.field("bytes")[row[by_class]],
    }, {"stems": digest, "shards": shards})
    write_index(place / FOLDER / "images.index", (f"{stem}.JPEG" for stem in _stems(label, number)), {
        "shard": shard, "at": images.field("at")[row], "bytes": images.field("bytes")[row], "label": label}, about)


def _stems(label, order) -> Iterator[str]:
    """What photos are called, of classes `label` (N,), in this order (N,)."""
    for first in range(0, len(order), AT_ONCE):
        here = order[first:first + AT_ONCE]
        yield from (f"n{one:08}/n{one:08}_{which}" for one, which in zip(label[here].tolist(), here.tolist()))


def _checksum(names: Iterator[str]) -> int:
    from ppim.data.images import joined_checksum

    checksum = 0
    while block := list(itertools.islice(names, AT_ONCE)):
        checksum = joined_checksum(block, checksum)
    return checksum


def memory_mb(pid: int | str) -> tuple[float, float]:
    """Of a process's memory that is no file's: Private_Dirty + Private_Clean; and all, also what forks still share."""
    found, anonymous = {"Private_Dirty:": 0, "Private_Clean:": 0, "Anonymous:": 0}, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first and len(rest) >= 4:
            anonymous = rest[3] == "0"
        elif first in found and (anonymous or first == "Anonymous:"):
            found[first] += int(rest[0])
    private = found["Private_Dirty:"] + found["Private_Clean:"]
    return round(private / 1024, 1), round(found["Anonymous:"] / 1024, 1)


def measure(folder: Path, walk: int) -> None:
    """Start a run; what it took, as JSON."""
    import ppim  # noqa: F401
    from ppim.config import get_config, recipe_path
    from ppim.engine.distributed import World
    from ppim.engine.run import start

    options = ["DATA.DATA_PATH", str(folder), "TOKEN_LABEL.PATH", str(folder / "train"), "TOKEN_LABEL.VAL_PATH", "",
               "SAVE", str(folder / "run"), "DATA.NUM_WORKERS", str(WORKERS), "DATA.BATCH_SIZE", "64",
               "CHECKS", "tell"]
    path = recipe_path("lvvit_demo")
    config, recipe = get_config(path, options), get_config(path)
    begun, spent = time.perf_counter(), time.process_time()
    run, batches, _ = start(config, recipe, World())
    built = time.perf_counter()
    next(batches)
    first, spent = time.perf_counter(), time.process_time() - spent
    for _ in range(20):
        next(batches)
    me = os.getpid()
    children = [child for task in Path(f"/proc/{me}/task").glob("*/children") for child in task.read_text().split()]
    memory = [memory_mb(pid) for pid in (me, *children)]
    print(json.dumps({
        "photos": len(run.train.images), "s to start": round(built - begun, 2),
        "s to the first batch": round(first - begun, 2), "s of processor time until then": round(spent, 2),
        "MB private, with what forks share": memory[0], "of workers": memory[1:], **walked(run, walk),
        "after the walk": memory_mb(me)}, allow_nan=False), flush=True)
    os._exit(0)


def walked(run, walk: int) -> dict[str, int]:
    """All keys of two epochs, and photo and map records of the first `walk` of each: how many, how many a second."""
    import numpy as np

    images, maps, steps = run.train.images, run.train.maps, run.batches.steps_per_epoch
    keys, records, spent_on = 0, 0, {"keys": 0.0, "records": 0.0}
    for epoch in (0, 1):
        met = np.zeros(len(images), np.uint8)
        for step in range(epoch * steps, epoch * steps + steps):
            since = time.process_time()
            rows = run.batches.global_rows(step)[:, 0]
            spent_on["keys"] += time.process_time() - since
            met[rows] += 1
            keys += len(rows)
            since = time.process_time()
            for index in rows.tolist() if records < (epoch + 1) * walk else ():
                with images.open(index) as photo, maps._open(images.paths[index].removesuffix(".JPEG")) as label_map:
                    records += len(photo.read()) > 0 and len(label_map.read()) > 0
            spent_on["records"] += time.process_time() - since
        assert met.max() == 1 and met.sum() == 64 * steps
    return {"keys, each once an epoch": keys, "a second": round(keys / spent_on["keys"]),
            "records": records, "of them a second": round(records / spent_on["records"])}


def main() -> None:
    """Make and measure every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=14_197_122)
    parser.add_argument("--against", type=int, default=1_000)
    parser.add_argument("--walk", type=int, default=200_000, help="samples of each of two epochs")
    parser.add_argument("--folder", type=Path, help="where data sets are kept; made where they are not there")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(args.measure, args.walk)
        return
    with tempfile.TemporaryDirectory() as temporary:
        base = args.folder or Path(temporary)
        for count in (args.against, args.photos):
            folder = base / str(count)
            if not folder.is_dir():
                before = time.perf_counter()
                make(folder, count)
                size = sum(path.stat().st_size for path in (folder / "train").glob(".ppim-index/*"))
                print(f"{count:,} photos written down in {time.perf_counter() - before:.0f} s, {size / 1e6:,.0f} MB",
                      flush=True)
            subprocess.run([sys.executable, __file__, "--measure", str(folder), "--walk", str(args.walk)], check=True)


if __name__ == "__main__":
    main()
