"""What must be kept so that a run goes on as if it had never stopped?

A checkpoint is a folder `step_00001234`: `model`, `optimizer` and, with a running average, `ema` as safetensors with
structured names; `state.json`; and `MANIFEST`, a line `sha256 bytes name` for each of them. The folder is written
beside its place, synced, renamed: it is there whole or not at all. A reader takes the newest whose MANIFEST holds.

Generator states are no part of it, because there are none to keep: every draw for a sample is keyed by (seed, epoch,
index), every draw for a batch by (seed, step), and Paddle's own generator is seeded anew for every step and rank.
"""
from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ppim import mkl
from ppim.engine.run_folder import RunFolder
from ppim.files import sha256, sync

_PREFIX = "step_"


class Checkpoint(NamedTuple):
    """`tensors`: {"model" | "optimizer" | "ema": {name: array}}; `state`: what state.json holds."""

    tensors: dict[str, dict[str, np.ndarray]]
    state: dict


def save_checkpoint(folder: Path, checkpoint: Checkpoint, step: int, keep: int) -> Path:
    """Write `folder/step_<step>`; afterwards only the newest `keep` remain.

    Raises:
        ValueError: the disk is full or may not be written; the checkpoints there before are as they were.
    """
    target = folder / f"{_PREFIX}{step:08d}"
    beside = folder / f".{target.name}.{os.getpid()}"
    try:
        _write(beside, checkpoint)
        if target.exists():
            shutil.rmtree(target)
        os.replace(beside, target)
        sync(folder)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"cannot write checkpoint {target}: {error}; earlier checkpoints are untouched") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    for old in list_checkpoints(folder)[keep:]:
        shutil.rmtree(old)
    return target


def list_checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders, newest first, valid or not."""
    return sorted(folder.glob(f"{_PREFIX}[0-9]*"), reverse=True)


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
    manifest = path / "MANIFEST"
    if not manifest.is_file():
        return "no MANIFEST in it: it was not finished"
    for line in manifest.read_text(encoding="utf-8").splitlines():
        digest, size, name = line.split(" ", 2)
        file = path / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != int(size):
            return f"{name} has {file.stat().st_size} bytes, {size} were written"
        if sha256(file) != digest:
            return f"{name} has changed since it was written"
    return None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is incomplete or damaged.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"no checkpoint folder at {path}")
    fault = find_fault(path)
    if fault is not None:
        raise ValueError(f"{path} is no usable checkpoint: {fault}; --resume alone takes the newest usable one")
    tensors = {file.stem: load_file(file) for file in sorted(path.glob("*.safetensors"))}
    return Checkpoint(tensors, json.loads((path / "state.json").read_text(encoding="utf-8")))


def find_resumed(folder: RunFolder, resume: str | None) -> tuple[Checkpoint | None, list[str]]:
    """What to go on from, and lines to tell about it.

    Raises:
        ValueError: the run folder is in use and `resume` is None, or a checkpoint is damaged.
        FileNotFoundError: `resume` names nothing that can be resumed.
    """
    if resume is None:
        folder.check_free()
        return None, []
    source = folder.checkpoints if resume == "auto" else Path(resume)
    if (source / "checkpoints").is_dir():
        source = source / "checkpoints"
    if (source / "MANIFEST").is_file():
        return load_checkpoint(source), [f"going on from {source}"]
    newest, passed_over = newest_valid(source)
    if newest is None:
        if resume == "auto" and not passed_over:
            return None, [f"no checkpoint in {source} yet: starting anew"]
        why = "; ".join(passed_over) or "there is none"
        raise FileNotFoundError(f"no usable checkpoint in {source}: {why}")
    return load_checkpoint(newest), [*(f"passed over {line}" for line in passed_over), f"going on from {newest}"]


def arithmetic(processes: int) -> dict[str, int | str]:
    """What the last bits of a sum hang on, besides the numbers: who adds them, in how many parts, by which kernels."""
    return {
        "processes": processes,
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
        "mkl_cpu_type": os.environ.get(mkl.VARIABLE, ""),
    }


def unlike(state: dict, processes: int) -> list[str]:
    """A line where a run that goes on from `state` computes otherwise than the one that saved it, or none."""
    changed = [f"{name} {state.get(name, '') or 'none'} then, {now or 'none'} now"
               for name, now in arithmetic(processes).items() if state.get(name, "") != now]
    return [f"not bit-equal to a run that never stopped: {', '.join(changed)}"] if changed else []


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed writer left behind."""
    for leftover in folder.glob(f".{_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, tensors in checkpoint.tensors.items():
        save_file(tensors, folder / f"{name}.safetensors", metadata={"layout": "paddle"})
    (folder / "state.json").write_text(json.dumps(checkpoint.state, indent=1), encoding="utf-8")
    files = sorted(folder.iterdir())
    lines = [f"{sha256(file)} {file.stat().st_size} {file.name}\n" for file in files]
    (folder / "MANIFEST").write_text("".join(lines), encoding="utf-8")
    for file in [*files, folder / "MANIFEST", folder]:
        sync(file)
