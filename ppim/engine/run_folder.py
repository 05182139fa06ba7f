"""Where does a run keep its files?

    config.yaml           the resolved configuration
    log.jsonl             one JSON object a line
    vdl/                  VisualDL scalars
    checkpoints/          step_00001234/, ... (see checkpoint.py)
    last.pdparams         newest weights, plain {name: tensor} for paddle.load
    last_ema.pdparams     their running average
    best.pdparams         the weights of the best evaluation, best.json says which
"""
from __future__ import annotations

from pathlib import Path


class RunFolder:
    """The files of one run.

    Args:
        path: the folder; made by `prepare`.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config = self.path / "config.yaml"
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
