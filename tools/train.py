"""`ppim train` from a clone; `python tools/train.py --help` lists the options."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppim.__main__ import start  # noqa: E402

if __name__ == "__main__":
    sys.exit(start("train"))
