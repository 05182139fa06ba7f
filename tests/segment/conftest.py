"""Painted photos on disk, and a recipe that trains on them."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppim.engine.command import run
from tests.segment.painted import OPTIONS, RECIPE, painted, some_mask


@pytest.fixture(scope="session")
def ade(tmp_path_factory) -> Path:
    """12 training and 5 validation photos as ADE20K lies there, of three classes, with its list of their names."""
    root, rng = tmp_path_factory.mktemp("ade"), np.random.default_rng(0)
    for split, count in (("training", 12), ("validation", 5)):
        for number in range(count):
            mask = some_mask(rng, *((20, 32), (34, 20), (24, 24))[number % 3])
            for kind, picture in (("images", painted(mask)), ("annotations", Image.fromarray(mask))):
                path = root / kind / split / f"ADE_{number:08d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                picture.save(path)
    lines = ["Idx\tRatio\tTrain\tVal\tName", *(f"{n}\t0.1\t1\t1\t{name}" for n, name in
                                               enumerate(("wall", "sky", "flag, banner"), 1))]
    (root / "objectInfo150.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def recipe(ade, tmp_path) -> str:
    """A recipe of 3 steps of 4 photos an epoch, into tmp_path/run."""
    path = tmp_path / "toy.yaml"
    path.write_text(RECIPE.format(data=ade, save=tmp_path / "run"))
    return str(path)


@pytest.fixture(scope="session")
def whole(ade, tmp_path_factory) -> tuple[str, Path]:
    """Recipe and folder of a run of 6 steps of two micro-batches, with a checkpoint of each, evaluated at its end."""
    root = tmp_path_factory.mktemp("segmenter")
    path = root / "toy.yaml"
    path.write_text(RECIPE.format(data=ade, save=root / "run"))
    run(str(path), OPTIONS)
    return str(path), root / "run"
