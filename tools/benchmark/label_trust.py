"""Can label maps be trusted? What `ppim labels check --frame` and `ppim labels audit` find of what is planted.

    python tools/benchmark/label_trust.py frames --photos FOLDER --maker CONFIG WEIGHTS PX --judge CONFIG WEIGHTS PX
    python tools/benchmark/label_trust.py audit --photos FOLDER --maker CONFIG WEIGHTS PX --judge CONFIG WEIGHTS PX

Frames: one network (the maker) makes maps of the photos, of the whole and of the centre square; they are stored in each
of eight orientations, and the other network is the annotator they are held against: with all photos, with subsets of 25
photos, and with noise in place of the scores. Audit: samples of our own loader over the maker's maps, right and with
planted mistakes, judged by the maps and by the other network. Writes a table; about ten minutes on one thread.
"""
from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppim  # noqa: E402, F401  (threads, before Paddle is)

# isort: split
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from ppim.annotate.seen import annotator, said_of  # noqa: E402
from ppim.checks.frames import Way, find, fits, judge, ways  # noqa: E402
from ppim.checks.origins import Sample, audit  # noqa: E402
from ppim.data.augment import Policy, draw_view  # noqa: E402
from ppim.data.datasets import find_images  # noqa: E402
from ppim.data.loader import released_history  # noqa: E402
from ppim.data.transforms import HFlip, Operation, history  # noqa: E402
from ppim.geometry import WH, centre_window  # noqa: E402
from ppim.seeds import sample_rng  # noqa: E402
from ppim.token_labels.maps import LabelMap  # noqa: E402
from ppim.token_labels.orientations import ORIENTATIONS, as_stored  # noqa: E402
from ppim.token_labels.released import released_targets  # noqa: E402
from ppim.token_labels.targets import dense, token_targets  # noqa: E402

PHOTOS, GRID = 25, (14, 14)
KEPT = 5  # classes of a cell, as in published maps


def seen(network: Sequence[str], root: str, files: Sequence[str], crop: float | None = None) -> list[LabelMap]:
    """What a network (config, weights, side) says of photos: of the whole, or of the centre square."""
    config, weights, side = network
    model, view = annotator(config, weights, int(side), "ignore")
    return said_of(model, view._replace(centre_crop=crop), root, files)


def published(label_map: LabelMap, orientation: str = "rows-first") -> LabelMap:
    """As in a file of KEPT classes, stored in an orientation."""
    return LabelMap(*(as_stored(plane[:KEPT], orientation) for plane in label_map[:2]))


def frames(maker: dict[float | None, list[LabelMap]], said: list[LabelMap], sizes: list[WH], subsets: int) -> None:
    """All photos, subsets, and as many photos with noise; counts so far are told after every way of storing."""
    tried, rng = ways(), np.random.default_rng(0)
    whole, some, noisy = Counter(), Counter(), Counter()
    margins = []
    for orientation in ORIENTATIONS:
        for pct, maps in maker.items():
            truth = Way(orientation, pct)
            stored = [published(one, orientation) for one in maps]
            found = find(stored, said, sizes, tried)
            whole[verdict(found, truth)] += 1
            margins.append((found.margin, found.low))
            for _ in range(subsets):
                few = rng.choice(len(stored), PHOTOS, replace=False).tolist()
                some[verdict(judge(fits(*([all_[i] for i in few] for all_ in (stored, said, sizes)), tried), tried),
                             truth)] += 1
                noise = [stored[i]._replace(scores=rng.normal(size=stored[i].scores.shape).astype(np.float32))
                         for i in few]
                noisy[verdict(find(noise, [said[i] for i in few], [sizes[i] for i in few], tried), truth)] += 1
            print(f"{truth}: margin {found.margin:.3f} [{found.low:.3f}, {found.high:.3f}]; so far all {len(said)} "
                  f"{dict(whole)}, subsets of {PHOTOS} {dict(some)}, noise {dict(noisy)}", flush=True)
    print(f"least margin {min(margins)[0]:.3f}, its lower end {min(margins)[1]:.3f}")


def verdict(found, truth: Way) -> str:
    """right, wrong, or undecided."""
    return "undecided" if not found.is_decided else "right" if found.best == truth else f"WRONG ({found.best})"


