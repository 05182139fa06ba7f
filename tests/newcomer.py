"""The first ten minutes of docs/en/getting_started.md, typed line by line in an empty folder: does all of it work?

    python tests/newcomer.py

Not part of `make test`: `ppim demo` alone trains for minutes. Ends with exit code 1 where a line fails, or where what
it should leave is not there.
"""
from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "en" / "getting_started.md"
PHOTO = "data/demo/data/val/disc/00003.jpg"


def lines() -> list[str]:
    """What the page tells a newcomer to type."""
    block = re.search(r"## The first ten minutes\n+```bash\n(.+?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return block[1].splitlines()


def typed(line: str, folder: Path) -> str:
    """What a line prints; the program ends where it fails."""
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    print(f"$ {line}", flush=True)
    before = time.perf_counter()
    done = subprocess.run(["bash", "-c", line], cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
    print(f"{done.stdout[-2500:]}({time.perf_counter() - before:.0f} s)\n", flush=True)
    if done.returncode:
        sys.exit(f"exit code {done.returncode}")
    return done.stdout


def look(folder: Path) -> list[str]:
    """What is wrong with what the lines have left."""
    wrong = []
    for pattern, least in (("output/inside/**/*.png", 5), ("output/inside/index.html", 1),
                           ("output/report/mistakes.html", 1), ("output/report/confusion.png", 1),
                           ("output/bundle/infer.py", 1)):
        found = [path for path in folder.glob(pattern) if path.stat().st_size > 500]
        if len(found) < least:
            wrong.append(f"{len(found)} of at least {least} {pattern}")
    return wrong


def same_answer(folder: Path) -> list[str]:
    """Does the bundle, which does not know ppim, say of a photo what ppim says?"""
    ours, theirs = (json.loads(typed(f"{line} {PHOTO} --json --topk 1", folder).splitlines()[-1])["predictions"][0]
                    for line in ("ppim predict --load output/demo/token_labels_seed0", "python output/bundle/infer.py"))
    agree = ours["name"] == theirs["name"] and abs(ours["probability"] - theirs["probability"]) < 1e-4
    return [] if agree else [f"ppim says {ours}, the bundle {theirs}"]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for line in lines():
            typed(line, folder)
        wrong = look(folder) + same_answer(folder)
    sys.exit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
