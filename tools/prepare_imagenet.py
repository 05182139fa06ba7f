"""`ppim data imagenet` from a clone: python tools/prepare_imagenet.py ARCHIVES [--output DIR] [--synsets FILE]"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppim.__main__ import start  # noqa: E402

if __name__ == "__main__":
    sys.exit(start("data", "imagenet"))
