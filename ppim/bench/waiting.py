"""What is waited for? The start of a command, the first step of a run, the copy of a checkpoint."""
from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from ppim.bench.network import drawn_batch, step_of
from ppim.bench.rounds import take_turns
from ppim.bench.row import Row
from ppim.data.shapes import write_dataset
from ppim.engine.ema import Ema
from ppim.engine.train_state import as_arrays
from ppim.models import create_model
from ppim.own_command import run_command

COMMANDS = (("--help",), ("train", "--help"), ("labels", "make", "--help"), ("models",))


def measure_start(rounds: int) -> list[Row]:
    """Seconds until a command that trains nothing has ended."""
    seconds = take_turns({" ".join(words): lambda words=words: _ppim(*words) for words in COMMANDS}, rounds)
    return [Row("start", f"ppim {words}", float(np.median(found)), "s") for words, found in seconds.items()]


def measure_first_step(folder: Path) -> list[Row]:
    """Seconds from `ppim train` to the end of the demo's first step."""
    folder = folder.resolve()
    write_dataset(folder, train=200, val=20)
    start = time.perf_counter()
    _ppim("train", "-c", "lvvit_demo", "-o", "DATA.DATA_PATH", str(folder / "data"), "TOKEN_LABEL.PATH",
          str(folder / "labels" / "train"), "TOKEN_LABEL.VAL_PATH", "", "TRAIN.MAX_STEPS", "1", "SAVE",
          str(folder / "run"))
    return [Row("start", "ppim train: the demo's first step, evaluated and saved", time.perf_counter() - start, "s")]


def measure_checkpoint(name: str, size: int, rounds: int) -> list[Row]:
    """What a step waits for when it is saved: the copy of weights, moments and running average; and the step itself."""
    model = create_model(name)
    step = step_of(model, drawn_batch(model, size))
    average = Ema(model, 0.9999)
    step()

    def copy():
        # AdamW's two moments are as large as the weights
        state = as_arrays(model.state_dict())
        return state, as_arrays(average.state_dict()), [value.copy() for value in state.values() for _ in range(2)]

    seconds = take_turns({"copy": copy, "step": step}, rounds)
    return [Row("checkpoint", f"{name}: {what}", float(np.median(seconds[key])), "s")
            for key, what in (("copy", "copy that a step waits for"), ("step", f"the step, of {size} images"))]


def _ppim(*words: str) -> None:
    run_command(*words, check=True, capture_output=True)
