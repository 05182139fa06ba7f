"""Twenty mistakes that raise nothing, planted one by one: which are named before or within the first step, what twenty
sound configurations are told, and what looking costs. Writes the table of docs/en/checks.md.

    python tools/benchmark/silent_errors.py [--output FILE.md] [WORD ...]      only cases whose name contains a WORD

Each case is a run of `ppim train` up to its first step, in this process; cases of several processes go through Paddle's
launcher. A mistake counts as named where the check that is meant speaks, or the start is refused.
"""
from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import ppim  # noqa: F401  (sets the thread count before paddle is imported)

# isort: split
import numpy as np
import paddle

from ppim.checks.finding import Finding
from ppim.config import get_config
from ppim.data import shapes
from ppim.engine.checked import QUICK
from ppim.engine.distributed import World, join_world
from ppim.engine.rehearsal import rehearse
from ppim.models import create_model
from ppim.seeds import picture_rng
from ppim.token_labels.card import Reading, save_card
from ppim.token_labels.maps import write_map
from ppim.weights.write import save_state

WH, GRID, TRAIN, VAL = (64, 48), (9, 9), 200, 60
ALIKE = {"kind": "LV-ViT", "name": "tiny", "dense": False, "bias": False, "tokens": True}
RECIPE = """
DATA: {{DATA_PATH: {data}, IMAGE_SIZE: 32, BATCH_SIZE: 32, BATCH_SIZE_EVAL: 32, NUM_WORKERS: 0, CROP_PCT: 1.0}}
MODEL:
  TYPE: {kind}
  NAME: {name}
  NUM_CLASSES: 10
  DROPPATH: 0.0
  DENSE_HEAD: {dense}
  TRANS: {{PATCH_SIZE: 8, EMBED_DIM: 16, DEPTH: 2, NUM_HEADS: 2, MLP_RATIO: 3.0, QKV_BIAS: {bias}, SKIP_LAM: 1.0,
           STEM_CHANNELS: 8, TOKEN_TYPE: performer}}
TRAIN: {{NUM_EPOCHS: 4, WARMUP_EPOCHS: 1, BASE_LR: 1.0e-2, MIXUP_ALPHA: 0.0, CUTMIX_ALPHA: 0.0, MODEL_EMA_DECAY: 0.9}}
TOKEN_LABEL: {{ENABLE: {tokens}, PATH: {labels}}}
MIX: {{TOKEN_ALPHA: 0.0}}
"""


class Fault(NamedTuple):
    """A mistake: what is edited (`edit`, of a copy of the data) or replaced in the code (`planted`), and who names it.
    """

    name: str
    check: str  # the beginning of the check's name, or "refused"
    edit: Callable[[Path], list[str]] | None = None  # folder of a copy of the data -> keys to change
    planted: Callable[[], contextlib.AbstractContextManager] | None = None
    keys: tuple[str, ...] = ()
    processes: int = 1


# ---- what the runs are made of -------------------------------------------------------------------------------------


def write_recipe(folder: Path, data: Path, **changes) -> Path:
    """A small recipe on drawn pictures; its file."""
    said = {**ALIKE, "data": data / "data", "labels": data / "labels" / "train", **changes}
    path = folder / f"{said['kind']}{'_plain' if not said['tokens'] else ''}.yaml"
    path.write_text(RECIPE.format(**said))
    return path


def found_by(recipe: Path, keys) -> list[Finding]:
    """What `ppim train` would be told up to its first step; a start that is refused is a finding, too."""
    keys = [str(key) for key in keys]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return rehearse(get_config(recipe, keys), get_config(recipe), World(), QUICK)
    except (ValueError, OSError) as error:
        return [Finding("refused", "error", str(error))]


def named(found: list[Finding]) -> list[Finding]:
    """The findings that tell of a mistake."""
    return [finding for finding in found if finding.level in ("warning", "error")]


# ---- mistakes in data ----------------------------------------------------------------------------------------------


def files(folder: Path, pattern: str) -> list[Path]:
    """In their order on every machine."""
    return sorted(folder.glob(pattern))


def maps_of_another_set(data: Path) -> list[str]:
    """Maps of pictures that someone else has sorted otherwise, under the names of ours."""
    theirs = data / "theirs"
    shapes.write_dataset(theirs, seed=9, train=TRAIN, val=10, wh=WH, grid=GRID)
    ours, others = files(data / "labels/train", "*/*.npy"), files(theirs / "labels/train", "*/*.npy")
    for place, source in zip(ours, np.random.default_rng(1).permutation(others)):
        shutil.copy(source, place)
    return []


