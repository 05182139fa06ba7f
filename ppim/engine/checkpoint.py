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
from ppim.files import sha256, sync

_PREFIX = "step_"


class State(NamedTuple):
    """What state.json holds: where the run stands, and under what conditions it came there."""

    step: int  # optimizer steps made
    epoch: int  # passes over the training samples completed
    offset: int  # samples of the next pass already seen, by all processes together
    samples_per_micro: int  # samples of all processes in one forward pass
    seed: int  # SEED of the run
    processes: int  # that trained together
    threads: str  # OMP_NUM_THREADS of each; sums on a CPU depend on it in their last bits
    best: dict  # the best evaluation so far, as in best.json; empty before the first
    ema_updates: int  # of the running average, whose warm-up depends on it
    scaler: dict  # loss scaling under float16: {name of Paddle's: value}
    versions: dict  # {"ppim" | "paddle" | "python": version}
    mkl_cpu_type: str = ""  # which kernels MKL was told to run, see `ppim.mkl`; sums depend on it as on `threads`


class Checkpoint(NamedTuple):
    """`tensors`: {"model" | "optimizer" | "ema": {structured name: array}}; `state`: the rest."""

    tensors: dict[str, dict[str, np.ndarray]]
    state: State


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
        ValueError: it is incomplete, damaged, or written by another ppim.
    """
    if not path.is_dir():
        raise FileNotFoundError(f"no checkpoint folder at {path}")
    fault = find_fault(path)
    if fault is not None:
        raise ValueError(f"{path} is no usable checkpoint: {fault}; --resume alone takes the newest usable one")
    tensors = {file.stem: load_file(file) for file in sorted(path.glob("*.safetensors"))}
    return Checkpoint(tensors, _read_state(path / "state.json"))


def _read_state(path: Path) -> State:
    fields = json.loads(path.read_text(encoding="utf-8"))
    needed = set(State._fields) - set(State._field_defaults)
    odd = sorted((set(fields) - set(State._fields)) | (needed - set(fields)))
    if odd:
        raise ValueError(
            f"{path} was written by another ppim ({fields.get('versions', {}).get('ppim', 'version unknown')}): "
            f"{', '.join(odd)} is in one and not in the other; go on with the ppim that wrote it"
        )
    return State(**fields)


def arithmetic(processes: int) -> dict[str, int | str]:
    """What the last bits of a sum hang on, besides the numbers: who adds them, in how many parts, by which kernels."""
    return {
        "processes": processes,
        "threads": os.environ.get("OMP_NUM_THREADS", ""),
        "mkl_cpu_type": os.environ.get(mkl.VARIABLE, ""),
    }


def unlike(state: State, processes: int) -> list[str]:
    """A line where a run that goes on from `state` computes otherwise than the one that saved it, or none."""
    then = state._asdict()
    changed = [f"{name} {then[name] or 'none'} then, {now or 'none'} now"
               for name, now in arithmetic(processes).items() if then[name] != now]
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
    (folder / "state.json").write_text(json.dumps(checkpoint.state._asdict(), indent=1), encoding="utf-8")
    files = sorted(folder.iterdir())
    lines = [f"{sha256(file)} {file.stat().st_size} {file.name}\n" for file in files]
    (folder / "MANIFEST").write_text("".join(lines), encoding="utf-8")
    for file in [*files, folder / "MANIFEST", folder]:
        sync(file)
