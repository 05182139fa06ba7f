"""Where does a run keep its files, and what do they say of it: its weights, its recipe, where to go on?

    config.yaml           the resolved configuration
    val_list.txt          the validation photos, where they were set aside from the training photos
    log.jsonl             one JSON object a line
    vdl/                  VisualDL scalars
    checkpoints/          step_00001234/, ... (see checkpoint.py)
    last.pdparams         newest weights, plain {name: tensor} for paddle.load
    last_ema.pdparams     their running average
    best.pdparams         the weights of the best evaluation, best.json says which
"""
from __future__ import annotations

import json
from pathlib import Path

from ppim.config import get_config, recipe_path, teaches_tokens
from ppim.engine.checkpoint import Checkpoint, load_checkpoint, newest_valid
from ppim.weights.recognise import recognise_file


class RunFolder:
    """The files of one run.

    Args:
        path: the folder; made by `prepare`.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.val_list = self.path / "val_list.txt"
        self.log = self.path / "log.jsonl"
        self.vdl = self.path / "vdl"
        self.checkpoints = self.path / "checkpoints"
        self.last = self.path / "last.pdparams"
        self.last_ema = self.path / "last_ema.pdparams"
        self.best = self.path / "best.pdparams"
        self.best_card = self.path / "best.json"

    def is_used(self) -> bool:
        """Has a run got as far as a record or a checkpoint here?"""
        return (self.log.is_file() and self.log.stat().st_size > 0) or any(self.checkpoints.glob("step_*"))

    def check_free(self) -> None:
        """Raise ValueError if another run lives here."""
        if self.is_used():
            raise ValueError(
                f"{self.path} holds a run already: add --resume to go on with it, "
                f"or start another beside it with -o SAVE {self.path}_2"
            )

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            ValueError: it cannot be made or written to.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"cannot write the run folder {self.path}: {error.strerror}; set another SAVE") from error


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


def weights_file(path: str, run_folder: str, which: str) -> tuple[str, str]:
    """The file that holds the weights meant, and what they are: "raw", "ema", or "" where only its content can tell.

    `path` is a weights file, a run folder, a checkpoint folder, or "auto" for the newest checkpoint of `run_folder`.
    """
    folder = Path(run_folder if path == "auto" else path)
    if (folder / "checkpoints").is_dir():
        folder = newest_valid(folder / "checkpoints")[0] or folder
    if not folder.is_dir():
        return path, "ema" if _names_ema(folder) else ""
    ema = folder / "ema.safetensors"
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(f"no checkpoint in {folder}; give a weights file, or the folder of a run")
    if which == "ema" and not ema.is_file():
        raise ValueError(f"{folder} has no averaged weights; give -o EVAL.WEIGHTS raw")
    return (str(ema), "ema") if ema.is_file() and which != "raw" else (str(folder / "model.safetensors"), "raw")


def _names_ema(path: Path) -> bool:
    if path.stem.endswith("_ema"):
        return True
    card = path.parent / "best.json"
    return path.stem == "best" and card.is_file() and json.loads(card.read_text(encoding="utf-8"))["weights"] == "ema"


def tokens_were_trained(weights: str) -> bool:
    """Was the token head of these weights trained? Known where they lie in a run folder; published files: yes."""
    own = config_of(weights)
    return teaches_tokens(get_config(own)) if own else True


def config_of(weights: str) -> Path | None:
    """The configuration of the run whose folder holds these weights, or is meant by them."""
    path = Path(weights).resolve()
    for folder in (path, *list(path.parents)[:3]):
        if (folder / "config.yaml").is_file() and (folder / "log.jsonl").is_file():
            return folder / "config.yaml"
    return None


def recipe_of(weights: str) -> tuple[str, list[str], list[str]]:
    """The recipe of weights for which none was named: (file, overrides, lines to tell about it).

    Those in a run folder have the run's own; of others the published model is recognised.
    """
    own = config_of(weights)
    if own:
        # before there was the key, photos were taken as they are stored
        old = [] if "EXIF:" in own.read_text(encoding="utf-8") else ["DATA.EXIF", "ignore"]
        return str(own), old, [f"recipe: {own}"]
    found = recognise_file(weights)
    twins = f" (or {', '.join(found.twins)}, of the same shapes: give --model then)" if found.twins else ""
    note = f"recipe: {found.name}, recognised by the weights in {weights}{twins}"
    return str(recipe_path(found.name)), ["MODEL.NUM_CLASSES", str(found.num_classes)], [note]