def maps_shuffled(data: Path) -> list[str]:
    """The right maps, each under the name of another photo."""
    places = files(data / "labels/train", "*/*.npy")
    contents = [place.read_bytes() for place in places]
    for place, other in zip(places, np.random.default_rng(2).permutation(len(places))):
        place.write_bytes(contents[other])
    return []


def maps_transposed(data: Path) -> list[str]:
    """Square maps written columns first, of which the card says rows first."""
    for place in files(data / "labels/train", "*/*.npy"):
        np.save(place, np.load(place).transpose(0, 1, 3, 2))
    return []


def maps_of_the_centre(data: Path) -> list[str]:
    """Maps of the centre crop, of which the card says the whole photo."""
    for index in range(TRAIN):
        _, label, owner = shapes.draw_picture(picture_rng(0, "train", index), WH, class_id=index % 10)
        left = (WH[0] - WH[1]) // 2
        place = data / "labels/train" / shapes.CLASSES[label] / f"{index:05d}.npy"
        write_map(str(place), *shapes.label_map_of(owner[:, left:left + WH[1]], GRID))
    return []


def maps_uniform(data: Path) -> list[str]:
    """Maps of which every score is the same."""
    for place in files(data / "labels/train", "*/*.npy"):
        array = np.load(place)
        array[0] = 1.0
        np.save(place, array)
    return []


def lists(data: Path, shift: int, missing: int | None = None) -> list[str]:
    """The photos as lists with numbers for classes; those of the validation list `shift` further on."""
    root = data / "data"
    for split, away in (("train", 0), ("val", shift)):
        lines = [f"{path.relative_to(root)} {(shapes.CLASSES.index(path.parent.name) + away) % 10}"
                 for path in files(root / split, "*/*.jpg") if shapes.CLASSES.index(path.parent.name) != missing]
        (root / f"{split}_list.txt").write_text("\n".join(lines))
    return []


def val_from_train(data: Path) -> list[str]:
    """A third of the validation photos are training photos under other names."""
    for number, path in enumerate(files(data / "data/val", "*/*.jpg")[::3]):
        shutil.copy(files(data / "data/train" / path.parent.name, "*.jpg")[number % 10], path)
    return []


def folder_emptied(data: Path) -> list[str]:
    """A class folder without photos."""
    for path in files(data / "data/train/ring", "*.jpg"):
        path.unlink()
    return []


def imagenet_weights(data: Path) -> list[str]:
    """Weights of a published DeiT, which has seen ImageNet's normalisation, and pictures normalised by halves."""
    save_state({name: value.numpy() for name, value in create_model("deit_tiny").state_dict().items()},
               data / "deit.pdparams")
    return ["MODEL.TYPE", "DeiT", "MODEL.NAME", "deit_tiny", "MODEL.PRETRAINED", data / "deit.pdparams",
            "MODEL.NEW_HEADS", "always", "TOKEN_LABEL.ENABLE", "False", "TRAIN.MODEL_EMA", "False",
            *[word for part in ("PATCH_SIZE", "EMBED_DIM", "DEPTH", "NUM_HEADS", "MLP_RATIO", "QKV_BIAS")
              for word in (f"MODEL.TRANS.{part}", "None")],
            "DATA.IMAGENET_MEAN", "[0.5,0.5,0.5]", "DATA.IMAGENET_STD", "[0.5,0.5,0.5]"]


def own_weights(data: Path) -> list[str]:
    """Weights of a model like the run's."""
    save_state({name: value.numpy() for name, value in _small().state_dict().items()}, data / "own.pdparams")
    return ["MODEL.PRETRAINED", data / "own.pdparams"]


def _small():
    from ppim.models import build_model

    paddle.seed(77)
    return build_model(get_config(None, ["MODEL.NAME", "tiny", "MODEL.NUM_CLASSES", "10", "DATA.IMAGE_SIZE", "32",
                                         *[str(word) for key, value in {
                                             "PATCH_SIZE": 8, "EMBED_DIM": 16, "DEPTH": 2, "NUM_HEADS": 2,
                                             "MLP_RATIO": 3.0, "QKV_BIAS": False, "SKIP_LAM": 1.0, "STEM_CHANNELS": 8,
                                         }.items() for word in (f"MODEL.TRANS.{key}", value)]]))
