"""What must be kept so that a run goes on as if it had never stopped?

A checkpoint is a folder `step_00001234`: `model`, `optimizer` and, with a running average, `ema` as safetensors with
structured names; `state.json`; and `MANIFEST`, a line `sha256 bytes name` for each of them. The folder is written
beside its place, synced, renamed: it is there whole or not at all. A reader takes the newest whose MANIFEST holds
(`ppim.weights.checkpoints`).

Generator states are no part of it, because there are none to keep: every draw for a sample is keyed by (seed, epoch,
index), every draw for a batch by (seed, step), and Paddle's own generator is seeded anew for every step and rank.
"""
from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file

from ppim import mkl
from ppim.data.images import ImageList
from ppim.files import sync
from ppim.strict_json import dumps
from ppim.weights.card import as_metadata
from ppim.weights.checkpoints import checkpoint_name, find_fault, list_checkpoints, listed_files, write_manifest
from ppim.weights.safetensors_files import write_safetensors

_LEFTOVER = re.compile(r"\.step_[0-9]{8}\.[0-9]+(\.old)?")


class State(NamedTuple):
    """What state.json holds: where the run stands, and under what conditions it came there."""

    step: int  # optimizer steps made
    epoch: int  # passes over the training samples completed
    offset: int  # samples of the next pass already seen, by all processes together
    samples_per_micro: int  # samples of all processes in one forward pass
    seed: int  # SEED of the run
    processes: int  # that trained together
    threads: str  # OMP_NUM_THREADS of each; sums on a CPU depend on it in their last bits
    best: dict[str, Any]  # the best evaluation so far, as in best.json; empty before the first
    ema_updates: int  # of the running average, whose warm-up depends on it
    scaler: dict[str, Any]  # loss scaling under float16: {name of Paddle's: value}
    versions: dict[str, str]  # {"ppim" | "paddle" | "python": version}
    mkl_cpu_type: str = ""  # which kernels MKL was told to run, see `ppim.mkl`; sums depend on it as on `threads`
    stale: int = 0  # evaluations since the best
    seconds: float = 0.0  # of training, of all starts, where they are counted (TRAIN.MAX_HOURS)
    card: dict[str, Any] = {}  # of the weights, see `ppim.weights.card`; {} in older checkpoints
    photos: int = 0  # it is trained on; 0 in older checkpoints
    photo_list: int = 0  # their `ImageList.checksum`


class Checkpoint(NamedTuple):
    """`tensors`: {"model" | "optimizer" | "ema": {structured name: array}}; `state`: the rest."""

    tensors: dict[str, dict[str, np.ndarray]]
    state: State


def save_checkpoint(folder: Path, checkpoint: Checkpoint, step: int, keep: int) -> Path:
    """Write `folder/step_<step>`; afterwards it and the `keep` - 1 before it remain. Later ones are left alone.

    Raises:
        ValueError: the disk is full or may not be written; the checkpoints there before are as they were.
    """
    target = folder / checkpoint_name(step)
    beside = folder / f".{target.name}.{os.getpid()}"
    try:
        _write(beside, checkpoint)
        if os.path.lexists(target):
            _clear(target)
        os.replace(beside, target)
        sync(folder)
    except OSError as error:
        raise ValueError(f"cannot write checkpoint {target}: {error}; earlier checkpoints are untouched") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    for old in [path for path in list_checkpoints(folder) if path.name < target.name][keep - 1:]:
        _remove(old)
    return target


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
    return read_checkpoint(path)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint folder in which `find_fault` has just found none.

    Raises:
        ValueError: it was written by another ppim.
    """
    tensors = {file.stem: load_file(file) for file in listed_files(path) if file.suffix == ".safetensors"}
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


def learnt_from(images: ImageList) -> dict[str, int]:
    """What tells of other training photos."""
    return {"photos": len(images), "photo_list": images.checksum}


def unlike(state: State, processes: int, images: ImageList) -> list[str]:
    """Lines where a run that goes on from `state` computes otherwise than the one that saved it, or none."""
    then = state._asdict()
    changed = [f"{name} {then[name] or 'none'} then, {now or 'none'} now"
               for name, now in arithmetic(processes).items() if then[name] != now]
    return [f"not bit-equal to a run that never stopped: {', '.join(changed)}"] * bool(changed) + _others(state, images)


def _others(state: State, images: ImageList) -> list[str]:
    """A line where these are not the training photos of `state`; their order counts, and their classes."""
    if not state.photos or learnt_from(images) == {"photos": state.photos, "photo_list": state.photo_list}:
        return []
    now = f"{len(images):,} now" if len(images) != state.photos else "as many others now"
    return [f"the training photos are not those of the checkpoint: {state.photos:,} then, {now}; from here on batches "
            "are others than they would have been"]


def remove_leftovers(folder: Path) -> None:
    """Delete what a killed writer left behind, which no process may be writing any more."""
    for path in folder.glob(".step_*"):
        if _LEFTOVER.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def set_aside(path: Path) -> Path:
    """Rename what has a checkpoint's name, so that it counts no more and nobody deletes it; its new path."""
    number, aside = 1, path.with_name(f"{path.name}.aside")
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.aside{number}")
    path.rename(aside)
    return aside


def _clear(target: Path) -> None:
    """Make room for a checkpoint: another of the same step goes, a file or a link in its place is set aside."""
    if target.is_dir() and not target.is_symlink():
        _remove(target)
    else:
        set_aside(target)


def _remove(checkpoint: Path) -> None:
    """Delete a checkpoint in one moment, as seen by readers; what cannot be deleted now is a leftover."""
    old = checkpoint.with_name(f".{checkpoint.name}.{os.getpid()}.old")
    checkpoint.rename(old)
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old, ignore_errors=True)


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    metadata = {"layout": "paddle", **as_metadata(checkpoint.state.card)}
    for name, tensors in checkpoint.tensors.items():
        write_safetensors(folder / f"{name}.safetensors", tensors, metadata)
    (folder / "state.json").write_text(dumps(checkpoint.state._asdict(), indent=1), encoding="utf-8")
    write_manifest(folder)
    for path in [*sorted(folder.iterdir()), folder]:
        sync(path)
