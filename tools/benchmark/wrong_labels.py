"""Does disagreement find wrong labels? 500 of CIFAR-10's 50,000 training photos are put into the folder of another
class, a small network is trained on all of them as they then lie, makes label maps of them, and `ppim labels check`
ranks them: how many of its first 500 are those that were put elsewhere?

    python tools/benchmark/wrong_labels.py --photos data/cifar10 --work output/wrong_labels

The photos are class folders, train/ and test/; what is made are links, the photos stay where they are. The network has
one convolution, whose filters are whitened patches of the photos (Coates and Ng, 2011), of which a linear layer knows
the means over each quarter: small enough to be trained in a minute or two on one thread, and right on two photos of
three. Every stage is left out where its result is there already, so the script may be stopped at any time.
"""
from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import ppim  # noqa: E402, F401  (threads, before numpy is)

# isort: split
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from ppim.data.datasets import find_images  # noqa: E402
from ppim.data.images import ImageList  # noqa: E402
from ppim.token_labels.card import WHOLE, save_card  # noqa: E402
from ppim.token_labels.maps import map_path, write_map  # noqa: E402

PLANTED, SEED = 500, 2024
FILTERS, PATCH, STRIDE, THRESHOLD = 200, 6, 2, 0.5
RIDGE = 30.0


def plant(photos: Path, data: Path) -> dict[str, str]:
    """Links to all photos, those drawn in another class's folder; {path of a link in train/: its true class}."""
    train = sorted(path.relative_to(photos / "train") for path in (photos / "train").glob("*/*"))
    classes = sorted({path.parts[0] for path in train})
    rng = np.random.default_rng([SEED, len(train)])
    elsewhere = {int(index): int(step) for index, step in zip(
        rng.choice(len(train), PLANTED, replace=False), rng.integers(1, len(classes), PLANTED))}
    planted = {}
    for index, path in enumerate(train):
        own = classes.index(path.parts[0])
        folder = classes[(own + elsewhere.get(index, 0)) % len(classes)]
        # a number nobody else has, so that no two photos meet under one name
        link = data / "train" / folder / f"{index:05d}{path.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((photos / "train" / path).resolve())
        if index in elsewhere:
            planted[link.relative_to(data / "train").as_posix()] = path.parts[0]
    (data / "test").symlink_to((photos / "test").resolve())
    return planted


def ppim_command(*words: object) -> None:
    """A command of ppim."""
    subprocess.run([sys.executable, "-m", "ppim", *map(str, words)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL,
                   env={"PPIM_THREADS": "1", **os.environ})


class Network:
    """One convolution with fixed filters, both signs rectified, averaged over quarters; a linear layer over those."""

    def __init__(self, photos: np.ndarray):
        rng = np.random.default_rng([SEED, 1])
        some = rng.integers(0, len(photos), 40_000)
        tops, lefts = rng.integers(0, photos.shape[1] - PATCH + 1, (2, len(some)))
        patches = _even(np.stack([photos[i, top:top + PATCH, left:left + PATCH].reshape(-1)
                                  for i, top, left in zip(some, tops, lefts)]).astype(np.float32))
        self.mean = patches.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(patches - self.mean, rowvar=False))
        self.whiten = (vectors / np.sqrt(values + 0.1) @ vectors.T).astype(np.float32)
        chosen = (patches[:FILTERS] - self.mean) @ self.whiten
        self.filters = (chosen / np.linalg.norm(chosen, axis=1, keepdims=True)).T

    def features(self, photos: np.ndarray) -> np.ndarray:
        """(n, 32, 32, 3) uint8 -> (n, 4, 2 * FILTERS) float32: of each quarter."""
        windows = np.lib.stride_tricks.sliding_window_view(photos, (PATCH, PATCH), (1, 2))[:, ::STRIDE, ::STRIDE]
        n, side = len(windows), windows.shape[1]
        patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(n * side * side, -1).astype(np.float32)
        said = ((_even(patches) - self.mean) @ self.whiten) @ self.filters
        both = np.concatenate([np.maximum(said - THRESHOLD, 0), np.maximum(-said - THRESHOLD, 0)], axis=1)
        half = side // 2
        quarters = both.reshape(n, side, side, -1)[:, :2 * half, :2 * half].reshape(n, 2, half, 2, half, -1)
        return quarters.mean(axis=(2, 4)).reshape(n, 4, -1)

    def train(self, features: np.ndarray, labels: np.ndarray, classes: int) -> None:
        """The linear layer by ridge regression, then its scale, so that its softmax is likeliest."""
        flat = features.reshape(len(features), -1)
        self.centre, self.spread = flat.mean(axis=0), flat.std(axis=0) + 1e-6
        flat = (flat - self.centre) / self.spread
        wanted = np.eye(classes, dtype=np.float32)[labels] - 1 / classes
        self.linear = np.linalg.solve(flat.T @ flat + RIDGE * np.eye(flat.shape[1], dtype=np.float32), flat.T @ wanted)
        said = flat @ self.linear
        self.scale = max((2.0, 4.0, 6.0, 8.0, 11.0, 15.0),
                         key=lambda scale: _log_softmax(scale * said)[np.arange(len(labels)), labels].mean())

    def logits(self, features: np.ndarray) -> np.ndarray:
        """(n, 4, classes): of each quarter, whose mean is the photo's."""
        flat = (features.reshape(len(features), -1) - self.centre) / self.spread
        n, parts = len(features), self.linear.reshape(4, -1, self.linear.shape[1])
        return 4 * self.scale * np.einsum("nqf,qfc->nqc", flat.reshape(n, 4, -1), parts, optimize=True)


