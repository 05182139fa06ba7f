"""Which weights of a run's folder are meant, and which configuration is theirs?"""
from __future__ import annotations

from pathlib import Path

from ppim.weights.checkpoints import newest_valid


def weights_in(folder: str | Path, which: str = "auto") -> tuple[Path, str]:
    """The weights of a run folder's newest usable checkpoint, or of a checkpoint folder: (file, "raw" | "ema").

    Of a run whose checkpoints somebody has removed, the weights that it wrote beside them.

    Args:
        which: `raw`, `ema`, or `auto`: the running average if it was kept.

    Raises:
        FileNotFoundError: there is no checkpoint.
        ValueError: no running average was kept.
    """
    folder = Path(folder)
    if (folder / "checkpoints").is_dir():
        folder = newest_valid(folder / "checkpoints")[0] or folder
    raw, ema = folder / "model.safetensors", folder / "ema.safetensors"
    if not raw.is_file():
        raw, ema = folder / "last.pdparams", folder / "last_ema.pdparams"
    if not raw.is_file():
        raise FileNotFoundError(f"no checkpoint in {folder}; give a weights file, or the folder of a run")
    if which == "ema" and not ema.is_file():
        raise ValueError(f"{folder} has no averaged weights; ask for the raw ones (EVAL.WEIGHTS raw)")
    return (ema, "ema") if ema.is_file() and which != "raw" else (raw, "raw")


def config_of(weights: str | Path) -> Path | None:
    """The configuration of the run whose folder holds these weights, or is meant by them."""
    path = Path(weights).resolve()
    for folder in (path, *list(path.parents)[:3]):
        if (folder / "config.yaml").is_file() and (folder / "log.jsonl").is_file():
            return folder / "config.yaml"
    return None
