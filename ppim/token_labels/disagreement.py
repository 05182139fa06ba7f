"""Which photos' maps speak against the class of their folder? Wrong labels, and photos of several things.

The measure is a number per photo, the margin: log p(the folder's class) - log p(the best of all other classes), where p
is the map's distribution over all that it covers (as the class token is taught it, without smoothing). Below zero
the map favours another class, and the farther below the more it does; photos are ranked by it, the least first.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ppim.geometry import WHOLE
from ppim.token_labels.maps import LabelMap
from ppim.token_labels.store import Maps
from ppim.token_labels.targets import dense, token_targets

_CELL = (1, 1)  # one token over the whole map
_LEAST = 1e-12  # what a probability counts at least


class Ranked(NamedTuple):
    """Photos and how far their maps speak against their folders; every array (n,), the farthest first.

    Attributes:
        index: which photo, int64. other: the best class besides the folder's, int64.
        p_folder, p_other: what the map gives to either, float64. margin: log p_folder - log p_other.
    """

    index: np.ndarray
    other: np.ndarray
    p_folder: np.ndarray
    p_other: np.ndarray
    margin: np.ndarray


def ranked(maps: Maps, images: Sequence[str], labels: np.ndarray, chosen: np.ndarray) -> Ranked:
    """Rank photos whose maps are sound.

    Args:
        images: paths; labels: (n,) the class of each one's folder; chosen: (m,) which of them are ranked.
    """
    rows = [against(maps.read(images[i], (1, 1)), int(labels[i]), maps.num_classes) for i in chosen.tolist()]
    other, p_folder, p_other = (np.array(column) for column in zip(*rows)) if rows else (np.zeros(0),) * 3
    margin = np.log(np.maximum(p_folder, _LEAST)) - np.log(np.maximum(p_other, _LEAST))
    order = np.argsort(margin, kind="stable")
    return Ranked(np.asarray(chosen)[order], other.astype(np.int64)[order], p_folder[order], p_other[order],
                  margin[order])


def against(label_map: LabelMap, label: int, num_classes: int) -> tuple[int, float, float]:
    """The best class of a map besides `label`, and the probabilities of `label` and of that class."""
    target = "released" if label_map.log_z is None else "probs"
    of_class, _ = token_targets(label_map._replace(window=WHOLE), (), _CELL, num_classes, smoothing=0.0, target=target)
    share = dense(of_class, num_classes)[0].astype(np.float64)
    own, share[label] = float(share[label]), -1.0
    other = int(share.argmax())
    return other, own, float(share[other])