class Loader:
    """A loader that follows its views, or fails to; views as LV-ViT's recipes draw them, without colours and turns."""

    def __init__(self, maps: list[LabelMap], sizes: list[WH], classes: int, hflip: float = 0.5):
        self.maps, self.sizes, self.classes = maps, sizes, classes
        policy = Policy((224, 224), "released", hflip=hflip)
        self.ops = [draw_view(sample_rng(0, 0, i), wh, policy) for i, wh in enumerate(sizes)]

    def box(self, index: int) -> tuple[tuple[float, ...], bool]:
        """left, top, width, height in shares of the photo as it is stored; and is the view mirrored?"""
        ops, (w, h) = self.ops[index], self.sizes[index]
        flip, (left, top, width, height) = isinstance(ops[0], HFlip), ops[-1].box
        left = w - left - width if flip else left
        return (left / w, top / h, width / w, height / h), flip

    def exact(self, index: int, label_map: LabelMap | None = None, ops: list[Operation] | None = None) -> np.ndarray:
        """(rows, columns, classes): targets that follow the pixels."""
        _, tokens = token_targets(label_map or self.maps[index], history(ops or self.ops[index], self.sizes[index]),
                                  GRID, self.classes)
        return dense(tokens, self.classes).reshape(*GRID, -1)

    def released(self, index: int) -> np.ndarray:
        """As the released code makes them."""
        _, tokens = released_targets(self.maps[index], *released_history(self.ops[index], self.sizes[index]), GRID,
                                     self.classes)
        return dense(tokens, self.classes).reshape(*GRID, -1)

    def moved(self, index: int, cells: float) -> np.ndarray:
        """Labels read so many cells of the map too far to the right and down."""
        rows, columns = self.maps[index].scores.shape[1:]
        x, y = cells / columns, cells / rows
        return self.exact(index, self.maps[index]._replace(window=(-x, -y, 1 - x, 1 - y)))

    def framed(self, index: int, pct: float) -> np.ndarray:
        """Maps of the whole photo taken for those of the centre square."""
        return self.exact(index, self.maps[index]._replace(window=centre_window(self.sizes[index], pct)))


def planted(loader: Loader) -> dict[str, Callable[[int], np.ndarray]]:
    """What is audited, by its name."""
    return {
        "ours, exact geometry": loader.exact,
        "ours, released geometry": loader.released,
        "tokens transposed": lambda index: loader.exact(index).transpose(1, 0, 2),
        "maps transposed": lambda index: loader.exact(index, loader.maps[index]._replace(
            scores=loader.maps[index].scores.transpose(0, 2, 1), ids=loader.maps[index].ids.transpose(0, 2, 1))),
        "mirroring not followed": lambda index: loader.exact(index)[:, ::-1] if loader.box(index)[1] else (
            loader.exact(index)),
        "half a cell too far": lambda index: loader.moved(index, 0.5),
        "a cell too far": lambda index: loader.moved(index, 1.0),
        "whole read as centre crop": lambda index: loader.framed(index, 1.0),
        "labels of other photos": lambda index: loader.exact((index + 5) % len(loader.maps)),
    }


def audits(loader: Loader, known: dict[str, list[LabelMap]]) -> None:
    """Every planted mistake, judged by maps and by an annotator."""
    for name, targets in planted(loader).items():
        tables = [targets(index) for index in range(len(loader.maps))]
        for by, maps in known.items():
            found = audit([Sample(table, label_map, *loader.box(index), loader.sizes[index])
                           for index, (table, label_map) in enumerate(zip(tables, maps))])
            print(f"{name} | by {by} | {found.verdict}: {found.text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("frames", "audit"))
    parser.add_argument("--photos", required=True, help="class folders")
    parser.add_argument("--subsets", type=int, default=40, help="of 25 photos, for each way of storing (40)")
    parser.add_argument("--most", type=int, default=100, help="samples of an audit (100)")
    for who in ("maker", "judge"):
        parser.add_argument(f"--{who}", nargs=3, required=True, metavar=("CONFIG", "WEIGHTS", "PX"))
    args = parser.parse_args()
    images = find_images(args.photos)
    step = 1 if args.what == "frames" else max(1, len(images) // args.most)
    files = images.paths[::step]
    sizes = [Image.open(Path(images.root) / name).size for name in files]
    said, whole = (seen(network, images.root, files) for network in (args.judge, args.maker))
    if args.what == "frames":
        frames({None: whole, 1.0: seen(args.maker, images.root, files, 1.0)}, said, sizes, args.subsets)
    else:
        maps = [published(one) for one in whole]
        classes = 1 + max(int(one.ids.max()) for one in maps)
        audits(Loader(maps, sizes, classes), {"the maps": maps, "the annotator": said})


if __name__ == "__main__":
    main()
