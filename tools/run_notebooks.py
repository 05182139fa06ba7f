"""Run the notebooks in notebooks/, each in a fresh kernel, as a reader would; they leave nothing behind.

    python tools/run_notebooks.py
    python tools/run_notebooks.py token --keep /tmp/executed

WORD runs those whose name contains it. With --keep the executed notebooks, figures included, are written there. Needs
nbclient and ipykernel: pip install "ppim[notebooks]", which `make notebooks` does.
"""
from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
LONGEST = 600  # seconds for one cell


def run(path: Path, keep: Path | None) -> str:
    """Run one notebook; what went wrong, or ""."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as sockets:
        # through files, which other users cannot listen to; a kernel that has imported Paddle takes its time to end
        kernel = {"transport": "ipc", "ip": f"{sockets}/kernel", "shutdown_wait_time": 60.0}
        client = NotebookClient(notebook, timeout=LONGEST, config=Config({"KernelManager": kernel}),
                                resources={"metadata": {"path": str(path.parent)}})
        wrong = ""
        try:
            client.execute()
        except CellExecutionError as error:
            wrong = str(error)
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, keep / path.name)
    return wrong


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("word", nargs="?", default="", help="run those whose name contains it")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="write the executed notebooks there")
    args = parser.parse_args(argv)
    before, failed = set(FOLDER.iterdir()), 0
    chosen = sorted(path for path in FOLDER.glob("*.ipynb") if args.word in path.name)
    for path in chosen:
        start = time.perf_counter()
        wrong = run(path, args.keep)
        print(f"{path.name:<32}{time.perf_counter() - start:6.0f} s  {wrong or 'runs'}", flush=True)
        failed += bool(wrong)
    left = sorted(str(path) for path in set(FOLDER.iterdir()) - before)
    if left:
        print(f"left behind: {', '.join(left)}")
    return int(bool(failed or left or not chosen))


if __name__ == "__main__":
    sys.exit(main())
