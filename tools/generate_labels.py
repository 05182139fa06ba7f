"""`ppim labels make` from a clone.

    python tools/generate_labels.py -c configs/annotator.yaml --load annotator.pdparams --images data/photos/train \
        --output data/labels/train
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppim.__main__ import start  # noqa: E402

if __name__ == "__main__":
    sys.exit(start("labels", "make"))
