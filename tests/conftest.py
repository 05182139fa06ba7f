"""What every test may lean on: reference numbers, real images and published pages where they are present, a toy run."""
from __future__ import annotations

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ppim  # noqa: F401  (sets the thread count before any test imports paddle)
from tests.helpers import ROOT, processes_marked, write_tiny_recipe

SHARED = ROOT.parent / "shared"


# ---- nothing is left behind ----------------------------------------------------------------------------------------

_MARK = "PPIM_TESTS"  # in the environment of all that a session starts
_SEGMENTS = Path("/dev/shm")


def pytest_configure(config):
    config.is_of_a_session = _MARK in os.environ
    os.environ.setdefault(_MARK, f"{os.getpid()}-{time.time_ns()}")
    config.segments_before = _segments()


# files whose tests are whole runs, as typed, launched and killed: `make test-runs`
_RUNS = ("faults/test_campaign", "engine/test_signals", "engine/test_distributed", "commands/test_wheel",
         "commands/test_demo", "dialects/test_commands", "test_documented_lines", "engine/test_ending",
         "test_real_images")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if any(name in item.nodeid for name in _RUNS):
            item.add_marker("runs")
    # begun first, so that no worker sits idle beside the last of them
    items.sort(key=lambda item: item.get_closest_marker("runs") is None)


def _segments() -> set[str]:
    """Shared memory of Paddle's of which the process that made it has ended."""
    found = {path.name: re.match(r"paddle_(\d+)_", path.name) for path in _SEGMENTS.glob("paddle_*")}
    return {name for name, made in found.items() if made and not Path("/proc", made[1]).exists()}


def _tested_by_others() -> bool:
    """Do other sessions run on this machine? A segment does not say whose it was."""
    ours = processes_marked(f"{_MARK}={os.environ[_MARK]}")
    return any("pytest" in words for pid, words in processes_marked().items() if pid not in {os.getpid(), *ours})


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    if session.config.is_of_a_session:  # a worker, or started by a test: the first session looks
        return
    for _ in range(50):
        left = {pid: words for pid, words in processes_marked(f"{_MARK}={os.environ[_MARK]}").items()
                if pid != os.getpid() and "sys.stdin.readline()" not in words}  # pytest's own processes
        if not left:
            break
        time.sleep(0.1)
    lines = [f"still running: {pid} {words}" for pid, words in left.items()]
    if not _tested_by_others():
        lines += [f"left in {_SEGMENTS}: {name}" for name in sorted(_segments() - session.config.segments_before)]
    if lines:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        session.config.get_terminal_writer().write("\n" + "\n".join(["the tests left something behind", *lines, ""]))


# ---- what tests start from -----------------------------------------------------------------------------------------


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


@pytest.fixture(scope="session")
def published_pages() -> Path:
    """The folder with the pages of the original projects, as text."""
    return _present(SHARED / "seeds", "published pages")


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
    return write_tiny_recipe(tmp_path, tiny_data)
