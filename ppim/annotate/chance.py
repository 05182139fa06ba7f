"""Is an annotator better than guessing? Asked of some of the photos, before maps are made of all of them.

It can be asked where photos lie in folders that bear the names of the annotator's classes. What counts as better is
two standard deviations above how often its answers would be right if they were shuffled.
"""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle

from ppim.annotate.generate import View, look
from ppim.checks.classes import agreement
from ppim.data.classes import spelt
from ppim.objective.pixels import normalise

SAMPLE = 128  # photos that are looked at
FEWEST = 20  # of which anything can be said
_LUCK = 2.0  # standard deviations


class Verdict(NamedTuple):
    """How often an annotator names the class whose folder a photo lies in, and how often by chance: as often as its
    answers when shuffled, at least as often as one of its classes drawn at random; shares.
    """

    right: float
    chance: float
    photos: int
    is_chance: bool

    def __str__(self) -> str:
        return (f"this annotator is right on {100 * self.right:.1f} % of {self.photos} of these photos, chance is "
                f"{100 * self.chance:.1f} %")


def judge(model, folder, files: Sequence[str], names: Sequence[str], view: View, batch_size: int) -> Verdict | None:
    """Do a model's classes agree with the folders of some of `files`? None where they do not say enough.

    Args:
        model: in evaluation mode.
        folder: what `files` are relative to; the first folder in a file's path is its class.
        names: of the model's classes.
    """
    place = {spelt(name): number for number, name in enumerate(names)}
    folders = [(file, spelt(file.split("/")[0])) for file in files]
    known = [(file, place[name]) for file, name in folders if name in place]
    # spread over all of them, because they stand by classes
    some = [known[i] for i in np.unique(np.linspace(0, len(known) - 1, min(SAMPLE, len(known))).round().astype(int))]
    labels = np.array([label for _, label in some], np.int64)
    if len(some) < FEWEST or len(np.unique(labels)) == 1:
        return None
    said = [_answers(model, folder, some[start : start + batch_size], view)
            for start in range(0, len(some), batch_size)]
    hits, chance, spread = agreement(np.concatenate(said), labels, model.num_classes)
    told = max(chance / len(some), 1 / model.num_classes)
    return Verdict(hits / len(some), told, len(some), hits <= chance + _LUCK * spread)


def _answers(model, folder, files: Sequence[tuple[str, int]], view: View) -> np.ndarray:
    pixels = paddle.to_tensor(np.stack([look(Path(folder) / file, view) for file, _ in files]))
    with paddle.no_grad():
        return model(normalise(pixels, view.mean, view.std)).argmax(axis=1).numpy()
