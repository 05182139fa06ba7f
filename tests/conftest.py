"""What every test may lean on: the reference numbers and the real images, where they are present."""
from __future__ import annotations

from pathlib import Path

import pytest

import ppim  # noqa: F401  (sets the thread count before any test imports paddle)

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
