"""How does ppim start a command of its own? As a process, of the package that this file belongs to."""
from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run_command(*words: str, **how) -> subprocess.CompletedProcess:
    """`ppim WORDS`, from the folder above the package; paths among `words` are absolute ones.

    Args:
        how: as for `subprocess.run`.
    """
    # `-m` looks first in the folder where it is started, where another ppim may lie
    return subprocess.run([sys.executable, "-m", "ppim", *words], cwd=Path(__file__).parents[1], **how)
