"""How often are an annotator's maps of collages right, cell by cell, and how sure are they?

    python tools/proof/annotator_cells.py --exact output/proof/collage_100/labels/train \\
        --maps output/proof/collage_100/labels_annotator/train

prints a JSON object: `cells` of the exact maps whose best class has a probability of a half or more; `right`, the
percent of them for which the other map has the same best class; the mean `entropy` of what it says of them, in nats,
and that of the exact maps; its `favourite`, the class that it says most often of cells of other classes, and of how
many of these, in percent. Maps of other grids are averaged over the exact ones' cells.
"""
from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ppim.data.collage import CANVAS
from ppim.geometry import HW
from ppim.token_labels.card import Reading, load_card, read_card, save_card
from ppim.token_labels.maps import LabelMap, write_map
from ppim.token_labels.reads import blank_cells
from ppim.token_labels.store import Maps, open_maps
from ppim.token_labels.targets import dense, token_targets

KEPT = 5  # classes of a cell that a map holds
LEAST = 1e-6  # probability; its logarithm must be a number
CLEAR = 0.5  # probability of a cell's best class from which on it counts


def both(exact: Path, made: Path, classes: int) -> Iterator[tuple[Path, LabelMap, LabelMap]]:
    """Place below the folders, exact map and other map of every picture.

    Raises:
        FileNotFoundError: a picture's other map is missing.
    """
    true, other = _opened(exact, classes), _opened(made, classes)
    for path in sorted(exact.rglob("*.npy")):
        place = path.relative_to(exact)
        yield place, true.read(str(place), CANVAS), other.read(str(place), CANVAS)


def _opened(folder: Path, classes: int) -> Maps:
    return open_maps(folder, classes, read_card(folder) or Reading(log_z=True))


def probabilities(label_map: LabelMap, grid: HW, classes: int) -> np.ndarray:
    """(rows, columns, C) of the cells of a grid over the whole picture."""
    targets = token_targets(label_map, [], grid, classes, smoothing=0.0, target="probs")[1]
    return dense(targets, classes).reshape(*grid, classes)


def without_ground(exact: Path, made: Path, output: Path, classes: int) -> None:
    """Write the maps `made` on the exact ones' grid, saying nothing of cells that are ground, as exact maps do."""
    for place, true, other in both(exact, made, classes):
        said = probabilities(other, true.scores.shape[1:], classes)
        ids = np.argsort(-said, axis=2, kind="stable")[:, :, :KEPT]
        scores = np.log(np.maximum(np.take_along_axis(said, ids, 2), LEAST)).transpose(2, 0, 1)
        ground = blank_cells(true)
        write_map(str(output / place), np.where(ground, 0, scores), ids.transpose(2, 0, 1),
                  np.where(ground, np.log(classes), 0))
    named = {key: value for key, value in (load_card(made) or {}).items() if key == "classes"}
    save_card(output, Reading(log_z=True), {"form": 1, "model": "annotated, ground left out", "num_classes": classes,
                                            **named})


def judged(exact: Path, made: Path, classes: int) -> dict[str, float | str]:
    """The figures of this file's head; a class by its name, if the card of `made` has names."""
    shown, said, entropy, exact_entropy = [], [], [], []
    for _, true, other in both(exact, made, classes):
        grid = true.scores.shape[1:]
        shows, says = (probabilities(one, grid, classes) for one in (true, other))
        counted = shows.max(axis=2) >= CLEAR  # which ground is not
        shown.append(shows.argmax(axis=2)[counted])
        said.append(says.argmax(axis=2)[counted])
        entropy.append(_entropy(says[counted]))
        exact_entropy.append(_entropy(shows[counted]))
    shown, said, entropy, exact_entropy = map(np.concatenate, (shown, said, entropy, exact_entropy))
    wrongly = np.array([np.mean(said[shown != one] == one) if (shown != one).any() else 0 for one in range(classes)])
    names = (load_card(made) or {}).get("classes") or [str(number) for number in range(classes)]
    return {"cells": len(shown), "right": round(100 * float(np.mean(shown == said)), 2),
            "entropy": round(float(entropy.mean()), 3), "exact_entropy": round(float(exact_entropy.mean()), 3),
            "favourite": names[wrongly.argmax()], "of_others": round(100 * float(wrongly.max()), 2)}


def _entropy(probs: np.ndarray) -> np.ndarray:
    probs = probs.astype(np.float64)
    return -(probs * np.log(np.maximum(probs, 1e-12))).sum(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exact", type=Path, required=True, help="exact maps of a split of collages")
    parser.add_argument("--maps", type=Path, required=True, help="the annotator's of the same pictures")
    parser.add_argument("--classes", type=int, default=10)
    args = parser.parse_args()
    print(json.dumps(judged(args.exact, args.maps, args.classes), allow_nan=False))


if __name__ == "__main__":
    main()
