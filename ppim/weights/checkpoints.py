"""Which checkpoints lie in a folder, and is one of them as it was written? Its MANIFEST tells.

A checkpoint is a folder called `step_` and eight digits. Its MANIFEST has a line `sha256 bytes name` for each of its
files, sorted by name. Whatever departs from that, in MANIFEST itself or in a file, is a fault of this one checkpoint,
and the one before it is taken. Files that MANIFEST does not list are not looked at.
"""
from __future__ import annotations

import json
import re
from pathlib import Path

from ppim.files import sha256

_NAME = re.compile(r"step_([0-9]{8})")
_LINE = re.compile(r"([0-9a-f]{64}) (0|[1-9][0-9]{0,17}) ((?:ema|model|optimizer)\.safetensors|state\.json)\n")
_NEEDED = ("model.safetensors", "optimizer.safetensors", "state.json")
_LONGEST = 4096  # bytes; four lines are some 400


def checkpoint_name(step: int) -> str:
    """The folder's name after `step` optimizer steps."""
    return f"step_{step:08d}"


def step_of(path: Path) -> int | None:
    """The number in a checkpoint's name; None where the name is another's."""
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else None


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders, newest first, valid or not. A file, or a copy called `step_00000003_mine`, is none."""
    found = [path for path in folder.glob("step_*") if step_of(path) is not None and path.is_dir()]
    return sorted(found, reverse=True)


def newest_valid(folder: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint whose MANIFEST holds, or None; and a line about each newer one that was passed over."""
    passed_over = []
    for path in list_checkpoints(folder):
        fault = find_fault(path)
        if fault is None:
            return path, passed_over
        passed_over.append(f"{path}: {fault}")
    return None, passed_over


def find_fault(path: Path) -> str | None:
    """Why this folder is no whole checkpoint, or None."""
    try:
        for name, (digest, size) in _read_manifest(path).items():
            _check_file(path / name, digest, size)
        _check_average(path)
    except OSError as error:
        return f"cannot be read: {error}"
    except ValueError as error:
        return str(error)
    return None


def listed_files(path: Path) -> list[Path]:
    """The files of a checkpoint without a fault."""
    return [path / name for name in _read_manifest(path)]


def write_manifest(folder: Path) -> Path:
    """MANIFEST of the files in `folder`; returns its path."""
    files = sorted(folder.iterdir())
    manifest = folder / "MANIFEST"
    manifest.write_text("".join(f"{sha256(file)} {file.stat().st_size} {file.name}\n" for file in files), "utf-8")
    return manifest


def _read_manifest(folder: Path) -> dict[str, tuple[str, int]]:
    """{name: (sha256, bytes)}.

    Raises:
        ValueError: there is none, or it is not as it was written.
    """
    manifest = folder / "MANIFEST"
    if not manifest.is_file():
        raise ValueError("no MANIFEST in it: it was not finished")
    with manifest.open("rb") as file:
        text = file.read(_LONGEST).decode("ascii", "replace")
    lines = [_LINE.fullmatch(line) for line in text.splitlines(keepends=True)]
    if None in lines:
        raise ValueError(f"MANIFEST is damaged: line {lines.index(None) + 1} is no `sha256 bytes name`")
    entries = {line[3]: (line[1], int(line[2])) for line in lines}
    if [line[3] for line in lines] != sorted(entries):
        raise ValueError("MANIFEST is damaged: its lines are not sorted, or a file stands in it twice")
    missing = [name for name in _NEEDED if name not in entries]
    if missing:
        raise ValueError(f"MANIFEST is damaged: {', '.join(missing)} is not listed")
    return entries


def _check_file(file: Path, digest: str, size: int) -> None:
    if not file.is_file():
        raise ValueError(f"{file.name} is missing")
    if file.stat().st_size != size:
        raise ValueError(f"{file.name} has {file.stat().st_size} bytes, {size} were written")
    if sha256(file) != digest:
        raise ValueError(f"{file.name} has changed since it was written")


def _check_average(folder: Path) -> None:
    """A run that keeps a running average has one in every checkpoint; state.json is known to be whole."""
    averaged = json.loads((folder / "state.json").read_text(encoding="utf-8")).get("ema_updates")
    if averaged and "ema.safetensors" not in _read_manifest(folder):
        raise ValueError("MANIFEST is damaged: ema.safetensors is not listed")
