"""Where does a run keep its files, and what do they say of it: its weights, its recipe, where to go on?

    config.yaml           the resolved configuration
    val_list.txt          the validation photos, where they were set aside from the training photos
    log.jsonl             one JSON object a line
    vdlrecords.log        the same numbers as curves for VisualDL
    pictures/             what PICTURES asks for, .png, which VisualDL shows as well
    checkpoints/          step_00001234/, ... (see checkpoint.py)
    last.pdparams         newest weights, plain {name: tensor} for paddle.load
    last_ema.pdparams     their running average
    best.pdparams         the weights of the best evaluation, best.json says which
    .lock                 names the process that writes here (see lock.py)
    *.card.json           what the weights beside it say of themselves, see ppim.weights.card
    classes.txt           the names of the classes, one a line, in the order of the logits
"""
from __future__ import annotations

import json
from pathlib import Path

from ppim.config import get_config, published_recipes, recipe_path, teaches_tokens
from ppim.engine.checkpoint import Checkpoint, load_checkpoint, read_checkpoint, remove_leftovers
from ppim.engine.classes import keys_of, trans_of
from ppim.files import leftovers
from ppim.names import normalise_name
from ppim.weights.card import read_card
from ppim.weights.checkpoints import find_fault, list_checkpoints, newest_valid, step_of
from ppim.weights.recognise import pixel_classes, recognise_file
from ppim.weights.run_folders import config_of, weights_in


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
        self.curves = self.path / "vdlrecords.log"
        self.pictures = self.path / "pictures"
        self.checkpoints = self.path / "checkpoints"
        self.last = self.path / "last.pdparams"
        self.last_ema = self.path / "last_ema.pdparams"
        self.best = self.path / "best.pdparams"
        self.best_card = self.path / "best.json"
        self.classes = self.path / "classes.txt"

    def is_used(self) -> bool:
        """Has a run got as far as a record or a checkpoint here?"""
        return (self.log.is_file() and self.log.stat().st_size > 0) or any(self.checkpoints.glob("step_*"))

    def check_free(self) -> None:
        """Raise ValueError if another run lives here."""
        if self.is_used():
            raise ValueError(
                f"{self.path} holds a run already: add --resume to go on with it, "
                f"or start another beside it with -o SAVE {self.neighbour()}"
            )

    def neighbour(self) -> str:
        """A path beside this folder at which there is nothing."""
        number = 2
        while (path := self.path.with_name(f"{self.path.name}_{number}")).exists():
            number += 1
        return str(path)

    def prepare(self) -> None:
        """Make the folder.

        Raises:
            ValueError: it cannot be made or written to.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"cannot write the run folder {self.path}: {error.strerror}; set another SAVE") from error

    def remove_leftovers(self) -> None:
        """Delete what killed writers left unfinished; only for the one process that may write here."""
        remove_leftovers(self.checkpoints)
        for path in vars(self).values():
            for leftover in leftovers(path) if path.parent == self.path else ():
                leftover.unlink(missing_ok=True)


def find_resumed(folder: RunFolder, resume: str | None) -> tuple[Checkpoint | None, list[str]]:
    """What to go on from, and lines to tell about it.

    Raises:
        ValueError: the run folder is in use and `resume` is None or of elsewhere, or names an earlier checkpoint than
            the folder has; or a checkpoint is damaged.
        FileNotFoundError: `resume` names nothing that can be resumed.
    """
    if resume is None:
        folder.check_free()
        return None, []
    source = folder.checkpoints if resume == "auto" else Path(resume)
    if (source / "checkpoints").is_dir():
        source = source / "checkpoints"
    if step_of(source) is not None or (source / "MANIFEST").is_file():
        checkpoint = load_checkpoint(source)
        _check_goes_on(folder, source, resume)
        return checkpoint, [f"going on from {source}"]
    newest, passed_over = newest_valid(source)
    if newest is None:
        if resume == "auto" and not passed_over:
            return None, [f"no checkpoint in {source} yet: starting anew"]
        why = "; ".join(passed_over) or "there is none"
        raise FileNotFoundError(f"no usable checkpoint in {source}: {why}")
    _check_goes_on(folder, newest, resume)
    return read_checkpoint(newest), [*(f"passed over {line}" for line in passed_over), f"going on from {newest}"]


def _check_goes_on(folder: RunFolder, taken: Path, resume: str) -> None:
    """Raise ValueError if what follows `taken` would be mixed up with other steps in the folder."""
    branch = f"--resume {resume} -o SAVE {folder.neighbour()}"
    own = {path.resolve(): path for path in list_checkpoints(folder.checkpoints)}
    if taken.resolve() not in own:
        if folder.is_used():
            raise ValueError(f"{folder.path} holds a run already: to go on with that, give --resume alone; to go on "
                             f"from {taken}, start a new folder: {branch}")
        return
    later = [path for path in own.values() if path.name > taken.name and find_fault(path) is None]
    if later:
        raise ValueError(f"{folder.path} has gone on to {later[0].name}, from which the next --resume would go on "
                         f"instead; to branch off at {taken.name}, start a new folder: {branch}")


def weights_file(path: str, run_folder: str, which: str) -> tuple[str, str]:
    """The file that holds the weights meant, and what they are: "raw", "ema", or "" where only its content can tell.

    `path` is a weights file, a run folder, a checkpoint folder, or "auto" for the newest checkpoint of `run_folder`.
    """
    folder = Path(run_folder if path == "auto" else path)
    if not folder.is_dir():
        return path, "ema" if _names_ema(folder) else ""
    file, kind = weights_in(folder, which)
    return str(file), kind


def _names_ema(path: Path) -> bool:
    if path.stem.endswith("_ema"):
        return True
    card = path.parent / "best.json"
    if path.stem != "best" or not card.is_file():
        return False
    try:
        return json.loads(card.read_text(encoding="utf-8"))["weights"] == "ema"
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{card} does not say which weights {path.name} are ({type(error).__name__}: {error}); "
                         "it is damaged, remove it") from error


def tokens_were_trained(weights: str) -> bool:
    """Was the token head of these weights trained? Known where they lie in a run folder; published files: yes."""
    own = config_of(weights)
    return teaches_tokens(get_config(own)) if own else True


def said_by_card(named: str, weights: str) -> tuple[list[str], list[str]]:
    """What the card of weights adds to a published name for their model: its sizes, and how photos are shown to it, as
    keys and values are typed after -o; nothing to a recipe's file, which says all of it."""
    card = read_card(weights) or {}
    return (trans_of(card), keys_of(card)) if normalise_name(named) == card.get("model") else ([], [])


