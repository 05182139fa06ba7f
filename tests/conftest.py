"""What every test may lean on: the reference numbers and the real images, where they are present."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ppim  # noqa: F401  (sets the thread count before any test imports paddle)
from ppim.mixing import Mixed

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def _present(folder: Path, what: str) -> Path:
    if not folder.is_dir():
        pytest.skip(f"{what} not found at {folder}")
    return folder


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of numbers computed with the original PyTorch code."""
    return _present(SHARED / "reference", "reference numbers of the original code")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the archives of real images."""
    return _present(SHARED / "data", "archives of real images")


TINY = """
DATA: {{DATA_PATH: {data}, IMAGE_SIZE: 32, BATCH_SIZE: 4, BATCH_SIZE_EVAL: 4, NUM_WORKERS: 0, CROP_PCT: 1.0}}
MODEL:
  NAME: tiny
  NUM_CLASSES: 3
  DROPPATH: 0.0
  TRANS: {{PATCH_SIZE: 8, EMBED_DIM: 16, DEPTH: 2, NUM_HEADS: 2, MLP_RATIO: 3, QKV_BIAS: False, SKIP_LAM: 1.0,
           STEM_CHANNELS: 8}}
TRAIN: {{NUM_EPOCHS: 4, WARMUP_EPOCHS: 1, BASE_LR: 1.0e-2, MIXUP_ALPHA: 0.0, CUTMIX_ALPHA: 0.0, MODEL_EMA_DECAY: 0.9}}
TOKEN_LABEL: {{ENABLE: True, PATH: {data}/maps, FRAME: whole}}
MIX: {{TOKEN_ALPHA: 1.0}}
SAVE: {save}
REPORT_FREQ: 1
VALIDATE_FREQ: 100
"""


# The demo into data/demo and output/demo, of seed 3, on few pictures and for one step.
SMALL_DEMO = """
from pathlib import Path
from ppim.commands.demo import compare
compare(Path("data/demo").resolve(), Path("output/demo").resolve(), 3, (40, 20), ["TRAIN.MAX_STEPS", "1"])
"""


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """3 classes, 24 training images with 8x6 label maps, 11 validation images; colours give the class away."""
    root, rng = tmp_path_factory.mktemp("tiny"), np.random.default_rng(0)
    for split, counts in (("train", (8, 8, 8)), ("val", (4, 4, 3))):
        for label, count in enumerate(counts):
            for number in range(count):
                width, height = ((40, 30), (30, 40), (36, 36))[number % 3]
                pixels = rng.integers(0, 120, (height, width, 3))
                pixels[..., label] += 120
                path = root / split / f"class{label}" / f"photo.{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype("uint8")).save(path)
                if split == "train":
                    _write_map(root / "maps" / f"class{label}" / f"photo.{number}.npy", label, rng)
    return root


def _write_map(path: Path, label: int, rng) -> None:
    ids = np.tile(((label + np.arange(2)) % 3)[:, None, None], (1, 6, 8))
    scores = rng.normal(size=(2, 6, 8)) + np.array([6.0, 2.0])[:, None, None]
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.stack([scores, ids]).astype("float16"))


@pytest.fixture
def tiny_config(tiny_data, tmp_path) -> Path:
    """A recipe that trains a toy LV-ViT on `tiny_data` into tmp_path/run, 6 steps of 4 images an epoch."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.format(data=tiny_data, save=tmp_path / "run"))
    return path


def as_tensors(mixed: Mixed) -> Mixed:
    """A mix as it comes out of the loader."""
    import paddle

    return Mixed.of_batch({name: paddle.to_tensor(value) for name, value in mixed.as_fields().items()})


def run_python(*args, timeout: float = 120, env: dict | None = None, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    """Run this interpreter with `args` from the repository root, on two threads a process."""
    own = {"PPIM_THREADS": "2", **(env or {})}
    return subprocess.run(
        [sys.executable, *map(str, args)], cwd=cwd, timeout=timeout, env={**os.environ, **own}, text=True,
        capture_output=True,
    )


def launch(processes: int, *args, log_dir: Path, timeout: float = 180) -> subprocess.CompletedProcess:
    """The same through Paddle's launcher; on CPU it takes a number of processes, device lists crash it."""
    return run_python(
        "-m", "paddle.distributed.launch", "--nproc_per_node", processes, "--log_dir", log_dir, *args, timeout=timeout
    )