def _even(patches: np.ndarray) -> np.ndarray:
    """Patches (n, values) of the same mean and contrast."""
    patches = patches - patches.mean(axis=1, keepdims=True)
    return patches / np.sqrt(patches.var(axis=1, keepdims=True) + 10)


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def read(images: ImageList) -> np.ndarray:
    """(n, 32, 32, 3) uint8."""
    return np.stack([np.asarray(Image.open(images.full_path(i)).convert("RGB")) for i in range(len(images))])


def annotate(data: Path, maps: Path) -> dict[str, float]:
    """Train on the photos as they lie and write a map of each; how often the network is right."""
    images, held_out = find_images(str(data), "train"), find_images(str(data), "val")
    photos, test = read(images), read(held_out)
    network = Network(photos)
    chunks = [slice(start, start + 500) for start in range(0, len(photos), 500)]
    features = np.concatenate([network.features(photos[chunk]) for chunk in chunks])
    network.train(features, images.labels, len(images.classes))
    logits = network.logits(features)
    ids = np.argsort(-logits, axis=-1)[..., :5]
    scores = np.take_along_axis(logits, ids, axis=-1)
    log_z = np.log(np.exp(logits).sum(axis=-1))
    for index, path in enumerate(images.paths):
        cells = [values[index].T.reshape(5, 2, 2) for values in (scores, ids)]
        write_map(map_path(str(maps), path), *cells, log_z[index].reshape(2, 2))
    save_card(maps, WHOLE._replace(log_z=True), {"classes": images.classes, "num_classes": len(images.classes)})
    said = np.concatenate([network.logits(network.features(test[start:start + 500])).mean(axis=1).argmax(axis=-1)
                           for start in range(0, len(test), 500)])
    return {"test_top1": 100 * float((said == held_out.labels).mean()),
            "train_top1_as_planted": 100 * float((logits.mean(axis=1).argmax(axis=-1) == images.labels).mean())}


def found(ranks: Path, planted: dict[str, str]) -> dict[str, float]:
    """How early planted photos stand among all, which `labels check` has ranked."""
    with ranks.open(newline="", encoding="utf-8") as file:
        hits = np.array([row["image"] in planted for row in csv.DictReader(file)])
    at = np.flatnonzero(hits)
    return {
        "photos": len(hits), "planted": len(at),
        "precision_at_100": hits[:100].mean(), "precision_at_500": hits[:PLANTED].mean(),
        "found_in_1000": hits[:1000].sum() / len(at), "found_in_2500": hits[:2500].sum() / len(at),
        "median_rank": float(np.median(at) + 1), "by_chance_at_500": len(at) / len(hits),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="CIFAR-10 as class folders, train/ and test/")
    parser.add_argument("--work", type=Path, required=True, help="where links, run, maps and ranks go")
    args = parser.parse_args()
    photos, work = args.photos.resolve(), args.work.resolve()
    data, maps, ranks, right = (work / name for name in ("data", "maps", "ranks.csv", "annotator.json"))
    truth = work / "planted.json"
    if not truth.exists():
        if data.exists():
            raise SystemExit(f"{data}: left by a run that was stopped while it made links; remove it")
        planted = plant(photos, data)
        truth.write_text(json.dumps(planted, indent=1, allow_nan=False))
    planted = json.loads(truth.read_text())
    if not right.exists():
        right.write_text(json.dumps(annotate(data, maps), allow_nan=False))
    if not ranks.exists():
        ppim_command("labels", "check", maps, "--images", data, "--all", "--page", work / "page.html", "--ranks", ranks)
    print(json.dumps({**json.loads(right.read_text()), **found(ranks, planted)}, indent=1, allow_nan=False))


if __name__ == "__main__":
    main()
