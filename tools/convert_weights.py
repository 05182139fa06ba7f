"""`ppim convert` from a clone.

    python tools/convert_weights.py lvvit_s-26M-224-83.3.pth.tar lvvit_s.pdparams
    python tools/convert_weights.py output/t2t_vit_7/best.pdparams t2t_vit_7.safetensors --to torch
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppim.__main__ import start  # noqa: E402

if __name__ == "__main__":
    sys.exit(start("convert"))
