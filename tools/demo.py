"""`ppim demo` from a clone: python tools/demo.py [--seed N] [--data DIR] [--output DIR]"""
import os
import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parent.parent)
sys.path.insert(0, ROOT)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH"))))  # for its own processes

from ppim.__main__ import start  # noqa: E402

if __name__ == "__main__":
    sys.exit(start("demo"))