def recipe_of(weights: str) -> tuple[str, list[str], list[str]]:
    """The recipe of weights for which none was named: (file, overrides, lines to tell about it).

    Those in a run folder have the run's own. Of others the card says which published model they are of and how photos
    are shown to it; without one the model is recognised.
    """
    own = config_of(weights)
    if own:
        # before there was the key, photos were taken as they are stored
        old = [] if "EXIF:" in own.read_text(encoding="utf-8") else ["DATA.EXIF", "ignore"]
        return str(own), old, [f"recipe: {own}"]
    card = read_card(weights) or {}
    if card.get("task") == "segment" or pixel_classes(weights):
        raise ValueError(f"{weights}: these weights name pixels, but do not say by which recipe: give it, with -c FILE "
                         "(ppim predict: --model FILE)")
    name, rows = card.get("model"), card.get("num_classes")
    told = f"by the card of {weights}"
    if name not in published_recipes():
        name, rows, twins = recognise_file(weights)
        told = f"recognised by the weights in {weights}"
        told += f" (or {', '.join(twins)}, of the same shapes: give --model then)" if twins else ""
    shown = keys_of(card)
    note = f"recipe: {name}, {told}{'; photos are shown as its card says' if shown else ''}"
    head = ["MODEL.NUM_CLASSES", str(rows)] if rows else []
    return str(recipe_path(name)), [*head, *trans_of(card), *shown], [note]
