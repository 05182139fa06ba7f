"""Are the tests any good? Plant known mistakes one at a time; each must make its test fail.

The mistakes are listed in `mutants.yaml` files beside the tests: `name`, `file`, `old` (an exact piece of the file that
occurs once), `new`, and `tests` (what pytest is to run). Each is planted in a copy of the repository.

    python tests/run_mutants.py [WORD ...]      only mutants whose name or file contains a WORD
"""
from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("ppim", "tests", "tools", "compat", "configs", "docs", "notebooks", "data/README.md", "Makefile",
          "pytest.ini", "LICENSE", "README.md", "README_cn.md",
          *sorted(path.name for path in ROOT.iterdir() if path.suffix in (".py", ".sh")))


def main(words: list[str]) -> int:
    mutants = [
        {**mutant, "from": path}
        for path in sorted((ROOT / "tests").rglob("mutants.yaml"))
        for mutant in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]
    chosen = [m for m in mutants if not words or any(word in m["name"] or word in m["file"] for word in words)]
    survivors = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "repository"
        copy.mkdir()
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                (copy / name).parent.mkdir(exist_ok=True)
                shutil.copy(source, copy / name, follow_symlinks=False)
        shared = ROOT.parent / "shared"
        if shared.is_dir():
            (Path(folder) / "shared").symlink_to(shared)
        for mutant in chosen:
            verdict = plant(copy, mutant)
            print(f"{verdict:9} {mutant['file']}: {mutant['name']}", flush=True)
            if verdict != "caught":
                survivors.append(mutant["name"])
    print(f"{len(chosen) - len(survivors)} passed, {len(survivors)} failed")
    return 1 if survivors or not chosen else 0


def plant(copy: Path, mutant: dict) -> str:
    """`caught` if the test fails with the mistake planted; `survived`, or `misplaced` if it cannot be planted."""
    target = copy / mutant["file"]
    original = target.read_text(encoding="utf-8")
    if original.count(mutant["old"]) != 1:
        return "misplaced"
    target.write_text(original.replace(mutant["old"], mutant["new"]), encoding="utf-8")
    try:
        tests = shlex.split(mutant["tests"]) if isinstance(mutant["tests"], str) else mutant["tests"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
            cwd=copy, capture_output=True, text=True, timeout=600,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        )
    finally:
        target.write_text(original, encoding="utf-8")
    # 1: tests failed; anything else but 0 means that they could not be run
    return {0: "survived", 1: "caught"}.get(done.returncode, "not run")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
